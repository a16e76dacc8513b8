"""Name what is on photographs."""

from pathlib import Path

from celery_inference import image_classification

FOLDER = Path(__file__).parents[2] / "demo" / "images"

paths = sorted(FOLDER.glob("*.jpg"))
answers = image_classification.delay([path.read_bytes() for path in paths], top_k=2).get(timeout=60)
for path, labels in zip(paths, answers, strict=True):
    print(path.stem, "→", ", ".join(f"{found['label']} {found['score']:.2f}" for found in labels))

"""Upload a large input once, and use it in several requests."""

from pathlib import Path

from celery_inference import delete_upload, image_classification, upload

PHOTOGRAPH = Path(__file__).parents[2] / "demo" / "images" / "cat.jpg"

picture = upload(PHOTOGRAPH.read_bytes())
print("uploaded", picture["claim"]["size_bytes"], "bytes")
try:
    best = image_classification.delay(picture, top_k=1)
    five = image_classification.delay(picture, top_k=5)
    print("best:", best.get(timeout=60)[0]["label"])
    print("five:", [found["label"] for found in five.get(timeout=60)])
finally:
    delete_upload(picture)  # after the last request that needs it has ended

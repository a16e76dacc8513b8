"""A list in which some inputs are bad: each is answered by itself, by its result or by its error."""

from celery_inference import feature_extraction, results_and_errors

texts = ["My parcel never arrived.", "", "word " * 600, "Thank you, all is well."]

sent = feature_extraction.delay(texts, return_errors=True)
results, errors = results_and_errors(sent.get(timeout=60))

for vector in results:
    print("no vector" if vector is None else f"{len(vector)} numbers")
for index, error in errors.items():
    print(f"{index}: {type(error).__name__}: {error} (fault {error.fault}, limit {error.limit})")

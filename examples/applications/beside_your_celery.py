"""Use it in a project that has a Celery application: neither takes anything from the other."""

from celery import Celery, current_app, shared_task

from celery_inference import feature_extraction

shop = Celery("shop", broker="memory://", backend="cache+memory://")


@shared_task
def send_mail(address: str) -> None:
    """One of the project's own tasks."""


vector = feature_extraction.delay("My parcel never arrived.").get(timeout=60)  # to SQS, for a GPU host
mail = send_mail.delay("someone@example.org")  # to the project's broker, as before

print("ours:", feature_extraction.app.main, len(vector))
print("yours:", current_app.main, send_mail.app.main, mail.id)

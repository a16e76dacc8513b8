"""Django: send the request when the transaction commits, and keep its id in the row."""

import uuid

import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()

from django.db import connection, models, transaction  # noqa: E402

from celery_inference import feature_extraction  # noqa: E402


class Review(models.Model):
    """A customer's words, and the request for their embedding."""

    text = models.TextField()
    request_id = models.UUIDField(default=uuid.uuid4)

    class Meta:
        app_label = "shop"


def submit(text: str) -> Review:
    """Store a review. A worker must not be faster than the commit, and of a rollback it must not hear at all."""
    with transaction.atomic():
        review: Review = Review.objects.create(text=text)
        feature_extraction.apply_async_on_commit((text,), task_id=str(review.request_id))
        print("in the transaction:", feature_extraction.AsyncResult(str(review.request_id)).state)
    return review


with connection.schema_editor() as editor:
    editor.create_model(Review)
stored = submit("My parcel never arrived.")
vector = feature_extraction.AsyncResult(str(stored.request_id)).get(timeout=60)
print("after it:", len(vector), "numbers for review", stored.pk)

"""What the URL of a claim check's store may be; apart from the stores, since every process reads the setting."""

from urllib.parse import SplitResult, urlsplit

from celery_inference.redaction import without_secret
from celery_inference.sqs.errors import OptionError


def split_store_url(url: str) -> SplitResult:
    """The parts of `file:///FOLDER` or `s3://BUCKET/PREFIX`. Raises OptionError for others."""
    parts = urlsplit(url)
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and parts.path != "/"
    # Credentials in it would be used by no one, and written wherever the store's name is.
    bucket = parts.scheme == "s3" and parts.netloc and not {"@", ":"} & set(parts.netloc)
    if (not folder and not bucket) or parts.query or parts.fragment:
        raise OptionError(
            f"claim check {without_secret(url)!r} is neither file:///FOLDER nor s3://BUCKET/PREFIX, without credentials"
        )
    return parts

"""What the URL of a claim check's store may be; apart from the stores, since every process reads the setting."""

from urllib.parse import SplitResult, urlsplit

from celery_inference.sqs.errors import OptionError


def split_store_url(url: str) -> SplitResult:
    """The parts of `file:///FOLDER` or `s3://BUCKET/PREFIX`. Raises OptionError for others."""
    parts = urlsplit(url)
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and parts.path != "/"
    bucket = parts.scheme == "s3" and parts.netloc
    if not folder and not bucket:
        raise OptionError(f"claim check {url!r} is neither file:///FOLDER nor s3://BUCKET/PREFIX")
    return parts

"""`dynamodb://…`: where the table is, by Celery's way of writing it."""

import pytest
from celery.exceptions import ImproperlyConfigured

from celery_inference.results.dynamodb.url import TableUrl


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("dynamodb://eu-central-1/results", TableUrl("results", region="eu-central-1")),
        ("dynamodb:///results", TableUrl("results")),
        ("dynamodb://@/results", TableUrl("results")),
        (
            "dynamodb://KEY:S%2Fx@us-east-1/results",
            TableUrl("results", "us-east-1", access_key="KEY", secret_key="S/x"),
        ),
        (
            "dynamodb://k:s@127.0.0.1:5000/r.1",
            TableUrl("r.1", endpoint="http://127.0.0.1:5000", access_key="k", secret_key="s", creates=True),
        ),
        ("dynamodb://localhost/results", TableUrl("results", endpoint="http://localhost:8000", creates=True)),
        ("dynamodb://[::1]:8000/results", TableUrl("results", endpoint="http://[::1]:8000", creates=True)),
        ("dynamodb://emulator:8000/results", TableUrl("results", endpoint="http://emulator:8000")),
    ],
)
def test_a_url_names_a_place(url: str, place: TableUrl) -> None:
    assert TableUrl.of(url) == place


def test_celery_s_setting_of_an_endpoint_is_obeyed_and_secrets_are_not_shown() -> None:
    place = TableUrl.of("dynamodb://KEY:SECRET@eu-central-1/results", "https://example.test")
    assert (place.endpoint, place.region, place.creates) == ("https://example.test", "eu-central-1", False)
    assert "SECRET" not in f"{place} {place!r}"
    assert str(TableUrl.of("dynamodb://KEY:SECRET@eu-central-1/results")) == "dynamodb://eu-central-1/results"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("dynamodb://eu-central-1", "names no table"),
        ("dynamodb://eu-central-1/a/b", "names no table"),
        ("dynamodb://h:x/t", "cannot be read"),
        ("dynamodb://KEY@eu-central-1/t", "a key or a secret, and not both"),
        ("dynamodb://eu-central-1/t?ttl_seconds=5&read=1", "has options (ttl_seconds, read)"),
    ],
)
def test_what_names_none_is_refused(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        TableUrl.of(url)
    assert said.replace("a key", "an access key") in str(raised.value)

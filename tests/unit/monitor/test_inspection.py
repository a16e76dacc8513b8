"""No answer of a worker shows the user or the password of a URL."""

from types import SimpleNamespace

from monitor.app.inspector import CleanInspector, without_credentials

URL = "sqs://AKIAUSER:sEcrEt%2Fkey@sqs.example:9324//"


def test_urls_keep_their_hosts_and_lose_their_users() -> None:
    answer = {"broker_url": URL, "nested": [{"one": f"see {URL}, and s3://bucket"}], "count": 5, "none": None}
    assert without_credentials(answer) == {
        "broker_url": "sqs://sqs.example:9324//",
        "nested": [{"one": "see sqs://sqs.example:9324//, and s3://bucket"}],
        "count": 5,
        "none": None,
    }
    assert without_credentials("redis://:password@host/0, postgresql://user@host/db") == (
        "redis://host/0, postgresql://host/db"
    )


def test_what_flower_keeps_of_a_worker_has_none() -> None:
    inspector = CleanInspector(None, SimpleNamespace(), 1.0)
    inspector._on_update("w@host", "stats", {"broker": {"userid": "AKIAUSER", "hostname": "sqs.example"}})
    inspector._on_update("w@host", "conf", {"broker_url": URL, "result_backend": "redis://:password@host/0"})
    kept = str(inspector.workers["w@host"])
    assert "sqs.example" in kept
    for secret in ("AKIAUSER", "sEcrEt", "password"):
        assert secret not in kept

"""Flower opens itself to other machines only with a login."""

from types import SimpleNamespace

import pytest

from monitor.app.access_control import EmptyLogin, ExposedWithoutLogin, refuse_exposure


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(**{"address": "127.0.0.1", "basic_auth": None, "auth": "", "unix_socket": "", **given})


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "10.0.0.7", "fe80::1", "flower.example.com"])
def test_an_address_that_others_reach_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(ExposedWithoutLogin) as refused:
        refuse_exposure(options(address=address))
    message = refused.value.format_message()
    assert "--basic-auth" in message
    assert address in message
    assert message.count(".") - address.count(".") == 4  # of 127.0.0.1, and the sentence's own
    assert "\n" not in message


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_login(address: str) -> None:
    refuse_exposure(options(address=address))


@pytest.mark.parametrize("login", [{"basic_auth": ["user:secret"]}, {"auth": ".*@example\\.com"}])
def test_a_login_opens_any_address(login: dict[str, object]) -> None:
    refuse_exposure(options(address="0.0.0.0", **login))


@pytest.mark.parametrize("login", ["", ":", "user:", "user", ":secret"])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_an_empty_login_is_none(login: str, address: str) -> None:
    """Flower lets in whoever sends the same nothing."""
    with pytest.raises(EmptyLogin, match="USER:PASSWORD"):
        refuse_exposure(options(address=address, basic_auth=["user:secret", login]))


def test_a_socket_file_is_no_address() -> None:
    refuse_exposure(options(address="", unix_socket="/run/flower.sock"))

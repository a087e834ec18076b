"""Addresses of servers: which can be asked, and that no password is shown."""

import pytest

from orchestrator.addresses import is_http_address, without_password, without_passwords


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://lab.example:8000/a@b?c=d@e", "http://lab.example:8000/a@b?c=d@e"),
        ("http://ann:secret@lab:8000/x", "http://lab:8000/x"),
        ("https://token@lab", "https://lab"),
        ("http://ann:se@cret@lab", "http://lab"),
        ("http://ann:se/cret@lab:8000", "http://lab:8000"),
        ("http://ann:secret@[bad", "http://[bad"),
        ("http://ann:secret@lab:abc", "http://lab:abc"),
        ("http://host:abc", "http://host:abc"),
        ("ann:secret@lab:8000", "lab:8000"),
        ("./runs@2", "./runs@2"),
        ("localhost,.example", "localhost,.example"),
        ("", ""),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("password", ["secret", "se@cret", "se/cret"])
def test_no_password_is_quoted(password: str) -> None:
    said = f"request to http://ann:{password}@lab:1/api failed (mail a@b.example; see https://lab.example/x)"
    assert without_passwords(said) == "request to http://lab:1/api failed (mail a@b.example; see https://lab.example/x)"


@pytest.mark.parametrize(
    "url", ["http://lab", "https://ann:pw@lab.example:8000/x", "http://[::1]:8000", "http://bär.example"]
)
def test_what_can_be_asked(url: str) -> None:
    assert is_http_address(url)


@pytest.mark.parametrize(
    "url", ["", "lab", "lab:8000", "ftp://lab", "http://", "http://:8000", "http://lab:abc", "http://lab:99999",
            "http://[::1", "http://a..b", "http://lab\x01"],
)  # fmt: skip
def test_what_can_not(url: str) -> None:
    assert not is_http_address(url)

"""Endpoints are read as users type them, and every TCP server listens through one class."""

from __future__ import annotations

import socket

import pytest

from meterseal.errors import Failure
from meterseal.io.endpoint import bound_to, format_endpoint, open_listener, parse_endpoint


@pytest.mark.parametrize(
    ("typed", "bound"),
    [("127.0.0.1:0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("[::1]:0", "::1")],
)
def test_a_listener_is_bound_to_an_address_of_the_host(typed: str, bound: str) -> None:
    with open_listener(typed) as listener:
        host, port = parse_endpoint(bound_to(listener))
        assert (host, port) == (bound, listener.getsockname()[1])
        with socket.create_connection((host, port)):
            pass


def test_a_name_that_has_only_an_ipv6_address_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    only = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: only)
    with open_listener("six.example:0") as listener:
        assert bound_to(listener) == format_endpoint("::1", listener.getsockname()[1])


def test_a_name_without_an_address_is_one_sentence() -> None:
    with pytest.raises(Failure, match=r"cannot listen on nowhere\.invalid:1: .+; choose another HOST:PORT"):
        open_listener("nowhere.invalid:1")

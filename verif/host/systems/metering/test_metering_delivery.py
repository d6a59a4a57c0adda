"""Metering delivers to marketing over real HTTP, although the server is away, refuses or forgets."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from meterseal.protocols import handover
from meterseal.store import diagnostics, outbox
from meterseal.systems.metering.delivery import target


class Marketing:
    """Takes events; `answer(n)` is the status of the n-th request."""

    def __init__(self):
        self.taken = []
        self.requests = 0
        self.answer = lambda n: 200
        self.look = lambda body: None
        self._server = None
        self._port = 0

    def up(self):
        marketing = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                marketing.requests += 1
                marketing.look(body)
                status = marketing.answer(marketing.requests)
                assert self.headers["Content-Type"] == handover.CONTENT_TYPE
                if status == 200:
                    marketing.taken.append((self.path, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._port}"

    def down(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def ids(self):
        return [json.loads(body)["id"] for _, body in self.taken]


@pytest.fixture
def marketing():
    marketing = Marketing()
    yield marketing
    with contextlib.suppress(OSError):
        marketing.down()


def test_where_to_post():
    assert target("http://h:1") == target("http://h:1/") == "http://h:1/events"
    assert target("http://h:1/else/where") == "http://h:1/else/where"


def test_an_event_reaches_marketing_at_once_and_once(start_metering, connect, make, marketing, eventually):
    metering = start_metering("--marketing", marketing.up())
    terminal = connect(metering).login()
    for content in (make.report(1), make.opened(2), make.report(1)):
        assert terminal.report(content) is True
    eventually(lambda: sorted(marketing.ids) == [f"{make.seal}-1", f"{make.seal}-2"])
    path, body = marketing.taken[0]
    assert path == "/events"
    event = handover.decode(body)
    assert (event.seal, event.meter, event.terminal) == (make.seal, make.meter, "440106:1")
    eventually(lambda: metering.read(outbox.pending) == 0)
    assert metering.link.stop() == 0


def test_events_wait_while_marketing_is_away(start_metering, connect, make, marketing, eventually):
    url = marketing.up()
    marketing.down()
    metering = start_metering("--marketing", url)
    terminal = connect(metering).login()
    for counter in range(1, 21):
        assert terminal.report(make.report(counter)) is True
    metering.link.wait_for("lost", peer=url + "/events")
    assert metering.read(outbox.pending) == 20
    # Metering is killed and started again meanwhile.
    metering.link.kill()
    metering = start_metering("--marketing", url)
    metering.link.wait_for("lost", peer=url + "/events")
    marketing.up()
    eventually(lambda: metering.read(outbox.pending) == 0)
    assert marketing.ids == [f"{make.seal}-{counter}" for counter in range(1, 21)]
    metering.link.wait_for("connected", peer=url + "/events")


def test_an_error_of_marketing_is_tried_again(start_metering, connect, make, marketing, eventually):
    marketing.answer = lambda n: 503 if n < 3 else 200
    metering = start_metering("--marketing", marketing.up())
    assert connect(metering).login().report(make.report(1)) is True
    eventually(lambda: metering.read(outbox.pending) == 0)
    assert marketing.requests == 3
    assert len(marketing.taken) == 1


def test_a_body_that_marketing_fails_on_does_not_hold_up_others(
    start_metering, connect, make, marketing, eventually
):
    metering = start_metering("--marketing", marketing.up())
    stumbling = []
    marketing.answer = lambda n: 500 if b'-1"' in stumbling[-1] else 200
    marketing.look = stumbling.append
    terminal = connect(metering).login()
    for counter in (1, 2, 3):
        assert terminal.report(make.report(counter)) is True
    eventually(lambda: marketing.ids == [f"{make.seal}-2", f"{make.seal}-3"])
    eventually(lambda: metering.read(outbox.pending) == 1)


def test_a_refused_body_does_not_hold_up_others(start_metering, connect, make, marketing, eventually):
    marketing.answer = lambda n: 422 if n == 1 else 200
    metering = start_metering("--marketing", marketing.up())
    terminal = connect(metering).login()
    assert terminal.report(make.report(1)) is True
    metering.link.wait_for("discarded")
    assert terminal.report(make.report(2)) is True
    eventually(lambda: sorted(marketing.ids) == [f"{make.seal}-1", f"{make.seal}-2"])
    (diagnostic,) = metering.read(diagnostics.list_all)
    assert (diagnostic.what, diagnostic.count) == ("handover_refused", 1)


def test_marketing_that_hangs_does_not_keep_metering_from_stopping(start_metering, connect, make, marketing):
    release = threading.Event()
    marketing.answer = lambda n: release.wait(20) and 200
    metering = start_metering("--marketing", marketing.up())
    assert connect(metering).login().report(make.report(1)) is True
    metering.link.wait_for("wire", wire="http")
    assert metering.link.stop() == 0
    release.set()
    assert metering.read(outbox.pending) == 1

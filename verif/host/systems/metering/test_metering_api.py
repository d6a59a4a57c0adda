"""A running system offers a JSON API, on-demand reading and commands."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import threading

import httpx
import pytest
from typer.testing import CliRunner

from meterseal.clock import isoformat
from meterseal.domain.record import Kind, StateClass
from meterseal.errors import Failure
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayRequest
from meterseal.protocols.dlt645.frame import Frame
from meterseal.systems.metering.cli import app


@pytest.fixture
def metering(start_metering, make):
    registered = {"seal": make.seal, "meter": make.meter, "terminal": "440106:1", "point": 3}
    return start_metering("--request-timeout", "2", registry=[registered])


class Bus:
    """Acts as the bus of a terminal; it answers relayed requests with `record`, or as the test sets it."""

    def __init__(self, record):
        self.record = record
        self.asked = []
        self.change = lambda raw: raw

    def __call__(self, frame):
        request = Frame.decode(RelayRequest.decode(frame.content).frame)
        self.asked.append((frame.point, request.address, f"{request.di:08X}"))
        answer = Frame(request.address, 0x91, request.data + self.record).encode(preamble=0)
        return frame.answer(RelayAnswer(self.change(answer)).encode()).encode()


@pytest.fixture
def served(metering, connect, make):
    """Serves a terminal in the background, and yields its bus."""
    terminal = connect(metering).login()
    terminal.bus = Bus(make.record(1, age=90))
    end = threading.Event()

    def serve():
        while not end.is_set():
            terminal.step(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    yield terminal.bus
    end.set()
    thread.join()


def get(metering, path):
    answer = httpx.get(metering.http + path)
    answer.raise_for_status()
    return answer.json()


def read(metering, seal, **params):
    answer = httpx.post(f"{metering.http}/api/seals/{seal}/read", params=params, timeout=30)
    return answer.status_code, answer.json()


def test_lists(metering, connect, make):
    terminal = connect(metering).login()
    terminal.report(make.report(1), point=3)
    terminal.report(make.opened(2), point=3)
    terminal.raw(b"\x00")
    terminal.report(b"unreadable")

    (seal,) = get(metering, "/api/seals")["seals"]
    assert (seal["seal"], seal["state"], seal["counter"]) == (make.seal, "open", 2)
    assert (seal["meter"], seal["terminal"], seal["point"], seal["registered"], seal["alarms"]) == (
        make.meter,
        "440106:1",
        3,
        True,
        ["SEAL_OPEN_UNMATCHED"],
    )
    assert [one["counter"] for one in get(metering, "/api/events")["events"]] == [2, 1]
    assert [one["counter"] for one in get(metering, "/api/events?limit=1")["events"]] == [2]
    assert [one["counter"] for one in get(metering, "/api/events?after=1")["events"]] == [2]
    assert get(metering, "/api/events?seal=000000000999") == {"events": []}
    assert httpx.get(f"{metering.http}/api/events?seal=x").status_code == 422
    for query in ("", "?active=true"):
        listed = get(metering, f"/api/alarms{query}")["alarms"]
        assert len(listed) == 2
        assert [alarm["id"] for alarm in listed] == sorted((alarm["id"] for alarm in listed), reverse=True)
        assert get(metering, f"/api/alarms{query or '?'}&limit=1")["alarms"] == listed[:1]
    active = get(metering, f"/api/alarms?active=true&seal={make.seal}")["alarms"]
    assert [(one["code"], one["severity"], one["active"]) for one in active] == [
        ("SEAL_OPEN_UNMATCHED", "critical", True)
    ]
    (only,) = get(metering, "/api/terminals")["terminals"]
    assert (only["terminal"], only["registered"], only["online"]) == ("440106:1", True, True)
    documents = get(metering, "/api/diagnostics")
    assert {one["what"] for one in documents["diagnostics"]} == {"bad_frame", "unreadable_report"}
    assert [bytes.fromhex(one["raw"])[6:] for one in documents["kept"]] == [b"unreadable"]
    assert get(metering, "/healthz") == {"status": "ok", "terminals": 1, "outbox": 2}
    paths = get(metering, "/openapi.json")["paths"]
    assert {"/api/seals", "/api/events", "/api/alarms", "/api/terminals", "/api/diagnostics"} <= set(paths)


@pytest.mark.parametrize("asked", ["seal", "meter"])
def test_on_demand_reading(metering, served, make, asked):
    status, body = read(metering, make.seal, **{"from": asked})
    assert status == 200, body
    assert (body["seal"], body["counter"], body["kind"], body["from"]) == (make.seal, 1, "boot", asked)
    assert body["known"] is False
    assert body["age"] == 90
    # A meter repeats the age that the record had when it arrived.
    assert (body["occurred_at"] is None) is (asked == "meter")
    assert served.asked == [(3, {"seal": make.seal, "meter": make.meter}[asked], "04805301")]
    assert metering.counters == []


def test_on_demand_reading_of_a_stored_event(metering, connect, make, ago):
    terminal = connect(metering).login()
    at = ago(3000)
    assert terminal.report(make.report(1, at=at)) is True
    terminal.bus = Bus(make.record(1, age=3001))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(read(metering, make.seal, **{"from": "meter"})))
    asking.start()
    while asking.is_alive():
        terminal.step()
    asking.join()
    ((status, body),) = answers
    assert (status, body["known"], body["occurred_at"]) == (200, True, isoformat(at))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: b"", "nothing answered"),
        (lambda raw: raw[:-1] + b"\x00", "00"),
        (lambda raw: Frame("000000000999", 0x91, Frame.decode(raw).data).encode(), "something else"),
        (lambda raw: Frame(Frame.decode(raw).address, 0xD1, b"\x02").encode(), "refused"),
        (lambda raw: Frame(Frame.decode(raw).address, 0x91, Frame.decode(raw).data[:9]).encode(), "38"),
    ],
)
def test_a_bad_answer_is_reported(metering, served, make, change, reason):
    served.change = change
    status, body = read(metering, make.seal)
    assert status == 502
    assert reason in body["detail"]


def test_the_record_of_another_seal_is_refused(metering, served, make):
    served.record = make.record(1, seal="000000000102")
    status, body = read(metering, make.seal, **{"from": "meter"})
    assert (status, "record of seal 000000000102" in body["detail"]) == (502, True)


def test_a_read_that_cannot_be_answered_is_an_error(metering, connect, make):
    assert read(metering, "000000000999")[0] == 404
    status, body = read(metering, make.seal)
    assert (status, body["detail"]) == (503, "terminal 440106:1 is not connected")
    terminal = connect(metering).login()
    status, body = read(metering, make.seal)
    assert (status, body["detail"]) == (504, "terminal 440106:1 did not answer")
    assert terminal.report(make.report(1)) is True


def test_a_terminal_that_leaves_while_it_is_asked(metering, connect, make):
    terminal = connect(metering).login()
    terminal.bus = lambda frame: terminal.socket.shutdown(socket.SHUT_WR)
    asking = threading.Thread(target=lambda: answers.append(read(metering, make.seal)))
    answers = []
    asking.start()
    while asking.is_alive():
        terminal.socket.settimeout(0.05)
        try:
            terminal.step()
        except (ConnectionError, OSError):
            break
    asking.join()
    assert answers[0][0] == 504


def test_the_read_command(metering, served, make):
    asked = ["read", "--url", metering.http, "--seal", make.seal]
    shown = CliRunner().invoke(app, [*asked, "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["counter"] == 1
    assert f"{make.seal} 1 boot sealed known=False" in CliRunner().invoke(app, asked).output
    unknown = CliRunner().invoke(app, ["read", "--url", metering.http, "--seal", "999"])
    assert isinstance(unknown.exception, Failure)
    assert "seal 000000000999 is not registered" in str(unknown.exception)
    away = CliRunner().invoke(app, ["read", "--url", "http://127.0.0.1:1", "--seal", make.seal])
    assert "no answer of a metering system" in str(away.exception)
    assert CliRunner().invoke(app, [*asked, "--from", "nobody"]).exit_code == 2


def test_the_queries_of_the_running_system(metering, connect, make):
    connect(metering).login().report(make.report(1, Kind.BOOT, StateClass.SEALED))
    shown = CliRunner().invoke(app, ["events", "--store", str(metering.store), "--json"])
    assert [one["seal"] for one in json.loads(shown.output)["events"]] == [make.seal]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--listen", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["--listen", "{busy}"], "cannot listen on {busy}: Address already in use"),
        (["--http", "{busy}"], "cannot listen on {busy}: Address already in use"),
        (["--store", "/no/such/folder/m.db"], "store /no/such/folder/m.db: No such file or directory"),
        (["--registry", "/no/such/file"], "registry /no/such/file: No such file"),
        (["--registry", "{bad}"], "registry {bad}, device 1: 'meter' is missing"),
        (["--marketing", "127.0.0.1:80"], "marketing '127.0.0.1:80': expected http://HOST:PORT"),
        (["--marketing", "http://h:x"], "marketing 'http://h:x': expected http://HOST:PORT"),
        (["--terminal", "440106"], "terminal '440106': expected REGION:NUMBER"),
        (["--terminal", "44:1"], "terminal '44:1': region '44': expected 6 digits"),
    ],
)
def test_what_cannot_work_is_one_clear_sentence(start_link, tmp_path, options, sentence):
    bad = tmp_path / "bad.json"
    bad.write_text('[{"seal": "1"}]')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"busy": f"127.0.0.1:{taken.getsockname()[1]}", "bad": str(bad)}
        usual = {"--listen": "127.0.0.1:0", "--http": "127.0.0.1:0", "--store": str(tmp_path / "m.db")}
        usual |= {options[0]: options[1].format_map(names)}
        link = start_link("metering", "run", *(part for pair in usual.items() for part in pair))
        assert link.wait() == 1
    assert re.fullmatch(f"meterseal: .*{re.escape(sentence.format_map(names))}.*\n", link.errors)


def test_a_store_that_fails_ends_the_process_with_one_sentence(metering):
    with contextlib.closing(sqlite3.connect(metering.store)) as conn:
        conn.execute("DROP TABLE standard_alarms")
    assert metering.link.wait() == 1
    assert re.fullmatch(r"meterseal: store .*: no such table: standard_alarms; .*\n", metering.link.errors)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("{}", "expected a list"),
        ("[1]", "device 1: expected an object"),
        ('[{"seal": "x", "meter": "1", "terminal": "440106:1", "point": 1}]', "address 'x'"),
        ('[{"seal": "1", "meter": "1", "terminal": 7, "point": 1}]', "device 1"),
        ('[{"seal": "1", "meter": "1", "terminal": "440106:1", "point": "one"}]', "device 1"),
    ],
)
def test_a_bad_registry_is_named(tmp_path, text, reason):
    from meterseal.systems.metering.registry import Registry

    file = tmp_path / "registry.json"
    file.write_text(text)
    with pytest.raises(Failure, match=reason):
        Registry.load(file)

"""The master station serves terminals over real sockets."""

from __future__ import annotations

import asyncio
import socket
import time

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.domain.record import Kind, StateClass
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import DIR_UP, PRM, Frame, TerminalAddress, point_da
from meterseal.protocols.csg1209022.terminal import Confirmed, LoggedIn, Send, TerminalLink
from meterseal.store import diagnostics, events


def diagnostic_counts(metering):
    return {(one.what, one.detail): one.count for one in metering.read(diagnostics.list_all)}


def test_login_heartbeat_and_reports(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    assert terminal.report(make.report(1)) is True
    assert terminal.report(make.opened(2)) is True
    assert metering.counters == [(make.seal, 1), (make.seal, 2)]
    assert metering.active == {("SEAL_OPEN_UNMATCHED", make.seal)}
    metering.link.wait_for("connected", terminal="440106:1")
    metering.link.wait_for("event", seal=make.seal, counter=2, kind="opened")
    metering.link.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", seal=make.seal, counter=2, raised=True)
    assert terminal.report(make.report(3, Kind.CLOSED, StateClass.SEALED)) is True
    metering.link.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", seal=make.seal, counter=2, raised=False)
    assert metering.active == set()
    terminal._do(terminal.link.logout())
    metering.link.wait_for("lost", terminal="440106:1", reason="logged out")
    assert metering.link.stop() == 0
    assert metering.link.errors == ""


def test_a_repetition_is_confirmed_and_stored_once(start_metering, connect, make):
    metering = start_metering()
    content = make.report(1)
    for number in (1, 1, 2):
        assert connect(metering, number).login().report(content) is True
    assert metering.counters == [(make.seal, 1)]


def test_conflicting_contents_are_confirmed_kept_and_alarmed(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    assert terminal.report(make.report(1)) is True
    assert terminal.report(make.opened(1)) is True
    assert metering.active == {("EVIDENCE_CONFLICT", make.seal)}
    assert len(metering.read(events.conflicts)) == 1


def test_garbage_is_counted_with_a_sample_and_the_frames_around_it_are_read(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    terminal.raw(b"\x68\x00garbage\x16")
    assert terminal.report(make.report(1)) is True
    metering.link.wait_for("discarded", bytes=b"\x68\x00garbage\x16".hex().upper())
    assert diagnostic_counts(metering) == {("bad_frame", "440106:1"): 1}
    (diagnostic,) = metering.read(diagnostics.list_all)
    assert diagnostic.sample == b"\x68\x00garbage\x16"


def test_an_unreadable_report_is_kept_and_alarmed_and_does_not_block_others(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    broken = bytearray(make.report(1))
    broken[25] = 99  # layout version of the record
    for content in (bytes(broken), b"XX\x01", bytes(broken)):
        assert terminal.report(content) is True
    assert terminal.report(make.report(2)) is True
    assert metering.counters == [(make.seal, 2)]
    assert metering.active == {("RECORD_UNREADABLE", "440106:1")}
    kept = metering.read(diagnostics.kept)
    assert [one.raw[6:] for one in kept] == [b"XX\x01", bytes(broken)]
    assert diagnostic_counts(metering) == {("unreadable_report", "440106:1"): 3}


def test_a_report_of_another_kind_is_denied_and_kept(start_metering, connect):
    metering = start_metering()
    terminal = connect(metering).login()
    assert terminal.report(b"\x01\x02", afn=Afn.EVENTS, di=0xE2000001) is False
    assert [one.raw[6:] for one in metering.read(diagnostics.kept)] == [b"\x01\x02"]


def test_unknown_terminals_and_seals_are_stored_and_alarmed(start_metering, connect, make):
    known = {"seal": "000000000777", "meter": make.meter, "terminal": "440106:7", "point": 1}
    metering = start_metering(registry=[known])
    assert connect(metering).login().report(make.report(1)) is True
    assert metering.counters == [(make.seal, 1)]
    assert metering.active == {("UNKNOWN_TERMINAL", "440106:1"), ("UNKNOWN_DEVICE", make.seal)}
    # The alarms end once terminal and seal are registered.
    metering.link.kill()
    metering = start_metering(
        registry=[known, {"seal": make.seal, "meter": make.meter, "terminal": "440106:1", "point": 1}]
    )
    metering.link.wait_for("alarm", code="UNKNOWN_DEVICE", raised=False)
    assert metering.active == set()


def test_a_report_is_confirmed_only_after_it_is_stored(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    with metering.locked_store():
        terminal.start(Afn.USER_DEFINED, 1, UplinkDi.USER_DEFINED, make.report(1), "key")
        for _ in range(10):
            terminal.step()
        assert terminal.events == []
    terminal.until(Confirmed, key="key")
    assert metering.counters == [(make.seal, 1)]


def test_the_last_bytes_of_a_connection_are_stored(start_metering, connect, make, eventually):
    metering = start_metering()
    terminal = connect(metering).login()
    terminal.start(Afn.USER_DEFINED, 1, UplinkDi.USER_DEFINED, make.report(1), "key")
    terminal.close()
    eventually(lambda: metering.counters == [(make.seal, 1)])


def test_a_silent_terminal_is_lost_until_it_returns(start_metering, connect, make):
    metering = start_metering("--heartbeat", "0.4", "--silence", "2.5")
    terminal = connect(metering).login()
    assert terminal.report(make.report(1)) is True
    metering.link.wait_for("lost", terminal="440106:1", reason="silent for too long")
    metering.link.wait_for("alarm", code="TERMINAL_LOST", seal="440106:1", raised=True)
    with pytest.raises(ConnectionError):
        terminal.until(LoggedIn)
    connect(metering).login()
    metering.link.wait_for("alarm", code="TERMINAL_LOST", seal="440106:1", raised=False)


def test_a_newer_connection_takes_over(start_metering, connect, make):
    metering = start_metering()
    old = connect(metering).login()
    new = connect(metering).login()
    old.close()
    assert new.report(make.report(1)) is True
    (terminal,) = httpx.get(f"{metering.http}/api/terminals").json()["terminals"]
    assert terminal["online"] is True


def test_more_connections_than_allowed_are_refused_and_counted(start_metering, connect, make):
    metering = start_metering("--connections", "1")
    first = connect(metering).login()
    with pytest.raises(ConnectionError):
        connect(metering, 2).login()
    assert first.report(make.report(1)) is True
    assert diagnostic_counts(metering) == {("refused_connection", "127.0.0.1"): 1}
    first.close()
    metering.link.wait_for("lost", terminal="440106:1")
    connect(metering, 2).login()


def test_several_reports_in_one_read_are_confirmed_in_order(start_metering, make):
    metering = start_metering()
    address = TerminalAddress("440106", 1)
    di = UplinkDi.USER_DEFINED
    frames = [
        Frame.of(DIR_UP | PRM | 4, address, Afn.USER_DEFINED, n, point_da(1), di, make.report(n), con=True)
        for n in range(1, 13)
    ]
    with socket.create_connection(tuple(metering.listen.split(":")), timeout=5) as client:
        client.sendall(b"".join(frame.encode() for frame in frames))
        expected = b"".join(frame.confirmation().encode() for frame in frames)
        received = b""
        while len(received) < len(expected):
            received += client.recv(4096)
    assert received == expected
    assert len(metering.counters) == 12


async def _talk(endpoint, number, contents):
    """Act as one of many terminals: log in and send each report after the one before was confirmed."""
    link = TerminalLink(TerminalAddress("440106", number))
    host, port = endpoint.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    confirmed = []

    def act(turn):
        for event in turn:
            if isinstance(event, Send):
                writer.write(event.raw)
            elif isinstance(event, Confirmed):
                confirmed.append(event.key)

    async def listen():
        act(link.receive(await reader.read(4096), time.monotonic()))

    act(link.connected(time.monotonic()))
    for key, content in enumerate(contents):
        while not link.ready:
            await listen()
        di = UplinkDi.USER_DEFINED
        act(link.send(Afn.USER_DEFINED, point_da(1), di, content, key, time.monotonic()))
    while len(confirmed) < len(contents):
        await listen()
    writer.close()
    await writer.wait_closed()
    return confirmed


def test_many_terminals_at_once(start_metering, make):
    metering = start_metering()
    seals = {number: f"{number:012}" for number in range(1, 61)}

    async def all_talk():
        async with asyncio.timeout(60):
            return await asyncio.gather(
                *(
                    _talk(metering.listen, n, [make.report(k, seal=seal) for k in range(1, 6)])
                    for n, seal in seals.items()
                )
            )

    assert asyncio.run(all_talk()) == [[0, 1, 2, 3, 4]] * 60
    assert metering.counters == [(seal, k) for seal in seals.values() for k in range(1, 6)]
    assert metering.active == set()


@pytest.fixture(scope="module")
def one_metering(tmp_path_factory):
    """Make a system in this process, because hypothesis needs the same one for every example."""
    from meterseal.clock import SystemClock
    from meterseal.store.database import Database
    from meterseal.systems.metering.intake import Intake
    from meterseal.systems.metering.monitor import Monitor
    from meterseal.systems.metering.registry import Registry
    from meterseal.systems.metering.settings import Settings
    from meterseal.systems.metering.tables import SCHEMA
    from meterseal.systems.metering.verification import Verifier

    database = Database(tmp_path_factory.mktemp("fuzz") / "metering.db", SCHEMA)
    yield database, Intake(Monitor(Settings(), Registry()), Verifier({})), SystemClock()
    database.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    afn=st.sampled_from([Afn.USER_DEFINED, Afn.ALARM, Afn.EVENTS]) | st.integers(0, 255),
    di=st.sampled_from([UplinkDi.USER_DEFINED, UplinkDi.TERMINAL_COVER_OPEN]) | st.integers(0, 0xFFFFFFFF),
    da=st.binary(min_size=2, max_size=2),
    at=st.integers(0, 70),
    flip=st.binary(max_size=12),
    kind=st.sampled_from(["report", "cover", "none"]),
)
def test_no_content_makes_the_intake_fail(one_metering, make, ago, afn, di, da, at, flip, kind):
    database, intake, clock = one_metering
    content = {"report": make.report(1), "cover": make.cover(ago(0)), "none": b""}[kind]
    content = content[:at] + flip + content[at + len(flip) :]
    frame = Frame.of(DIR_UP | PRM | 4, TerminalAddress("440106", 1), afn, 0, da, di, content, con=True)
    with database.transaction() as conn:
        intake.report(conn, frame, clock.now(), None)
        intake.report(conn, frame, clock.now(), None)

"""Our terminal link works with our master station session, in memory, over lossy and slow channels."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.csg1209022 import station, terminal
from meterseal.protocols.csg1209022.codes import Afn, Ask, UplinkDi
from meterseal.protocols.csg1209022.decoder import Discarded
from meterseal.protocols.csg1209022.frame import (
    DIR_UP,
    NO,
    PRM,
    TERMINAL_ITSELF,
    Frame,
    TerminalAddress,
    point_da,
    single,
)
from meterseal.protocols.csg1209022.station import StationSession
from meterseal.protocols.csg1209022.terminal import WINDOW, TerminalLink

ADDRESS = TerminalAddress("450302", 0xA217)
POINT = point_da(1)


class Wire:
    """Connects the two ends by a channel; `lose` picks the messages that are lost, and none is reordered."""

    def __init__(self, *, heartbeat: float = 900.0) -> None:
        self.now = 0.0
        self.link = TerminalLink(ADDRESS, heartbeat=heartbeat)
        self.session = StationSession()
        self.terminal_events: list[terminal.Event] = []
        self.station_events: list[station.Event] = []

    def up(self, events: list[terminal.Event], *, lost: bool = False) -> None:
        """Carry what the terminal sends to the station, and the answers back."""
        for event in events:
            if isinstance(event, terminal.Send):
                if not lost:
                    self.down(self.session.receive(event.raw, self.now))
            else:
                self.terminal_events.append(event)

    def down(self, events: list[station.Event]) -> None:
        for event in events:
            if isinstance(event, station.Send):
                self.up(self.link.receive(event.raw, self.now))
            else:
                self.station_events.append(event)

    def connect(self) -> None:
        self.up(self.link.connected(self.now))

    def send(self, key: object, *, lost: bool = False) -> None:
        events = self.link.send(Afn.ALARM, POINT, UplinkDi.TERMINAL_COVER_OPEN, b"\x01", key, self.now)
        self.up(events, lost=lost)

    def confirm_last(self, *, ok: bool = True) -> None:
        reported = [event for event in self.station_events if isinstance(event, station.Reported)]
        self.up(self.link.receive(self.session.confirm(reported[-1].frame, ok), self.now))

    def at(self, now: float, *, lost: bool = False) -> None:
        self.now = now
        self.up(self.link.tick(now), lost=lost)


def test_login_then_messages_one_at_a_time() -> None:
    wire = Wire()
    wire.send("too early")
    assert wire.terminal_events == [terminal.Unconfirmed("too early")]
    wire.connect()
    assert wire.station_events == [station.LoggedIn(ADDRESS)]
    assert wire.terminal_events[1:] == [terminal.LoggedIn()]
    assert wire.session.address == ADDRESS
    wire.send("a")
    wire.send("b")
    assert len(wire.station_events) == 2, "b waits for a's confirmation"
    assert not wire.link.ready
    wire.confirm_last()
    wire.confirm_last(ok=False)
    assert wire.terminal_events[2:] == [terminal.Confirmed("a"), terminal.Denied("b")]
    assert wire.link.ready


def test_messages_before_the_login_is_confirmed_wait_for_it() -> None:
    link = TerminalLink(ADDRESS)
    (login,) = link.connected(0.0)
    assert link.send(Afn.ALARM, POINT, UplinkDi.METER_COVER_OPEN, b"", "a", 0.0) == []
    assert isinstance(login, terminal.Send)
    confirmation = Frame.decode(login.raw).confirmation().encode()
    logged_in, message = link.receive(confirmation, 0.1)
    assert logged_in == terminal.LoggedIn()
    assert isinstance(message, terminal.Send)
    assert Frame.decode(message.raw).di == UplinkDi.METER_COVER_OPEN


def test_three_tries_then_unconfirmed() -> None:
    wire = Wire()
    wire.connect()
    wire.send("a")
    wire.send("b")
    assert wire.link.deadline == 20.0
    wire.at(19.9)
    assert len(wire.station_events) == 2
    for number, now in enumerate((20.0, 40.0), 3):
        wire.at(now)
        assert len(wire.station_events) == number
    assert len({event.frame for event in wire.station_events if isinstance(event, station.Reported)}) == 1
    wire.at(60.0)
    assert wire.terminal_events[1:3] == [terminal.Unconfirmed("a"), terminal.Unconfirmed("b")]
    assert isinstance(wire.terminal_events[3], terminal.Lost)
    assert "E200004D was sent 3 times" in wire.terminal_events[3].reason
    assert wire.link.deadline is None
    wire.send("c")
    assert wire.terminal_events[4:] == [terminal.Unconfirmed("c")]
    wire.connect()
    wire.send("a")
    wire.confirm_last()
    assert wire.terminal_events[5:] == [terminal.LoggedIn(), terminal.Confirmed("a")]


def test_late_confirmation_confirms_nothing_else() -> None:
    wire = Wire()
    wire.connect()
    wire.send("a")
    report = wire.station_events[-1]
    assert isinstance(report, station.Reported)
    late = wire.session.confirm(report.frame)
    wire.confirm_last()
    wire.send("b")
    wire.up(wire.link.receive(late, wire.now))
    assert wire.terminal_events[1] == terminal.Confirmed("a")
    assert isinstance(wire.terminal_events[2], terminal.Ignored)
    assert not wire.link.ready
    wire.confirm_last()
    assert wire.terminal_events[3] == terminal.Confirmed("b")


@pytest.mark.parametrize(
    "change",
    [
        {"address": TerminalAddress("450302", 1)},
        {"address": TerminalAddress("450303", 0xA217)},
        {"control": DIR_UP},
        {"afn": Afn.CURRENT, "body": bytes(6) + b"\0"},
        {"body": TERMINAL_ITSELF + UplinkDi.CONFIRM.to_bytes(4, "little")},
        {"body": TERMINAL_ITSELF + UplinkDi.CONFIRM.to_bytes(4, "little") + b"\x02"},
    ],
)
def test_what_confirms_nothing(change: dict[str, object]) -> None:
    wire = Wire()
    wire.connect()
    wire.send("a")
    body = TERMINAL_ITSELF + UplinkDi.CONFIRM.to_bytes(4, "little") + b"\0"
    fields: dict[str, object] = {
        "control": 0, "address": ADDRESS, "afn": Afn.CONFIRM, "seq": single(1), "body": body,
    }  # fmt: skip
    wire.up(wire.link.receive(Frame(**(fields | change)).encode(), 0.0))
    assert isinstance(wire.terminal_events[-1], terminal.Ignored)
    wire.up(wire.link.receive(Frame(**fields).encode(), 0.0))
    assert wire.terminal_events[-1] == terminal.Confirmed("a")


def test_heartbeat_every_period_and_lost_without_an_answer() -> None:
    wire = Wire(heartbeat=100.0)
    wire.connect()
    assert wire.link.deadline == 100.0
    wire.at(100.0)
    wire.at(200.0)
    assert wire.station_events[1:] == [station.Heartbeat(ADDRESS)] * 2
    for now in (300.0, 320.0, 340.0):
        wire.at(now, lost=True)
    assert wire.terminal_events == [terminal.LoggedIn()]
    wire.at(360.0)
    assert isinstance(wire.terminal_events[-1], terminal.Lost)


@pytest.mark.parametrize("when", ["login", "heartbeat"])
def test_denied_link_frames_end_the_connection(when: str) -> None:
    link = TerminalLink(ADDRESS, heartbeat=1.0)
    (sent,) = link.connected(0.0)
    if when == "heartbeat":
        assert isinstance(sent, terminal.Send)
        link.receive(Frame.decode(sent.raw).confirmation().encode(), 0.0)
        (sent,) = link.tick(1.0)
    assert isinstance(sent, terminal.Send)
    events = link.receive(Frame.decode(sent.raw).confirmation(ok=False).encode(), 1.0)
    assert events == [terminal.Lost(f"the master station denied the {when}")]


def test_logout() -> None:
    wire = Wire()
    assert wire.link.logout() == []
    wire.connect()
    wire.up(wire.link.logout())
    assert wire.station_events[-1] == station.LoggedOut(ADDRESS)
    assert not wire.link.online


def test_window_is_bounded() -> None:
    wire = Wire()
    wire.connect()
    for key in range(WINDOW + 2):
        wire.send(key)
    assert wire.terminal_events[1:] == [terminal.Unconfirmed(WINDOW + 1)]
    assert wire.link.disconnected() == [terminal.Unconfirmed(key) for key in range(WINDOW + 1)]


def test_answers_find_their_requests() -> None:
    wire = Wire()
    with pytest.raises(station.SessionError, match="not logged in"):
        wire.session.request(Afn.CURRENT, POINT, 0x04000401, b"", "early", 0.0)
    wire.connect()
    requests = []
    for key in range(16):
        raw = wire.session.request(Afn.CURRENT, POINT, 0x04000401 + key // 2, b"", key, wire.now)
        (requested,) = wire.link.receive(raw, wire.now)
        assert isinstance(requested, terminal.Requested)
        requests.append(requested.frame)
    with pytest.raises(station.SessionError, match="16 requests"):
        wire.session.request(Afn.CURRENT, POINT, 0x04000401, b"", 16, wire.now)
    for key in reversed(range(16)):
        (answered,) = wire.session.receive(wire.link.answer(requests[key], bytes([key])), wire.now)
        assert isinstance(answered, station.Answered)
        assert (answered.key, answered.frame.content) == (key, bytes([key]))
    (late,) = wire.session.receive(wire.link.answer(requests[0], b""), wire.now)
    assert isinstance(late, station.Ignored)


def test_denied_and_unanswered_requests() -> None:
    wire = Wire()
    wire.connect()
    raw = wire.session.request(Afn.WRITE, TERMINAL_ITSELF, UplinkDi.HEARTBEAT_PERIOD, b"\x15", "w", 0.0)
    wire.session.request(Afn.READ, TERMINAL_ITSELF, UplinkDi.TERMINAL_CLOCK, b"", "r", 5.0)
    (requested,) = wire.link.receive(raw, 0.0)
    assert isinstance(requested, terminal.Requested)
    assert requested.frame.password is not None
    (denied,) = wire.session.receive(wire.link.confirm(requested.frame, ok=False), 0.0)
    assert isinstance(denied, station.Answered)
    assert (denied.key, denied.frame.afn, denied.frame.content) == ("w", Afn.CONFIRM, NO)
    assert wire.session.deadline == 25.0
    assert wire.session.tick(24.9) == []
    assert wire.session.tick(25.0) == [station.TimedOut("r")]
    assert wire.session.deadline is None


def test_an_answer_to_something_else_is_not_taken() -> None:
    wire = Wire()
    wire.connect()
    raw = wire.session.request(Afn.CURRENT, POINT, 0x04000401, b"", "r", 0.0)
    request = Frame.decode(raw)
    for wrong in (
        Frame.of(0x88, ADDRESS, Afn.CURRENT, request.number, POINT, 0x04000402),
        Frame.of(0x88, ADDRESS, Afn.CURRENT, request.number, point_da(2), 0x04000401),
        Frame.of(0x88, ADDRESS, Afn.READ, request.number, POINT, 0x04000401),
        Frame.of(0x88, TerminalAddress("450302", 1), Afn.CURRENT, request.number, POINT, 0x04000401),
        Frame.of(0x88, ADDRESS, Afn.CURRENT, request.number + 1, POINT, 0x04000401),
        request,
    ):
        (event,) = wire.session.receive(wrong.encode(), 0.0)
        assert isinstance(event, station.Ignored)
    assert wire.session.disconnected() == [station.TimedOut("r")]


def test_unknown_link_frame_is_denied() -> None:
    frame = Frame.of(
        DIR_UP | PRM | Ask.LINK_TEST, ADDRESS, Afn.LINK, 3, TERMINAL_ITSELF, 0xE0001009, con=True
    )
    ignored, reply = StationSession().receive(frame.encode(), 0.0)
    assert isinstance(ignored, station.Ignored)
    assert isinstance(reply, station.Send)
    assert Frame.decode(reply.raw).content == NO


def test_login_without_con_is_not_confirmed() -> None:
    frame = Frame.of(DIR_UP | PRM | Ask.LINK_TEST, ADDRESS, Afn.LINK, 3, TERMINAL_ITSELF, UplinkDi.LOGIN)
    assert StationSession().receive(frame.encode(), 0.0) == [station.LoggedIn(ADDRESS)]


def test_broadcast_is_answered_as_it_was_asked() -> None:
    everyone = TerminalAddress("FFFFFF", 0xFFFFFF, 10)
    request = Frame.of(PRM | Ask.CLASS_1, everyone, Afn.CURRENT, 1, TERMINAL_ITSELF, UplinkDi.SIGNAL_STRENGTH)
    link = TerminalLink(ADDRESS)
    link.connected(0.0)
    (requested,) = link.receive(request.encode(), 0.0)
    assert requested == terminal.Requested(request)
    assert Frame.decode(link.answer(request, b"\x31")).address == everyone


def test_partial_frames_are_given_up_and_reported() -> None:
    wire = Wire()
    wire.connect()
    raw = wire.session.request(Afn.CURRENT, POINT, 0x04000401, b"", "r", 0.0)
    assert wire.link.receive(raw[:-1], 0.0) == []
    assert wire.link.deadline == 10.0
    assert [event for event in wire.link.tick(10.0) if isinstance(event, Discarded)]
    assert wire.link.receive(b"\x68\xff\x00\xff\x00\x68" + raw, 10.0) == []
    ended = wire.link.disconnected()
    assert isinstance(ended[0], Discarded)
    assert isinstance(ended[1], terminal.Ignored)
    assert wire.session.receive(raw[:9], 0.0) == []
    assert wire.session.deadline == 10.0
    assert all(isinstance(event, Discarded) for event in wire.session.tick(10.0))


#: The next step: seconds pass, a message is sent, or one message arrives in a direction or is lost.
steps = st.lists(
    st.tuples(st.just("wait"), st.sampled_from([0.5, 5.0, 20.0]))
    | st.tuples(
        st.sampled_from(["send", "up", "down", "lose up", "lose down", "store", "reconnect"]), st.just(0.0)
    ),
    max_size=80,
)


@given(steps)
def test_everything_is_confirmed_once_or_unconfirmed(script: list[tuple[str, float]]) -> None:
    """Channels lose and delay messages but do not reorder them; a confirmed message is always stored."""
    now = 0.0
    link, session = TerminalLink(ADDRESS, heartbeat=30.0), StationSession()
    upward, downward = deque[bytes](), deque[bytes]()
    to_store = deque[Frame]()
    stored: set[bytes] = set()
    fates: dict[int, list[str]] = {}

    def heard(events: list[terminal.Event]) -> None:
        for event in events:
            if isinstance(event, terminal.Send):
                upward.append(event.raw)
            elif isinstance(event, terminal.Confirmed):
                assert isinstance(event.key, int)
                assert event.key.to_bytes(2, "big") in stored
                fates[event.key].append("confirmed")
            elif isinstance(event, terminal.Unconfirmed):
                assert isinstance(event.key, int)
                fates[event.key].append("unconfirmed")
            elif isinstance(event, terminal.Lost):
                reconnect()

    def reconnect() -> None:
        nonlocal session
        upward.clear()
        downward.clear()
        to_store.clear()
        session = StationSession()
        heard(link.disconnected())
        heard(link.connected(now))

    def station_hears(raw: bytes) -> None:
        for event in session.receive(raw, now):
            if isinstance(event, station.Send):
                downward.append(event.raw)
            elif isinstance(event, station.Reported):
                to_store.append(event.frame)

    reconnect()
    for action, seconds in script:
        now += seconds
        if action == "send":
            key = len(fates)
            fates[key] = []
            heard(link.send(Afn.USER_DEFINED, POINT, UplinkDi.USER_DEFINED, key.to_bytes(2, "big"), key, now))
        elif action == "up" and upward:
            station_hears(upward.popleft())
        elif action == "down" and downward:
            heard(link.receive(downward.popleft(), now))
        elif action == "lose up" and upward:
            upward.popleft()
        elif action == "lose down" and downward:
            downward.popleft()
        elif action == "store" and to_store:
            frame = to_store.popleft()
            stored.add(frame.content)
            downward.append(session.confirm(frame))
        elif action == "reconnect":
            reconnect()
        heard(link.tick(now))
        assert link.deadline is None or link.deadline > now
    heard(link.disconnected())
    assert Counter(map(len, fates.values())) == Counter({1: len(fates)} if fates else {})

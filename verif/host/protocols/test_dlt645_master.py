"""A master runs one exchange at a time, recognises answers, repeats requests and waits for late answers."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.protocols.dlt645 import BROADCAST, Discarded, Err, Fault, Frame, Function, requests
from meterseal.protocols.dlt645.control import TB_MAX, TD_MAX
from meterseal.protocols.dlt645.master import Answered, Master, Overheard, Refused, Send, TimedOut

METER = "000000000731"
OTHER = "000000000732"
COUNT = 0x03300E00
READ = requests.read(METER, COUNT)
GOOD = Frame(METER, 0x91, bytes.fromhex("000E3003120000"))
BYTE = 11 / 2400


@pytest.fixture
def master():
    return Master()


def answer(master, frame, now):
    return master.receive(frame.encode(), now)


def run_out(master):
    """Tick at each deadline until the exchange is over; return all events, and the time."""
    events, now = [], 0.0
    while master.busy:
        now = master.deadline
        events += master.tick(now)
    return events, now


def test_an_answer(master):
    assert master.start(READ, 1.0) == READ.encode()
    assert master.busy
    assert answer(master, GOOD, 1.2) == [Answered(READ, GOOD, bytes.fromhex("120000"))]
    assert not master.busy
    assert master.deadline is None
    assert master.ready_at(METER) < 1.2


def test_an_answer_byte_by_byte(master):
    master.start(READ, 0.0)
    raw = GOOD.encode()
    events = [event for i in range(len(raw)) for event in master.receive(raw[i : i + 1], 0.4 + i * BYTE)]
    assert events == [Answered(READ, GOOD, bytes.fromhex("120000"))]


def test_a_refusal(master):
    master.start(READ, 0.0)
    assert answer(master, Frame(METER, 0xD1, b"\x06"), 0.2) == [Refused(READ, Err.NO_DATA | Err.UNAUTHORISED)]
    assert not master.busy


@pytest.mark.parametrize(
    "frame",
    [
        Frame(OTHER, 0x91, GOOD.data),
        Frame(METER, 0x91, bytes.fromhex("010E3003120000")),
        Frame(METER, 0x91, b"\x00\x0e"),
        Frame(METER, 0x94),
        Frame(METER, 0x92, GOOD.data),
        Frame(METER, 0x11, GOOD.data),
        Frame(METER, 0xD4, b"\x02"),
        Frame(METER, 0xD1),
        Frame(METER, 0xD1, b"\x02\x02"),
        Frame(OTHER, 0xD1, b"\x02"),
        requests.write(METER, 0x04805380, bytes(38)),
    ],
    ids=str,
)
def test_frames_that_do_not_answer_are_overheard(master, frame):
    """A frame is an answer only if its address, function and DI match those of the request."""
    master.start(READ, 0.0)
    assert answer(master, frame, 0.2) == [Overheard(frame)]
    assert answer(master, GOOD, 0.3) == [Answered(READ, GOOD, b"\x12\0\0")]


@pytest.mark.parametrize("asked", ["AAAAAAAA0731", "AAAAAAAAAAAA"])
def test_a_shortened_address_is_answered_by_a_full_one(master, asked):
    request = requests.read(asked, COUNT)
    master.start(request, 0.0)
    assert answer(master, GOOD, 0.2) == [Answered(request, GOOD, b"\x12\0\0")]


def test_read_address(master):
    request = requests.read_address()
    master.start(request, 0.0)
    short = Frame(METER, 0x93, bytes(5))
    assert answer(master, short, 0.1) == [Overheard(short)]
    told = Frame(METER, 0x93, bytes.fromhex("310700000000"))
    assert answer(master, told, 0.2) == [Answered(request, told, bytes.fromhex("310700000000"))]


@pytest.mark.parametrize("answering", [METER, OTHER])
def test_a_new_address_may_answer_already(master, answering):
    request = requests.write_address(OTHER, METER)
    master.start(request, 0.0)
    frame = Frame(answering, 0x95)
    assert answer(master, frame, 0.2) == [Answered(request, frame, b"")]


@pytest.mark.parametrize(
    "request_frame",
    [
        requests.broadcast_time(datetime(2025, 11, 22, 13, 5, 9, tzinfo=CST)),
        requests.broadcast_time(datetime(2025, 11, 22, 13, 5, 9, tzinfo=CST), METER),
        requests.freeze(BROADCAST),
    ],
)
def test_a_broadcast_is_over_at_once(master, request_frame):
    assert master.start(request_frame, 0.0) == request_frame.encode()
    assert not master.busy
    assert master.deadline is None


def test_one_exchange_at_a_time(master):
    master.start(READ, 0.0)
    with pytest.raises(RuntimeError, match="outstanding"):
        master.start(READ, 0.1)


def test_three_tries_and_the_end(master):
    raw = master.start(READ, 0.0)
    assert master.deadline == pytest.approx(len(raw) * BYTE + 0.6)
    events, now = run_out(master)
    assert events == [Send(raw), Send(raw), TimedOut(READ)]
    assert now == pytest.approx(3 * (len(raw) * BYTE + 0.6))


def test_nothing_is_repeated_before_the_timeout(master):
    master.start(READ, 0.0)
    assert master.tick(master.deadline - 0.001) == []


def test_a_damaged_answer_is_reported_and_the_request_repeated(master):
    raw = master.start(READ, 0.0)
    damaged = GOOD.encode()[:-2] + b"\x00\x16"
    assert master.receive(damaged, 0.2) == [Discarded(damaged, Fault.CHECKSUM)]
    assert master.tick(master.deadline) == [Send(raw)]


def test_an_answer_that_has_begun_is_waited_for(master):
    master.start(READ, 0.0)
    due = master.deadline
    raw = GOOD.encode()
    assert master.receive(raw[:9], due - 0.01) == []
    assert master.deadline == pytest.approx(due - 0.01 + TB_MAX)
    assert master.tick(due + 0.05) == []
    assert master.receive(raw[9:], due + 0.1) == [Answered(READ, GOOD, b"\x12\0\0")]


def test_but_not_for_ever(master):
    """Bytes that never end a frame cannot hold up the line for longer than the longest frame takes."""
    raw = master.start(READ, 0.0)
    due = now = master.deadline
    events = []
    while not events:
        events = [event for event in master.receive(b"\xfe", now) if not isinstance(event, Discarded)]
        now += 0.1
        events += [event for event in master.tick(now) if not isinstance(event, Discarded)]
    assert events == [Send(raw)]
    assert now - due < 267 * BYTE + 0.2


def test_an_answer_hidden_by_a_false_head(master):
    master.start(READ, 0.0)
    head = b"\x68\0\0\0\0\0\0\x68\x91\xff"
    assert master.receive(head + GOOD.encode(), 0.1) == []
    assert master.deadline == 0.1 + TB_MAX
    assert master.tick(master.deadline) == [
        Discarded(head, Fault.INCOMPLETE),
        Answered(READ, GOOD, b"\x12\0\0"),
    ]


def test_follow_up_frames_are_fetched_and_joined(master):
    request = requests.read("AAAAAAAA0731", COUNT)
    di = GOOD.data[:4]
    master.start(request, 0.0)
    first = answer(master, Frame(METER, 0xB1, di + b"one "), 0.1)
    assert first == [Send(requests.read_more(METER, COUNT, 1).encode())]
    second = answer(master, Frame(METER, 0xB2, di + b"two " + b"\x01"), 0.2)
    assert second == [Send(requests.read_more(METER, COUNT, 2).encode())]
    again = Frame(METER, 0xB2, di + b"two " + b"\x01")
    assert answer(master, again, 0.25) == [Overheard(again)]
    last = Frame(METER, 0x92, di + b"three" + b"\x02")
    assert answer(master, last, 0.3) == [Answered(request, last, b"one two three")]


def test_a_follow_up_frame_has_tries_of_its_own(master):
    master.start(READ, 0.0)
    master.tick(master.deadline)
    master.tick(master.deadline)
    answer(master, Frame(METER, 0xB1, GOOD.data), master.deadline - 0.1)
    more = requests.read_more(METER, COUNT, 1).encode()
    assert run_out(master)[0] == [Send(more), Send(more), TimedOut(READ)]


def test_a_follow_up_frame_may_be_refused(master):
    master.start(READ, 0.0)
    answer(master, Frame(METER, 0xB1, GOOD.data), 0.1)
    assert answer(master, Frame(METER, 0xD2, b"\x02"), 0.2) == [Refused(READ, Err.NO_DATA)]


def test_more_follow_up_frames_than_there_are_numbers(master):
    di = GOOD.data[:4]
    master.start(READ, 0.0)
    answer(master, Frame(METER, 0xB1, di), 0.0)
    for seq in range(1, 255):
        answer(master, Frame(METER, 0xB2, di + bytes([seq, seq])), 0.0)
    last = Frame(METER, 0xB2, di + b"\xff\xff")
    assert answer(master, last, 0.0) == [Answered(READ, last, bytes(range(1, 256)))]


def test_late_answers_are_waited_for_before_the_next_request_to_that_slave(master):
    write = requests.write(METER, 0x04001503, bytes(12))
    master.start(write, 0.0)
    _, now = run_out(master)
    ready = master.ready_at(METER)
    assert now < ready < now + 1
    for address in (METER, "AAAAAAAA0731", "AAAAAAAAAAAA"):
        assert master.ready_at(address) == ready
        with pytest.raises(RuntimeError, match="ready_at"):
            master.start(requests.read(address, COUNT), now)
    late = Frame(METER, 0x94)
    assert answer(master, late, ready - 0.1) == [Overheard(late)]
    master.start(write, ready)


def test_bytes_from_before_a_request_do_not_answer_it(master):
    """An older frame is no answer, even if a damaged frame's false head delays it until after the request."""
    write = requests.write(METER, 0x04001503, bytes(12))
    late = Frame(METER, 0x94)
    false_head = bytes.fromhex("68" + "00" * 6 + "68" + "94" + "40")
    assert master.receive(false_head + late.encode(0), 1.0) == []
    master.start(write, 1.0)
    events = master.tick(1.0 + TB_MAX)
    assert Overheard(late) in events
    assert master.busy
    assert isinstance(answer(master, late, 1.7)[0], Answered)


def test_a_dead_slave_does_not_hold_up_its_neighbours(master):
    master.start(READ, 0.0)
    _, now = run_out(master)
    assert master.ready_at(OTHER) < now
    master.start(requests.read(OTHER, COUNT), now)


def test_after_a_wildcard_any_slave_may_be_late(master):
    master.start(requests.read_address(), 0.0)
    _, now = run_out(master)
    assert master.ready_at(METER) > now


def test_after_a_repeated_request_a_second_answer_may_come(master):
    master.start(READ, 0.0)
    master.tick(master.deadline)
    assert isinstance(answer(master, GOOD, 1.0)[0], Answered)
    assert master.ready_at(METER) > 1.0
    assert answer(master, GOOD, 1.1) == [Overheard(GOOD)]


def test_a_slave_in_time_is_never_repeated():
    """The timeout of a try covers the request, the longest Td and the answer at the speed of the line."""
    for baud in (600, 1200, 2400, 4800, 9600, 19200):
        master = Master(baud=baud)
        raw = master.start(READ, 0.0)
        first_byte = len(raw) * 11 / baud + TD_MAX + 11 / baud
        assert master.tick(first_byte) == []


@given(st.binary(max_size=60), st.floats(0, 3))
def test_no_received_bytes_break_it(noise, at):
    master = Master()
    master.start(READ, 0.0)
    events = master.receive(noise, at) + run_out(master)[0]
    assert sum(isinstance(event, (Answered, Refused, TimedOut)) for event in events) == 1


def test_functions_without_a_di_in_the_answer():
    for request, control, data in [
        (requests.write(METER, COUNT, b""), 0x94, b""),
        (requests.change_baud(METER, 9600), 0x97, b"\x20"),
        (requests.change_password(METER, 1, bytes(4), bytes(4)), 0x98, bytes(4)),
        (requests.clear_events(METER), 0x9B, b""),
        (Frame(METER, Function.RELAY, bytes(16)), 0x9C, b""),
    ]:
        master = Master()
        master.start(request, 0.0)
        frame = Frame(METER, control, data)
        assert answer(master, frame, 0.1) == [Answered(request, frame, data)]

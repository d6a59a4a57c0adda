"""A slave answers some requests, refuses others, and does not answer the rest."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.clock import CST
from meterseal.protocols.dlt645 import BROADCAST, WILDCARD, Err, Frame, Function, matches, requests
from meterseal.protocols.dlt645.slave import LONGEST_ANSWER, Handler, Refusal, Slave

METER = "000000000731"
AT = datetime(2025, 11, 22, 13, 5, 9, tzinfo=CST)
PASSWORD, OPERATOR = bytes.fromhex("02000000"), bytes.fromhex("21436587")


class Meter(Handler):
    """Accepts and notes every request; `items` holds the data that can be read."""

    def __init__(self, items=None):
        self.items = items or {0x04000401: bytes.fromhex("310700000000")}
        self.noted = []

    def read(self, di, parameters):
        if di not in self.items:
            return super().read(di, parameters)
        return self.items[di] + parameters

    def write(self, write):
        self.noted.append(write)

    def set_time(self, at):
        self.noted.append(at)

    def write_address(self, address):
        self.noted.append(address)

    def freeze(self, pattern):
        self.noted.append(pattern)

    def change_baud(self, baud):
        self.noted.append(baud)

    def change_password(self, change):
        self.noted.append(change)

    def clear(self, clear):
        self.noted.append(clear)

    def malformed(self, request):
        self.noted.append(("malformed", request))


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def slave(meter):
    return Slave("731", meter)


@pytest.mark.parametrize("asked", [METER, "AAAAAAAA0731", "AAAAAAAAAA31", "AA0000000731", WILDCARD])
def test_answers_with_its_full_address(slave, asked):
    answer = slave.receive(requests.read(asked, 0x04000401))
    assert answer == Frame(METER, 0x91, bytes.fromhex("01040004310700000000"))


@pytest.mark.parametrize(
    "asked", ["000000000732", "AAAAAAAA0732", "AAAAAAAAAA32", "31AAAAAAAAAA", BROADCAST, "000000AA0731"]
)
def test_foreign_addresses_are_not_answered(slave, asked):
    assert slave.receive(Frame(asked, Function.READ, bytes.fromhex("01040004"))) is None


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 6))
def test_shortened_addresses_match_their_low_digits(address, wildcards):
    asked = "AA" * wildcards + address[2 * wildcards :]
    assert matches(asked, address)
    assert not matches(asked[:-1] + ("1" if asked[-1] == "0" else "0"), address) or wildcards == 6


def test_read_address(slave):
    assert slave.receive(requests.read_address()) == Frame(METER, 0x93, bytes.fromhex("310700000000"))


def test_parameters_after_the_di_reach_the_handler(slave):
    answer = slave.receive(requests.read(METER, 0x04000401, b"\x09"))
    assert answer.content == bytes.fromhex("310700000000 09")


def test_unknown_data_is_refused(slave):
    assert slave.receive(requests.read(METER, 0x02010100)) == Frame(METER, 0xD1, b"\x02")


def test_write(slave, meter):
    request = requests.write(METER, 0x04805380, bytes(38), password=PASSWORD, operator=OPERATOR)
    assert slave.receive(request) == Frame(METER, 0x94)
    assert meter.noted == [requests.Write(0x04805380, PASSWORD, OPERATOR, bytes(38))]


@pytest.mark.parametrize(
    ("request_frame", "control", "noted"),
    [
        (requests.freeze(METER, hour=0), 0x96, bytes.fromhex("99009999")),
        (
            requests.clear_demand(METER, password=PASSWORD),
            0x99,
            requests.Clear(Function.CLEAR_DEMAND, PASSWORD, bytes(4), None),
        ),
        (
            requests.clear_meter(METER, operator=OPERATOR),
            0x9A,
            requests.Clear(Function.CLEAR_METER, bytes(4), OPERATOR, None),
        ),
        (
            requests.clear_events(METER, 0x03300E00),
            0x9B,
            requests.Clear(Function.CLEAR_EVENTS, bytes(4), bytes(4), 0x03300E00),
        ),
    ],
)
def test_commands(slave, meter, request_frame, control, noted):
    assert slave.receive(request_frame) == Frame(METER, control)
    assert meter.noted == [noted]


def test_what_is_then_in_force_is_returned(slave, meter):
    """The answer to a change of rate or password contains the new one."""
    assert slave.receive(requests.change_baud(METER, 9600)) == Frame(METER, 0x97, b"\x20")
    change = requests.PasswordChange(0x04000C03, PASSWORD, OPERATOR)
    request = requests.change_password(METER, change.di, change.old, change.new)
    assert slave.receive(request) == Frame(METER, 0x98, change.new)
    assert meter.noted == [9600, change]


@pytest.mark.parametrize("address", [BROADCAST, METER])
def test_a_time_is_taken_in_silence(slave, meter, address):
    assert slave.receive(requests.broadcast_time(AT, address)) is None
    assert meter.noted == [AT]


def test_a_broadcast_freeze_is_taken_in_silence(slave, meter):
    assert slave.receive(requests.freeze(BROADCAST)) is None
    assert meter.noted == [b"\x99" * 4]


@pytest.mark.parametrize(
    "function", sorted(set(Function) - {Function.BROADCAST_TIME, Function.FREEZE}), ids=lambda f: f.name
)
def test_no_other_function_is_broadcast(slave, meter, function):
    assert slave.receive(Frame(BROADCAST, function, bytes(16))) is None
    assert meter.noted == []


def test_a_new_address_answers_at_once(slave, meter):
    assert slave.receive(requests.write_address("732")) == Frame("000000000732", 0x95)
    assert meter.noted == ["000000000732"]
    assert slave.receive(requests.read(METER, 0x04000401)) is None
    assert slave.receive(requests.read("732", 0x04000401)).address == "000000000732"


@pytest.mark.parametrize("new", ["AAAAAAAAAAAA", BROADCAST, "00000000073F"])
def test_an_address_that_no_slave_can_have(slave, meter, new):
    request = Frame(METER, Function.WRITE_ADDRESS, bytes.fromhex(new)[::-1])
    assert slave.receive(request) is None
    assert meter.noted == [("malformed", request)]
    assert slave.address == METER


@pytest.mark.parametrize(
    ("function", "data"),
    [
        (Function.READ, bytes(3)),
        (Function.READ_MORE, bytes(4)),
        (Function.READ_MORE, bytes(6)),
        (Function.READ_ADDRESS, bytes(1)),
        (Function.WRITE, bytes(11)),
        (Function.WRITE, bytes(51)),
        (Function.WRITE_ADDRESS, bytes(5)),
        (Function.BROADCAST_TIME, bytes(5)),
        (Function.BROADCAST_TIME, b"\x99" * 6),
        (Function.FREEZE, bytes(3)),
        (Function.CHANGE_BAUD, b""),
        (Function.CHANGE_PASSWORD, bytes(13)),
        (Function.CLEAR_METER, bytes(9)),
        (Function.CLEAR_EVENTS, bytes(8)),
    ],
)
def test_a_request_of_the_wrong_length_is_reported_and_not_answered(slave, meter, function, data):
    request = Frame(METER, function, data)
    assert slave.receive(request) is None
    assert meter.noted == [("malformed", request)]


@given(st.integers(0, 255), st.binary(max_size=60))
def test_only_known_requests_are_answered(control, data):
    """A frame with D7, D6 or D5 is not a request, and an undefined code has no answer."""
    answer = Slave(METER, Meter()).receive(Frame(METER, control, data))
    if control not in {function.value for function in Function}:
        assert answer is None
    elif answer is not None:
        assert answer.from_slave
        assert answer.function == control
        assert answer.address == METER


@pytest.mark.parametrize(
    ("request_frame", "answer"),
    [
        (requests.read(METER, 0x04000401), Frame(METER, 0xD1, b"\x02")),
        (requests.read_more(METER, 0x04000401, 1), Frame(METER, 0xD2, b"\x02")),
        (requests.write(METER, 0x04000401, b""), Frame(METER, 0xD4, b"\x01")),
        (requests.freeze(METER), Frame(METER, 0xD6, b"\x01")),
        (requests.freeze(BROADCAST), None),
        (requests.broadcast_time(AT), None),
        (requests.write_address("732"), None),
        (requests.change_baud(METER, 600), Frame(METER, 0xD7, b"\x08")),
        (Frame(METER, Function.CHANGE_BAUD, b"\x80"), Frame(METER, 0xD7, b"\x08")),
        (requests.change_password(METER, 0, PASSWORD, PASSWORD), Frame(METER, 0xD8, b"\x04")),
        (requests.clear_demand(METER), Frame(METER, 0xD9, b"\x04")),
        (requests.clear_meter(METER), Frame(METER, 0xDA, b"\x04")),
        (requests.clear_events(METER), Frame(METER, 0xDB, b"\x04")),
        (Frame(METER, Function.RELAY, bytes(16)), Frame(METER, 0xDC, b"\x01")),
        (Frame(METER, Function.SECURITY, bytes(8)), Frame(METER, 0xC3, b"\x01")),
    ],
)
def test_a_handler_without_functions_refuses(request_frame, answer):
    assert Slave(METER, Handler()).receive(request_frame) == answer


def test_the_error_byte_is_the_handlers():
    class Busy(Handler):
        def write(self, write):
            raise Refusal(Err.UNAUTHORISED | Err.OTHER)

    assert Slave(METER, Busy()).receive(requests.write(METER, 0x04001503, b"")) == Frame(METER, 0xD4, b"\x05")


def test_an_error_of_the_handler_is_raised():
    class Broken(Handler):
        def read(self, di, parameters):
            raise ValueError("disk is gone")

    with pytest.raises(ValueError, match="disk is gone"):
        Slave(METER, Broken()).receive(requests.read(METER, 0x04000401))


def fetch(slave, di):
    """Return a long answer as a master collects it, and its frames."""
    answer = slave.receive(requests.read(METER, di))
    frames, content = [answer], answer.content
    while answer.more:
        answer = slave.receive(requests.read_more(METER, di, len(frames)))
        assert answer.content[-1] == len(frames)
        frames.append(answer)
        content += answer.content[:-1]
    return frames, content


@pytest.mark.parametrize(
    ("size", "controls"),
    [
        (0, [0x91]),
        (196, [0x91]),
        (197, [0xB1, 0x92]),
        (196 + 195, [0xB1, 0x92]),
        (196 + 195 + 1, [0xB1, 0xB2, 0x92]),
        (LONGEST_ANSWER, [0xB1] + 254 * [0xB2] + [0x92]),
    ],
)
def test_long_answers_go_out_in_follow_up_frames(size, controls):
    content = bytes(i * 7 & 0xFF for i in range(size))
    frames, fetched = fetch(Slave(METER, Meter({0x04805341: content})), 0x04805341)
    assert [frame.control for frame in frames] == controls
    assert all(len(frame.data) <= 200 for frame in frames)
    assert fetched == content


def test_a_follow_up_frame_may_be_asked_for_again():
    slave = Slave(METER, Meter({1: bytes(500)}))
    slave.receive(requests.read(METER, 1))
    first = slave.receive(requests.read_more(METER, 1, 1))
    assert slave.receive(requests.read_more(METER, 1, 2)).control == 0x92
    assert slave.receive(requests.read_more(METER, 1, 1)) == first


@pytest.mark.parametrize(("di", "seq"), [(1, 0), (1, 3), (2, 1)])
def test_no_such_follow_up_frame(di, seq):
    slave = Slave(METER, Meter({1: bytes(500)}))
    slave.receive(requests.read(METER, 1))
    assert slave.receive(requests.read_more(METER, di, seq)) == Frame(METER, 0xD2, b"\x02")


def test_the_next_read_ends_the_follow_up_frames():
    slave = Slave(METER, Meter({1: bytes(500), 2: b"\x01"}))
    slave.receive(requests.read(METER, 1))
    slave.receive(requests.read(METER, 2))
    assert slave.receive(requests.read_more(METER, 1, 1)) == Frame(METER, 0xD2, b"\x02")


def test_an_answer_that_no_read_can_carry():
    slave = Slave(METER, Meter({1: bytes(LONGEST_ANSWER + 1)}))
    with pytest.raises(ValueError, match="one read answers"):
        slave.receive(requests.read(METER, 1))

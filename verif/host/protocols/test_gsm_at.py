import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.gsm.at import (
    LINE_MAX,
    AtClient,
    Discarded,
    Event,
    Failed,
    Ready,
    Send,
    Sent,
    Unready,
    Unsolicited,
)
from meterseal.protocols.gsm.pdu import Submit

PDU = Submit("13800138000", "封印", 7).encode()
BEGINNING = b"\r\nOK\r\n\r\nOK\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n\r\nOK\r\n\r\n+CREG: 0,1\r\n\r\nOK\r\n"
SENDING = b"\r\nOK\r\n\r\n> \r\n+CMGS: 7\r\n\r\nOK\r\n"


def sent_bytes(events: list[Event]) -> list[bytes]:
    return [event.raw for event in events if isinstance(event, Send)]


def others(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Send)]


def ready_client() -> AtClient:
    client = AtClient()
    client.start(0.0)
    assert others(client.receive(BEGINNING, 1.0)) == [Ready()]
    return client


def under_way() -> AtClient:
    client = ready_client()
    client.send(PDU, 2.0)
    client.receive(b"\r\nOK\r\n\r\n> ", 2.0)
    return client


def test_the_dialogue_from_the_beginning_to_the_message() -> None:
    client = AtClient()
    wire = sent_bytes(client.start(0.0))
    wire += sent_bytes(client.receive(BEGINNING, 0.1))
    assert wire == [b"\x1b\r", b"ATE0\r", b"AT+CMEE=1\r", b"AT+CPIN?\r", b"AT+CMGF=0\r", b"AT+CREG?\r"]
    wire = sent_bytes(client.send(PDU, 1.0))
    events = client.receive(SENDING, 1.1)
    wire += sent_bytes(events)
    assert wire == [b"AT+CMGF=0\r", b"AT+CMGS=17\r", PDU.hex().upper().encode() + b"\x1a"]
    assert others(events) == [Sent(7)]
    assert client.ready
    assert client.deadline is None


@given(st.lists(st.integers(1, 12), min_size=1))
def test_chunks_do_not_matter(sizes: list[int]) -> None:
    client = ready_client()
    client.send(PDU, 2.0)
    events, at = [], 0
    for index in range(len(SENDING)):
        size = sizes[index % len(sizes)]
        events += client.receive(SENDING[at : at + size], 2.0)
        at += size
    assert others(events) == [Sent(7)]


def test_an_echo_is_not_taken_for_an_answer() -> None:
    client = AtClient()
    commands = [b"\x1b\rATE0", b"AT+CMEE=1", b"AT+CPIN?", b"AT+CMGF=0", b"AT+CREG?"]
    answers = [b"OK", b"OK", b"+CPIN: READY\r\n\r\nOK", b"OK", b"+CREG: 0,5\r\n\r\nOK"]
    events = client.start(0.0)
    for command, answer in zip(commands, answers, strict=True):
        events += client.receive(command + b"\r\r\n" + answer + b"\r\n", 0.0)
    assert others(events) == [Ready()]
    client.send(PDU, 1.0)
    echoed = PDU.hex().upper().encode() + b"\x1a"
    events = client.receive(b"AT+CMGF=0\r\r\nOK\r\nAT+CMGS=17\r\r\n> ", 1.0)
    events += client.receive(echoed + b"\r\n+CMGS: 9\r\n\r\nOK\r\n", 1.0)
    assert others(events) == [Sent(9)]


def test_unsolicited_lines_may_stand_anywhere() -> None:
    client = AtClient()
    client.start(0.0)
    noisy = BEGINNING.replace(b"\r\nOK\r\n", b"\r\nRING\r\n\r\n+CREG: 1\r\n\r\nOK\r\n")
    events = others(client.receive(noisy, 0.0))
    assert Ready() in events
    assert Unsolicited("RING") in events
    client.send(PDU, 1.0)
    noisy = b'\r\nOK\r\n\r\n+CMTI: "SM",3\r\n\r\n> \r\nRING\r\n\r\n+CMGS: 7\r\n\r\nRING\r\n\r\nOK\r\n'
    assert others(client.receive(noisy, 1.0)) == [
        Unsolicited('+CMTI: "SM",3'),
        Unsolicited("RING"),
        Unsolicited("RING"),
        Sent(7),
    ]


@pytest.mark.parametrize("phase", ["prompt", "answer"])
def test_a_refusal_leaves_the_modem_ready(phase: str) -> None:
    client = ready_client()
    client.send(PDU, 2.0)
    client.receive(b"\r\nOK\r\n" + (b"\r\n> " if phase == "answer" else b""), 2.0)
    assert others(client.receive(b"\r\n+CMS ERROR: 197\r\n", 2.0)) == [Failed(197, "+CMS ERROR: 197")]
    assert client.ready


def test_a_plain_error_begins_again() -> None:
    client = under_way()
    failed, unready = others(client.receive(b"\r\nERROR\r\n", 3.0))
    assert isinstance(failed, Failed)
    assert failed.code is None
    assert isinstance(unready, Unready)
    assert sent_bytes(client.tick(3.0 + 2.0)) == [b"\x1b\r", b"ATE0\r"]


@pytest.mark.parametrize(
    ("heard", "awaited"), [(b"", 5.0), (b"\r\nOK\r\n", 5.0), (b"\r\nOK\r\n\r\n> ", 60.0)]
)
def test_silence_fails_the_message_and_begins_again(heard: bytes, awaited: float) -> None:
    client = ready_client()
    client.send(PDU, 10.0)
    client.receive(heard, 10.0)
    assert client.tick(10.0 + awaited - 0.1) == []
    failed, unready = client.tick(10.0 + awaited)
    assert isinstance(failed, Failed)
    assert failed.code is None
    assert isinstance(unready, Unready)
    assert sent_bytes(client.tick(10.0 + awaited + 2.0)) == [b"\x1b\r", b"ATE0\r"]


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    client = under_way()
    client.tick(2.0 + 60.0)
    client.tick(2.0 + 62.0)
    # The old message's answer comes first, then the modem answers what it was sent, in order.
    events = client.receive(b"\r\n+CMGS: 7\r\n\r\nOK\r\n" + BEGINNING, 65.0)
    assert Ready() in events
    assert not any(isinstance(event, Sent) for event in events)
    client.send(PDU, 66.0)
    events = client.receive(b"\r\nOK\r\n\r\nOK\r\n\r\n> ", 66.0)
    assert not any(isinstance(event, Sent | Failed) for event in events)
    assert others(client.receive(b"\r\n+CMGS: 8\r\n\r\nOK\r\n", 66.0)) == [Sent(8)]


@pytest.mark.parametrize(
    ("step", "answer"),
    [(2, b"+CPIN: SIM PIN\r\n\r\nOK"), (4, b"+CREG: 0,2\r\n\r\nOK"), (2, b"+CME ERROR: 10")],
)
def test_a_modem_without_card_or_network_is_asked_again(step: int, answer: bytes) -> None:
    client = AtClient()
    client.start(0.0)
    answers = [*[b"OK", b"OK", b"+CPIN: READY\r\n\r\nOK", b"OK"][:step], answer]
    events = others([event for a in answers for event in client.receive(b"\r\n" + a + b"\r\n", 0.0)])
    (unready,) = events
    assert isinstance(unready, Unready)
    assert answer.partition(b"\r")[0].decode() in unready.reason
    client.tick(2.0)
    assert others(client.receive(BEGINNING, 2.0)) == [Ready()]


def test_sending_before_the_modem_is_ready_is_a_mistake() -> None:
    client = AtClient()
    with pytest.raises(RuntimeError, match="not ready"):
        client.send(PDU, 0.0)


def test_memory_is_bounded() -> None:
    client = under_way()
    thrown = [event for _ in range(100) for event in client.receive(b"x" * 1000, 3.0)]
    assert thrown
    assert all(isinstance(event, Discarded) and len(event.raw) <= LINE_MAX + 1000 for event in thrown)


@given(
    st.lists(
        st.one_of(st.binary(max_size=50), st.sampled_from([BEGINNING, SENDING, b"\r\n> ", b"\r\nOK\r\n"]))
    )
)
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    client = AtClient(timeout=1.0, send_timeout=1.0, pause=1.0)
    now = 0.0
    client.start(now)
    for chunk in chunks:
        now += 0.7
        client.receive(chunk, now)
        client.tick(now)
        if client.ready:
            client.send(PDU, now)
    # Whatever was received, a correct modem brings the client back.
    for _ in range(6):
        now += 2.0
        client.tick(now)
        client.receive(b"\r\n" + BEGINNING, now)
    assert client.ready

"""The simulated modem works with our AT client, in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.gsm.at import AtClient, Event, Failed, Ready, Send, Sent
from meterseal.protocols.gsm.pdu import Submit
from meterseal.sim.customer.modem import BUFFER_MAX, Answer, Modem, Submitted

MESSAGE = Submit("13800138000", "封印被打开", 7)


def ask(modem: Modem, *commands: str) -> str:
    raw = b""
    for command in commands:
        for event in modem.receive(command.encode() + b"\r"):
            assert isinstance(event, Answer)
            raw += event.raw
    return raw.decode()


def talk(client: AtClient, modem: Modem, events: list[Event]) -> tuple[list[Event], list[Submit]]:
    """Carry bytes both ways until neither side transmits; the modem accepts every message."""
    outcomes: list[Event] = []
    messages = []
    while events:
        event = events.pop(0)
        if not isinstance(event, Send):
            outcomes.append(event)
            continue
        answers = modem.receive(event.raw)
        while answers:
            answer = answers.pop(0)
            if isinstance(answer, Submitted):
                messages.append(answer.message)
                answers += modem.accepted(answer.message.reference)
            else:
                events += client.receive(answer.raw, 0.0)
    return outcomes, messages


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("unsolicited", [False, True])
def test_client_and_modem_understand_each_other(echo: bool, unsolicited: bool) -> None:
    client, modem = AtClient(), Modem(echo=echo, unsolicited=unsolicited)
    outcomes, _ = talk(client, modem, client.start(0.0))
    assert Ready() in outcomes
    outcomes, messages = talk(client, modem, client.send(MESSAGE.encode(), 1.0))
    assert Sent(7) in outcomes
    assert not any(isinstance(event, Failed) for event in outcomes)
    assert messages == [MESSAGE]


def test_a_modem_that_restarted_unseen_takes_the_next_message() -> None:
    client, modem = AtClient(), Modem()
    talk(client, modem, client.start(0.0))
    outcomes, messages = talk(client, Modem(), client.send(MESSAGE.encode(), 1.0))
    assert Sent(7) in outcomes
    assert messages == [MESSAGE]


def test_a_prompt_that_a_killed_host_left_open_is_called_off() -> None:
    modem = Modem()
    ask(modem, "ATE0", "AT+CMGF=0", "AT+CMGS=17")
    modem.receive(b"0005")
    client = AtClient()
    outcomes, messages = talk(client, modem, client.start(0.0))
    assert Ready() in outcomes
    assert not messages


def test_output_of_a_modem_after_power_up() -> None:
    modem = Modem()
    assert ask(modem, "AT") == "AT\r\r\nOK\r\n"
    assert ask(modem, "ATE0") == "ATE0\r\r\nOK\r\n"
    assert ask(modem, "AT+CMGS=17") == "\r\nERROR\r\n"
    assert ask(modem, "AT+CMEE=1", "AT+CMGS=17") == "\r\nOK\r\n\r\n+CMS ERROR: 302\r\n"
    assert ask(modem, "AT+NONSENSE") == "\r\n+CME ERROR: 4\r\n"
    assert ask(modem, "AT+CREG?") == "\r\n+CREG: 0,1\r\n\r\nOK\r\n"


@pytest.mark.parametrize("pdu", ["00", "xyz", MESSAGE.encode().hex() + "00", "印"])
def test_a_wrong_pdu_is_refused(pdu: str) -> None:
    modem = Modem()
    ask(modem, "ATE0", "AT+CMEE=1", "AT+CMGF=0", "AT+CMGS=17")
    assert modem.receive(pdu.encode() + b"\x1a") == [Answer(b"\r\n+CMS ERROR: 304\r\n")]


def hexed(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()


def test_a_text_in_ucs2() -> None:
    modem = Modem()
    number, text = "+8613800138000", "【封印】000000000101 开启"
    ask(modem, "ATE0", "AT+CMGF=1", 'AT+CSCS="UCS2"', "AT+CSMP=17,167,0,8")
    for reference in range(2):
        assert ask(modem, f'AT+CMGS="{hexed(number)}"') == "\r\n> "
        message = Submit(number, text, reference, reject_duplicates=False)
        assert modem.receive(hexed(text).encode() + b"\x1a") == [Submitted(message)]
        modem.accepted(reference)


def test_what_text_mode_refuses() -> None:
    modem = Modem()
    ask(modem, "ATE0", "AT+CMEE=1")
    assert ask(modem, "AT+CSCS?", 'AT+CSCS="ASCII"') == (
        '\r\n+CSCS: "IRA"\r\n\r\nOK\r\n\r\n+CME ERROR: 4\r\n'
    )
    assert ask(modem, "AT+CSMP=17,167,0,4") == "\r\n+CMS ERROR: 305\r\n"
    # The number is not in the character set that is in force.
    assert ask(modem, f'AT+CMGS="{hexed("+86138")}"') == "\r\n+CMS ERROR: 305\r\n"
    assert ask(modem, "AT+CSMP=17,167,0,8", 'AT+CMGS="13800138000",129').endswith("\r\n> ")
    assert modem.receive("封".encode() + b"\x1a") == [Answer(b"\r\n+CMS ERROR: 305\r\n")]
    assert ask(modem, "AT") == "\r\nOK\r\n"


def test_commands_wait_while_a_message_is_on_its_way() -> None:
    modem = Modem()
    length = len(MESSAGE.encode()) - 1
    ask(modem, "ATE0", "AT+CMGF=0", f"AT+CMGS={length}")
    assert modem.receive(MESSAGE.encode().hex().encode() + b"\x1aAT\r") == [Submitted(MESSAGE)]
    assert modem.receive(b"AT\r") == []
    assert modem.accepted(7) == [Answer(b"\r\n+CMGS: 7\r\n\r\nOK\r\n"), *[Answer(b"\r\nOK\r\n")] * 2]


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    modem = Modem()
    for chunk in [*chunks, b"x" * BUFFER_MAX]:
        if any(isinstance(event, Submitted) for event in modem.receive(chunk)):
            modem.silent()
    modem.receive(b"\x1b\r")
    assert ask(modem, "ATE0").endswith("\r\nOK\r\n")
    assert ask(modem, "AT") == "\r\nOK\r\n"

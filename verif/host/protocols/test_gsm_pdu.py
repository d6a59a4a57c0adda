import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.gsm.pdu import Part, PduError, Submit, split, submits

NUMBERS = st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True).filter(str.isascii)
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=134).filter(lambda text: len(text.encode("utf-16-be")) <= 2 * 132)


@st.composite
def messages(draw: st.DrawFn) -> Submit:
    total = draw(st.integers(1, 255))
    part = (
        Part(draw(st.integers(0, 255)), total, draw(st.integers(1, total))) if draw(st.booleans()) else None
    )
    text = draw(st.text(CHARACTERS, max_size=67 if part else 70))
    while len(text.encode("utf-16-be")) > (134 if part else 140):
        text = text[:-1]
    return Submit(draw(NUMBERS), text, draw(st.integers(0, 255)), draw(st.booleans()), part)


def test_a_message_is_the_bytes_of_the_standard() -> None:
    # TP-MTI SUBMIT + TP-RD = 05; reference 2A; 11 digits, national; PID 00; UCS-2; 4 octets "封印".
    assert Submit("13800138000", "封印", 0x2A).encode() == bytes.fromhex(
        "00 05 2A 0B 81 3108108300F0 00 08 04 5C015370"
    )


def test_an_international_number_and_a_part_have_their_own_octets() -> None:
    raw = Submit("+8613800138000", "A", 3, part=Part(7, 2, 1)).encode()
    assert raw == bytes.fromhex("00 45 03 0D 91 683108108300F0 00 08 08 05 0003 07 02 01 0041")


@given(messages())
def test_encoded_messages_decode_to_themselves(message: Submit) -> None:
    assert Submit.decode(message.encode()) == message


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused_clearly(raw: bytes) -> None:
    try:
        message = Submit.decode(raw)
    except PduError:
        return
    assert Submit.decode(message.encode()) == message


@given(messages(), st.data())
def test_a_shortened_message_is_refused(message: Submit, data: st.DataObject) -> None:
    raw = message.encode()
    with pytest.raises(PduError):
        Submit.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(TEXTS)
def test_parts_join_to_the_text(text: str) -> None:
    parts = split(text)
    assert "".join(parts) == text
    assert len(parts) <= 2
    assert all(len(part.encode("utf-16-be")) <= (140 if len(parts) == 1 else 134) for part in parts)


@given(TEXTS, st.integers(0, 10_000))
def test_every_attempt_is_made_of_the_same_bytes(text: str, sequence: int) -> None:
    first = [message.encode() for message in submits("+8613800138000", text, sequence)]
    assert first == [message.encode() for message in submits("+8613800138000", text, sequence)]


def test_128_messages_to_one_number_share_no_reference() -> None:
    long = "印" * 100
    references = [message.reference for n in range(128) for message in submits("13800138000", long, n)]
    assert len(set(references)) == 256


def test_the_70th_and_the_71st_character_decide() -> None:
    assert split("印" * 70) == ["印" * 70]
    assert split("印" * 71) == ["印" * 67, "印" * 4]
    with pytest.raises(PduError, match="needs 3 SMS, at most 2"):
        split("印" * 135)


def test_a_character_of_two_units_is_never_cut() -> None:
    assert split("印" * 66 + "𠮷" + "印" * 10) == ["印" * 66, "𠮷" + "印" * 10]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("00 04 2A 0B 81 3108108300F0 00 08 04 5C015370", "first octet 04 is not an SMS-SUBMIT"),
        ("00 05 2A 0B 81 3108108300F0 00 00 04 5C015370", "data coding 00 is not UCS-2"),
        ("00 05 2A 0B 81 3108108300F0 00 08 05 5C015370", "ends inside the user data"),
        ("00 05 2A 0B 81 3108108300F0 00 08 02 5C015370", "2 bytes too many"),
        ("00 05 2A 0B D0 3108108300F0 00 08 04 5C015370", "not a phone number"),
        ("00 45 2A 0B 81 3108108300F0 00 08 06 05 0003 07 02 03", "part 3 of 2 cannot be"),
        ("", "ends inside the service centre length"),
    ],
)
def test_a_wrong_message_is_named(raw: str, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        Submit.decode(bytes.fromhex(raw))


def test_validity_period_and_service_centre_of_other_senders_are_passed_over() -> None:
    raw = "07 91 6831081083F0 15 2A 0B 81 3108108300F0 00 08 A7 04 5C015370"
    assert Submit.decode(bytes.fromhex(raw)).text == "封印"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Submit("12-34", "x", 0), "not a phone number"),
        (Submit("1" * 21, "x", 0), "not a phone number"),
        (Submit("10086", "印" * 71, 0), "does not fit one SMS"),
        (Submit("10086", "x", 256), "not 0 to 255"),
        (Submit("10086", "\ud800", 0), "cannot be written in UCS-2"),
        (Submit("10086", "x", 0, part=Part(1, 2, 3)), "not a part"),
    ],
)
def test_what_cannot_be_sent_is_refused(message: Submit, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        message.encode()

"""SMS-SUBMIT as a modem accepts it in PDU mode: UCS-2 text, one part or several.

3GPP TS 23.040 clause 9.2.2.2 (SMS-SUBMIT), 9.2.3.24.1 (concatenation), TS 27.005 (`AT+CMGS` in PDU
mode). A message that must not arrive twice has TP-RD set and keeps its TP-MR in every attempt: the
service centre then refuses the copy with cause 197 (9.2.3.22: C5 hex, *SM rejected, duplicate*).

Guarantees: `test_gsm_pdu.py::test_encoded_messages_decode_to_themselves`,
`::test_any_bytes_decode_or_are_refused_clearly`, `::test_parts_join_to_the_text`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from meterseal.octets.hexadecimal import hex_bytes

__all__ = ["DUPLICATE", "PARTS_MAX", "Part", "PduError", "Submit", "split", "submits"]

#: Failure cause of a service centre that already has the message (TS 23.040 clause 9.2.3.22).
DUPLICATE = 197
#: Parts of one message; the utility allows two.
PARTS_MAX = 2

#: UCS-2 characters of a message alone (140 octets), and of a part after its six octets of header.
_ALONE, _PART = 70, 67

_SUBMIT, _REJECT_DUPLICATES, _HEADER = 0x01, 0x04, 0x40
_TYPE_MASK, _VALIDITY_MASK = 0x03, 0x18
#: Octets of TP-VP by TP-VPF: none, relative, enhanced, absolute.
_VALIDITY_OCTETS = {0x00: 0, 0x10: 1, 0x08: 7, 0x18: 7}
_INTERNATIONAL, _UNKNOWN_NUMBER = 0x91, 0x81
_UCS2 = 0x08
_CONCATENATION, _CONCATENATION_OCTETS = 0x00, 3


class PduError(ValueError):
    """The message cannot be encoded, or the bytes are not a message; the text names them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Gives a part's place in its message: the reference that all parts share, their number, index from 1."""

    reference: int
    total: int
    index: int


@dataclass(frozen=True, slots=True)
class Submit:
    """Is one SMS-SUBMIT to `number` (`+` for international): up to 70 UCS-2 characters, 67 with a `part`."""

    number: str
    text: str
    #: TP-MR, 0 to 255: the same in every attempt to send this part.
    reference: int
    #: TP-RD.
    reject_duplicates: bool = True
    part: Part | None = None

    def encode(self) -> bytes:
        """Return the PDU with an empty service centre address, for which the modem uses its own."""
        first = _SUBMIT | _REJECT_DUPLICATES * self.reject_duplicates | _HEADER * (self.part is not None)
        data = _header(self.part) + _characters(self.text)
        if len(data) > 2 * _ALONE:
            raise PduError(f"{self.text!r} does not fit one SMS: use submits() to split it")
        if not 0 <= self.reference <= 0xFF:
            raise PduError(f"message reference {self.reference} is not 0 to 255")
        fixed = bytes([0x00, first, self.reference])
        return fixed + _address(self.number) + bytes([0x00, _UCS2, len(data)]) + data

    @classmethod
    def decode(cls, raw: bytes) -> Submit:
        """Return the message in `raw`, service centre address included; `PduError` names what is wrong."""
        reader = _Reader(raw)
        reader.take(reader.octet("service centre length"), "service centre")
        first = reader.octet("first octet")
        if first & _TYPE_MASK != _SUBMIT:
            raise reader.error(f"first octet {first:02X} is not an SMS-SUBMIT")
        reference = reader.octet("message reference")
        number = _number(reader)
        reader.octet("protocol identifier")
        if (coding := reader.octet("data coding")) != _UCS2:
            raise reader.error(f"data coding {coding:02X} is not UCS-2 (08)")
        reader.take(_VALIDITY_OCTETS[first & _VALIDITY_MASK], "validity period")
        data = reader.take(reader.octet("user data length"), "user data")
        reader.end()
        part = None
        if first & _HEADER:
            header = _Reader(data)
            part = _part(header.take(header.octet("header length"), "user data header"))
            data = header.rest()
        try:
            text = data.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise reader.error(f"text is not UCS-2: {error.reason}") from None
        return cls(number, text, reference, bool(first & _REJECT_DUPLICATES), part)


def split(text: str, parts_max: int = PARTS_MAX) -> list[str]:
    """Split `text` into the texts of its parts between characters; `PduError` when it needs too many."""
    units = len(_characters(text)) // 2
    if units <= _ALONE:
        return [text]
    parts = [""]
    room = _PART
    for character in text:
        width = 2 if ord(character) > 0xFFFF else 1
        if width > room:
            parts.append("")
            room = _PART
        parts[-1] += character
        room -= width
    if len(parts) > parts_max:
        raise PduError(f"{text!r} needs {len(parts)} SMS, at most {parts_max} are allowed: shorten it")
    return parts


def submits(number: str, text: str, sequence: int) -> list[Submit]:
    """Return the parts of a message, the same for every attempt.

    `sequence` numbers the messages to one number: 128 of them have references of their own.
    """
    texts = split(text)
    first = sequence * PARTS_MAX % 256
    if len(texts) == 1:
        return [Submit(number, text, first)]
    return [
        Submit(number, piece, first + index, part=Part(sequence % 256, len(texts), index + 1))
        for index, piece in enumerate(texts)
    ]


def _characters(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise PduError(f"{text!r} cannot be written in UCS-2: {error.reason}") from None


def _header(part: Part | None) -> bytes:
    """Return TP-UDH: its length, and one concatenation element with an 8-bit reference."""
    if part is None:
        return b""
    if not (0 <= part.reference <= 0xFF and 1 <= part.index <= part.total <= 0xFF):
        raise PduError(f"{part} is not a part of a message")
    element = bytes([_CONCATENATION, _CONCATENATION_OCTETS, part.reference, part.total, part.index])
    return bytes([len(element)]) + element


def _part(header: bytes) -> Part | None:
    """Return the header's concatenation element; others are ignored, as clause 9.2.3.24 requires."""
    elements = _Reader(header)
    part = None
    while elements.left:
        identifier = elements.octet("header element")
        content = elements.take(elements.octet("header element length"), "header element")
        if identifier == _CONCATENATION and len(content) == _CONCATENATION_OCTETS:
            part = Part(*content)
            if not 1 <= part.index <= part.total:
                raise elements.error(f"part {part.index} of {part.total} cannot be")
    return part


def _address(number: str) -> bytes:
    """Return TP-DA: digits, type, digits in swapped pairs."""
    if not re.fullmatch(r"\+?[0-9]{1,20}", number):
        raise PduError(f"{number!r} is not a phone number of 1 to 20 digits")
    digits = number.removeprefix("+")
    kind = _INTERNATIONAL if number.startswith("+") else _UNKNOWN_NUMBER
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[i + 1] + padded[i] for i in range(0, len(padded), 2))
    return bytes([len(digits), kind]) + bytes.fromhex(swapped)


def _number(reader: _Reader) -> str:
    length = reader.octet("address length")
    kind = reader.octet("address type")
    swapped = reader.take((length + 1) // 2, "address").hex()
    digits = "".join(swapped[i + 1] + swapped[i] for i in range(0, len(swapped), 2))[:length]
    number = ("+" if kind == _INTERNATIONAL else "") + digits
    if not 1 <= length <= 20 or kind not in (_INTERNATIONAL, _UNKNOWN_NUMBER) or not digits.isdecimal():
        raise reader.error(f"{kind:02X} {digits} is not a phone number of 1 to 20 digits")
    return number


class _Reader:
    """The reader takes octets off the front and reports which field is incomplete."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def octet(self, what: str) -> int:
        return self.take(1, what)[0]

    def take(self, count: int, what: str) -> bytes:
        if count > self.left:
            raise self.error(f"ends inside the {what}")
        self._at += count
        return self._raw[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(self.left, "rest")

    def end(self) -> None:
        if self.left:
            raise self.error(f"{self.left} bytes too many")

    def error(self, reason: str) -> PduError:
        return PduError(f"PDU {hex_bytes(self._raw)}: {reason}")

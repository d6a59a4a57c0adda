"""One DL/T 645-2007 frame is converted between bytes and values.

    [FE × n]  68  A0 … A5  68  C  L  DATA(L)  CS  16

On the wire, 33H is added to every data byte; `Frame.data` is without it. CS is the sum of all bytes from the
first 68 to the last data byte. 68H and 16H may stand inside address and data, so a frame is known by its
length and its checksum, never by its end byte alone.

Guarantees: `test_dlt645_frame.py::test_round_trip`, `::test_a_damaged_frame_is_refused`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from meterseal.octets.hexadecimal import hex_bytes, hex_digits
from meterseal.protocols.dlt645.control import FROM_SLAVE, MORE, REFUSED, WITH_DI

__all__ = ["LONGEST", "OVERHEAD", "PREAMBLE", "START", "Fault", "Frame", "FrameError", "check"]

PREAMBLE = 0xFE
START = 0x68
END = 0x16
#: Bytes of a frame beside its data.
OVERHEAD = 12
#: Most bytes of a frame, preamble not counted.
LONGEST = OVERHEAD + 255

_SCRAMBLE = bytes((byte + 0x33) & 0xFF for byte in range(256))
_DESCRAMBLE = bytes((byte - 0x33) & 0xFF for byte in range(256))


class FrameError(ValueError):
    """The bytes are not a frame, or the values do not make one; the message names them."""


class Fault(StrEnum):
    """Each fault is a reason why bytes are not a frame."""

    #: No frame begins here.
    NOISE = "noise"
    #: A frame begins but does not end.
    INCOMPLETE = "incomplete"
    #: The sum of the bytes differs from CS.
    CHECKSUM = "checksum"
    #: The sum is right but 16H does not follow.
    END = "end"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame has address (12 printed digits, `AA` as wildcards), control code and descrambled data."""

    address: str
    control: int
    data: bytes = b""

    @property
    def function(self) -> int:
        """Return control bits D4 to D0, see `Function`; the code may be an undefined one."""
        return self.control & 0x1F

    @property
    def from_slave(self) -> bool:
        """Whether the frame is an answer, not a request (D7)."""
        return self.control & FROM_SLAVE != 0

    @property
    def refused(self) -> bool:
        """Whether the slave refuses (D6); `data` is then one `Err` byte."""
        return self.control & REFUSED != 0

    @property
    def more(self) -> bool:
        """Whether follow-up frames can be fetched (D5)."""
        return self.control & MORE != 0

    @property
    def di(self) -> int | None:
        """Return the data identifier at the start of the data, where the control code has one there."""
        if self.control in WITH_DI and len(self.data) >= 4:
            return int.from_bytes(self.data[:4], "little")
        return None

    @property
    def content(self) -> bytes:
        """Return the data after the DI; all of it where there is no DI."""
        return self.data if self.di is None else self.data[4:]

    def encode(self, preamble: int = 4) -> bytes:
        """Return the wire bytes, with `preamble` times FE; `FrameError` when the values make no frame."""
        data = self.data
        try:
            body = b"\x68%b\x68%c%c%b" % (
                bytes.fromhex(self.address)[::-1],
                self.control,
                len(data),
                data.translate(_SCRAMBLE),
            )
        except (ValueError, OverflowError) as error:
            raise FrameError(f"{self} cannot be a frame: {error}") from None
        if len(body) != len(data) + 10:
            raise FrameError(f"{self} cannot be a frame: an address has 12 digits")
        return b"%b%b%c\x16" % (b"\xfe" * preamble, body, sum(body) & 0xFF)

    @classmethod
    def decode(cls, raw: bytes) -> Frame:
        """Return the frame in `raw`, which holds exactly one, after any number of FE.

        `FrameError` names what is wrong: start, length, checksum or end byte.
        """
        start = len(raw) - len(raw.lstrip(b"\xfe"))
        fault = _fault(raw, start)
        if fault:
            raise FrameError(f"{hex_bytes(raw) or 'no bytes'}: {fault}")
        return cls.at(raw, start)

    @classmethod
    def at(cls, raw: bytes, start: int) -> Frame:
        """Return the frame whose first 68H is at `start` and which `check` has accepted."""
        return cls(
            hex_digits(raw[start + 6 : start : -1]),
            raw[start + 8],
            raw[start + 10 : start + 10 + raw[start + 9]].translate(_DESCRAMBLE),
        )


def check(raw: bytes, start: int) -> int | Fault:
    """Return the position after the frame whose first 68H is at `start`, or why there is none."""
    size = len(raw) - start
    if (size > 0 and raw[start] != START) or (size > 7 and raw[start + 7] != START):
        return Fault.NOISE
    if size < OVERHEAD:
        return Fault.INCOMPLETE
    checksum = start + 10 + raw[start + 9]
    if len(raw) < checksum + 2:
        return Fault.INCOMPLETE
    if sum(raw[start:checksum]) & 0xFF != raw[checksum]:
        return Fault.CHECKSUM
    if raw[checksum + 1] != END:
        return Fault.END
    return checksum + 2


def _fault(raw: bytes, start: int) -> str:
    """State why `raw` is not one frame from `start` to its end; empty when it is one."""
    size = len(raw) - start
    if check(raw, start) is Fault.NOISE:
        return "a frame begins with 68, six address bytes and 68"
    expected = OVERHEAD + raw[start + 9] if size > 9 else OVERHEAD
    if size < OVERHEAD or size != expected:
        length = f"length {raw[start + 9]:02X} makes" if size > 9 else "the shortest has"
        return f"a frame of {size} bytes, but {length} {expected}"
    checksum = sum(raw[start:-2]) & 0xFF
    if raw[-2] != checksum:
        return f"the checksum is {raw[-2]:02X}, computed {checksum:02X}"
    return "" if raw[-1] == END else f"the end byte is {raw[-1]:02X}, expected 16"

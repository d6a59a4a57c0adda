"""AFN 10, DI E3020001, relays one DL/T 645 frame through the terminal to its RS485 port.

Down: type, port, baud, parity, data bits, stop bits, timeout, length, frame. Up: type, length, frame.
Every field is one byte. Baud is in units of 300 bit/s, as a public implementation of a terminal has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import DEFAULT_BAUD

__all__ = ["Parity", "RelayAnswer", "RelayError", "RelayRequest", "StopBits"]

HEAD_BYTES = 8
BAUD_UNIT = 300
#: Type in which the frame is passed on as it is.
TRANSPARENT = 0


class RelayError(ValueError):
    """The bytes or fields are not relay content; the message names them."""


class Parity(IntEnum):
    """The parity of the port."""

    NONE = 0
    EVEN = 1
    ODD = 2


class StopBits(IntEnum):
    """The stop bits of the port."""

    ONE = 0
    ONE_AND_HALF = 1
    TWO = 2


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """The terminal shall pass on `frame` at these settings of its port; `timeout` is in seconds."""

    frame: bytes
    port: int = 1
    baud: int = DEFAULT_BAUD
    parity: Parity = Parity.EVEN
    data_bits: int = 8
    stop_bits: StopBits = StopBits.ONE
    timeout: int = 5
    type: int = TRANSPARENT

    def encode(self) -> bytes:
        """Return the content after DA and DI."""
        if self.baud % BAUD_UNIT:
            raise RelayError(f"baud {self.baud}: expected a multiple of {BAUD_UNIT}")
        units = self.baud // BAUD_UNIT
        head = (self.type, self.port, units, self.parity, self.data_bits, self.stop_bits, self.timeout)
        try:
            return bytes([*head, len(self.frame)]) + self.frame
        except ValueError:
            raise RelayError(f"{self}: a field or the frame's length does not fit one byte") from None

    @classmethod
    def decode(cls, content: bytes) -> RelayRequest:
        """Return the request in exactly these bytes."""
        shown = hex_bytes(content)
        if len(content) < HEAD_BYTES or len(content) != HEAD_BYTES + content[7]:
            raise RelayError(f"relay request {shown!r}: expected {HEAD_BYTES} bytes, then the frame")
        kind, port, units, parity, data_bits, stop_bits, timeout, _ = content[:HEAD_BYTES]
        try:
            return cls(
                content[HEAD_BYTES:],
                port,
                units * BAUD_UNIT,
                Parity(parity),
                data_bits,
                StopBits(stop_bits),
                timeout,
                kind,
            )
        except ValueError as error:
            raise RelayError(f"relay request {shown}: {error}") from None


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """`frame` came back from the port; an empty one means that none did."""

    frame: bytes
    type: int = TRANSPARENT

    def encode(self) -> bytes:
        """Return the content after DA and DI."""
        if len(self.frame) > 0xFF:
            raise RelayError(f"a frame of {len(self.frame)} bytes does not fit: its length is one byte")
        return bytes([self.type, len(self.frame)]) + self.frame

    @classmethod
    def decode(cls, content: bytes) -> RelayAnswer:
        """Return the answer in exactly these bytes."""
        if len(content) < 2 or len(content) != 2 + content[1]:
            shown = hex_bytes(content)
            raise RelayError(f"relay answer {shown!r}: expected type, length and a frame of that length")
        return cls(content[2:], content[0])

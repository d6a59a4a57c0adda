"""The slave side, sans-IO, returns one answer or none to each request.

There is no answer (None) to a foreign address, a broadcast, a request of the wrong length, an unknown
function and a frame that comes from a slave. The caller delays the answer (Td): it begins no earlier than
`control.TD_MIN` and no later than `TD_MAX` after the last byte of the request.

A shortened or wildcard address (`AA`) counts as this slave's with every function, and is answered with the
full address. The master has to make sure that such an address means one slave on the line.

Guarantees: `test_dlt645_slave.py` and, against our own master, `test_dlt645_exchange.py`.
"""

from __future__ import annotations

from datetime import datetime

from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.dlt645.addressing import BROADCAST, matches
from meterseal.protocols.dlt645.control import (
    CLEARS,
    FROM_SLAVE,
    MORE,
    READ_MAX,
    REFUSED,
    SEQ_MAX,
    WRITE_MAX,
    Err,
    Function,
)
from meterseal.protocols.dlt645.frame import Frame, FrameError
from meterseal.protocols.dlt645.requests import Clear, PasswordChange, Write
from sealchip.interface import BAUD_FEATURE

__all__ = ["LONGEST_ANSWER", "Handler", "Refusal", "Slave"]

#: Data bytes after the DI in the first frame of an answer, and in each follow-up frame (less SEQ).
_FIRST = READ_MAX - 4
_NEXT = READ_MAX - 5
#: Most bytes in the answer to one read, follow-up frames included.
LONGEST_ANSWER = _FIRST + SEQ_MAX * _NEXT

_FUNCTIONS = frozenset(Function)
_BROADCAST = frozenset({Function.BROADCAST_TIME, Function.FREEZE})
#: The standard has no error answer for these: when refused they are not answered.
_NO_REFUSAL = frozenset({Function.BROADCAST_TIME, Function.READ_ADDRESS, Function.WRITE_ADDRESS})


class Refusal(Exception):
    """A handler refuses the request, which is answered with this ERR byte. `what` describes the request."""

    def __init__(self, err: Err, what: str = "") -> None:
        super().__init__(f"{err!r} {what}".rstrip())
        self.err = err


class Handler:
    """The functions of a slave. A subclass overrides those that it has; the others are refused."""

    def read(self, di: int, parameters: bytes) -> bytes:
        """Return the data of `di`, at most `LONGEST_ANSWER` bytes; `parameters` followed the DI."""
        raise Refusal(Err.NO_DATA, f"read of {di:08X} {hex_bytes(parameters)}")

    def write(self, write: Write) -> None:
        """Take a 14H. It is acknowledged when this returns, so data that must persist is stored by then."""
        raise Refusal(Err.OTHER, f"write of {write.di:08X}")

    def set_time(self, at: datetime) -> None:
        """Take a broadcast time; a refusal is not answered."""
        raise Refusal(Err.OTHER, f"time {at}")

    def write_address(self, address: str) -> None:
        """Take a new address, which the slave has from then on. A refusal is not answered."""
        raise Refusal(Err.OTHER, f"address {address}")

    def freeze(self, pattern: bytes) -> None:
        """Freeze at mm hh DD MM, BCD, 99 = any value."""
        raise Refusal(Err.OTHER, f"freeze at {pattern.hex(' ')}")

    def change_baud(self, baud: int) -> None:
        """Change to `baud` bit/s after the answer, which is still sent at the old rate."""
        raise Refusal(Err.RATE, f"rate {baud}")

    def change_password(self, change: PasswordChange) -> None:
        """Change a password."""
        raise Refusal(Err.UNAUTHORISED, f"password at {change.di:08X}")

    def clear(self, clear: Clear) -> None:
        """Clear demand, meter or events."""
        raise Refusal(Err.UNAUTHORISED, clear.function.name)

    def malformed(self, request: Frame) -> None:
        """Note that a request to this slave was not answered, because its length or content does not fit."""


class Slave:
    """The slave at `address` (12 digits). A follow-up frame can be read again until the next 11H."""

    def __init__(self, address: str, handler: Handler) -> None:
        self.address = bcd.address(bcd.address_bytes(address))
        self._handler = handler
        self._more_di = 0
        self._more: list[bytes] = []

    def receive(self, request: Frame) -> Frame | None:
        """Return the answer to `request`, or None where there is none."""
        if request.control not in _FUNCTIONS or not self._is_meant(request):
            return None
        function = Function(request.control)
        try:
            control, data = self._answer(function, request)
        except Refusal as refusal:
            if function in _NO_REFUSAL:
                return None
            control, data = REFUSED | function, bytes([refusal.err])
        except FrameError:
            self._handler.malformed(request)
            return None
        if request.address == BROADCAST or function is Function.BROADCAST_TIME:
            return None
        return Frame(self.address, FROM_SLAVE | control, data)

    def _is_meant(self, request: Frame) -> bool:
        """Return whether the address is this slave's, or the broadcast with a function for all."""
        if request.address == BROADCAST:
            return request.function in _BROADCAST
        return matches(request.address, self.address)

    def _answer(self, function: Function, request: Frame) -> tuple[int, bytes]:
        """Return control bits and data of a normal answer."""
        if function is Function.READ:
            return self._read(request)
        if function is Function.READ_MORE:
            return self._read_more(request)
        if function is Function.READ_ADDRESS:
            _need(request, 0)
            return function, bcd.address_bytes(self.address)
        if function is Function.WRITE:
            if len(request.data) > WRITE_MAX:
                raise FrameError(f"a write has at most {WRITE_MAX} bytes")
            self._handler.write(Write.parse(request))
        elif function is Function.WRITE_ADDRESS:
            self._write_address(request)
        elif function is Function.BROADCAST_TIME:
            self._handler.set_time(_moment(request))
        elif function is Function.FREEZE:
            self._handler.freeze(_need(request, 4))
        elif function is Function.CHANGE_BAUD:
            self._change_baud(request)
            return function, request.data
        elif function is Function.CHANGE_PASSWORD:
            change = PasswordChange.parse(request)
            self._handler.change_password(change)
            return function, change.new
        elif function in CLEARS:
            self._handler.clear(Clear.parse(request))
        else:
            raise Refusal(Err.OTHER)
        return function, b""

    def _read(self, request: Frame) -> tuple[int, bytes]:
        """Return the first frame of an answer and keep the rest for 12H."""
        if request.di is None:
            raise FrameError("a read has a DI")
        content = self._handler.read(request.di, request.content)
        if len(content) > LONGEST_ANSWER:
            raise ValueError(f"{request.di:08X}: {len(content)} bytes, one read answers {LONGEST_ANSWER}")
        self._more_di = request.di
        self._more = [content[at : at + _NEXT] for at in range(_FIRST, len(content), _NEXT)]
        return Function.READ | (MORE if self._more else 0), request.data[:4] + content[:_FIRST]

    def _read_more(self, request: Frame) -> tuple[int, bytes]:
        """Return follow-up frame SEQ of the newest read."""
        data = _need(request, 5)
        seq = data[4]
        if request.di != self._more_di or not 1 <= seq <= len(self._more):
            raise Refusal(Err.NO_DATA)
        more = MORE if seq < len(self._more) else 0
        return Function.READ_MORE | more, data[:4] + self._more[seq - 1] + data[4:]

    def _write_address(self, request: Frame) -> None:
        """Take a new address, which the answer already carries."""
        new = bcd.address(_need(request, 6))
        if not new.isdecimal() or new == BROADCAST:
            raise FrameError(f"{new} cannot be a slave's address")
        self._handler.write_address(new)
        self.address = new

    def _change_baud(self, request: Frame) -> None:
        """Pass on the rate of the feature word."""
        baud = BAUD_FEATURE.get(_need(request, 1)[0])
        if baud is None:
            raise Refusal(Err.RATE)
        self._handler.change_baud(baud)


def _need(request: Frame, size: int) -> bytes:
    """Return the data, which must have exactly `size` bytes."""
    if len(request.data) != size:
        raise FrameError(f"control {request.control:02X} has {size} data bytes, not {len(request.data)}")
    return request.data


def _moment(request: Frame) -> datetime:
    """Return the time in a broadcast."""
    try:
        return bcd.moment(request.data)
    except ValueError as error:
        raise FrameError(str(error)) from None

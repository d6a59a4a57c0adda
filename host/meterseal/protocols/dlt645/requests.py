"""The requests of a master, one function for each control code, and how a slave parses the longer ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes
from meterseal.protocols.dlt645.addressing import BROADCAST, WILDCARD
from meterseal.protocols.dlt645.control import WRITE_MAX, Function
from meterseal.protocols.dlt645.frame import Frame, FrameError
from sealchip.interface import BAUD_FEATURE

__all__ = [
    "ALL_EVENTS",
    "Clear",
    "PasswordChange",
    "Write",
    "broadcast_time",
    "change_baud",
    "change_password",
    "clear_demand",
    "clear_events",
    "clear_meter",
    "freeze",
    "read",
    "read_address",
    "read_more",
    "write",
    "write_address",
]

NO_PASSWORD = bytes(4)
NO_OPERATOR = bytes(4)
#: DI of a 1BH that clears the records of every event.
ALL_EVENTS = 0xFFFFFFFF
#: Freeze field that stands for any value.
ANY = 99


def _frame(address: str, function: Function, data: bytes = b"") -> Frame:
    return Frame(bcd.address(bcd.address_bytes(address)), function, data)


def _di(di: int) -> bytes:
    return di.to_bytes(4, "little")


def read(address: str, di: int, parameters: bytes = b"") -> Frame:
    """11H: read `di`; block parameters follow it."""
    return _frame(address, Function.READ, _di(di) + parameters)


def read_more(address: str, di: int, seq: int) -> Frame:
    """12H: read follow-up frame `seq` (1 to 255) of `di`."""
    return _frame(address, Function.READ_MORE, _di(di) + bytes([seq]))


def read_address() -> Frame:
    """13H: read the address of the only slave on the line."""
    return _frame(WILDCARD, Function.READ_ADDRESS)


def write(
    address: str, di: int, data: bytes, *, password: bytes = NO_PASSWORD, operator: bytes = NO_OPERATOR
) -> Frame:
    """14H: write `data` to `di`; `password` is PA P0 P1 P2, `operator` C0..C3, as on the wire.

    `FrameError` when it is longer than a write may be.
    """
    body = Write(di, password, operator, data).encode()
    if len(body) > WRITE_MAX:
        raise FrameError(f"write of {di:08X}: {len(body)} bytes {hex_bytes(body)}, at most {WRITE_MAX}")
    return _frame(address, Function.WRITE, body)


def broadcast_time(at: datetime, address: str = BROADCAST) -> Frame:
    """08H: set the time, ss first; it is not answered."""
    return _frame(address, Function.BROADCAST_TIME, bcd.moment_bytes(at))


def write_address(new: str, address: str = WILDCARD) -> Frame:
    """15H: give the slave at `address` the address `new`."""
    return _frame(address, Function.WRITE_ADDRESS, bcd.address_bytes(new))


def freeze(address: str, *, minute: int = ANY, hour: int = ANY, day: int = ANY, month: int = ANY) -> Frame:
    """16H: freeze when the given fields match the time; all wildcards: now. A broadcast is not answered."""
    fields = (minute, hour, day, month)
    return _frame(address, Function.FREEZE, b"".join(bcd.bcd(field, 1) for field in fields))


def change_baud(address: str, baud: int) -> Frame:
    """17H: change the rate to `baud` bit/s; `FrameError` when there is no feature word for it."""
    feature = next((word for word, rate in BAUD_FEATURE.items() if rate == baud), None)
    if feature is None:
        raise FrameError(f"rate {baud}: expected one of {', '.join(map(str, BAUD_FEATURE.values()))}")
    return _frame(address, Function.CHANGE_BAUD, bytes([feature]))


def change_password(address: str, di: int, old: bytes, new: bytes) -> Frame:
    """18H: change the password kept at `di`; `old` and `new` are PA P0 P1 P2."""
    return _frame(address, Function.CHANGE_PASSWORD, PasswordChange(di, old, new).encode())


def clear_demand(address: str, *, password: bytes = NO_PASSWORD, operator: bytes = NO_OPERATOR) -> Frame:
    """19H: clear the maximum demand."""
    return _clear(address, Clear(Function.CLEAR_DEMAND, password, operator))


def clear_meter(address: str, *, password: bytes = NO_PASSWORD, operator: bytes = NO_OPERATOR) -> Frame:
    """1AH: clear the meter."""
    return _clear(address, Clear(Function.CLEAR_METER, password, operator))


def clear_events(
    address: str,
    di: int = ALL_EVENTS,
    *,
    password: bytes = NO_PASSWORD,
    operator: bytes = NO_OPERATOR,
) -> Frame:
    """1BH: clear the records of the event `di`, or of all."""
    return _clear(address, Clear(Function.CLEAR_EVENTS, password, operator, di))


def _clear(address: str, clear: Clear) -> Frame:
    return _frame(address, clear.function, clear.encode())


def _four(**fields: bytes) -> bytes:
    """Join password and operator code."""
    for name, raw in fields.items():
        if len(raw) != 4:
            raise FrameError(f"{name} {hex_bytes(raw) or 'without a byte'}: expected 4 bytes")
    return b"".join(fields.values())


def _split(frame: Frame, function: Function, *widths: int) -> list[bytes]:
    """Return the fields of a request's data, the last one with the rest."""
    if frame.control != function or len(frame.data) < sum(widths):
        raise FrameError(
            f"{hex_bytes(frame.data) or 'no data'} with control {frame.control:02X} "
            f"is no {function:02X}H: it has at least {sum(widths)} bytes"
        )
    parts, begin = [], 0
    for width in widths:
        parts.append(frame.data[begin : begin + width])
        begin += width
    return [*parts, frame.data[begin:]]


@dataclass(frozen=True, slots=True)
class Write:
    """The content of a 14H."""

    di: int
    password: bytes
    operator: bytes
    data: bytes

    def encode(self) -> bytes:
        """Return DI, PA P0 P1 P2, C0..C3, data."""
        return _di(self.di) + _four(password=self.password, operator=self.operator) + self.data

    @classmethod
    def parse(cls, frame: Frame) -> Write:
        """Return the write in `frame`; `FrameError` when there is none or it is too short."""
        di, password, operator, data = _split(frame, Function.WRITE, 4, 4, 4)
        return cls(int.from_bytes(di, "little"), password, operator, data)


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """The content of an 18H."""

    di: int
    old: bytes
    new: bytes

    def encode(self) -> bytes:
        """Return DI, old PA P0 P1 P2, new PA P0 P1 P2."""
        return _di(self.di) + _four(old_password=self.old, new_password=self.new)

    @classmethod
    def parse(cls, frame: Frame) -> PasswordChange:
        """Return the change in `frame`; `FrameError` when there is none or its length is wrong."""
        di, old, new, rest = _split(frame, Function.CHANGE_PASSWORD, 4, 4, 4)
        if rest:
            raise FrameError(f"{hex_bytes(frame.data)}: a password change has 12 bytes")
        return cls(int.from_bytes(di, "little"), old, new)


@dataclass(frozen=True, slots=True)
class Clear:
    """The content of a 19H, 1AH or 1BH; `di` only with 1BH."""

    function: Function
    password: bytes
    operator: bytes
    di: int | None = None

    def encode(self) -> bytes:
        """Return PA P0 P1 P2, C0..C3, DI."""
        which = b"" if self.di is None else _di(self.di)
        return _four(password=self.password, operator=self.operator) + which

    @classmethod
    def parse(cls, frame: Frame) -> Clear:
        """Return the clearing in `frame`; `FrameError` when there is none or its length is wrong."""
        function = Function(frame.function)
        password, operator, rest = _split(frame, function, 4, 4)
        if len(rest) != (4 if function is Function.CLEAR_EVENTS else 0):
            raise FrameError(f"{hex_bytes(frame.data)}: wrong length for a {function:02X}H")
        return cls(function, password, operator, int.from_bytes(rest, "little") if rest else None)

"""One uplink frame is converted between bytes and fields.

`68 L L 68 | C A(7) AFN SEQ DA(2) DI(4) data … [PW 16] [Tp 5] | CS 16`; L counts the bytes from C to the
last one before CS, low byte first, and is sent twice. A DL/T 645 identifier is sent without +33H.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meterseal.octets.hexadecimal import hex_bytes, hex_digits
from meterseal.protocols.csg1209022.codes import Afn, Reply, UplinkDi

__all__ = [
    "ALL_POINTS",
    "DIR_UP",
    "HEADER_BYTES",
    "MAX_LENGTH",
    "MIN_LENGTH",
    "NO",
    "NO_PASSWORD",
    "OVERHEAD_BYTES",
    "PRM",
    "TERMINAL_ITSELF",
    "YES",
    "Frame",
    "FrameError",
    "TerminalAddress",
    "da_point",
    "da_points",
    "point_da",
    "single",
]

START = 0x68
END = 0x16
HEADER_BYTES = 6
#: Bytes of a frame beside the L counted ones: two starts, two L, checksum, end.
OVERHEAD_BYTES = 8
PASSWORD_BYTES = 16
TP_BYTES = 5
#: C, address, AFN, SEQ, and at least one DA and DI.
MIN_LENGTH = 16
#: The largest L of any channel; 255 and 1024 are the limits of narrower ones.
MAX_LENGTH = 16383
#: Sent in place of the real MAC, which cannot be computed from public material.
NO_PASSWORD = bytes(PASSWORD_BYTES)

#: DA of the terminal itself and of every measured point.
TERMINAL_ITSELF = bytes(2)
ALL_POINTS = b"\xff\xff"

HEX_DIGITS = set("0123456789ABCDEF")

#: Content of a confirmation.
YES = b"\x00"
NO = b"\x01"

DIR_UP = 0x80
PRM = 0x40
TPV = 0x80
FIR = 0x40
FIN = 0x20
CON = 0x10


class FrameError(ValueError):
    """The bytes or fields do not make a frame; the message names them."""


@dataclass(frozen=True, slots=True)
class TerminalAddress:
    """An address has region (province, city, county), terminal number and master station, 0 from a terminal.

    `region` is printed high digit first. Region FFFFFF with number FFFFFF is the broadcast.
    """

    region: str
    number: int
    station: int = 0

    def __post_init__(self) -> None:
        if len(self.region) != 6 or not set(self.region) <= HEX_DIGITS:
            raise FrameError(f"region {self.region!r}: expected 6 digits")
        if not 0 <= self.number <= 0xFFFFFF or not 0 <= self.station <= 0xFF:
            raise FrameError(f"terminal number {self.number}, station {self.station}: out of range")

    def __str__(self) -> str:
        """Return the 12 printed digits: region, then the number as 6 hexadecimal digits."""
        return f"{self.region}{self.number:06X}"

    @classmethod
    def parse(cls, digits: str, station: int = 0) -> TerminalAddress:
        """Return the address of 12 printed digits, as `str` gives them."""
        printed = digits.upper()
        if len(printed) != 12 or not set(printed) <= HEX_DIGITS:
            raise FrameError(
                f"terminal address {digits!r}: expected 6 digits of the region and 6 hexadecimal digits"
            )
        return cls(printed[:6], int(printed[6:], 16), station)

    def encode(self) -> bytes:
        """Return the 7 bytes A1, A2, A3."""
        return bytes.fromhex(self.region)[::-1] + self.number.to_bytes(3, "little") + bytes([self.station])

    @classmethod
    def decode(cls, raw: bytes) -> TerminalAddress:
        """Return the address of 7 bytes."""
        return cls(hex_digits(raw[2::-1]), int.from_bytes(raw[3:6], "little"), raw[6])

    @property
    def broadcast(self) -> bool:
        """Whether the address is the broadcast to every terminal."""
        return self.number == 0xFFFFFF

    def same_terminal(self, other: TerminalAddress) -> bool:
        """Return whether both are equal except for the master station."""
        return self.region == other.region and self.number == other.number


def point_da(point: int) -> bytes:
    """Return the DA of one measured point, 1 to 2032; 0 is the terminal itself."""
    if point == 0:
        return TERMINAL_ITSELF
    if not 1 <= point <= 254 * 8:
        raise FrameError(f"measured point {point}: expected 0 to {254 * 8}")
    group, bit = divmod(point - 1, 8)
    return bytes([1 << bit, group + 1])


def da_points(da: bytes) -> tuple[int, ...] | None:
    """Return the measured points of a DA, lowest first; (0,) is the terminal, None is every point."""
    if da == TERMINAL_ITSELF:
        return (0,)
    if da == ALL_POINTS:
        return None
    bits, group = da
    return tuple((group - 1) * 8 + bit + 1 for bit in range(8) if group and bits >> bit & 1)


def da_point(da: bytes) -> int | None:
    """Return the one measured point of a DA (0 = the terminal); None where it names several, all or none."""
    points = da_points(da)
    return points[0] if points is not None and len(points) == 1 else None


def single(number: int, *, con: bool = False) -> int:
    """Return SEQ of a single frame: FIR and FIN set, CON as given, number 0 to 15."""
    if not 0 <= number <= 15:
        raise FrameError(f"sequence number {number}: expected 0 to 15")
    return FIR | FIN | (CON if con else 0) | number


@dataclass(frozen=True, slots=True)
class Frame:
    """In a frame `body` is every DA, DI and data; `password` and `tp` follow it where present.

    Guarantee: `test_uplink_frame.py::test_decode_undoes_encode`.
    """

    control: int
    address: TerminalAddress
    afn: int
    seq: int
    body: bytes
    password: bytes | None = None
    tp: bytes | None = None

    def __post_init__(self) -> None:
        if len(self.body) < 6:
            raise FrameError(f"body {hex_bytes(self.body)!r}: too short for DA and DI")
        if not all(0 <= value <= 0xFF for value in (self.control, self.afn, self.seq)):
            raise FrameError(
                f"C {self.control:X}, AFN {self.afn:X}, SEQ {self.seq:X}: expected one byte each"
            )
        if self._has_password != (self.password is not None):
            raise FrameError(f"AFN {self.afn:02X}: a password belongs to a request with AFN 04 or 06 only")
        if bool(self.seq & TPV) != (self.tp is not None):
            raise FrameError(f"SEQ {self.seq:02X}: its bit 7 must say whether there is a Tp")
        if self.password is not None and len(self.password) != PASSWORD_BYTES:
            raise FrameError(f"password {hex_bytes(self.password)}: expected {PASSWORD_BYTES} bytes")
        if self.tp is not None and len(self.tp) != TP_BYTES:
            raise FrameError(f"Tp {hex_bytes(self.tp)}: expected {TP_BYTES} bytes")

    @classmethod
    def of(
        cls,
        control: int,
        address: TerminalAddress,
        afn: int,
        number: int,
        da: bytes,
        di: int,
        content: bytes = b"",
        *,
        con: bool = False,
    ) -> Frame:
        """Return a single frame with one identifier; a request with AFN 04 or 06 gets an empty password."""
        body = da + di.to_bytes(4, "little") + content
        protected = control & (DIR_UP | PRM) == PRM and afn in (Afn.WRITE, Afn.SECURITY)
        return cls(
            control, address, afn, single(number, con=con), body, password=NO_PASSWORD if protected else None
        )

    @property
    def _has_password(self) -> bool:
        return not self.dir_up and self.prm and self.afn in (Afn.WRITE, Afn.SECURITY)

    @property
    def dir_up(self) -> bool:
        """Whether the frame goes from terminal to master station."""
        return bool(self.control & DIR_UP)

    @property
    def prm(self) -> bool:
        """Whether the frame comes from the side that starts the exchange."""
        return bool(self.control & PRM)

    @property
    def function(self) -> int:
        """Return the function code, C bits 3 to 0."""
        return self.control & 0x0F

    @property
    def fir(self) -> bool:
        """Whether this is the first frame of a series."""
        return bool(self.seq & FIR)

    @property
    def fin(self) -> bool:
        """Whether this is the last frame of a series."""
        return bool(self.seq & FIN)

    @property
    def con(self) -> bool:
        """Whether a confirmation is requested."""
        return bool(self.seq & CON)

    @property
    def number(self) -> int:
        """Return the sequence number, 0 to 15."""
        return self.seq & 0x0F

    @property
    def da(self) -> bytes:
        """Return the first DA, 2 bytes."""
        return self.body[:2]

    @property
    def point(self) -> int | None:
        """Return the one measured point of the first DA; 0 is the terminal, None several, all or none."""
        return da_point(self.da)

    @property
    def di(self) -> int:
        """Return the first data identifier."""
        return int.from_bytes(self.body[2:6], "little")

    @property
    def content(self) -> bytes:
        """Return everything after the first DI."""
        return self.body[6:]

    @property
    def identifiers(self) -> list[tuple[bytes, int]]:
        """Return every (DA, DI) of a reading request without other content; otherwise the first one."""
        body = self.body if len(self.body) % 6 == 0 else self.body[:6]
        return [
            (body[i : i + 2], int.from_bytes(body[i + 2 : i + 6], "little")) for i in range(0, len(body), 6)
        ]

    def answer(self, content: bytes) -> Frame:
        """Return the answer to this request, with its address, AFN, number, DA and DI."""
        control = (self.control & DIR_UP ^ DIR_UP) | Reply.USER_DATA
        seq = single(self.number)
        return replace(self, control=control, seq=seq, body=self.body[:6] + content, password=None, tp=None)

    def confirmation(self, *, ok: bool = True) -> Frame:
        """Return AFN 00 to this frame, content 00 (yes) or 01 (no)."""
        control = (self.control & DIR_UP ^ DIR_UP) | (Reply.ACK if ok else Reply.DENY)
        body = TERMINAL_ITSELF + UplinkDi.CONFIRM.to_bytes(4, "little") + (YES if ok else NO)
        return replace(
            self, control=control, afn=Afn.CONFIRM, seq=single(self.number), body=body, password=None, tp=None
        )

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        counted = b"".join(self._parts())
        if len(counted) > MAX_LENGTH:
            raise FrameError(f"L {len(counted)}: a frame carries at most {MAX_LENGTH} bytes")
        length = len(counted).to_bytes(2, "little")
        return bytes([START]) + length + length + bytes([START]) + counted + bytes([sum(counted) & 0xFF, END])

    def _parts(self) -> Iterator[bytes]:
        yield bytes([self.control])
        yield self.address.encode()
        yield bytes([self.afn, self.seq])
        yield self.body
        yield self.password or b""
        yield self.tp or b""

    @classmethod
    def decode(cls, raw: bytes) -> Frame:
        """Return the frame in exactly these bytes; `FrameError` names what is wrong with them."""
        if len(raw) < HEADER_BYTES or raw[0] != START or raw[5] != START:
            raise FrameError(f"{hex_bytes(raw[:HEADER_BYTES])!r}: a frame starts with 68 L L 68")
        if raw[1:3] != raw[3:5]:
            raise FrameError(f"{hex_bytes(raw[:HEADER_BYTES])}: the two lengths differ")
        length = int.from_bytes(raw[1:3], "little")
        if not MIN_LENGTH <= length <= MAX_LENGTH:
            raise FrameError(f"L {length}: expected {MIN_LENGTH} to {MAX_LENGTH}")
        if len(raw) != length + OVERHEAD_BYTES:
            raise FrameError(f"L {length} makes {length + OVERHEAD_BYTES} bytes, there are {len(raw)}")
        if raw[-1] != END:
            raise FrameError(f"the last byte is {raw[-1]:02X}, expected {END:02X}")
        counted = raw[HEADER_BYTES:-2]
        if raw[-2] != sum(counted) & 0xFF:
            raise FrameError(f"the checksum is {raw[-2]:02X}, expected {sum(counted) & 0xFF:02X}")
        return cls._of_counted(counted)

    @classmethod
    def _of_counted(cls, counted: bytes) -> Frame:
        control, afn, seq, rest = counted[0], counted[8], counted[9], counted[10:]
        tp = password = None
        if seq & TPV:
            rest, tp = rest[:-TP_BYTES], rest[-TP_BYTES:]
        if control & (DIR_UP | PRM) == PRM and afn in (Afn.WRITE, Afn.SECURITY):
            rest, password = rest[:-PASSWORD_BYTES], rest[-PASSWORD_BYTES:]
        return cls(control, TerminalAddress.decode(counted[1:8]), afn, seq, rest, password, tp)

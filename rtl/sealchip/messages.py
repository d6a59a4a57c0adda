"""Every frame that the chip sends, as a table; the framer's logic is made from it."""

from dataclasses import dataclass

from amaranth.lib import enum

from .interface import DIAGNOSTICS, IDENTITY, IDENTITY_REPORT, RECORD, Di

__all__ = ["MESSAGES", "Body", "Message", "Shape"]


class Message(enum.Enum, shape=4):
    """What to send."""

    #: 14H write of a seal record to the meter.
    REPORT_RECORD = 0
    #: 14H write of the seal's identity to the meter.
    REPORT_IDENTITY = 1
    #: Answer to 11H: a seal record.
    ANSWER_RECORD = 2
    #: Answer to 11H: diagnostics.
    ANSWER_DIAGNOSTICS = 3
    #: Answer to 11H: communication address.
    ANSWER_ADDRESS_ITEM = 4
    #: Answer to 11H: asset number.
    ANSWER_ASSET = 5
    #: Answer to 13H.
    ANSWER_ADDRESS = 6
    #: Error answer: one byte of ERR.
    REFUSE = 7
    #: Answer to 14H: taken.
    ANSWER_WRITE = 8


class Body(enum.Enum, shape=2):
    """Where the bytes behind DI and authority come from."""

    RECORD = 0
    #: The identity's memory, from `Shape.offset` on.
    IDENTITY = 1
    DIAGNOSTICS = 2
    ERROR = 3


@dataclass(frozen=True)
class Shape:
    """One message. `di` None repeats the request's; `control` None is D6 + the request's function."""

    control: int | None
    to_meter: bool
    has_di: bool
    body: Body
    size: int
    di: Di | None = None
    has_authority: bool = False
    offset: int = 0

    @property
    def length(self):
        """Length byte L of the frame."""
        return 4 * self.has_di + 8 * self.has_authority + self.size


def _report(di, body, size, offset=0):
    return Shape(0x14, True, True, body, size, di=di, has_authority=True, offset=offset)


def _answer(body, size, offset=0):
    return Shape(0x91, False, True, body, size, offset=offset)


def _identity(name):
    return IDENTITY.offsets[name]


MESSAGES = {
    Message.REPORT_RECORD: _report(Di.REPORT, Body.RECORD, RECORD.size),
    Message.REPORT_IDENTITY: _report(
        Di.REPORT_IDENTITY, Body.IDENTITY, IDENTITY_REPORT.size, _identity("seal")
    ),
    Message.ANSWER_RECORD: _answer(Body.RECORD, RECORD.size),
    Message.ANSWER_DIAGNOSTICS: _answer(Body.DIAGNOSTICS, DIAGNOSTICS.size),
    Message.ANSWER_ADDRESS_ITEM: _answer(Body.IDENTITY, IDENTITY["seal"].width, _identity("seal")),
    Message.ANSWER_ASSET: _answer(Body.IDENTITY, IDENTITY["asset"].width, _identity("asset")),
    Message.ANSWER_ADDRESS: Shape(
        0x93, False, False, Body.IDENTITY, IDENTITY["seal"].width, offset=_identity("seal")
    ),
    Message.REFUSE: Shape(None, False, False, Body.ERROR, 1),
    Message.ANSWER_WRITE: Shape(0x94, False, False, Body.ERROR, 0),
}

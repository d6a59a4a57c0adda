"""The texts of messages to the customer, defined once for the script, the documents and the tests.

The module imports no HDL. A message is one SMS of at most 70 characters. The texts report what was measured,
never by whom it was caused or why.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..interface import Kind, StateClass

__all__ = ["AGE_MAX", "CHARACTERS_MAX", "LOST_MAX", "PHRASES", "Phrase", "message"]

#: The number of UCS-2 characters in one SMS, 3GPP TS 23.040.
CHARACTERS_MAX = 70
#: Where the age, of two digits, and the number of lost messages, of one digit, saturate.
AGE_MAX, LOST_MAX = 99, 7

SIGN = "【封印】"
AT, ABOUT, AGO = "于20", "约", "分钟前"
LOST, NOT_DELIVERED = ",另有", "条短信未送达"


@dataclass(frozen=True)
class Phrase:
    """The phrase for an event; `state` None stands for every state that has no phrase of its own."""

    kind: Kind
    state: StateClass | None
    zh: str
    en: str


#: The events that are reported; no others are, nor is a boot that finds the loop sealed.
PHRASES = (
    Phrase(Kind.OPENED, None, "开启", "opened"),
    Phrase(Kind.OPENED, StateClass.LOW, "回路电压偏低", "loop voltage low"),
    Phrase(Kind.OPENED, StateClass.HIGH, "回路电压偏高", "loop voltage high"),
    Phrase(Kind.OPENED, StateClass.MISMATCH, "回路响应不符", "loop response does not match"),
    Phrase(Kind.CLOSED, None, "闭合", "closed"),
    Phrase(Kind.FLAPPING, None, "反复通断", "opens and closes repeatedly"),
    Phrase(Kind.SEALING_REFUSED, None, "拒绝施封:回路未闭合", "sealing refused: loop not closed"),
    Phrase(Kind.BOOT, None, "上电时未闭合,此前未监测", "found not closed at power-up; not observed before"),
)


def message(seal: str, phrase: str, *, time: str | None, age: int = 0, lost: int = 0) -> str:
    """Return the whole text of a message.

    `time` is `YYYY-MM-DD HH:MM`; it is None while the chip's clock is not set, and `age`, in minutes, is
    given instead. `lost` is the number of messages given up or dropped since the last one arrived.
    """
    when = f"于{time}" if time is not None else f"{ABOUT}{min(age, AGE_MAX):02}{AGO}"
    more = f"{LOST}{min(lost, LOST_MAX)}{NOT_DELIVERED}" if lost else ""
    return f"{SIGN}{seal} {when} {phrase}{more}"

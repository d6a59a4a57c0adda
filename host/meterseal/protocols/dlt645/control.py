"""Defines limits of DL/T 645-2007, beside its control codes and error bits from `sealchip.interface`."""

from __future__ import annotations

from sealchip.interface import FROM_SLAVE, MORE, REFUSED, Err, Function

__all__ = [
    "ANSWER_TIMEOUT",
    "CLEARS",
    "FROM_SLAVE",
    "MORE",
    "READ_MAX",
    "REFUSED",
    "SEQ_MAX",
    "TB_MAX",
    "TD_MAX",
    "TD_MIN",
    "WITH_DI",
    "WRITE_MAX",
    "Err",
    "Function",
]

#: Most data bytes (L) of a read answer, DI included.
READ_MAX = 200
#: Most data bytes (L) of a write, DI, password and operator code included.
WRITE_MAX = 50
#: Last sequence number of a follow-up frame.
SEQ_MAX = 255
#: A slave answers no earlier than this, seconds after the last byte of the request,
TD_MIN = 0.020
#: and no later than this.
TD_MAX = 0.500
#: A master waits this long for an answer to begin: the slave's time and some more for the line.
ANSWER_TIMEOUT = 0.600
#: A longer gap between two bytes ends the frame, seconds.
TB_MAX = 0.500

#: Functions that clear something: password, operator code, and for events a DI.
CLEARS = frozenset({Function.CLEAR_DEMAND, Function.CLEAR_METER, Function.CLEAR_EVENTS})

_REQUESTS_WITH_DI = (
    Function.SECURITY,
    Function.READ,
    Function.READ_MORE,
    Function.WRITE,
    Function.CHANGE_PASSWORD,
)
_ANSWERS_WITH_DI = (
    FROM_SLAVE | Function.SECURITY,
    FROM_SLAVE | Function.READ,
    FROM_SLAVE | Function.READ_MORE,
    FROM_SLAVE | MORE | Function.READ,
    FROM_SLAVE | MORE | Function.READ_MORE,
)
#: Control codes whose data begins with a DI.
WITH_DI = frozenset({*_REQUESTS_WITH_DI, *_ANSWERS_WITH_DI})

"""Standard data identifiers that only the host uses; `sealchip.interface.Di` has the chip's."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["RECORDS_KEPT", "StandardDi"]

#: A meter keeps this many records of each kind; the n-th newest is n identifiers after the count.
RECORDS_KEPT = 10


class StandardDi(IntEnum):
    """Identifiers of DL/T 645-2007 as several open implementations agree on them."""

    POWER_CUT_COUNT = 0x03110000
    METER_COVER_COUNT = 0x03300D00
    TERMINAL_COVER_COUNT = 0x03300E00
    DATE = 0x04000101
    TIME = 0x04000102
    CLOCK = 0x0400010C
    METER_NUMBER = 0x04000402
    ACTIVE_REPORT_MODE = 0x04001104
    ACTIVE_REPORT = 0x04001501
    ACTIVE_REPORT_RESET = 0x04001503

"""Decode a dump of an RS485 bus: every frame, and every byte that belongs to none.

The decoder does no I/O: it takes bytes and the time of their arrival, and returns what they complete. Every
byte that goes in comes out again, in a frame or as `Discarded` with the reason.

Run it with `python docs/examples/decode_dump.py`. It prints:

    discarded  noise: 00 C3
    request    read data 00010000 of 440100000001
    answer     read data 00010000 of 440100000001
    discarded  checksum: 68 01 00 00 00 01 44 68 11 04 33 33 34 33 00 16
    report     seal 810400000001, event 3: opened, loop open
    answer     write data of 440100000001
"""

from meterseal.domain.record import SealRecord
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.decoder import Decoder, Discarded
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write
from sealchip.interface import Di

DUMP = bytes.fromhex("""
    00 C3
    FE FE FE FE 68 01 00 00 00 01 44 68 11 04 33 33 34 33 F8 16
    FE FE FE FE 68 01 00 00 00 01 44 68 91 08 33 33 34 33 78 56 34 33 B1 16
    68 01 00 00 00 01 44 68 11 04 33 33 34 33 00 16
    FE FE FE FE 68 01 00 00 00 01 44 68 14 32 B3 86 B3 37 33 33 33 33 33 33 33 33 34 33 34 33 33 33 37 B4
    34 33 33 33 36 33 33 33 35 34 33 33 33 33 34 33 33 33 33 33 33 33 33 33 33 33 33 33 33 33 38 16
    FE FE FE FE 68 01 00 00 00 01 44 68 94 00 AA 16
""")
NAMES = {Function.READ: "read data", Function.WRITE: "write data"}


def describe(frame: Frame) -> str:
    """Say in one line what a frame is for."""
    if frame.control == Function.WRITE and frame.di == Di.REPORT:
        record = SealRecord.decode(Write.parse(frame).data)
        kind, state = record.kind.name.lower(), record.state.name.lower()
        return f"report     seal {record.seal}, event {record.counter}: {kind}, loop {state}"
    direction = "answer " if frame.from_slave else "request"
    item = "" if frame.di is None else f" {frame.di:08X}"
    return f"{direction}    {NAMES[Function(frame.function)]}{item} of {frame.address}"


decoder = Decoder()
for found in [*decoder.feed(DUMP, now=0.0), *decoder.flush()]:
    if isinstance(found, Discarded):
        print(f"discarded  {found.reason}: {found.raw.hex(' ').upper()}")
    else:
        print(describe(found.frame))

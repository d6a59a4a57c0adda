"""Poll a meter: read some items over any serial port, with retries.

`Master` is the protocol without I/O. It decides what to transmit and how long to wait; this program moves
bytes between it and the port, which asyncio or threads could do as well.

Start a simulated meter, then the example:

    meterseal meter run --meter 201 --port listen://127.0.0.1:7011 --store build/meter.db
    python docs/examples/poll_meter.py socket://127.0.0.1:7011 201

It prints, for example:

    00010000 forward active energy, total: … kWh
    04000101 date and weekday: …
    04000409: the meter refuses: NO_DATA
"""

import sys
from time import monotonic

import serial

from meterseal.protocols.dlt645.items import find
from meterseal.protocols.dlt645.master import Answered, Event, Master, Refused, Send, TimedOut
from meterseal.protocols.dlt645.requests import read

#: The last one is a pulse constant, which the simulated meter does not have.
ITEMS = (0x00010000, 0x04000101, 0x04000409)


def ask(port: serial.SerialBase, master: Master, address: str, di: int) -> Answered | Refused | TimedOut:
    """Carry out one exchange."""
    port.write(master.start(read(address, di), monotonic()))
    while True:
        data = port.read(256)
        events: list[Event] = master.receive(data, monotonic()) if data else master.tick(monotonic())
        for event in events:
            if isinstance(event, Send):
                port.write(event.raw)  # the request again, or one for a follow-up frame
            elif isinstance(event, Answered | Refused | TimedOut):
                return event


url, address = sys.argv[1:]
with serial.serial_for_url(url, baudrate=2400, parity=serial.PARITY_EVEN, timeout=0.02) as port:
    master = Master(baud=2400)
    for di in ITEMS:
        match ask(port, master, address, di):
            case Answered(content=content):
                item = find(di)
                print(f"{di:08X} {item.en}: {', '.join(line.en for line in item.explain(content))}")
            case Refused(err=err):
                print(f"{di:08X}: the meter refuses: {err.name}")
            case TimedOut():
                print(f"{di:08X}: no answer")

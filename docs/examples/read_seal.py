"""Read a seal: ask it for its asset number and its newest record, then for its whole log.

The functions are those of the installer's tool. They transmit only when the bus is quiet, so they can be used
on a bus in service, and they take any pyserial URL: `/dev/ttyUSB0`, `rfc2217://HOST:PORT`, or the TCP port of
the simulated bus used here.

Start a simulated seal, then the example:

    meterseal chip run --seals 1 --tcp 127.0.0.1:7012
    python docs/examples/read_seal.py socket://127.0.0.1:7012 101

It prints:

    seal 000000000101, asset number SEAL-000101
    newest: event 1, boot, loop open
    log of 1 event:
      1 boot open
"""

import asyncio
import sys

from meterseal.tools.installer.reader import read_log, read_seal


async def main(url: str, address: str) -> None:
    """Print what the seal at `address` answers."""
    seal = await read_seal(url, address, baud=2400)
    print(f"seal {seal.address}, asset number {seal.asset}")
    newest = seal.record
    print(f"newest: event {newest.counter}, {newest.kind.name.lower()}, loop {newest.state.name.lower()}")
    log = await read_log(url, address, baud=2400)
    print(f"log of {len(log)} event{'s' if len(log) > 1 else ''}:")
    for record in log:
        print(f"  {record.counter} {record.kind.name.lower()} {record.state.name.lower()}")


asyncio.run(main(*sys.argv[1:]))

"""The whole chip signs its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from meterseal.domain.image import NO_KEY, image
from meterseal.domain.record import Algorithm, Flags, SealRecord
from meterseal.domain.signing import verify
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.frame import Frame
from sealchip.interface import Di
from verif.benches.chip import FIRST_REPORT, Bench, identity, seal_address, seal_key


def test_unsigned_without_a_key(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(image(replace(identity(), key=NO_KEY)))
    bench.power()
    bench.run(FIRST_REPORT + 0.1)
    (report,) = bench.heard
    record = SealRecord.decode(report.frame.data[12:])
    assert (record.algorithm, record.mac) == (Algorithm.UNSIGNED, bytes(8))


def test_challenge(settled: Bench) -> None:
    """Answers after a challenge echo it and are signed over it; reports are not."""
    seal, challenge = seal_address(1), bytes.fromhex("C4A11E4E")
    for number in (challenge, bytes.fromhex("01020304")):
        (taken,) = settled.ask(requests.write(seal, Di.CHALLENGE, number))
        assert taken.frame == Frame(seal, 0x94)
        # The challenge stays in force, since the first answer may have been lost.
        for di in (Di.RECORD_NEWEST, Di.RECORD_HISTORY, Di.RECORD_NEWEST):
            (heard,) = settled.ask(requests.read(seal, di))
            record = SealRecord.decode(heard.frame.content)
            assert verify(seal_key(1), heard.frame.content)
            assert (record.challenge, Flags.CHALLENGED in record.flags) == (number, True)
    settled.heard.clear()
    settled.bus.position(0, closed=False)
    settled.run(1.0)
    (report,) = settled.reports()
    assert (report.challenge, report.flags) == (bytes(4), Flags(0))
    settled.power(on=False)
    settled.power()
    settled.run(3.0)
    (heard,) = settled.ask(requests.read(seal, Di.RECORD_NEWEST))
    assert SealRecord.decode(heard.frame.content).challenge == bytes(4)

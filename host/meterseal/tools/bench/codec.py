"""How fast the DL/T 645-2007 codec is, beside the PyPI package `dlt645`, in the same run.

One *pair* of operations builds an answer frame with four FE and decodes it as part of a stream, with checksum
and end byte checked, to address, control code, DI and data. Each side gets the values in its own form (ours
the printed address, the peer the address bytes), and the results of both are checked before anything is
timed. Rounds of the two alternate, so that a busy machine slows both; the medians are compared.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from itertools import repeat

from meterseal.errors import Failure
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame

__all__ = ["REQUIRED_RATIO", "run"]

#: Ratio that the project requires.
REQUIRED_RATIO = 1.5

_ROUNDS = 10
_ADDRESS = "000000000731"
_ADDRESS_BYTES = bytes.fromhex(_ADDRESS)[::-1]
_CONTROL = 0x91
_DI = 0x03300E00
_DATA = bytes.fromhex("000E3003120000")

Pair = Callable[[], tuple[object, int, int, bytes]]


def _ours() -> Pair:
    decoder = Decoder()

    def pair() -> tuple[object, int, int, bytes]:
        raw = Frame(_ADDRESS, _CONTROL, _DATA).encode()
        (received,) = decoder.feed(raw, 0.0)
        assert isinstance(received, Received)
        frame = received.frame
        di = frame.di
        assert di is not None
        return frame.address, frame.control, di, frame.content

    return pair


def _peer() -> Pair:
    try:
        protocol = importlib.import_module("dlt645.protocol.protocol").DLT645Protocol
    except ImportError:
        raise Failure(
            "the peer is missing: install the PyPI package dlt645 (pip install 'meterseal[dev]')"
        ) from None

    def pair() -> tuple[object, int, int, bytes]:
        raw = protocol.build_frame(_ADDRESS_BYTES, _CONTROL, _DATA)
        frame = protocol.deserialize(raw)
        data = bytes(frame.data)
        return bytes(frame.addr), frame.ctrl_code, int.from_bytes(data[:4], "little"), data[4:]

    return pair


def _check(name: str, pair: Pair, address: object) -> None:
    expected = (address, _CONTROL, _DI, _DATA[4:])
    if pair() != expected:
        raise Failure(f"{name} decodes {pair()}, expected {expected}: the figures would mean nothing")


def _rate(pair: Pair, seconds: float) -> float:
    """Return pairs per second, measured for at least `seconds`."""
    done, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for _ in repeat(None, 500):
            pair()
        done += 500
    return done / elapsed


def run(seconds: float) -> dict[str, float | str]:
    """Return medians of pairs per second and their ratio; `seconds` is the time for everything.

    `Failure` when the peer is not installed. Test: `test_bench_codec.py`.
    """
    ours, peer = _ours(), _peer()
    _check("the codec", ours, _ADDRESS)
    _check("dlt645", peer, _ADDRESS_BYTES)
    share = seconds / (2 * _ROUNDS)
    rates = [(_rate(ours, share), _rate(peer, share)) for _ in range(_ROUNDS)]
    return {
        "pair": f"build and decode {len(Frame(_ADDRESS, _CONTROL, _DATA).encode())} bytes",
        "this_codec_pairs_per_second": round(statistics.median(rate for rate, _ in rates)),
        "dlt645_pairs_per_second": round(statistics.median(rate for _, rate in rates)),
        "ratio": round(statistics.median(mine / theirs for mine, theirs in rates), 2),
        "required_ratio": REQUIRED_RATIO,
    }

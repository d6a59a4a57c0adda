"""A record's MAC is the first 8 bytes of SM4-CMAC (GB/T 32907, NIST SP 800-38B) over all bytes before it.

`docs/protocol.md` lists what it covers. The chip's own implementation is in
`rtl/sealchip/core/firmware/cmac.py`.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from meterseal.domain.layout import LayoutError
from meterseal.domain.record import Algorithm, SealRecord
from meterseal.octets.hexadecimal import hex_bytes
from sealchip.interface import RECORD

__all__ = ["KEY_BYTES", "sign", "verify"]

KEY_BYTES = 16


def sign(key: bytes, record: SealRecord) -> SealRecord:
    """Return `record` as a seal with this key sends it."""
    signed = replace(record, algorithm=Algorithm.SM4_CMAC)
    return replace(signed, mac=_mac(key, signed.encode()))


def verify(key: bytes, raw: bytes) -> bool:
    """Return whether the 38 bytes are a record that a seal with this key has signed.

    It is False for any other algorithm. The whole MAC is compared in constant time. Raises `LayoutError` for
    bytes of another length. Tests: `verif/host/domain/test_signing.py`.
    """
    if len(raw) != RECORD.size:
        raise LayoutError(f"{hex_bytes(raw)}: {len(raw)} bytes, expected {RECORD.size}")
    claims_signed = raw[RECORD.slice("algorithm")] == bytes([Algorithm.SM4_CMAC])
    return hmac.compare_digest(_mac(key, raw), raw[RECORD.slice("mac")]) and claims_signed


def _mac(key: bytes, raw: bytes) -> bytes:
    cmac = CMAC(algorithms.SM4(key))
    cmac.update(raw[: RECORD.offsets["mac"]])
    return cmac.finalize()[: RECORD["mac"].width]

"""A key file holds one SM4 key: a seal's own, or the master key of the key store."""

from __future__ import annotations

from pathlib import Path

from meterseal.errors import Failure

__all__ = ["read_key"]


def read_key(path: Path) -> bytes:
    """Read the SM4 key in a file: 16 raw bytes, or 32 hexadecimal digits; `Failure` for anything else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"key file {path}: {error.strerror}") from None
    if len(content) == 16:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 16:
        raise Failure(
            f"key file {path}: expected 16 bytes or 32 hexadecimal digits, found {len(content)} bytes"
        )
    return key

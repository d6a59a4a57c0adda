"""CRC-16/IBM-3740 (polynomial 1021h, start FFFFh) over bytes: of the identity and of the event log."""

from amaranth.lib.crc.catalog import CRC16_IBM_3740

__all__ = ["crc16"]


def crc16():
    """A processor for `amaranth.lib.crc`, byte by byte, that a user must name as its submodule."""
    return CRC16_IBM_3740(data_width=8).create()

"""What a designer would use instead, built with the same tools: sizes to compare with the chip's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sealboards.synthesis import synthesis
from sealboards.tools import BuildError, run

__all__ = ["PEERS", "Peer", "Size", "pack", "size"]


@dataclass(frozen=True)
class Peer:
    """A public core: the package that has its Verilog, its files, and its top module."""

    name: str
    title: str
    package: str
    sources: tuple[str, ...]
    top: str


@dataclass(frozen=True)
class Size:
    """The resources that a core takes of an iCE40UP5K, packed but not placed."""

    logic_cells: int
    block_rams: int


_SERV = (
    *("serv_aligner", "serv_alu", "serv_bufreg", "serv_bufreg2", "serv_compdec", "serv_csr", "serv_ctrl"),
    *("serv_decode", "serv_immdec", "serv_mem_if", "serv_rf_if", "serv_rf_ram", "serv_rf_ram_if"),
    *("serv_rf_top", "serv_state", "serv_top"),
)

PEERS = (
    Peer(
        "serv",
        "SERV RISC-V core with its registers; no firmware, no memory, no UART",
        "pythondata_cpu_serv",
        tuple(f"verilog/rtl/{name}.v" for name in _SERV),
        "serv_rf_top",
    ),
    Peer(
        "simpleuart",
        "PicoSoC's UART; 8N1, no parity, no driver enable, no collision detection",
        "pythondata_cpu_picorv32",
        ("verilog/picosoc/simpleuart.v",),
        "simpleuart",
    ),
)


def size(peer: Peer, folder: Path) -> Size:
    """Synthesise and pack `peer` in `folder` with the options of a board's build.

    Raises `BuildError` when its package is missing or a tool fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        package = files(peer.package)
    except ModuleNotFoundError:
        raise BuildError(f"{peer.name}: install the Python package {peer.package}") from None
    for source in peer.sources:
        (folder / Path(source).name).write_bytes(package.joinpath(source).read_bytes())
    names = " ".join(Path(source).name for source in peer.sources)
    return pack(f"read_verilog {names}", peer.top, folder)


def pack(read: str, name: str, folder: Path) -> Size:
    """Synthesise module `name`, which yosys' command `read` reads in `folder`, and count its packed cells."""
    script = f"{read}; {synthesis(name)}; write_json {name}.json"
    nextpnr = ["--up5k", "--package", "sg48", "--json", f"{name}.json", "--pack-only"]
    run("YOSYS", ["-q", "-p", script], folder, folder.name)
    printed = run("NEXTPNR_ICE40", nextpnr, folder, folder.name).stderr
    return Size(_used(printed, "ICESTORM_LC"), _used(printed, "ICESTORM_RAM"))


def _used(printed: str, cell: str) -> int:
    found = re.search(rf"{cell}:\s*(\d+)/", printed)
    if found is None:
        raise BuildError(f"nextpnr did not report how many {cell} it uses")
    return int(found.group(1))

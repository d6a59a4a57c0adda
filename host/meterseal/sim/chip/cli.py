"""The commands `meterseal chip …` run simulated chips and export their Verilog."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meterseal.sim.chip import build
from meterseal.sim.chip.options import Options
from sealchip.interface import DEFAULT_BAUD

__all__ = ["app"]

app = typer.Typer(help="The seal chip: as Verilog, and simulated.", no_args_is_help=True)


class FrontEnd(StrEnum):
    """How the chip senses the loop."""

    COMPARATOR = build.COMPARATOR
    SIGMA_DELTA = build.SIGMA_DELTA


class Pace(StrEnum):
    """How simulated time passes."""

    REAL = "real"
    MAX = "max"


_PACE = Pace.REAL if Options.real_time else Pace.MAX
_FRONT_END = FrontEnd(Options.front_end)


@app.command()
def verilog(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    clock_hz: Annotated[int, typer.Option(min=1, help="Frequency of the chip's clock.")] = 12_000_000,
    baud: Annotated[int, typer.Option(min=1, help="Rate until the identity has been read.")] = DEFAULT_BAUD,
    front_end: Annotated[FrontEnd, typer.Option(help="How the loop is sensed.")] = FrontEnd.COMPARATOR,
    gsm: Annotated[bool, typer.Option("--gsm/--no-gsm", help="With the sequencer for a GSM module.")] = True,
) -> None:
    """Export the chip: module `seal_chip`."""
    from meterseal.errors import Failure

    text = build.export(clock_hz=clock_hz, baud=baud, front_end=front_end.value, gsm=gsm)
    try:
        output.write_text(text)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from None


@app.command()
def run(
    seals: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of chips; without, one for each --flash, or a single one."),
    ] = None,
    pty: Annotated[Path | None, typer.Option(help="Link to make to the bus's serial port.")] = None,
    tcp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Each connection is a host end of its own.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Port for commands, JSON lines: open, close, …")
    ] = None,
    flash: Annotated[
        list[Path] | None,
        typer.Option(help="Flash image of a seal; once for each. Without: temporary ones."),
    ] = None,
    baud: Annotated[int | None, typer.Option(help="Rate of the bus; without, that of the images.")] = None,
    pace: Annotated[Pace, typer.Option(help="In step with real time, or as fast as possible.")] = _PACE,
    clock_hz: Annotated[int, typer.Option(min=1, help="Frequency of the chips' clock.")] = Options.clock_hz,
    front_end: Annotated[FrontEnd, typer.Option(help="How the loop is sensed.")] = _FRONT_END,
    pattern: Annotated[
        bool | None,
        typer.Option("--pattern/--no-pattern", help="Drive the loop with a pattern."),
    ] = None,
    gsm: Annotated[
        list[str] | None,
        typer.Option(help="Modem of a seal, PTY or HOST:PORT; once for each. Without: chips without GSM."),
    ] = None,
    netlist: Annotated[
        Path | None, typer.Option(help="Gates of the chip after synth_ice40, instead of its source.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="File to append the trace to, without the bytes on the wire.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Trace as JSON lines.")] = False,
) -> None:
    """Simulate chips on one RS485 bus, until interrupted."""
    import asyncio

    from meterseal.io.running import until_signal
    from meterseal.sim.chip.process import run as simulate

    options = Options(
        seals=seals,
        flashes=tuple(flash or ()),
        pty=pty,
        tcp=tcp,
        control=control,
        baud=baud,
        clock_hz=clock_hz,
        real_time=pace is Pace.REAL,
        log=log,
        front_end=front_end.value,
        pattern=pattern,
        gsm=tuple(gsm or ()),
        netlist=netlist,
    )
    asyncio.run(until_signal(simulate(options, as_json=as_json)))

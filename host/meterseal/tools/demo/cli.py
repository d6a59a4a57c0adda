"""The command `meterseal demo` runs the whole chain and reports what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterseal.sim.chip.cli import FrontEnd
from meterseal.tools.demo.settings import SEALS_MAX, Settings

__all__ = ["demo"]

_FRONT_END = FrontEnd(Settings.front_end)


def demo(
    seals: Annotated[
        int, typer.Option("--seals", min=1, max=SEALS_MAX, help="Seals on the one RS485 bus.")
    ] = Settings.seals,
    baud: Annotated[int, typer.Option("--baud", help="Speed of the bus.")] = Settings.baud,
    linger: Annotated[
        float,
        typer.Option("--for", min=0, metavar="SECONDS", help="Keep running for SECONDS after the scenario."),
    ] = Settings.linger,
    headless: Annotated[
        bool, typer.Option("--headless", help="Plain lines; the default without a terminal.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Nothing but one JSON document at the end.")
    ] = False,
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="standard; bounce: contacts that bounce; jumper, foreign, replayed, forged, power-cut: an "
            "attack; attacks: the standard one with all of them.",
        ),
    ] = Settings.scenario,
    front_end: Annotated[
        FrontEnd, typer.Option("--front-end", help="How the chips sense their loops.")
    ] = _FRONT_END,
    netlist: Annotated[
        Path | None,
        typer.Option("--netlist", help="Gates of the chip after synth_ice40, instead of its source."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--keep", metavar="FOLDER", help="Keep stores and flash images there.")
    ] = None,
) -> None:
    """Run the whole chain: six processes, a seal opened, attacked and closed, and what each of them saw."""
    import asyncio
    import json

    from rich.console import Console

    from meterseal.errors import Failure
    from meterseal.tools.demo.display import Display, LiveDisplay, PlainDisplay, Silent
    from meterseal.tools.demo.report import summary
    from meterseal.tools.demo.run import play
    from meterseal.tools.demo.scenario import SCENARIOS
    from sealchip.interface import BAUD_FEATURE

    if scenario not in SCENARIOS:
        raise Failure(f"scenario {scenario!r}: there are {', '.join(SCENARIOS)}")
    if baud not in BAUD_FEATURE.values():
        raise Failure(f"{baud} baud: DL/T 645 has {', '.join(map(str, BAUD_FEATURE.values()))}")
    if netlist is not None and not netlist.is_file():
        raise Failure(f"netlist {netlist}: there is no such file")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise Failure(f"{folder} is not empty: a demo starts with new seals and empty stores")
    console = Console()
    display: Display = Silent() if as_json else PlainDisplay()
    if console.is_terminal and not headless and not as_json:
        display = LiveDisplay(console)
    with display:
        settings = Settings(seals, baud, scenario, linger, front_end.value, netlist, folder)
        report = asyncio.run(play(display, settings))
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print(summary(report))
        print("\nEverything arrived everywhere.")

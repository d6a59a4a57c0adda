"""The command `meterseal`: every group of commands comes from the package that it drives."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from meterseal.errors import Failure
from meterseal.sim.chip.cli import app as chip
from meterseal.sim.customer.cli import app as customer
from meterseal.sim.meter.cli import app as meter
from meterseal.systems.marketing.cli import app as marketing
from meterseal.systems.metering.cli import app as metering
from meterseal.systems.terminal.cli import app as terminal
from meterseal.tools.bench.cli import bench
from meterseal.tools.board.cli import app as board
from meterseal.tools.demo.cli import demo
from meterseal.tools.doctor import doctor
from meterseal.tools.frame.cli import app as frame
from meterseal.tools.installer.cli import app as seal

__all__ = ["main"]

app = typer.Typer(
    help="Smart seals for electricity meters: the chip, and the chain that carries its alarms.",
    # Every command inherits the names of its help option from here.
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (demo, doctor, bench):
    app.command()(command)
for name, group in {
    "chip": chip,
    "seal": seal,
    "frame": frame,
    "meter": meter,
    "terminal": terminal,
    "metering": metering,
    "marketing": marketing,
    "customer": customer,
    "board": board,
}.items():
    app.add_typer(group, name=name)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"meterseal {version('meterseal')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a `Failure` is one sentence on stderr and exit code 1."""
    try:
        app()
    except Failure as failure:
        print(f"meterseal: {failure}", file=sys.stderr)
        sys.exit(1)

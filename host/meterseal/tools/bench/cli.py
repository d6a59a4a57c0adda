"""The command `meterseal bench` measures every published figure."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["bench"]


def bench(
    name: Annotated[
        str | None, typer.Argument(help="chip, pair (the bus) or codec; all of them without a name.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="Time for each.")] = 4.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Measure every published figure beside its peers, in one run."""
    import json

    from meterseal.errors import Failure
    from meterseal.tools.bench import bus, chip, codec

    benches = {"chip": chip.run, "pair": bus.run, "codec": codec.run}
    if name is not None and name not in benches:
        raise Failure(f"benchmark {name!r}: there are {', '.join(benches)}")
    results = {one: run(seconds) for one, run in benches.items() if name in (None, one)}
    if as_json:
        print(json.dumps(results))
        return
    for one, figures in results.items():
        print(one)
        for figure, value in figures.items():
            print(
                f"  {figure.replace('_', ' '):<34} {value:,}"
                if not isinstance(value, str)
                else f"  {figure:<34} {value}"
            )

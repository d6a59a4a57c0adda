"""One demo from its start to its report."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import CLOCK_HZ
from meterseal.tools.demo.chain import Chain
from meterseal.tools.demo.control import command
from meterseal.tools.demo.display import Display
from meterseal.tools.demo.plan import LINKS, Plan, make_plan
from meterseal.tools.demo.report import document
from meterseal.tools.demo.scenario import SCENARIOS, Stage
from meterseal.tools.demo.settings import Settings

__all__ = ["lamps", "play"]

_LOOK_EVERY = 0.25


async def play(display: Display, settings: Settings) -> dict[str, Any]:
    """Run the chain through the scenario and return the report; `Failure` names the link that failed.

    The first seal has a modem of its own, unless a netlist is simulated: not every board has a GSM port.
    """
    with ExitStack() as files:
        folder = settings.folder
        if folder is None:
            folder = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="meterseal-")))
        folder.mkdir(parents=True, exist_ok=True)
        gsm = settings.netlist is None
        front_end, netlist = settings.front_end, settings.netlist
        plan = make_plan(
            folder, seals=settings.seals, baud=settings.baud, front_end=front_end, netlist=netlist, gsm=gsm
        )
        chip_library(clock_hz=CLOCK_HZ, front_end=front_end, netlist=netlist, gsm=gsm, say=display.say)
        for link in LINKS:
            display.say(plan.shown(link))
        async with Chain(plan, display.line) as chain:
            await chain.start()
            display.say(f"all six links are up; scenario {settings.scenario}")
            looking = asyncio.create_task(_look(chain, display))
            try:
                stage = Stage.of(chain, display.say)
                async with stage.forger:
                    await SCENARIOS[settings.scenario](stage)
                if settings.linger:
                    control = f"{plan.control[0]}:{plan.control[1]}"
                    display.say(
                        f"running for {settings.linger:g} s more: control port {control}, "
                        f"pages {plan.marketing_url}, API {plan.metering_url}/api/events"
                    )
                    await asyncio.sleep(settings.linger)
                seen = chain.observe()
                display.update(seen)
                return document(seen, await lamps(plan), stage.attacks)
            finally:
                looking.cancel()


async def lamps(plan: Plan) -> dict[str, dict[str, bool]]:
    """Return the green and red lamp of each seal, as the simulated chip shows them."""
    state = await command(plan.control, do="state")
    return {seal["seal"]: {"green": seal["green"], "red": seal["red"]} for seal in state["seals"]}


async def _look(chain: Chain, display: Display) -> None:
    while True:
        display.update(chain.observe())
        await asyncio.sleep(_LOOK_EVERY)

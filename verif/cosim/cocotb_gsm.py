"""Messages reach the phone through an unreliable modem; `test_agents.py` runs this inside the simulator."""

from __future__ import annotations

from dataclasses import replace

import cocotb
from cocotb.triggers import Timer

from verif.agents.gsm_modem import Manner
from verif.agents.loop import PULLED, SEALED
from verif.benches.seal import FIRST_REPORT, IDENTITY, Bench
from verif.models.gsm_module import Module

PHONE = "+8613800138000"
WHOSE = replace(IDENTITY, phone=PHONE)
TEXT = f"【封印】{IDENTITY.seal} 约00分钟前 "


async def messages(bench: Bench, number: int, seconds: float) -> list[tuple[str, str]]:
    """Return the messages that the phone shows once there are `number` of them."""
    for _ in range(round(seconds * 10)):
        if len(bench.modem.module.messages) >= number:
            break
        await Timer(100, "ms")
    return [(each.number, each.text) for each in bench.modem.module.messages]


@cocotb.test()
async def an_opening_reaches_the_phone(dut):
    """A message gets through echo, unsolicited lines and garbage; a boot with the loop sealed sends none."""
    module = Module(manners=[Manner.CHATTER, Manner.GARBAGE, Manner.CHATTER], echoes_always=True)
    bench = Bench(dut, identity=WHOSE, module=module)
    await bench.power_up()
    await bench.reports(1, FIRST_REPORT)
    assert await messages(bench, 1, 0.2) == []
    bench.loop.become(PULLED)
    assert await messages(bench, 1, 4) == [(PHONE, TEXT + "开启")]
    bench.check()


@cocotb.test()
async def errors_silence_and_a_brown_out(dut):
    """Each of these ends an attempt; the whole script is played again, and the message arrives once."""
    manners = [Manner.WELL, Manner.ERROR, Manner.WELL, Manner.WELL, Manner.SILENT]
    bench = Bench(dut, identity=WHOSE, module=Module(manners=manners), loop=PULLED)
    await bench.power_up()
    await bench.reports(1, FIRST_REPORT)
    await Timer(4, "sec")
    await bench.modem.brown_out(300)
    what = "上电时未闭合,此前未监测"
    assert await messages(bench, 1, 40) == [(PHONE, TEXT + what)]
    bench.loop.become(SEALED)
    assert (await messages(bench, 2, 6))[1:] == [(PHONE, TEXT + "闭合")]
    assert bench.modem.faults == []

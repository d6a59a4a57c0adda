"""Reporter and slave at the one log, cycle by cycle, against a model."""

from __future__ import annotations

from chip.support import Bench, examples
from hypothesis import given
from hypothesis import strategies as st

from sealchip.event_log import LogCommand
from sealchip.log_turns import LogTurns

BENCH = Bench(LogTurns)
STROBES = (
    *("reporter_start", "slave_start", "slave_challenged"),
    *("log_done", "log_found", "signer_busy", "signer_done"),
)
CYCLES = st.lists(
    st.tuples(st.sampled_from(LogCommand), st.sets(st.sampled_from(STROBES))), min_size=8, max_size=40
)


def told(owner: str, command: LogCommand, high: set[str]) -> dict[str, object]:
    """What log, signer and both users must see while it is `owner`'s turn."""
    fetched = {"log_done", "log_found"} <= high
    over = "signer_done" in high or ("log_done" in high and "log_found" not in high)
    return {
        "log_start": f"{owner}_start" in high and "signer_busy" not in high,
        "log_command": command if owner == "reporter" else LogCommand.FETCH_NTH,
        "signer_start": fetched,
        "challenged": owner == "slave" and "slave_challenged" in high,
        "reporter_done": over and owner == "reporter",
        "slave_done": over and owner == "slave",
    }


@given(CYCLES)
@examples(60)
def test_who_has_begun_goes_on_to_the_end(cycles):
    async def testbench(ctx):
        owner = "reporter"
        for command, high in cycles:
            ctx.set(dut.reporter_command, command)
            for name in STROBES:
                ctx.set(getattr(dut, name), name in high)
            expected = told(owner, command, high)
            assert {name: ctx.get(getattr(dut, name)) for name in expected} == expected
            await ctx.tick()
            if "slave_start" not in high:
                owner = "reporter"
            elif "reporter_start" not in high:
                owner = "slave"

    dut = BENCH.dut
    BENCH.run(testbench)

"""Tests of the event queue against a list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealchip.sense.event_queue import QUEUE_DEPTH, EventQueue
from verif.benches.block import Bench, examples

BENCH = Bench(EventQueue, 6)
#: A phase mostly does one thing for long, so that the queue gets full and empty; others do both at once.
PHASES = (3 * QUEUE_DEPTH, 1, 0), (QUEUE_DEPTH, 1, 1), (3 * QUEUE_DEPTH, 0, 1), (2 * QUEUE_DEPTH, 1, 1)


@examples(3)
@given(random=st.randoms(use_true_random=False))
def test_queue_like_a_list(random):
    """Events come out in order, each once; 32 events fill the queue, and `empty` is right in each cycle."""
    dut = BENCH.dut

    async def testbench(ctx):
        inside, waited = [], 0
        for cycles, offers, takes in PHASES:
            for _ in range(cycles):
                event = random.getrandbits(6)
                ctx.set(dut.i.payload, event)
                ctx.set(dut.i.valid, offers and random.random() < 0.9)
                ctx.set(dut.o.ready, takes and random.random() < 0.8)
                assert ctx.get(dut.empty) == (not inside)
                assert ctx.get(dut.i.ready) == (len(inside) < QUEUE_DEPTH)
                enters = ctx.get(dut.i.valid & dut.i.ready)
                if ctx.get(dut.o.valid):
                    waited = 0
                    assert ctx.get(dut.o.payload) == inside[0]
                    if ctx.get(dut.o.ready):
                        inside.pop(0)
                else:
                    # Nothing is read while something is written.
                    waited += bool(inside) and not enters
                    assert waited < 3
                if enters:
                    inside.append(event)
                await ctx.tick()

    BENCH.run(testbench)

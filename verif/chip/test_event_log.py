"""The event log: nothing lost, nothing twice, nothing backwards, wherever the power fails."""

from __future__ import annotations

import pytest
from chip.log_bench import SMALL, Builder, Entry, Event, Model, Ring, counters, with_log
from chip.support import crc16, examples
from hypothesis import given
from hypothesis import strategies as st

from sealchip.event_log import SECTOR_SLOTS
from sealchip.interface import ENTRY, FLASH_LOG_BASE, Kind, StateClass
from sealchip.spi_flash import FlashOp

#: Writes of one append, without an erase.
APPEND_WRITES = ENTRY.offsets["acked"]

# -- Restoring


async def check_restored(log, builder):
    """Everything unacknowledged comes, in order; history and counters go on."""
    wanted = [entry.counter for entry in builder.readable() if not entry.acked]
    newest = counters(builder.readable())[::-1]
    boot = max((entry.boot for entry in builder.readable()), default=0) + 1
    baseline_mv = builder.readable()[-1].baseline_mv if newest else 0xFFFF
    assert log.ctx.get(log.log.baseline_mv) == baseline_mv
    assert log.ctx.get(log.log.pending) == bool(wanted)
    for n in range(min(len(newest), 3)):
        assert (await log.nth(n)).counter == newest[n]
    if len(newest) < 16:
        assert await log.nth(len(newest)) is None
    assert await log.unacknowledged() == wanted
    await log.append(Event())
    await log.idle()
    if newest:
        assert (await log.nth(1)).boot < boot
        assert not log.ctx.get(log.log.this_boot)
    assert (await log.nth(0)).counter == builder.counter + 1
    entry = await log.oldest()
    assert (entry.counter, entry.boot) == (builder.counter + 1, boot)
    assert log.ctx.get(log.log.this_boot)
    await log.acknowledge()


@examples(14)
@given(
    steps=st.lists(st.none() | st.integers(1, ENTRY.offsets["crc"]), max_size=14),
    acked=st.integers(0, 14),
    erase=st.sampled_from([None, 0, 0x0F, 0x55, 0xFE]),
)
def test_restore(steps, acked, erase):
    """From flash that is empty, partly full or wrapped, with torn slots, or with an erase cut short."""
    builder = Builder()
    for torn in steps:
        if torn:
            builder.torn(torn)
        else:
            builder.entry()
    builder.acknowledge(acked)
    if erase is not None and builder.at_sector():
        builder.erase(erase)

    async def story(log):
        await log.power_up()
        await check_restored(log, builder)

    with_log(builder.ring, story)


@pytest.mark.parametrize("filling", [0x00, 0xA5, 0xFF], ids=hex)
def test_restore_from_anything(filling):
    """Flash without one valid entry: the log begins anew."""
    builder = Builder()
    builder.ring.content[:] = bytes([filling]) * len(builder.ring.content)

    async def story(log):
        await log.power_up()
        assert log.flash.operations[SMALL * 2 :][1] == (FlashOp.ERASE, FLASH_LOG_BASE, ENTRY.size)
        await check_restored(log, builder)

    with_log(builder.ring, story)


def test_restore_of_the_real_ring():
    """The ring as it is in the chip, wrapped: sector A holds 129 to 190, sector B 65 to 128."""
    builder = Builder(SECTOR_SLOTS)
    for _ in range(190):
        builder.entry()
    builder.acknowledge(100)

    async def story(log):
        await log.power_up()
        assert len(log.flash.operations) < 2 * SECTOR_SLOTS + 100
        for n in (0, 1, 63):
            assert (await log.nth(n)).counter == 190 - n
        oldest = await log.oldest()
        assert (oldest.counter, log.ctx.get(log.log.this_boot)) == (101, 0)
        for number in range(191, 196):
            await log.append(Event())
            await log.idle()
            assert (await log.nth(0)).counter == number
        # 192 filled its sector, so the other one, up to 128, was given up.
        assert (await log.oldest()).counter == 129
        assert counters(log.flash.entries()) == list(range(129, 196))

    with_log(builder.ring, story, sector_slots=SECTOR_SLOTS)


# -- Stories

events = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.integers(0, 0xFFFF),
    excursions=st.integers(0, 0xFF),
    baseline_mv=st.integers(0, 0xFFFF),
)
cuts = st.fixed_dictionaries(
    {"cut": st.integers(0, 60), "torn": st.sampled_from([0, 0x01, 0x0F, 0xA5, 0xFF])}
)
steps = st.one_of(
    st.tuples(st.just("append"), events),
    st.tuples(st.just("burst"), st.integers(2, 9)),
    st.tuples(st.just("oldest")),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("deliver"), st.integers(1, 5)),
    st.tuples(st.just("nth"), st.integers(0, 15)),
    st.tuples(st.just("power_up"), st.just({}) | cuts),
)


def tell(story, builder=None):
    """Run a story, a list of steps, on a model."""
    builder = builder or Builder()

    async def run(log):
        model = Model(log, builder)
        await model.power_up()
        for name, *arguments in story:
            if name == "power_up":
                await model.power_up(**arguments[0])
            else:
                await getattr(model, name)(*arguments)
            model.check()
        await model.end()

    with_log(builder.ring, run)


@examples(12)
@given(story=st.lists(steps, min_size=4, max_size=16))
def test_any_story(story):
    """Events, fetches, acknowledgements and power failures in any order."""
    tell(story)


@pytest.mark.parametrize("torn", [pytest.param(0, marks=pytest.mark.long), 0xB5], ids=hex)
def test_power_fails_in_any_write(torn):
    """In every byte of an event, in the erase behind it and in the acknowledgement, clean or scattered; each
    time on what the failures before have left.
    """
    behind = [APPEND_WRITES] * 4  # an erase is behind every fourth event
    tell([("survive", [{"cut": cut, "torn": torn} for cut in [*range(APPEND_WRITES), *behind]])])


def test_a_slot_of_chance_with_a_right_crc_is_no_entry():
    """What an interrupted erase may leave: as good as an entry, but for the zeros."""
    builder = Builder()
    for _ in range(3):
        builder.entry()
    zeros, crc = ENTRY.slice("zeros"), ENTRY.slice("crc")
    for place in range(zeros.start, zeros.stop):
        chance = bytearray(Entry(boot=0xE6330000, counter=0xA1100000).encode())
        chance[place] = 0x40
        chance[crc] = crc16(chance[: crc.start]).to_bytes(2, "big")
        builder.ring.write(builder.slot, bytes(chance))
        builder.slot += 1

    async def story(log):
        await log.power_up()
        await check_restored(log, builder)

    with_log(builder.ring, story)


def test_overrun_gives_up_the_oldest_sector_only():
    """Three rings of events that nobody acknowledges: the counter shows the gap, the newest all come."""
    tell([("burst", 6 * SMALL)])
    tell(
        [("burst", 6), ("deliver", 2), ("burst", 2 * SMALL), ("oldest",), ("burst", SMALL), ("acknowledge",)]
    )


def test_commands_go_first():
    """A command and an event at the same time: the command does not see the event, which is kept."""
    builder = Builder()

    async def story(log):
        ctx = log.ctx
        await log.power_up()
        ctx.set(log.log.i.payload, Event().payload())
        ctx.set(log.log.i.valid, 1)
        assert await log.oldest() is None
        await log.append(Event())
        assert (await log.oldest()).counter == 1

    with_log(builder.ring, story)


def test_an_event_waits_while_the_entry_is_read():
    """With `wait` none is begun, while commands are served."""

    async def story(log):
        ctx = log.ctx
        await log.power_up()
        ctx.set(log.log.wait, 1)
        ctx.set(log.log.i.valid, 1)
        assert await log.oldest() is None
        for _ in range(10):
            assert not ctx.get(log.log.flash.start)
            await ctx.tick()
        ctx.set(log.log.wait, 0)
        await log.append(Event())
        assert (await log.oldest()).counter == 1

    with_log(Ring(SMALL), story)


def test_a_command_waits_for_the_restore():
    """A command given before `ready` is served with the restored log."""
    builder = Builder()
    for _ in range(3):
        builder.entry()

    async def story(log):
        log.ctx.set(log.log.enable, 1)
        entry = await log.oldest()
        assert log.ctx.get(log.log.ready)
        assert entry.counter == 1

    with_log(builder.ring, story)


def test_nothing_happens_before_enable():
    """The flash belongs to others until then."""

    async def story(log):
        for _ in range(50):
            assert not log.ctx.get(log.log.flash.start | log.log.ready)
            await log.ctx.tick()

    with_log(Ring(SMALL), story)


class Dead(Ring):
    """A flash that reads zero, whatever is done to it."""

    def _change(self, position, value, torn):
        self.content[position] = 0


def test_a_dead_flash_does_not_hold_the_log():
    """Nothing is blank and nothing valid: the walks end after one round, and nothing is found."""
    flash = Dead(SMALL)
    flash.content[:] = bytes(len(flash.content))

    async def story(log):
        await log.power_up()
        assert await log.oldest() is None
        assert await log.nth(0) is None
        assert not log.ctx.get(log.log.pending)

    with_log(flash, story)

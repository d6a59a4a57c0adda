"""The event log of the firmware loses, repeats and reorders nothing, wherever the power fails."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meterseal.domain.image import crc16
from sealchip.core.firmware.layout import StatusOut
from sealchip.core.firmware.log import SECTOR_SLOTS
from sealchip.core.processor import MEMORY_BYTES
from sealchip.interface import ENTRY, FLASH_LOG_BASE, Kind, StateClass
from verif.benches.block import examples
from verif.benches.event_log import (
    BLANK,
    ERASE,
    SMALL,
    Builder,
    Entry,
    Event,
    Log,
    Model,
    Ring,
    counters,
    slot_address,
)

#: One append makes so many writes, without an erase.
APPEND_WRITES = ENTRY.offsets["acked"]

#: Some are about to carry.
numbers = st.sampled_from([1, 0xFC, 0xFFFC, 0xFF_FFFC]) | st.integers(1, 0xFFFF_FF00)
events = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(StateClass),
    loop_mv=st.integers(0, 0xFFFF),
    excursions=st.sampled_from([0, 1, 0x80]) | st.integers(0, 0xFF),
    baseline_mv=st.integers(0, 0xFFFF),
)

# -- Restoring


def check_restored(log, builder):
    """Check that everything unacknowledged comes, in order, and that history and counters go on."""
    wanted = [entry.counter for entry in builder.readable() if not entry.acked]
    newest = counters(builder.readable())[::-1]
    boot = max((entry.boot for entry in builder.readable()), default=0) + 1
    assert log.rig.baseline_mv == (builder.readable()[-1].baseline_mv if newest else 0xFFFF)
    assert log.pending == bool(wanted)
    for n in range(min(len(newest), 3)):
        assert log.nth(n).counter == newest[n]
    if len(newest) < 16:
        assert log.nth(len(newest)) is None
    assert log.unacknowledged() == wanted
    assert not log.pending
    log.append(Event())
    log.idle()
    if newest:
        assert log.nth(1).boot < boot
        assert not log.is_ours
    assert log.nth(0).counter == builder.counter + 1
    entry = log.oldest()
    assert (entry.counter, entry.boot) == (builder.counter + 1, boot)
    assert log.is_ours
    log.acknowledge()


@examples(100)
@given(
    steps=st.lists(st.none() | st.integers(1, ENTRY.offsets["crc"]), max_size=14),
    acked=st.integers(0, 14),
    erase=st.sampled_from([None, 0, 0x0F, 0x55, 0xFE]),
)
def test_restore(steps, acked, erase):
    """The log is restored from flash that is empty, partly full or wrapped, with torn slots, or with an erase
    cut short.
    """
    builder = Builder()
    for torn in steps:
        if torn:
            builder.torn(torn)
        else:
            builder.entry()
    builder.acknowledge(acked)
    if erase is not None and builder.at_sector():
        builder.erase(erase)
    log = Log(builder.ring)
    log.power_up()
    check_restored(log, builder)


@st.composite
def slots(draw):
    """Draw a ring of entries, by slot, the newest one anywhere, some damaged or gone; up to the end of its
    sector none follows it, for that was erased.
    """
    begins, boot, counter = draw(st.integers(0, 2 * SMALL - 1)), draw(numbers), draw(numbers)
    found = {}
    for n in range(2 * SMALL):
        boot += draw(st.integers(0, 1))
        raw = bytearray(Entry(boot, counter + n, baseline_mv=draw(st.integers(0, 0xFFFF))).encode())
        state = draw(st.sampled_from(["damaged", "blank"] + ["valid"] * 2 * (n >= -begins % SMALL)))
        if state == "damaged":
            raw[draw(st.integers(0, ENTRY.size - 2))] ^= 1 << draw(st.integers(0, 7))
        found[(begins + n) % (2 * SMALL)] = BLANK if state == "blank" else bytes(raw)
    return found


@examples(150)
@given(content=slots(), event=events, uptime=st.integers(0, 0xFFFF_FFFF))
def test_the_newest_entry_is_followed(content, event, uptime):
    """Whatever the newest entry's numbers are, the next has each plus one, in the next slot that is blank."""
    ring = Ring()
    for slot, raw in content.items():
        ring.write(slot, raw)
    places = {entry.counter: slot for slot in content if (entry := Entry.decode(ring.slot(slot)))}
    assume(places)
    newest = ring.entries()[-1]
    slot = places[newest.counter] + 1
    while slot % SMALL and content[slot] != BLANK:
        slot += 1
    slot %= ring.slots
    log = Log(ring)
    log.power_up()
    assert log.rig.baseline_mv == newest.baseline_mv
    assert log.writes() == ([] if slot % SMALL else [(ERASE, slot_address(slot), 0)])
    log.append(event, uptime)
    written = Entry.decode(ring.slot(slot))
    assert (written.boot, written.counter) == (newest.boot + 1, newest.counter + 1)
    assert (written.stamp, written.baseline_mv) == (uptime, event.baseline_mv)


@pytest.mark.parametrize("filling", [0x00, 0xA5, 0xFF], ids=hex)
def test_restore_from_anything(filling):
    """On flash without one valid entry the log begins anew."""
    builder = Builder()
    builder.ring.content[:] = bytes([filling]) * len(builder.ring.content)
    log = Log(builder.ring)
    log.power_up()
    assert log.writes() == [(ERASE, FLASH_LOG_BASE, 0)]
    check_restored(log, builder)


@pytest.mark.parametrize("filling", [0x01, 0xA5, 0xFF], ids=hex)
def test_restart_without_configuration(filling):
    """A reset leaves the memory as it was, and none of it is taken for what the flash holds."""
    log = Log(Ring(), memory=bytes([filling]) * MEMORY_BYTES)
    log.power_up()
    assert log.rig.baseline_mv == 0xFFFF
    assert log.oldest() is None
    log.append(Event(kind=Kind.BOOT))
    assert log.oldest() == Entry(1, 1, Kind.BOOT)


def test_restore_of_the_real_ring():
    """A ring of the chip's size is restored, wrapped: sector A holds 129 to 190, sector B 65 to 128."""
    builder = Builder(SECTOR_SLOTS)
    for _ in range(190):
        builder.entry()
    builder.acknowledge(100)
    log = Log(builder.ring)
    log.power_up()
    assert len(builder.ring.commands) < 2 * SECTOR_SLOTS + 100
    for n in (0, 1, 62, 63):
        assert log.nth(n).counter == 190 - n
        assert log.has_older(n)
    assert (log.oldest().counter, log.is_ours) == (101, 0)
    for number in range(191, 196):
        log.append(Event())
        log.idle()
        assert log.nth(0).counter == number
    # 192 filled its sector, so the other one, up to 128, was given up.
    assert log.oldest().counter == 129
    assert counters(builder.ring.entries()) == list(range(129, 196))


# -- Stories

cuts = st.fixed_dictionaries(
    {"cut": st.integers(0, 60), "torn": st.sampled_from([0, 0x01, 0x0F, 0xA5, 0xFF])}
) | st.fixed_dictionaries({"silence": st.integers(0, 1200)})
steps = st.one_of(
    st.tuples(st.just("append"), events),
    st.tuples(st.just("burst"), st.integers(2, 9)),
    st.tuples(st.just("oldest")),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("deliver"), st.integers(1, 5)),
    st.tuples(st.just("nth"), st.integers(0, 15)),
    st.tuples(st.just("power_up"), st.just({}) | cuts),
)


def play(story, builder=None):
    """Run a story, a list of steps, on a model."""
    model = Model(builder or Builder())
    model.power_up()
    for name, *arguments in story:
        if name == "power_up":
            model.power_up(**arguments[0])
        else:
            getattr(model, name)(*arguments)
        model.check()
    model.end()


@examples(100)
@given(story=st.lists(steps, min_size=4, max_size=16))
def test_any_story(story):
    """Events, fetches, acknowledgements and power failures may come in any order."""
    play(story)


@examples(6)
@given(story=st.lists(steps, min_size=4, max_size=8), held=st.integers(60, 68) | st.integers(124, 132))
def test_any_story_on_the_real_ring(story, held):
    """Any story agrees with the model where a sector of the chip's ring ends, too."""
    builder = Builder(SECTOR_SLOTS)
    for _ in range(held):
        builder.entry()
    builder.acknowledge(held - 3)
    play(story, builder)


@pytest.mark.parametrize("torn", [0, 0x01, 0xB5, 0xFF], ids=hex)
def test_power_fails_in_any_write(torn):
    """The log survives a failure in every byte of an event, in the erase after it and in the acknowledgement,
    clean or scattered, each time on what the failures before have left.
    """
    erases = [APPEND_WRITES] * 4  # an erase follows every fourth event
    play([("survive", [{"cut": cut, "torn": torn} for cut in [*range(APPEND_WRITES), *erases]])])


def test_power_fails_between_any_two_bytes():
    """The log survives a failure at any byte over SPI, from its restoring to an acknowledged event."""
    play([("burst", 3), ("survive", [{"silence": n} for n in range(0, 700, 3)])])


def test_a_slot_of_chance_with_a_right_crc_is_not_an_entry():
    """An interrupted erase may leave a slot that is as good as an entry, but for the zeros."""
    builder = Builder()
    for _ in range(3):
        builder.entry()
    zeros, crc = ENTRY.slice("zeros"), ENTRY.slice("crc")
    for place in range(zeros.start, zeros.stop):
        chance = bytearray(Entry(boot=0xE6330000, counter=0xA1100000).encode())
        chance[place] = 0x40
        chance[crc] = crc16(chance[: crc.start]).to_bytes(2, "big")
        builder.ring.write(builder.slot, bytes(chance))
        builder.slot = (builder.slot + 1) % builder.ring.slots
    log = Log(builder.ring)
    log.power_up()
    check_restored(log, builder)


@pytest.mark.parametrize("place", [0, ENTRY.offsets["crc"], ENTRY.offsets["crc"] + 1, ENTRY.offsets["acked"]])
def test_a_slot_that_is_nearly_blank_is_not_written(place):
    """If one bit is programmed, whatever byte it is in, an entry in that slot would be torn."""
    builder = Builder()
    builder.entry()
    raw = bytearray(BLANK)
    raw[place] ^= 0x10
    builder.ring.write(builder.slot, bytes(raw))
    builder.slot += 1
    log = Log(builder.ring)
    log.power_up()
    check_restored(log, builder)


def test_overrun_gives_up_the_oldest_sector_only():
    """After three rings of unacknowledged events the counter shows the gap, and the newest all come."""
    play([("burst", 6 * SMALL)])
    play(
        [("burst", 6), ("deliver", 2), ("burst", 2 * SMALL), ("oldest",), ("burst", SMALL), ("acknowledge",)]
    )


def test_commands_go_first():
    """A command that comes at the same time as an event does not see the event, which is kept."""
    log = Log(Ring())
    log.power_up()
    log.rig.events.append(Event().encode())
    assert log.oldest() is None
    log.idle()
    assert log.oldest().counter == 1


def test_a_command_waits_for_the_restore():
    """A command given at power-up is served with the restored log."""
    builder = Builder()
    for _ in range(3):
        builder.entry()
    log = Log(builder.ring)
    log.rig.switch_on()
    assert log.oldest().counter == 1


class Dead(Ring):
    """This flash reads zero, whatever is done to it."""

    def program(self, place, data):
        pass

    def change(self, position, byte, torn):
        self.content[position] = 0


def test_a_dead_flash_does_not_hold_the_log():
    """Nothing is blank and nothing valid: the walks end after one round, and nothing is found."""
    ring = Dead()
    ring.content[:] = bytes(len(ring.content))
    log = Log(ring)
    log.power_up()
    assert log.oldest() is None
    assert log.nth(0) is None
    assert not log.pending


class Worn(Ring):
    """This flash cannot be erased any more."""

    def _erase(self, place):
        pass


def test_a_worn_flash_still_gives_what_it_holds():
    """All entries but one come, and the walk through a ring of entries ends."""
    builder = Builder()
    for _ in range(2 * SMALL):
        builder.entry()
    ring = Worn()
    ring.content = builder.ring.content
    log = Log(ring)
    log.power_up()
    assert [log.nth(n).counter for n in range(2 * SMALL - 1)] == list(range(2 * SMALL, 1, -1))
    assert log.nth(2 * SMALL) is None
    assert log.oldest().counter == 2


# -- Time

#: The slowest chip executes so many, at two cycles an instruction.
INSTRUCTIONS_A_SECOND = 307_200 / 2


def test_the_slowest_chip_answers_in_time():
    """A full ring is restored; then 64 entries are walked through twice, for the last record of the event log
    and for whether an older one exists, within the 500 ms of DL/T 645.
    """
    builder = Builder(SECTOR_SLOTS)
    for _ in range(127):
        builder.entry()
    builder.acknowledge(127)
    log = Log(builder.ring)
    rig = log.rig
    rig.switch_on()
    rig.run(lambda: StatusOut.IDENTITY_READY in rig.status)
    begun = rig.machine.steps
    rig.run(lambda: StatusOut.LOG_READY in rig.status)
    restored = rig.machine.steps
    assert restored - begun < 0.45 * INSTRUCTIONS_A_SECOND
    assert log.has_older(62)
    assert log.nth(63).counter == 64
    found = rig.machine.steps
    assert found - restored < 0.4 * INSTRUCTIONS_A_SECOND
    log.append(Event())
    log.idle()
    assert counters(builder.ring.entries()) == [*range(65, 129)], "the other sector was erased"
    assert rig.machine.steps - found < 0.005 * INSTRUCTIONS_A_SECOND

"""Tests of the firmware's use of the flash: the commands, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.domain.image import crc16
from sealchip.core.assembler import Assembler, at, port
from sealchip.core.firmware import flash
from sealchip.core.firmware.layout import In, Memory, Status
from sealchip.interface import FLASH_SIZE
from verif.benches.block import examples
from verif.benches.firmware import DESELECTED, MILLISECOND, POLLS, Nor, PowerFailureError, Rig

#: The flash has these contents, repeated.
CONTENT = bytes(n * 7 & 0xFF for n in range(FLASH_SIZE))
#: An instruction takes so many cycles, and this is the fastest clock of all boards in Hz.
CYCLES, FASTEST = 2, 48_000_000

bases = st.integers(0, 0x1000000 // FLASH_SIZE - 1).map(lambda n: n * FLASH_SIZE)


def operate(command, base, place, data=b"", length=0, *, crc=False, content=CONTENT):
    """Run one command from power-up on; return the flash, what was read, and whether its CRC is right.

    `crc`: the CRC of `data` is programmed too.
    """
    a = Assembler()
    flash.wake(a)
    a.call("flash.begin")
    for n in range(len(data) + length):
        flash.send(a, at(Memory.RECORD + n))
        a.load(port(In.FLASH))
        a.store(at(Memory.RECORD + n))
    if command == flash.READ:
        a.copy(port(In.STATUS), at(Memory.RECORD + length))
        flash.deselect(a)
    else:
        a.call("flash.finish with crc" if crc else "flash.finish")
    a.jump(a.label("end"))
    flash.emit(a, base)
    memory = bytearray(1024)
    memory[flash.POSITION : flash.POSITION + 2] = place.to_bytes(2, "little")
    memory[flash.COMMAND] = command
    memory[Memory.RECORD : Memory.RECORD + len(data)] = data
    rig = Rig(a.words(), memory, Nor(content, base=base))
    rig.hold = True  # the firmware waits for ticks only
    rig.run(lambda: rig.machine.place == a.places()["end"])
    assert rig.machine.steps < (flash.POWER_UP_MS + 5) * MILLISECOND, "nothing else is waited for"
    assert (rig.baud, rig.seed, any(rig.public)) == (None, 0, False), "these come from other parts"
    read = rig.machine.memory[Memory.RECORD :][: length + 1]
    return rig.flash, bytes(read[:length]), bool(read[length] & Status.SUM_RIGHT)


def polled(status):
    """Return whether these bytes are the status, requested until the flash was ready."""
    return status[0] == 0x05 and len(status) == 1 + POLLS


def address(base, place):
    return (base + place).to_bytes(3, "big")


@examples(30)
@given(base=bases, place=st.integers(0, FLASH_SIZE - 24), length=st.integers(1, 24))
def test_read(base, place, length):
    """The contents of the flash are read, after its times to power up and to wake up."""
    chip, received, _ = operate(flash.READ, base, place, length=length)
    assert received == CONTENT[place : place + length]
    assert chip.sent == [b"\xab", b"\x03" + address(base, place) + b"\0" * length]
    assert chip.content == CONTENT


@examples(30)
@given(base=bases, page=st.integers(0, FLASH_SIZE // 256 - 1), data=st.data())
def test_program(base, page, data):
    """The commands are write enable, program, status until ready; only the requested bytes change."""
    program = data.draw(st.binary(min_size=1, max_size=24))
    place = page * 256 + data.draw(st.integers(0, 256 - len(program)))
    chip, *_ = operate(flash.PROGRAM, base, place, program)
    content = bytearray(CONTENT)
    for n, byte in enumerate(program, place):
        content[n] &= byte
    assert chip.content == content
    *sent, status = chip.sent
    assert sent == [b"\xab", b"\x06", b"\x02" + address(base, place) + program]
    assert polled(status)


@examples(20)
@given(base=bases, page=st.integers(0, FLASH_SIZE // 256 - 1), data=st.binary(min_size=1, max_size=22))
def test_program_with_crc(base, page, data):
    """The CRC follows the data; it is right when they are read, and wrong when any bit of them differs."""
    place, whole = page * 256, data + crc16(data).to_bytes(2, "big")
    chip, *_ = operate(flash.PROGRAM, base, place, data, crc=True, content=b"")
    assert chip.content[place:].rstrip(b"\xff") == whole.rstrip(b"\xff")
    assert polled(chip.sent[-1])
    for bit in (None, 0, 8 * len(whole) - 1):
        content = bytearray(chip.content)
        if bit is not None:
            content[place + bit // 8] ^= 1 << bit % 8
        *_, right = operate(flash.READ, base, place, length=len(whole), content=content)
        assert right == (bit is None)


@examples(10)
@given(base=bases, sector=st.integers(0, FLASH_SIZE // 0x1000 - 1))
def test_erase(base, sector):
    """The commands are write enable, erase, status until ready; exactly the addressed sector is blank."""
    place = sector * 0x1000
    chip, *_ = operate(flash.ERASE, base, place)
    assert chip.content == CONTENT[:place] + b"\xff" * 0x1000 + CONTENT[place + 0x1000 :]
    *sent, status = chip.sent
    assert sent == [b"\xab", b"\x06", b"\x20" + address(base, place)]
    assert polled(status)


def test_every_clock_deselects_for_100_ns():
    """The deselect time that the model of the flash demands, in instructions, is long enough on
    every board.
    """
    assert DESELECTED * CYCLES / FASTEST >= 100e-9


def test_the_seals_part_begins_where_no_sum_is_needed():
    with pytest.raises(ValueError, match="multiple"):
        flash.emit(Assembler(), FLASH_SIZE // 2)


# -- The flash of these tests by itself: it refuses what a real one would not do


def command(chip, *raw):
    """Select, send and deselect, with enough time before."""
    now = max(chip.ready_at, chip.deselected_at + DESELECTED)
    chip.select(now)
    answer = bytes([chip.exchange(byte) for byte in raw])
    chip.deselect(now + 1)
    return answer


def awake():
    chip = Nor()
    command(chip, 0xAB)
    return chip


@pytest.mark.parametrize(
    ("refused", "commands"),
    [
        ("not write enabled", [(0x02, 0, 0, 0, 1)]),
        ("not write enabled", [(0x20, 0, 0, 0)]),
        ("busy", [(0x06,), (0x02, 0, 0, 0, 1), (0x03, 0, 0, 0, 0)]),
        ("one page", [(0x06,), (0x02, 0, 0, 0xFF, 1, 2)]),
        ("nothing to program", [(0x06,), (0x02, 0, 0, 0)]),
        ("belongs to others", [(0x06,), (0x20, 1, 0, 0)]),
        ("unknown command", [(0x06,), (0xC7, 0, 0, 0)]),
        ("unknown command", [(0x06,), (0x20, 0, 0, 0, 0)]),
    ],
)
def test_the_flash_refuses(refused, commands):
    chip, *before, last = awake(), *commands
    for raw in before:
        command(chip, *raw)
    with pytest.raises(AssertionError, match=refused):
        command(chip, *last)


def test_the_flash_must_be_awake():
    with pytest.raises(AssertionError, match="deep power-down"):
        command(Nor(), 0x06)
    with pytest.raises(AssertionError, match="not powered up"):
        Nor().select(1)


def test_the_flash_must_rest():
    chip = awake()
    now = chip.ready_at
    chip.select(now)
    chip.exchange(0x06)
    chip.deselect(now + 1)
    with pytest.raises(AssertionError, match="too soon"):
        chip.select(now + DESELECTED)


@pytest.mark.parametrize("cut", range(3))
def test_power_fails_in_a_program(cut):
    """Bytes programmed before the power cut stay; of the rest some bits are programmed."""
    chip = awake()
    chip.cut, chip.torn = cut, 0x0F
    command(chip, 0x06)
    with pytest.raises(PowerFailureError):
        command(chip, 0x02, 0, 0, 0, 0, 0, 0)
    torn = [0xFF & ~(0x0F * (2 * place + 1)) for place in range(3)]
    assert list(chip.content[:3]) == [0] * cut + torn[cut:]

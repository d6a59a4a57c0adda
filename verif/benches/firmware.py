"""A bench for the firmware: models of its processor, its flash and everything else it is connected to."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from sealchip.core.firmware.flash import POWER_UP_MS
from sealchip.core.firmware.layout import Flash, In, Out, Requests, Status, StatusOut
from sealchip.core.processor import MEMORY_BYTES, Instruction, Op, Port
from sealchip.interface import FLASH_SIZE
from verif.benches.tracing import untraced
from verif.models.processor import Machine

__all__ = ["MILLISECOND", "Nor", "Request", "Rig"]

#: Instructions in a millisecond: few, so that a power-up is quick; at the slowest clock there are 153.
MILLISECOND = 60
#: Instructions from deselecting the flash to selecting it again: 100 ns, even at 48 MHz.
DESELECTED = 3
#: Instructions after the release from deep power-down; data sheets allow up to 35 µs.
WAKE = MILLISECOND // 2
#: Number of status reads after each write until the flash is ready, and the other bits of the status.
POLLS, OTHER_STATUS = 3, 0x5E

_READ, _PROGRAM, _ERASE, _ENABLE, _STATUS, _WAKE = 0x03, 0x02, 0x20, 0x06, 0x05, 0xAB
#: Outputs of the surroundings; the processor's own ones set X and return.
_WRITTEN = [port for port in Out if port.value not in (Port.X.value, Port.RETURN.value)]
_APPENDS, _SELECT, _SUMS, _WRITES = (
    it.value for it in (Flash.APPENDS, Flash.SELECT, Flash.SUMS, Flash.WRITES)
)
_SET_X = Instruction.const({"op": Op.OUT, "operand": Port.X.value}).as_value().value


class PowerFailureError(Exception):
    """Reports that the power failed; the flash keeps what had been written."""


class Nor:
    """A 25-series flash, byte by byte as it comes over SPI; what it refuses is a fault of the firmware.

    It holds `content` from address `base` on, and nothing else of it may be written. `cut` counts down with
    every byte programmed and every sector erased; the one that finds it at 0, and the rest of that operation,
    is done in part: only bits of `torn` change. `silence` counts down with every byte exchanged. At their
    ends `PowerFailureError` is raised. `sent` is what was sent since power-up, each time it was selected;
    `commands` what of it has been executed, less enables and status: opcode, place in `content`, number of
    bytes of data.
    """

    def __init__(self, content=b"", *, base=0, sector=0x1000):
        self.content = bytearray(content).ljust(FLASH_SIZE, b"\xff")
        self.base, self.sector = base, sector
        self.power_up()

    def power_up(self, *, cut=None, torn=0, silence=None):
        """Switch off and on again, and set how the power fails next."""
        self.cut, self.torn, self.silence = cut, torn, silence
        self.commands, self.sent = [], []
        self.raw = None  # what has come since it was selected
        self.ready_at = POWER_UP_MS * MILLISECOND
        self.deselected_at = -DESELECTED
        self.asleep, self.enabled, self.polls = True, False, 0

    def select(self, now):
        assert now - self.deselected_at >= DESELECTED, "selected again too soon"
        assert now >= self.ready_at, "the flash has not powered up, or not woken up"
        self.raw = bytearray()

    def exchange(self, byte):
        """Return what comes back while `byte` is sent."""
        assert self.raw is not None, "no flash is selected"
        if self.silence is not None:
            self.silence -= 1
            if self.silence < 0:
                raise PowerFailureError
        self.raw.append(byte)
        length = len(self.raw)
        if self.raw[0] == _STATUS and length > 1:
            self.polls -= self.polls > 0
            return OTHER_STATUS | bool(self.polls)
        if self.raw[0] == _READ and length > 4:
            return self.content[self._place(self.raw) + length - 5]
        return 0xFF  # the line is not driven

    def deselect(self, now):
        self.deselected_at, raw, self.raw = now, bytes(self.raw), None
        self.sent.append(raw)
        if self.asleep:
            assert raw == bytes([_WAKE]), "in deep power-down a flash executes only its release"
            self.asleep, self.ready_at = False, now + WAKE
        elif raw[0] != _STATUS:
            assert not self.polls, "a busy flash takes no command"
            self._execute(raw)

    def _place(self, raw):
        """Return the place in `content` that the command addresses."""
        return int.from_bytes(raw[1:4], "big") - self.base

    def _execute(self, raw):
        if raw == bytes([_ENABLE]):
            self.enabled = True
            return
        place = self._place(raw)
        self.commands.append((raw[0], place, len(raw) - 4))
        if raw[0] == _READ:
            return
        assert self.enabled, "not write enabled"
        assert 0 <= place < len(self.content), "the rest of the flash belongs to others"
        self.enabled, self.polls = False, POLLS
        if raw[0] == _PROGRAM:
            self.program(place, raw[4:])
        else:
            assert (raw[0], len(raw)) == (_ERASE, 4), f"unknown command {raw.hex()}"
            self._erase(place)

    def program(self, place, data):
        """AND `data` into `content`."""
        assert data, "nothing to program"
        assert place % 256 + len(data) <= 256, "a program stays within one page"
        torn = False
        for position, byte in enumerate(data, place):
            torn = torn or self._is_cut()
            self.change(position, self.content[position] & byte, torn)
        if torn:
            raise PowerFailureError

    def _erase(self, place):
        start, torn = place - place % self.sector, self._is_cut()
        for position in range(start, start + self.sector):
            self.change(position, 0xFF, torn)
        if torn:
            raise PowerFailureError

    def _is_cut(self):
        """Return whether the power fails in this write."""
        if self.cut is None:
            return False
        self.cut -= 1
        return self.cut < 0

    def change(self, position, byte, torn):
        """Set one byte to its new value, or only some bits of it if `torn`."""
        if torn:
            # The bits that have reached their new value differ from byte to byte.
            mask = self.torn * (2 * position + 1) & 0xFF
            byte = self.content[position] ^ ((self.content[position] ^ byte) & mask)
        self.content[position] = byte


@dataclass
class Request:
    """A command of the slave. DATA is overwritten after `lasts` bytes have been read."""

    command: int
    value: int = 0
    data: bytes = b""
    lasts: int = 1000


class _Public(bytearray):
    """The public memory, which reports each write to `rig`."""

    rig: Rig

    def __setitem__(self, address, byte):
        self.rig.published(address, byte)
        super().__setitem__(address, byte)


class Rig:
    """The processor with `words` as program and `memory` after configuration, on a flash.

    Methods give the firmware work and run it until that is done. Work for `idle` and later is in `events`
    (bytes as at `In.EVENT`), `seconds` and `hold`. The firmware's outputs are in `status`, `baseline_mv`,
    `baud`, `seed`, `lock_ticks` and `public`.
    """

    def __init__(self, words, memory=b"", flash=None):
        self._words, self._memory = words, bytes(memory).ljust(MEMORY_BYTES, b"\0")
        self.flash = flash or Nor()
        self._reads = {port.value: getattr(self, f"_read_{port.name.lower()}") for port in In}
        self._writes = {port.value: getattr(self, f"_write_{port.name.lower()}") for port in _WRITTEN}
        self.switch_on()

    def switch_on(self, **cut):
        """Switch off and on; `cut` is that of `Nor.power_up`."""
        self.flash.power_up(**cut)
        public = _Public(256)
        public.rig = self
        self.machine = Machine(list(self._words), bytearray(self._memory), self, public)
        self.status = StatusOut(0)
        self.baseline_mv, self.baud, self.seed = 0xFFFF, None, 0
        self.events = []
        self.seconds, self.lock_ticks = 0, 0
        self.hold = False
        self._reporter, self._slave = Requests(0), None
        self._answer = None
        self._mode, self._crc, self._received, self._under_way = 0, 0xFFFF, 0, False
        self._tick = -1
        self._rests = False
        self._exchanged = False

    def power_up(self, **cut):
        """Switch off and on, and run until the log is restored."""
        self.switch_on(**cut)
        self._run_until(lambda: StatusOut.LOG_READY in self.status)

    def run(self, until, limit=2_000_000):
        """Run until `until()`, for no more than `limit` instructions."""
        step, last = self.machine.step, self.machine.steps + limit
        while not until():
            step()
            assert self.machine.steps < last, f"not done after {limit} instructions"

    def _run_until(self, done, limit=2_000_000):
        """Run until `done()`, which changes only when the firmware reads an input or writes an output."""
        machine, step, last = self.machine, self.machine.step, self.machine.steps + limit
        with untraced():
            while not done():
                self._exchanged = False
                while not self._exchanged:
                    step()
                    assert machine.steps < last, f"not done after {limit} instructions"

    def idle(self):
        """Run until no work is left."""
        self._rests = False
        self._run_until(lambda: self._rests)

    def published(self, address, byte):
        """Called with each byte before it is published."""

    @property
    def public(self):
        """The public memory."""
        return self.machine.public

    # -- Work for the firmware

    def oldest(self):
        """Request the oldest unacknowledged record as the reporter, and return whether there is one."""
        return self._report(Requests.OLDEST)

    def acknowledge(self):
        """Acknowledge it as the reporter."""
        return self._report(Requests.ACKNOWLEDGE)

    def _report(self, request):
        self._reporter, self._answer = request, None
        self._run_until(lambda: self._answer is not None)
        return self._answer

    def command(self, command, value=0, data=b"", lasts=1000):
        """Give a command as the slave, and return whether it was accepted."""
        self._slave, self._answer = Request(command, value, data, lasts), None
        self._run_until(lambda: self._answer is not None)
        return self._answer

    def append(self, event):
        """Offer an event until it has been taken."""
        self.events.append(event)
        self._run_until(lambda: not self.events)

    def second(self, number=1):
        """Let so many seconds pass and be counted."""
        for _ in range(number):
            self.seconds += 1
            self._run_until(lambda: not self.seconds)

    # -- The devices at the ports of the processor: `Surroundings`

    def read(self, number, x):
        """Return the byte at input `number`."""
        self._exchanged = True
        return self._reads[number](x)

    def _read_requests(self, x):
        counts = bool(self.seconds) and not self.hold
        requests = self._reporter | Requests.SECOND * counts | Requests.EVENT * bool(self.events)
        requests |= Requests.SLAVE * bool(self._slave)
        self._rests = not requests
        return requests

    def _read_flash(self, x):
        self._under_way = False
        return self._received

    def _read_data(self, x):
        before = self.machine.program[self.machine.place - 2]
        assert before != _SET_X, "DATA comes one instruction later"
        self._slave.lasts -= 1
        if self._slave.lasts < 0:
            return x ^ 0xA5  # another request's
        return self._slave.data[x]

    def _read_event(self, x):
        return self.events[0][x & 7]

    def _read_command(self, x):
        return self._slave.command

    def _read_value(self, x):
        return self._slave.value

    def _read_status(self, x):
        assert not self._under_way, "the status is not valid while a byte is exchanged"
        status = Status.TICK * (self.machine.steps // MILLISECOND > self._tick)
        status |= Status.SUM_RIGHT * (self._crc == 0) | Status.HOLD * self.hold
        return status | Status.SPOILED * (self._slave is not None and self._slave.lasts < 0)

    def write(self, number, value):
        """Write `value` to output `number`."""
        self._exchanged = True
        self._writes[number](value)

    def _write_exchange(self, value):
        sent = self._crc >> 8 if self._mode & _APPENDS else value
        self._received, self._under_way = self.flash.exchange(sent), True
        if self._mode & _SUMS:
            summed = sent if self._mode & _WRITES else self._received
            self._crc = binascii.crc_hqx(bytes([summed]), self._crc)

    def _write_flash(self, value):
        assert value <= sum(Flash), "the output has no such bits"
        before, self._mode, self._under_way = self._mode, value, False
        if not value & _SUMS:
            self._crc = 0xFFFF
        if value & ~before & _SELECT:
            self.flash.select(self.machine.steps)
        elif before & ~value & _SELECT:
            self.flash.deselect(self.machine.steps)

    def _write_second(self, value):
        assert self.seconds, "no second has passed"
        assert not self.hold, "the time is being read"
        self.seconds -= 1

    def _write_event(self, value):
        assert StatusOut.PENDING in self.status, "an event was taken and is not pending at once"
        self.events.pop(0)

    def _write_answer(self, value):
        assert value < 4, "an answer has two bits"
        if value & 2:
            assert self._slave, "the slave has no request"
            self._slave = None
        else:
            assert self._reporter, "the reporter has no request"
            self._reporter = Requests(0)
        self._answer = bool(value & 1)

    def _write_status(self, value):
        self.status = StatusOut(value)

    def _write_baud(self, value):
        self.baud, self.seed = value, 0

    def _write_seed(self, value):
        self.seed = (self.seed << 5 & 0xFFFF | self.seed >> 11) ^ value

    def _write_baseline(self, value):
        self.baseline_mv = (self.baseline_mv << 8 | value) & 0xFFFF

    def _write_tick(self, value):
        self._tick = self.machine.steps // MILLISECOND

    def _write_lock_tick(self, value):
        self.lock_ticks += 1

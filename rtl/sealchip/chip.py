"""The seal chip: all components, one clock."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .bus.baud_select import BaudSelect
from .bus.bus_access import BusAccess
from .bus.driver_watchdog import DriverWatchdog
from .bus.rs485_phy import Rs485Phy
from .core.control_core import ControlCore
from .core.firmware.layout import Command
from .dlt645.deframer import Deframer
from .dlt645.framer import Framer
from .dlt645.messages import Message
from .dlt645.reporter import Reporter, has_record_in_time
from .dlt645.slave import Slave
from .gsm.notifier import GsmNotifier
from .interface import BAUD_FEATURE, DEFAULT_BAUD
from .sense.diagnostics import DiagnosticsSource
from .sense.front_end import FrontEnd, Sensor
from .sense.loop_monitor import LoopMonitor
from .status_leds import StatusLeds
from .timebase import Timebase
from .timing import bit_steps

__all__ = ["SealChip"]


class SealChip(wiring.Component):
    """The whole chip between its pins.

    Power-up: the identity and the event log are read from flash, the loop is measured until it has held
    one class for the debounce time, and *boot* is the first event. Every event goes into the log in flash
    and from there to the meter, in order, until the meter has acknowledged it.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz, 307 200 to 48 000 000.
    baud: baud rate while the identity names none. flash_base: where the seal's part of the flash begins.
    front_end: value of a `Sensor`. pattern: whether `loop_drive` carries a pattern; None: if the voltage is
    measured. gsm: with the sequencer for a GSM module; without it the module's pins are idle.

    Members: the pins of `docs/architecture.md`. `rs485_ro`, `loop_cmp` and `flash_cipo` may be asynchronous.

    Guarantees: `verif/chip/test_chip_report.py`, `verif/chip/test_chip_power.py`,
    `verif/chip/test_chip_slave.py`, `verif/chip/test_chip_bus.py`, `verif/chip/test_chip_signing.py`,
    `verif/chip/test_chip_sense.py`.
    """

    def __init__(
        self, clock_hz, baud=DEFAULT_BAUD, flash_base=0, *, front_end="comparator", pattern=None, gsm=False
    ):
        self._clock_hz, self._baud, self._flash_base, self._gsm = clock_hz, baud, flash_base, gsm
        self._sensor = Sensor(front_end)
        self._pattern = self._sensor == Sensor.SIGMA_DELTA if pattern is None else pattern
        # A clock that cannot time the pair is refused here, before anything is built.
        for rate in BAUD_FEATURE.values():
            bit_steps(clock_hz, rate)
        super().__init__(
            {
                "loop_cmp": In(1),
                "loop_fb": Out(1),
                "loop_drive": Out(1),
                "rs485_ro": In(1, init=1),
                "rs485_di": Out(1, init=1),
                "rs485_de": Out(1),
                "flash_sck": Out(1),
                "flash_cs_n": Out(1, init=1),
                "flash_copi": Out(1),
                "flash_cipo": In(1),
                "gsm_txd": Out(1, init=1),
                "gsm_rxd": In(1, init=1),
                "led_green": Out(1),
                "led_red": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.time = Timebase(self._clock_hz)
        m.submodules.front_end = FrontEnd(self._clock_hz, self._sensor, pattern=self._pattern)
        m.submodules.loop = LoopMonitor(measures=self._sensor == Sensor.SIGMA_DELTA)
        m.submodules.keeper = ControlCore(self._baud, self._flash_base)
        m.submodules.rate = BaudSelect()
        m.submodules.pair = Rs485Phy(self._clock_hz)
        m.submodules.watchdog = DriverWatchdog()
        m.submodules.deframer = Deframer()
        m.submodules.access = BusAccess()
        m.submodules.diagnostics = DiagnosticsSource()
        m.submodules.framer = Framer()
        m.submodules.slave = Slave()
        m.submodules.reporter = Reporter()
        m.submodules.status_leds = StatusLeds()
        if self._gsm:
            m.submodules.gsm = GsmNotifier(self._clock_hz)
        for connect in (
            self._sense,
            self._keep,
            self._attach_pair,
            self._feed_framer,
            self._serve,
            self._light,
        ):
            connect(m, m.submodules)
        if self._gsm:
            self._tell_the_customer(m, m.submodules)
        return m

    def _sense(self, m, s):
        m.d.comb += [
            s.front_end.cmp.eq(self.loop_cmp),
            self.loop_drive.eq(s.front_end.drive),
            self.loop_fb.eq(s.front_end.fb),
            s.front_end.baseline_mv.eq(s.loop.status.baseline_mv),
            s.loop.restored.valid.eq(s.keeper.log_ready),
            s.loop.restored.baseline_mv.eq(s.keeper.baseline_mv),
        ]
        wiring.connect(m, s.time.ticks, s.front_end.ticks, s.loop.ticks, s.status_leds.ticks)
        measured = (s.loop.measurement, s.diagnostics.measurement, s.status_leds.measurement)
        wiring.connect(m, s.front_end.measurement, *measured)
        wiring.connect(m, s.loop.status, s.diagnostics.loop, s.status_leds.loop)
        wiring.connect(m, s.loop.o, s.keeper.i)

    def _keep(self, m, s):
        """The deframer is mute while the framer sends, so both use one port of the public memory."""
        framer, deframer = s.framer, s.deframer
        reads_phone = s.gsm.facts.identity_reading if self._gsm else 0
        m.d.comb += [
            self.flash_sck.eq(s.keeper.flash_sck),
            self.flash_cs_n.eq(s.keeper.flash_cs_n),
            self.flash_copi.eq(s.keeper.flash_copi),
            s.keeper.flash_cipo.eq(self.flash_cipo),
            s.keeper.tick_ms.eq(s.time.ticks.ms),
            s.keeper.tick_s.eq(s.time.ticks.s),
            s.keeper.address.eq(Mux(framer.busy, framer.address, deframer.address)),
            s.keeper.reading.eq(framer.reading | deframer.reading | reads_phone),
            framer.byte.eq(s.keeper.byte),
            deframer.byte.eq(s.keeper.byte),
            deframer.readable.eq(s.keeper.identity_ready),
            s.keeper.hold.eq(s.diagnostics.read.hold),
            s.keeper.oldest.eq(s.reporter.oldest),
            s.keeper.acknowledge.eq(s.reporter.acknowledge),
            s.reporter.done.eq(s.keeper.reporter_done),
            s.reporter.found.eq(s.keeper.right),
            s.keeper.slave.eq(s.slave.start),
            s.keeper.command.eq(s.slave.command),
            s.keeper.value.eq(s.slave.of),
            s.slave.done.eq(s.keeper.slave_done),
            s.slave.right.eq(s.keeper.right),
            s.slave.tick.eq(s.keeper.lock_tick),
            s.keeper.content.eq(s.deframer.content),
            s.keeper.spoiled.eq(s.slave.spoiled),
        ]

    def _attach_pair(self, m, s):
        ro = Signal(init=1)
        m.submodules.ro = FFSynchronizer(self.rs485_ro, ro, init=1)
        wiring.connect(m, s.framer.o, s.pair.i)
        m.d.comb += [
            s.rate.stored.eq(s.keeper.rate),
            s.rate.number.eq(s.slave.new_rate),
            s.rate.take.eq(s.slave.changes_rate & s.pair.done),
            s.rate.revert.eq(s.reporter.baud_fallback),
            s.pair.baud.eq(s.rate.rate),
            s.pair.ro.eq(ro),
            self.rs485_di.eq(s.pair.di),
            s.watchdog.rate.eq(s.rate.rate),
            s.watchdog.tick_ms.eq(s.time.ticks.ms),
            s.watchdog.wanted.eq(s.pair.de),
            s.watchdog.busy.eq(s.framer.busy),
            self.rs485_de.eq(s.watchdog.de),
            s.deframer.valid.eq(s.pair.valid),
            s.deframer.data.eq(s.pair.data),
            s.deframer.error.eq(s.pair.error),
            s.deframer.silence.eq(s.access.silence),
            s.access.ro.eq(ro),
            s.access.de.eq(s.pair.de),
            s.access.tick_ms.eq(s.time.ticks.ms),
            s.access.seed.eq(s.keeper.seed),
            s.access.frame.eq(s.deframer.frame),
            s.access.head.eq(s.deframer.head),
            s.access.sent.eq(s.pair.done),
            s.access.expects.eq(~s.slave.busy),
            s.access.broken.eq(s.pair.broken),
            s.access.draw.eq(s.reporter.draw),
            s.framer.abort.eq(s.pair.broken | s.watchdog.expired),
        ]

    def _feed_framer(self, m, s):
        m.d.comb += [
            s.diagnostics.read.hold.eq(s.framer.busy & (s.framer.message == Message.ANSWER_DIAGNOSTICS)),
            s.diagnostics.read.index.eq(s.framer.index),
            s.framer.diagnostics.eq(s.diagnostics.read.byte),
        ]

    def _serve(self, m, s):
        # How many of the rates, the slowest ones, let a report begin before its record is there.
        ahead = sum(has_record_in_time(self._clock_hz, rate) for rate in BAUD_FEATURE.values())
        m.d.comb += [
            s.slave.enable.eq(s.keeper.log_ready),
            s.slave.valid.eq(s.keeper.identity_valid),
            # What is on the wire while the reporter speaks is nobody's request.
            s.slave.frame.eq(s.deframer.frame & ~s.reporter.speaking),
            s.slave.begun.eq(s.deframer.begun),
            s.slave.head.eq(s.deframer.head),
            s.slave.content.eq(s.deframer.content),
            s.slave.quiet_ms.eq(s.access.quiet_ms),
            s.slave.sent.eq(s.pair.done | s.pair.broken),
            s.slave.seal_done.eq(s.loop.command.seal_done),
            s.slave.seal_refused.eq(s.loop.command.seal_refused),
            s.loop.command.seal.eq(s.slave.seal),
            s.loop.command.locked_out.eq(s.slave.locked_out),
            s.loop.command.provisioned.eq(s.slave.provisioned),
            s.framer.content.eq(s.deframer.content),
            # One at a time, the others say 0. A record's number is a byte of DATA that the slave asks for.
            s.deframer.position.eq(
                s.slave.position
                | s.framer.position
                | Mux(s.slave.start & (s.slave.command != Command.FETCH), s.keeper.position, 0)
            ),
            s.reporter.enable.eq(s.keeper.identity_valid & s.keeper.log_ready),
            s.reporter.pending.eq(s.keeper.pending),
            s.reporter.offered.eq(s.keeper.i.valid & (s.rate.rate < ahead)),
            s.reporter.arrived.eq(s.keeper.i.valid & s.keeper.i.ready),
            s.reporter.frame.eq(s.deframer.frame),
            s.reporter.head.eq(s.deframer.head),
            s.reporter.tick_ms.eq(s.time.ticks.ms),
            s.reporter.free.eq(s.access.free),
            s.reporter.slave_busy.eq(s.slave.busy),
            s.reporter.sent.eq(s.pair.done),
            s.reporter.broken.eq(s.pair.broken),
            s.framer.wait.eq(s.reporter.unready & s.reporter.speaking),
            s.framer.start.eq(s.slave.send | s.reporter.send),
            s.framer.message.eq(Mux(s.slave.busy, s.slave.message, s.reporter.message)),
            s.framer.function.eq(s.deframer.head.control),
        ]

    def _light(self, m, s):
        m.d.comb += [
            s.status_leds.core.identity_ready.eq(s.keeper.identity_ready),
            s.status_leds.core.identity_valid.eq(s.keeper.identity_valid),
            s.status_leds.locked_out.eq(s.slave.locked),
            s.status_leds.meter.exchanged.eq(s.reporter.exchanged),
            s.status_leds.core.pending.eq(s.keeper.pending),
            s.status_leds.meter.failed.eq(s.reporter.failed),
            s.status_leds.bus_stuck.eq(s.access.stuck),
            self.led_green.eq(s.status_leds.green),
            self.led_red.eq(s.status_leds.red),
        ]

    def _tell_the_customer(self, m, s):
        facts, log = s.gsm.facts, s.keeper.i
        m.d.comb += [
            facts.valid.eq(log.valid & log.ready & s.keeper.identity_valid),
            facts.kind.eq(log.payload.kind),
            facts.state.eq(log.payload.state),
            facts.tick_s.eq(s.time.ticks.s),
            s.keeper.gsm_address.eq(facts.identity_address),
            facts.identity_byte.eq(s.keeper.gsm_byte),
            s.keeper.clock_index.eq(facts.clock_index),
            facts.clock_byte.eq(s.keeper.clock_byte),
            facts.clock_valid.eq(s.keeper.clock_set),
            facts.clock_free.eq(s.keeper.clock_free),
            self.gsm_txd.eq(s.gsm.txd),
            s.gsm.rxd.eq(self.gsm_rxd),
        ]

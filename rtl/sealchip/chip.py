"""The seal chip: all components, one clock."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import connect

from .bus.baud_select import BaudSelect
from .bus.bus_access import BusAccess
from .bus.driver_watchdog import DriverWatchdog
from .bus.rs485_phy import Rs485Phy
from .core.control_core import ControlCore
from .dlt645.deframer import Deframer
from .dlt645.framer import Framer
from .dlt645.reporter import Reporter, has_record_in_time
from .dlt645.slave import Slave
from .gsm.notifier import GsmNotifier
from .interface import BAUD_FEATURE, DEFAULT_BAUD
from .sense.diagnostics import DiagnosticsSource
from .sense.front_end import FrontEnd, Sensor
from .sense.loop_monitor import LoopMonitor
from .signatures import SealPins
from .status_leds import StatusLeds
from .timebase import Timebase
from .timing import bit_steps

__all__ = ["SealChip"]


class SealChip(wiring.Component):
    """Connects the components of the chip to each other and to its pins.

    Power-up: the identity and the event log are read from flash, the loop is measured until it has held
    one class for the debounce time, and *boot* is the first event. Every event goes into the log in flash
    and from there to the meter, in order, until the meter has acknowledged it.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz, 307 200 to 48 000 000.
    baud : the baud rate while the identity names none.
    flash_base : where the seal's part of the flash begins.
    front_end : the value of a `Sensor`.
    pattern : whether `loop_drive` carries a pattern; None for a chip that does if it measures the voltage.
    gsm : with the sequencer for a GSM module; without it the module's pins are idle.

    Members
    -------
    The pins of `docs/architecture.md`; `rs485_ro`, `loop_cmp` and `flash_cipo` may be asynchronous.

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
        # A clock that cannot time the bus is refused here, before anything is built.
        for rate in BAUD_FEATURE.values():
            bit_steps(clock_hz, rate)
        super().__init__(SealPins)

    def elaborate(self, platform):
        m = Module()
        m.submodules.time = time = Timebase(self._clock_hz)
        m.submodules.front_end = front_end = FrontEnd(self._clock_hz, self._sensor, pattern=self._pattern)
        m.submodules.loop = loop = LoopMonitor(measures=self._sensor == Sensor.SIGMA_DELTA)
        m.submodules.core = core = ControlCore(self._baud, self._flash_base)
        m.submodules.baud_select = baud = BaudSelect()
        m.submodules.phy = phy = Rs485Phy(self._clock_hz)
        m.submodules.watchdog = watchdog = DriverWatchdog()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.access = access = BusAccess()
        m.submodules.diagnostics = diagnostics = DiagnosticsSource()
        m.submodules.framer = framer = Framer()
        m.submodules.slave = slave = Slave()
        m.submodules.reporter = reporter = Reporter()
        m.submodules.status_leds = leds = StatusLeds()
        m.submodules.ro = FFSynchronizer(self.rs485_ro, access.ro, init=1)
        if self._gsm:
            m.submodules.gsm = gsm = GsmNotifier(self._clock_hz)
            connect(m, core.feed, gsm.feed)
            m.d.comb += [self.gsm_txd.eq(gsm.txd), gsm.rxd.eq(self.gsm_rxd)]

        for block in (front_end, loop, core, watchdog, access, reporter, leds):
            connect(m, time.ticks, block.ticks)
        connect(m, front_end.measurement, loop.measurement, diagnostics.measurement, leds.measurement)
        connect(m, loop.status, diagnostics.loop, leds.loop)
        connect(m, loop.o, core.i)
        connect(m, core.restored, loop.restored)
        connect(m, core.status, slave.status, reporter.status, leds.core)
        connect(m, slave.core, core.slave)
        connect(m, slave.loop, loop.command)
        connect(m, slave.rate, baud.change)
        connect(m, reporter.log, core.reporter)
        connect(m, reporter.request, access.request)
        connect(m, reporter.turn, slave.turn)
        connect(m, reporter.meter, leds.meter)
        connect(m, phy.received, deframer.received)
        connect(m, deframer.frame, access.frame, slave.frame, reporter.frame)
        connect(m, deframer.public, core.public[1])
        connect(m, framer.public, core.public[0])
        connect(m, framer.diagnostics, diagnostics.read)
        connect(m, framer.o, phy.i)
        connect(m, phy.sent, access.sent, slave.sent, reporter.sent)

        # At the slowest rates a report begins with its event, before its record is there.
        ahead = sum(has_record_in_time(self._clock_hz, rate) for rate in BAUD_FEATURE.values())
        m.d.comb += [
            front_end.cmp.eq(self.loop_cmp),
            self.loop_fb.eq(front_end.fb),
            self.loop_drive.eq(front_end.drive),
            front_end.baseline_mv.eq(loop.status.baseline_mv),
            self.flash_sck.eq(core.flash.sck),
            self.flash_cs_n.eq(core.flash.cs_n),
            self.flash_copi.eq(core.flash.copi),
            core.flash.cipo.eq(self.flash_cipo),
            core.hold.eq(framer.diagnostics.hold),
            baud.stored.eq(core.rate),
            baud.revert.eq(reporter.baud_fallback),
            phy.baud.eq(baud.rate),
            watchdog.rate.eq(baud.rate),
            phy.ro.eq(access.ro),
            self.rs485_di.eq(phy.di),
            watchdog.wanted.eq(phy.de),
            watchdog.busy.eq(framer.busy),
            self.rs485_de.eq(watchdog.de),
            access.de.eq(phy.de),
            access.seed.eq(core.seed),
            access.expects.eq(~slave.turn.answering),
            deframer.silence.eq(access.silence),
            deframer.readable.eq(core.status.identity_ready),
            slave.quiet_ms.eq(access.quiet_ms),
            # Slave and framer read the request's DATA one at a time; the other's position is 0.
            deframer.position.eq(slave.position | framer.position),
            slave.content.eq(deframer.content),
            framer.content.eq(deframer.content),
            framer.function.eq(deframer.frame.head.control),
            # Slave and reporter take turns at the framer.
            framer.send.start.eq(slave.send.start | reporter.send.start),
            framer.send.message.eq(Mux(slave.turn.answering, slave.send.message, reporter.send.message)),
            framer.wait.eq(reporter.unready & reporter.turn.reporting),
            framer.abort.eq(phy.sent.broken | watchdog.expired),
            reporter.event.pending.eq(core.i.valid & (baud.rate < ahead)),
            reporter.event.logged.eq(core.i.valid & core.i.ready),
            leds.locked_out.eq(slave.locked),
            leds.bus_stuck.eq(access.stuck),
            self.led_green.eq(leds.green),
            self.led_red.eq(leds.red),
        ]
        return m

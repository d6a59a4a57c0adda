"""The seal chip: all components, one clock."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .bus_access import BusAccess
from .clock import CalendarClock
from .deframer import Deframer
from .diagnostics import DiagnosticsSource
from .driver_watchdog import DriverWatchdog
from .event_log import EventLog
from .framer import Framer
from .front_end import FrontEnd, Sensor
from .gsm import GsmNotifier
from .identity import IdentityStore
from .interface import BAUD_FEATURE, StateClass
from .lamps import Lamps
from .line_rate import LineRate
from .log_turns import LogTurns
from .loop_monitor import LoopMonitor
from .messages import Message
from .pair_port import PairPort
from .reporter import Reporter
from .signer import Signer
from .slave import Slave
from .spi_flash import FlashCommands, FlashOp, SpiFlash
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

    def __init__(self, clock_hz, baud=2400, flash_base=0, *, front_end="comparator", pattern=None, gsm=False):
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
        m.submodules.flash = SpiFlash(self._clock_hz)
        m.submodules.identity = IdentityStore(self._baud, self._flash_base)
        m.submodules.log = EventLog(self._flash_base)
        m.submodules.rate = LineRate()
        m.submodules.pair = PairPort(self._clock_hz)
        m.submodules.watchdog = DriverWatchdog()
        m.submodules.deframer = Deframer()
        m.submodules.access = BusAccess()
        m.submodules.signer = Signer()
        m.submodules.clock = CalendarClock()
        m.submodules.diagnostics = DiagnosticsSource()
        m.submodules.framer = Framer()
        m.submodules.slave = Slave()
        m.submodules.reporter = Reporter()
        m.submodules.turns = LogTurns()
        m.submodules.lamps = Lamps()
        for connect in (
            self._sense,
            self._share_flash,
            self._attach_pair,
            self._share_identity,
            self._feed_framer,
            self._tell_the_time,
            self._sign,
            self._share_log,
            self._serve,
            self._light,
        ):
            connect(m, m.submodules)
        if self._gsm:
            m.submodules.gsm = GsmNotifier(self._clock_hz)
            self._tell_the_customer(m, m.submodules)
        return m

    def _sense(self, m, s):
        m.d.comb += [
            s.front_end.cmp.eq(self.loop_cmp),
            self.loop_drive.eq(s.front_end.drive),
            self.loop_fb.eq(s.front_end.fb),
            s.front_end.tick_ms.eq(s.time.tick_ms),
            s.front_end.baseline_mv.eq(s.loop.baseline_mv),
            s.loop.tick_ms.eq(s.time.tick_ms),
            s.loop.tick_s.eq(s.time.tick_s),
            s.loop.class_.eq(s.front_end.class_),
            s.loop.millivolts.eq(s.front_end.millivolts),
            s.loop.blind.eq(s.front_end.blind),
            s.loop.sealable.eq(s.front_end.sealable),
            s.loop.restored.eq(s.log.ready),
            s.loop.restored_mv.eq(s.log.baseline_mv),
        ]
        wiring.connect(m, s.loop.o, s.log.i)

    def _share_flash(self, m, s):
        """Operation by operation: the identity while it is not ready, the log otherwise.

        The identity begins to work only when nobody makes a record, and nobody does while it works.
        """
        bus, identity, log = s.flash.bus, s.identity.flash, s.log.flash
        owned = Signal(init=1)  # by the identity
        m.d.comb += [
            s.log.enable.eq(s.identity.ready),
            s.flash.tick_ms.eq(s.time.tick_ms),
            self.flash_sck.eq(s.flash.sck),
            self.flash_cs_n.eq(s.flash.cs_n),
            self.flash_copi.eq(s.flash.copi),
            s.flash.cipo.eq(self.flash_cipo),
        ]
        with m.If(~bus.start | bus.done):
            m.d.sync += owned.eq(~s.identity.ready)
        for name, member in FlashCommands.members.items():
            if member.flow == In:
                m.d.comb += getattr(bus, name).eq(Mux(owned, getattr(identity, name), getattr(log, name)))
            else:
                m.d.comb += [getattr(user, name).eq(getattr(bus, name)) for user in (identity, log)]
        with m.If(owned):
            m.d.comb += [log.strobe.eq(0), log.done.eq(0)]
        with m.Else():
            m.d.comb += [identity.strobe.eq(0), identity.done.eq(0)]

    def _attach_pair(self, m, s):
        ro = Signal(init=1)
        m.submodules.ro = FFSynchronizer(self.rs485_ro, ro, init=1)
        wiring.connect(m, s.framer.o, s.pair.i)
        m.d.comb += [
            s.rate.stored.eq(s.identity.baud),
            s.rate.number.eq(s.slave.new_rate),
            s.rate.take.eq(s.slave.changes_rate & s.pair.done),
            s.rate.revert.eq(s.reporter.baud_fallback),
            s.pair.baud.eq(s.rate.rate),
            s.pair.ro.eq(ro),
            self.rs485_di.eq(s.pair.di),
            s.watchdog.rate.eq(s.rate.rate),
            s.watchdog.tick_ms.eq(s.time.tick_ms),
            s.watchdog.wanted.eq(s.pair.de),
            s.watchdog.busy.eq(s.framer.busy),
            self.rs485_de.eq(s.watchdog.de),
            s.deframer.valid.eq(s.pair.valid),
            s.deframer.data.eq(s.pair.data),
            s.deframer.error.eq(s.pair.error),
            s.deframer.silence.eq(s.access.silence),
            s.access.ro.eq(ro),
            s.access.de.eq(s.pair.de),
            s.access.tick_ms.eq(s.time.tick_ms),
            s.access.seed.eq(s.identity.seed),
            s.access.frame.eq(s.deframer.frame),
            s.access.head.eq(s.deframer.head),
            s.access.sent.eq(s.pair.done),
            s.access.expects.eq(~s.slave.busy),
            s.access.broken.eq(s.pair.broken),
            s.access.draw.eq(s.reporter.draw),
            s.framer.abort.eq(s.pair.broken | s.watchdog.expired),
        ]

    def _share_identity(self, m, s):
        """The deframer is mute while the framer sends, so both use the identity's one read port."""
        m.d.comb += [
            s.identity.address.eq(Mux(s.framer.busy, s.framer.address, s.deframer.address)),
            s.deframer.byte.eq(s.identity.data),
            s.deframer.readable.eq(s.identity.ready),
            s.framer.byte.eq(s.identity.data),
        ]

    def _feed_framer(self, m, s):
        m.d.comb += [
            s.signer.index.eq(s.framer.index),
            s.framer.record.eq(s.signer.byte),
            s.diagnostics.hold.eq(s.framer.busy & (s.framer.message == Message.ANSWER_DIAGNOSTICS)),
            s.diagnostics.index.eq(s.framer.index),
            # A rising voltage reads as full scale for a moment: nothing counts that the loop does not hold.
            s.diagnostics.sample.eq(s.front_end.measured & (s.front_end.class_ == s.loop.state)),
            s.diagnostics.millivolts.eq(s.front_end.millivolts),
            s.diagnostics.state.eq(s.loop.state),
            s.diagnostics.excursions.eq(s.loop.excursions),
            s.framer.diagnostics.eq(s.diagnostics.byte),
        ]

    def _tell_the_time(self, m, s):
        """Nobody wants a byte of the clock within a pass of having asked for it to be held."""
        m.d.comb += [
            s.clock.tick_s.eq(s.time.tick_s),
            s.clock.set.eq(s.slave.clock_set),
            s.clock.source.eq(s.deframer.content),
            s.clock.hold.eq(
                s.diagnostics.hold
                | s.signer.making
                | (s.log.flash.start & (s.log.flash.op == FlashOp.PROGRAM))
            ),
            s.clock.index.eq(s.diagnostics.clock_index),
            s.diagnostics.clock.eq(s.clock.byte),
            # The log writes no event while a record is made.
            s.clock.uptime_index.eq(Mux(s.signer.making, s.signer.uptime_index, s.log.uptime_index)),
            s.signer.uptime.eq(s.clock.uptime),
            s.log.uptime.eq(s.clock.uptime),
            s.slave.tick.eq(s.clock.tick_128_s),
        ]

    def _sign(self, m, s):
        m.d.comb += [
            s.signer.this_boot.eq(s.log.this_boot),
            s.slave.challenge_index.eq(s.signer.challenge_index),
            s.signer.challenge.eq(s.slave.challenge),
            s.signer.entry_byte.eq(s.log.byte),
            s.log.address.eq(s.signer.entry_address),
            s.signer.signs.eq(s.identity.ready & s.identity.valid & s.identity.has_key),
            s.signer.secret.eq(s.identity.secret_data),
            s.identity.secret_address.eq(s.signer.secret_address),
        ]

    def _share_log(self, m, s):
        m.d.comb += [
            s.turns.reporter_start.eq(s.reporter.log_start),
            s.turns.reporter_command.eq(s.reporter.log_command),
            s.reporter.log_done.eq(s.turns.reporter_done),
            s.reporter.log_found.eq(s.log.found),
            s.turns.slave_start.eq(s.slave.log_start),
            s.turns.slave_challenged.eq(s.slave.challenged),
            s.slave.log_done.eq(s.turns.slave_done),
            s.slave.log_found.eq(s.log.found),
            s.log.start.eq(s.turns.log_start & s.identity.ready),
            s.identity.start.eq(
                s.slave.identity_start & ~s.reporter.log_start & ~s.turns.log_start & ~s.signer.busy
            ),
            s.log.command.eq(s.turns.log_command),
            s.log.nth.eq(s.slave.log_nth),
            s.log.wait.eq(s.signer.making),
            s.turns.log_done.eq(s.log.done),
            s.turns.log_found.eq(s.log.found),
            s.signer.start.eq(s.turns.signer_start),
            s.signer.challenged.eq(s.turns.challenged),
            s.turns.signer_busy.eq(s.signer.making),
            s.turns.signer_done.eq(s.signer.done),
        ]

    def _serve(self, m, s):
        m.d.comb += [
            s.slave.enable.eq(s.log.ready),
            s.slave.valid.eq(s.identity.valid),
            # What is on the wire while the reporter speaks is nobody's request.
            s.slave.frame.eq(s.deframer.frame & ~s.reporter.speaking),
            s.slave.begun.eq(s.deframer.begun),
            s.slave.head.eq(s.deframer.head),
            s.slave.content.eq(s.deframer.content),
            s.slave.quiet_ms.eq(s.access.quiet_ms),
            s.slave.sent.eq(s.pair.done | s.pair.broken),
            s.slave.seal_done.eq(s.loop.seal_done),
            s.slave.seal_refused.eq(s.loop.seal_refused),
            s.loop.seal.eq(s.slave.seal),
            s.loop.locked_out.eq(s.slave.locked_out),
            s.loop.provisioned.eq(s.slave.provisioned),
            s.slave.identity_done.eq(s.identity.done),
            s.slave.identity_accepted.eq(s.identity.accepted),
            s.identity.update.eq(s.slave.identity_update),
            s.identity.item.eq(s.slave.identity_item),
            s.identity.origin.eq(s.slave.identity_origin),
            s.identity.spoiled.eq(s.slave.spoiled),
            s.identity.length.eq(s.deframer.head.length),
            s.identity.content.eq(s.deframer.content),
            s.framer.content.eq(s.deframer.content),
            # One at a time, the others say 0; the clock takes its time while the slave is idle.
            s.deframer.position.eq(
                Mux(
                    s.slave.busy,
                    s.slave.position | s.identity.position | s.framer.position,
                    s.clock.source_index,
                )
            ),
            s.reporter.enable.eq(s.identity.valid & s.log.ready),
            s.reporter.pending.eq(s.log.pending),
            s.reporter.offered.eq(s.log.i.valid),
            s.reporter.arrived.eq(s.log.i.valid & s.log.i.ready),
            s.reporter.frame.eq(s.deframer.frame),
            s.reporter.head.eq(s.deframer.head),
            s.reporter.tick_ms.eq(s.time.tick_ms),
            s.reporter.free.eq(s.access.free),
            s.reporter.slave_busy.eq(s.slave.busy),
            s.reporter.sent.eq(s.pair.done),
            s.reporter.broken.eq(s.pair.broken),
            s.framer.wait.eq((s.reporter.unready & s.reporter.speaking) | ~s.signer.ready),
            s.framer.start.eq(s.slave.send | s.reporter.send),
            s.framer.message.eq(Mux(s.slave.busy, s.slave.message, s.reporter.message)),
            s.framer.function.eq(s.deframer.head.control),
        ]

    def _light(self, m, s):
        m.d.comb += [
            s.lamps.identity_ready.eq(s.identity.ready),
            s.lamps.identity_valid.eq(s.identity.valid),
            s.lamps.tick.eq(s.time.tick_quarter),
            s.lamps.state.eq(s.loop.state),
            s.lamps.flapping.eq(s.loop.flapping),
            s.lamps.locked_out.eq(s.slave.locked),
            s.lamps.exchanged.eq(s.reporter.exchanged),
            # Not green while the loop is not sealed at this very moment, whatever the filtered state says.
            s.lamps.pending.eq(s.loop.unlogged | s.log.pending | (s.loop.class_ != StateClass.SEALED)),
            s.lamps.failed.eq(s.reporter.failed | s.access.stuck),
            self.led_green.eq(s.lamps.green),
            self.led_red.eq(s.lamps.red),
        ]

    def _tell_the_customer(self, m, s):
        """The clock's one read port is the diagnostics' while they are sent."""
        facts, busy = s.gsm.facts, s.diagnostics.hold
        m.d.comb += [
            facts.valid.eq(s.log.i.valid & s.log.i.ready & s.identity.valid),
            facts.kind.eq(s.log.i.payload.kind),
            facts.state.eq(s.log.i.payload.state),
            facts.tick_s.eq(s.time.tick_s),
            s.identity.gsm_address.eq(facts.identity_address),
            facts.identity_byte.eq(s.identity.gsm_data),
            s.clock.index.eq(Mux(busy, s.diagnostics.clock_index, facts.clock_index)),
            facts.clock_byte.eq(s.clock.byte),
            facts.clock_valid.eq(s.clock.valid),
            facts.clock_free.eq(s.clock.idle & ~busy),
            self.gsm_txd.eq(s.gsm.txd),
            s.gsm.rxd.eq(self.gsm_rxd),
        ]

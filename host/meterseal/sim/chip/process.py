"""The process `meterseal chip run`: simulated chips on a bus whose host ends are a PTY and TCP ports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from meterseal.clock import Clock, SystemClock
from meterseal.domain.image import Identity, image
from meterseal.errors import Failure
from meterseal.io.pty import PtyEnd
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.control import LINE_MAX, answer
from meterseal.sim.chip.gsm import Modems
from meterseal.sim.chip.host_ports import NAMES, HostPorts
from meterseal.sim.chip.options import Options
from meterseal.sim.chip.rig import Emit, Rig, Seal, open_seals
from meterseal.sim.chip.tcp_server import listen
from meterseal.sim.chip.watch import Watch
from meterseal.trace import Trace
from sealchip.interface import DEFAULT_BAUD

__all__ = ["default_identity", "run"]

#: Seconds simulated between two exchanges with the outside; at real pace also real seconds.
SLICE = 0.010
#: Most seconds by which the simulation may lag. A slower machine does not catch up beyond this: in a burst
#: the chips' timeouts would expire before a host could answer.
LAG_MAX = 0.050


def default_identity(index: int, baud: int = DEFAULT_BAUD) -> Identity:
    """Return the identity of a temporary seal: 000000000101 for meter 000000000201, SEAL-000101, …"""
    return Identity(f"{101 + index:012d}", f"SEAL-{101 + index:06d}", f"{201 + index:012d}", baud=baud)


async def run(options: Options, *, as_json: bool) -> None:
    """Simulate until cancelled; `Failure` for options that contradict each other or the flash images."""
    with ExitStack() as stack:
        emit = _emitter(options.log, as_json, stack)
        rig = stack.enter_context(_rig(options, emit))
        pty = stack.enter_context(PtyEnd(options.pty))
        ends = HostPorts(rig.bus, emit)
        modems = Modems(rig.bus, options.gsm, emit)
        async with AsyncExitStack() as servers:
            places = {"pty": pty.path}
            if options.tcp:
                places["tcp"] = await listen(options.tcp, ends.serve_tcp, servers)
            if options.control:
                control = _Control(rig)
                places["control"] = await listen(options.control, control.serve, servers, line_max=LINE_MAX)
            emit("ready", **places, baud=rig.bus.baud, seals=[_introduction(seal) for seal in rig.seals])
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ends.serve_pty(pty))
                tasks.create_task(modems.serve())
                clock = SystemClock() if options.real_time else None
                await _simulate(rig, (ends.deliver, modems.deliver), emit, clock)


async def _simulate(
    rig: Rig, deliveries: Iterable[Callable[[], Awaitable[None]]], emit: Emit, clock: Clock | None
) -> None:
    """Run the bus in step with `clock`, or as fast as possible; `deliveries` carry away what it transmits."""
    watch = Watch([seal.name for seal in rig.seals], NAMES)
    due = clock.monotonic() if clock else 0.0
    while True:
        rig.bus.run(SLICE)
        # Traced before delivery, so that no receiver's time is earlier than the chip's.
        seen = rig.bus.tap()
        rig.see(seen)
        for what, fields in watch.feed(seen, rig.bus.now):
            emit(what, **fields)
        for deliver in deliveries:
            await deliver()
        if clock:
            due = max(due + SLICE, clock.monotonic() - LAG_MAX)
            await asyncio.sleep(max(0.0, due - clock.monotonic()))
        else:
            await asyncio.sleep(0)


class _Control:
    """Serves the connections of the control port."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each line until the client disconnects."""
        try:
            while line := await reader.readline():
                writer.write(answer(self._rig, line))
                await writer.drain()
        except ValueError:
            writer.write(b'{"ok": false, "error": "a command has at most %d bytes"}\n' % LINE_MAX)
        except OSError:
            # The client has disconnected without waiting for its answer.
            pass
        finally:
            writer.close()


def _emitter(log: Path | None, as_json: bool, stack: ExitStack) -> Emit:
    """Return the trace: every line on the screen, and all but the bytes on the wire in the log."""
    trace = Trace("chip", as_json=as_json)
    if log is None:
        return trace
    logged = Trace("chip", as_json=True, stream=stack.enter_context(_open_log(log)))

    def emit(what: str, **fields: object) -> None:
        trace(what, **fields)
        if what not in ("wire", "discarded"):
            logged(what, **fields)

    return emit


def _open_log(path: Path) -> TextIO:
    """Open the log to append; an unfinished line, left by a killed process, is removed."""
    try:
        log = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise Failure(f"log {path}: {error.strerror}") from None
    written = path.read_bytes()
    log.truncate(written.rfind(b"\n") + 1)
    return log


@contextmanager
def _rig(options: Options, emit: Emit) -> Iterator[Rig]:
    """Build everything that is simulated, powered on."""
    with ExitStack() as stack:
        seals = open_seals(_flash_files(options, stack))
        for seal in seals:
            stack.callback(seal.flash.close)
        baud = _baud(options.baud, seals)
        if len(options.gsm) > len(seals):
            raise Failure(f"{len(options.gsm)} --gsm for {len(seals)} seals: give at most one for each")
        library = chip_library(
            clock_hz=options.clock_hz,
            front_end=options.front_end,
            pattern=options.pattern,
            gsm=bool(options.gsm),
            netlist=options.netlist,
        )
        bus = stack.enter_context(
            BusSim(library, chips=len(seals), ends=len(NAMES), clock_hz=options.clock_hz, baud=baud)
        )
        yield Rig(bus, seals, emit)


def _flash_files(options: Options, stack: ExitStack) -> list[Path]:
    """Return the given files, or temporary ones that last as long as `stack`."""
    given = list(options.flashes)
    count = len(given) or 1 if options.seals is None else options.seals
    if given and count != len(given):
        raise Failure(f"{count} seals need {count} --flash files; {len(given)} given")
    if given:
        return given
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="meterseal-chip-")))
    for index in range(count):
        identity = default_identity(index, DEFAULT_BAUD if options.baud is None else options.baud)
        given.append(folder / f"seal-{identity.seal}.bin")
        given[-1].write_bytes(image(identity))
    return given


def _baud(wanted: int | None, seals: list[Seal]) -> int:
    """Return the rate of the bus: the one requested, else that of the seals."""
    for seal in seals:
        if seal.identity is not None:
            wanted = seal.identity.baud if wanted is None else wanted
            if seal.identity.baud != wanted:
                raise Failure(
                    f"seal {seal.name} is set to {seal.identity.baud} baud and the bus runs at {wanted}: "
                    "all on one bus need the same rate (--baud, or another image)"
                )
    return DEFAULT_BAUD if wanted is None else wanted


def _introduction(seal: Seal) -> dict[str, object]:
    """Describe a seal for `ready`; one without an identity has only its number."""
    known = seal.identity
    return {
        "address": seal.name,
        "meter": known.meter if known else None,
        "asset": known.asset if known else None,
        "flash": str(seal.flash.path),
    }

"""The whole chip measures the simulated analogue loop with its sigma-delta front end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterseal.domain.record import Kind, StateClass
from meterseal.sim.chip.head import Loop
from sealchip.interface import SEALED_MV
from verif.benches.chip import Bench, flashes_red, lamps


@pytest.fixture
def measuring(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path, front_end="sigma-delta")
    one.bus.position(0, closed=True)
    one.power()
    one.run(3.0)
    yield one
    one.close()


def after(bench: Bench, loop: Loop) -> tuple[Kind, StateClass, int | None]:
    """Return what the seal reports after its loop has become `loop`."""
    count = len(bench.reports())
    bench.bus.loop(0, loop)
    bench.run(3.0, until=lambda: len(bench.reports()) > count)
    report = bench.reports()[-1]
    return report.kind, report.state, report.loop_mv


def near(mv: int) -> object:
    return pytest.approx(mv, abs=50)


def test_each_attack_is_named(measuring: Bench) -> None:
    """Each attack has its class, once the window has been learned at the first closing, here at power-up."""
    boot = measuring.reports()[0]
    assert (boot.kind, boot.state) == (Kind.BOOT, StateClass.SEALED)
    assert boot.loop_mv == near(SEALED_MV)
    assert lamps(measuring) == (True, False)

    assert after(measuring, Loop(jumper=True)) == (Kind.OPENED, StateClass.HIGH, near(5000))
    assert flashes_red(measuring)
    assert after(measuring, Loop()) == (Kind.CLOSED, StateClass.SEALED, near(SEALED_MV))
    assert after(measuring, Loop(contact_mv=3600)) == (Kind.OPENED, StateClass.LOW, near(3600))
    measuring.run(1.0)

    # The learned baseline survives a power cut and does not follow the voltage.
    measuring.power(on=False)
    measuring.power()
    measuring.run(3.0)
    boot = measuring.reports()[-1]
    assert (boot.kind, boot.state, boot.loop_mv) == (Kind.BOOT, StateClass.LOW, near(3600))
    assert after(measuring, Loop()) == (Kind.CLOSED, StateClass.SEALED, near(SEALED_MV))

    # A source of the learned voltage replaces the head.
    assert after(measuring, Loop(foreign_mv=SEALED_MV)) == (
        Kind.OPENED,
        StateClass.MISMATCH,
        near(SEALED_MV),
    )


def test_a_pulled_head_is_reported(measuring: Bench) -> None:
    begin = measuring.bus.now
    measuring.heard.clear()
    measuring.bus.position(0, closed=False)
    measuring.run(3.0, until=lambda: bool(measuring.reports()))
    report = measuring.reports()[0]
    assert (report.kind, report.state) == (Kind.OPENED, StateClass.OPEN)
    assert report.loop_mv == near(0)
    assert measuring.bus.now - begin < 1.0


def test_the_window_holds_under_noise(measuring: Bench) -> None:
    """Ten seconds of 20 mV rms noise on a contact that has lost 100 mV cause no report."""
    measuring.heard.clear()
    measuring.bus.loop(0, Loop(contact_mv=SEALED_MV - 100, noise_mv=20))
    measuring.run(10.0)
    assert measuring.reports() == []
    assert lamps(measuring) == (True, False)

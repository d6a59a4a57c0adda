"""Carrier sense keeps the order of stations on a shared bus."""

from __future__ import annotations

from meterseal.protocols.dlt645.carrier_sense import CarrierSense


def test_an_unused_line_is_free() -> None:
    assert CarrierSense().free_at < 0


def test_every_byte_keeps_the_line_busy_for_the_quiet_time() -> None:
    carrier_sense = CarrierSense(quiet=0.06)
    for now in (1.0, 1.05, 1.10):
        carrier_sense.received(now)
    assert carrier_sense.free_at == 1.10 + 0.06


def test_seals_get_their_turn_after_the_own_exchange() -> None:
    carrier_sense = CarrierSense(quiet=0.06, gap=0.15)
    carrier_sense.received(2.0)
    carrier_sense.finished(2.0)
    assert carrier_sense.free_at == 2.0 + 0.15


def test_an_overheard_exchange_is_let_finish_and_not_waited_for_for_ever() -> None:
    carrier_sense = CarrierSense(quiet=0.06, answer=0.6)
    carrier_sense.received(3.0)
    carrier_sense.overheard(3.0, answer=False)
    assert carrier_sense.free_at == 3.0 + 0.6
    carrier_sense.received(3.2)
    carrier_sense.overheard(3.2, answer=True)
    assert carrier_sense.free_at == 3.2 + 0.06

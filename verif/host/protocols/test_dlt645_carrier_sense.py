"""Manners on a shared pair."""

from __future__ import annotations

from meterseal.protocols.dlt645.carrier_sense import Manners


def test_a_line_never_heard_is_free() -> None:
    assert Manners().free_at < 0


def test_every_byte_keeps_the_line_busy_for_the_quiet_time() -> None:
    manners = Manners(quiet=0.06)
    for now in (1.0, 1.05, 1.10):
        manners.heard(now)
    assert manners.free_at == 1.10 + 0.06


def test_seals_get_their_turn_after_the_own_exchange() -> None:
    manners = Manners(quiet=0.06, gap=0.15)
    manners.heard(2.0)
    manners.finished(2.0)
    assert manners.free_at == 2.0 + 0.15


def test_an_overheard_exchange_is_let_finish_and_not_waited_for_for_ever() -> None:
    manners = Manners(quiet=0.06, answer=0.6)
    manners.heard(3.0)
    manners.overheard(3.0, answer=False)
    assert manners.free_at == 3.0 + 0.6
    manners.heard(3.2)
    manners.overheard(3.2, answer=True)
    assert manners.free_at == 3.2 + 0.06

"""Metering is killed at any moment: what it confirmed is stored, and what is stored is stored once."""

from __future__ import annotations

import contextlib
import random
import time

from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.terminal import Confirmed, Unconfirmed


def test_killed_between_storing_and_confirming(start_metering, connect, make, eventually):
    metering = start_metering()
    terminal = connect(metering).login()
    content = make.report(1)
    terminal.start(Afn.USER_DEFINED, 1, UplinkDi.USER_DEFINED, content, "key")
    # The confirmation, if it was sent at all, is never read.
    eventually(lambda: metering.counters == [(make.seal, 1)])
    metering.link.kill()
    again = start_metering(listen=metering.listen)
    assert connect(again).login().report(content) is True
    assert again.counters == [(make.seal, 1)]
    assert again.active == set()


def test_killed_before_storing(start_metering, connect, make):
    metering = start_metering()
    terminal = connect(metering).login()
    content = make.report(1)
    with metering.locked_store():
        terminal.start(Afn.USER_DEFINED, 1, UplinkDi.USER_DEFINED, content, "key")
        terminal.step()
        metering.link.kill()
    assert metering.counters == []
    again = start_metering(listen=metering.listen)
    assert connect(again).login().report(content) is True
    assert again.counters == [(make.seal, 1)]


def test_killed_again_and_again_under_load(start_metering, connect, make):
    """One terminal sends without pause; after each kill every confirmed report is in the store."""
    chance = random.Random(2)
    metering = start_metering()
    waiting, confirmed = list(range(1, 61)), set()
    contents = {counter: make.report(counter) for counter in waiting}
    for left in (3, 2, 1, 0):
        terminal = connect(metering, timeout=0.5).login()
        end = time.monotonic() + (chance.uniform(0.02, 0.25) if left else 60)
        while waiting and time.monotonic() < end:
            terminal.start(Afn.USER_DEFINED, 1, UplinkDi.USER_DEFINED, contents[waiting[0]], waiting[0])
            with contextlib.suppress(ConnectionError):
                if isinstance(terminal.until(Confirmed, Unconfirmed), Confirmed):
                    confirmed.add(waiting.pop(0))
        if left:
            metering.link.kill()
            stored = [counter for _, counter in metering.counters]
            assert confirmed <= set(stored)
            assert len(stored) == len(set(stored))
            metering = start_metering(listen=metering.listen)
    assert metering.counters == [(make.seal, counter) for counter in range(1, 61)]
    assert metering.active == set()

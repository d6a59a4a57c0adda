"""Each event is announced as it should be, in whatever order the events come."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from meterseal.clock import CST, ManualClock
from meterseal.domain.event import SealEvent
from meterseal.domain.record import NO_FLAGS, Flags, Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.protocols.handover import Finding
from meterseal.store import alarms, outbox
from meterseal.store.database import Database
from meterseal.store.events import Outcome
from meterseal.store.writer import Writer
from meterseal.systems.marketing.customers import Customer
from meterseal.systems.marketing.delivery import PAUSE_MAX, Queue
from meterseal.systems.marketing.intake import load_customers, take, take_finding
from meterseal.systems.marketing.messages import APPRISE, SMS, Message
from meterseal.systems.marketing.tables import SCHEMA

SEAL = "000000000101"
NOON = datetime(2026, 11, 22, 13, 5, 9, tzinfo=CST)
ZHANG = Customer("100000000012", "张三", "13800000012", "000000000201", SEAL)
STAFF = ("json://staff/",)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "marketing.db", SCHEMA)
    with database.transaction() as conn:
        load_customers(conn, [ZHANG], NOON)
    yield database
    database.close()


def event(counter: int, kind: Kind, state: StateClass, flags: Flags = NO_FLAGS) -> SealEvent:
    record = SealRecord(SEAL, 1, counter, kind, state, 2000, flags).encode()
    return SealEvent.from_record(record, occurred_at=NOON + timedelta(minutes=counter))


def put_in(database: Database, *events: SealEvent) -> list[Outcome]:
    with database.transaction() as conn:
        return [take(conn, one, STAFF, NOON).outcome for one in events]


def messages(database: Database, topic: str) -> dict[int, str]:
    with database.reading() as conn:
        queued = [Message.decode(item.body) for item in outbox.due(conn, topic, NOON)]
    assert len({message.counter for message in queued}) == len(queued)
    return {message.counter: message.text for message in queued}


BOOT = event(1, Kind.BOOT, StateClass.SEALED)
OPENED = event(2, Kind.OPENED, StateClass.OPEN)
CLOSED = event(3, Kind.CLOSED, StateClass.SEALED)
BOOT_OPEN = event(4, Kind.BOOT, StateClass.OPEN, Flags.UNOBSERVED | Flags.AGE_UNKNOWN)


def test_in_any_order_every_opening_and_closing_is_announced_once(tmp_path: Path) -> None:
    for number, order in enumerate(permutations([BOOT, OPENED, CLOSED, BOOT_OPEN])):
        database = Database(tmp_path / f"{number}.db", SCHEMA)
        with database.transaction() as conn:
            load_customers(conn, [ZHANG], NOON)
        put_in(database, *order, *order)
        sent = messages(database, SMS)
        assert sent.keys() == {2, 3, 4}, order
        assert "被打开" in sent[2]
        assert "复封" in sent[3]
        database.close()


def test_a_power_up_is_announced_only_when_it_finds_the_seal_opened(database: Database) -> None:
    put_in(database, event(1, Kind.BOOT, StateClass.OPEN), event(2, Kind.CLOSED, StateClass.SEALED))
    put_in(database, event(3, Kind.BOOT, StateClass.SEALED), event(4, Kind.BOOT, StateClass.OPEN))
    put_in(database, event(5, Kind.BOOT, StateClass.OPEN))
    assert messages(database, SMS).keys() == {2, 4}


def test_flapping_is_announced_in_its_own_words(database: Database) -> None:
    put_in(database, BOOT, event(2, Kind.FLAPPING, StateClass.SEALED))
    assert "反复通断" in messages(database, SMS)[2]


def active(database: Database) -> set[tuple[str, int]]:
    with database.reading() as conn:
        return {(alarm.code.value, alarm.counter) for alarm in alarms.active(conn)}


def test_what_metering_doubted_and_now_hands_on_counts(database: Database) -> None:
    put_in(database, BOOT)
    finding = Finding(RecordVerdict.on(OPENED.record, VerdictCode.AUTH_FAIL), "MAC wrong", NOON)
    with database.transaction() as conn:
        take_finding(conn, finding, STAFF, NOON)
    assert active(database) == {("SEAL_AUTH_FAIL", 2)}
    assert put_in(database, OPENED) == [Outcome.NEW]
    assert active(database) == {("SEAL_OPEN_UNMATCHED", 2)}


def test_an_opening_of_unknown_age_is_dated_before_it_was_found(database: Database) -> None:
    put_in(database, CLOSED, BOOT_OPEN)
    assert "11-22 13:09前被打开" in messages(database, SMS)[4]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (StateClass.LOW, "回路电压偏低"),
        (StateClass.HIGH, "回路电压偏高"),
        (StateClass.MISMATCH, "回路响应不符"),
    ],
)
def test_an_abnormal_loop_is_announced_with_its_class(
    database: Database, state: StateClass, words: str
) -> None:
    put_in(database, CLOSED, event(4, Kind.OPENED, state))
    assert f"封印回路异常({words})" in messages(database, SMS)[4]


def test_staff_receive_what_customers_receive_and_what_is_internal(database: Database) -> None:
    put_in(database, BOOT, CLOSED, event(5, Kind.BOOT, StateClass.SEALED, Flags.UNOBSERVED))
    customer, staff = messages(database, SMS), messages(database, APPRISE)
    assert customer.keys() == {3}
    assert staff.keys() == {3, 5}
    assert "缺失记录" not in customer[3]
    assert "封印断电期间未监测;事件计数不连续,缺失记录。记录号EV000003" in staff[5]


def test_a_contradicting_copy_is_sent_to_staff_alone(database: Database) -> None:
    put_in(database, BOOT, CLOSED)
    assert put_in(database, event(3, Kind.OPENED, StateClass.OPEN)) == [Outcome.CONFLICT]
    assert messages(database, SMS).keys() == {3}
    with database.reading() as conn:
        texts = [Message.decode(item.body).text for item in outbox.due(conn, APPRISE, NOON)]
    assert sum("同号异文" in text for text in texts) == 1


def test_pauses_grow_and_nothing_leaves_the_queue_undelivered(database: Database) -> None:
    clock = ManualClock(NOON)
    put_in(database, OPENED)

    async def main() -> list[int]:
        writer = Writer(database)
        running = asyncio.ensure_future(writer.run())
        queue = Queue(SMS, database, writer, clock)
        pauses = []
        for _ in range(12):
            (item,) = queue.due(10)
            await queue.failed(item, "no")
            pause = 0
            while not queue.due(10):
                clock.advance(1)
                pause += 1
            pauses.append(pause)
        await queue.done(queue.due(1)[0])
        assert queue.due(10) == []
        running.cancel()
        return pauses

    assert asyncio.run(main()) == [1, 2, 4, 8, 16, 32, 64, 128, 256, *[PAUSE_MAX] * 3]

"""The customer runs as a process on a real PTY: its modem answers, and its phones show the messages."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meterseal.io.ports import open_port
from meterseal.protocols.gsm.at import AtClient, Event, Failed, Ready, Send, Sent
from meterseal.protocols.gsm.pdu import DUPLICATE, Submit, submits
from meterseal.sim.customer.cli import app

StartLink = Callable[..., Any]
NUMBER = "13800138000"
LONG = "【供电局】" + "户号尾号0012电表封印被打开," * 5


@pytest.fixture
def pty(tmp_path: Path) -> str:
    return str(tmp_path / "modem")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "customer.db"


async def _exchange(path: str, messages: list[Submit], timeout: float) -> list[Event]:
    loop = asyncio.get_running_loop()
    client = AtClient(timeout=2.0, send_timeout=timeout)
    port = await open_port(path)
    ends: list[Event] = []
    waiting = list(messages)
    events = client.start(loop.time())
    try:
        while True:
            for event in events:
                if isinstance(event, Send):
                    await port.write(event.raw)
                elif isinstance(event, Sent | Failed):
                    ends.append(event)
                if isinstance(event, Ready | Sent | Failed) and waiting and client.ready:
                    events.extend(client.send(waiting.pop(0).encode(), loop.time()))
            if len(ends) == len(messages):
                return ends
            try:
                assert client.deadline is not None
                async with asyncio.timeout_at(client.deadline):
                    events = client.receive(await port.read(), loop.time())
            except TimeoutError:
                events = client.tick(loop.time())
    finally:
        port.close()


def send(path: str, messages: list[Submit], timeout: float = 5.0) -> list[Event]:
    return asyncio.run(_exchange(path, messages, timeout))


def inbox(store: Path, *options: str) -> list[tuple[str, str]]:
    result = CliRunner().invoke(app, ["inbox", "--store", str(store), "--json", *options])
    assert result.exit_code == 0
    return [(message["number"], message["text"]) for message in json.loads(result.stdout)["messages"]]


def test_a_message_in_two_parts_reaches_the_screen_as_one(
    start_link: StartLink, pty: str, store: Path
) -> None:
    customer = start_link("customer", "run", "--pty", pty, "--store", store)
    assert customer.wait_for("ready")["pty"] == pty
    parts = submits(NUMBER, LONG, 1)
    assert len(parts) == 2
    assert send(pty, parts) == [Sent(2), Sent(3)]
    customer.wait_for("message", number=NUMBER, text=LONG)
    assert customer.stop() == 0
    assert not Path(pty).is_symlink()
    assert inbox(store) == [(NUMBER, LONG)]


def test_a_copy_is_refused_and_shown_once_also_after_sigkill(
    start_link: StartLink, pty: str, store: Path
) -> None:
    customer = start_link("customer", "run", "--pty", pty, "--store", store, "--slow", 30)
    customer.wait_for("ready")
    message = Submit(NUMBER, "封印被打开", 7)
    (failed,) = send(pty, [message], timeout=0.5)
    assert isinstance(failed, Failed)
    customer.kill()
    customer = start_link("customer", "run", "--pty", pty, "--store", store)
    customer.wait_for("ready")
    other_phone = Submit("13900139000", "封印被打开", 7)
    assert send(pty, [message, other_phone]) == [Failed(DUPLICATE, "+CMS ERROR: 197"), Sent(7)]
    assert inbox(store) == [(message.number, message.text), (other_phone.number, other_phone.text)]
    assert inbox(store, "--number", NUMBER) == [(message.number, message.text)]


def test_a_copy_is_wanted_when_tp_rd_is_clear(start_link: StartLink, pty: str, store: Path) -> None:
    start_link("customer", "run", "--pty", pty, "--store", store).wait_for("ready")
    message = Submit(NUMBER, "x", 7, reject_duplicates=False)
    assert send(pty, [message, message]) == [Sent(7), Sent(7)]
    assert len(inbox(store)) == 2


def test_a_modem_that_fails_echoes_and_chatters(start_link: StartLink, pty: str, store: Path) -> None:
    options = ["--echo", "--unsolicited", "--fail-every", 2]
    start_link("customer", "run", "--pty", pty, "--store", store, *options).wait_for("ready")
    messages = [Submit(NUMBER, text, index) for index, text in enumerate("abc")]
    assert send(pty, messages) == [Sent(0), Failed(500, "+CMS ERROR: 500"), Sent(2)]
    assert inbox(store) == [(NUMBER, "a"), (NUMBER, "c")]


def test_each_modem_has_references_of_its_own(start_link: StartLink, tmp_path: Path, store: Path) -> None:
    """Only a repeat by the same sender is a copy: another modem may use the same reference."""
    ptys = [str(tmp_path / name) for name in ("one", "two")]
    customer = start_link("customer", "run", "--pty", ptys[0], "--pty", ptys[1], "--store", store)
    customer.wait_for("ready", count=2)
    message = Submit(NUMBER, "a", 7)
    assert send(ptys[0], [message, message]) == [Sent(7), Failed(DUPLICATE, "+CMS ERROR: 197")]
    assert send(ptys[1], [message]) == [Sent(7)]
    assert inbox(store) == [(NUMBER, "a"), (NUMBER, "a")]

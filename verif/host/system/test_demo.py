"""`meterseal demo` runs as a user starts it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from meterseal.tools.demo.observe import SYSTEMS
from meterseal.tools.demo.plan import LINKS

METERSEAL = (sys.executable, "-m", "meterseal")
#: Tests in which the rate does not matter use this one; the default rate has a test of its own.
FAST = "19200"


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*METERSEAL, "demo", *arguments], capture_output=True, text=True, check=False, timeout=240
    )


def report(*arguments: str) -> dict[str, Any]:
    done = demo("--headless", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_one_seal() -> None:
    """At the default rate every event passes all links in order, and all four systems raise one alarm."""
    shown = report("--scenario", "standard")
    assert [event["kind"] for event in shown["events"]] == ["boot", "closed", "opened", "closed"]
    assert [event["counter"] for event in shown["events"]] == [1, 2, 3, 4]
    for event in shown["events"]:
        times = [event["hops"][link] for link in LINKS if event["hops"][link]]
        assert len(times) == (5 if event["kind"] == "boot" else 6)
        parsed = [datetime.fromisoformat(time) for time in times]
        assert parsed == sorted(parsed)
        assert all(time.endswith("+08:00") and "." in time for time in times)
    seal = shown["events"][0]["seal"]
    for system in SYSTEMS:
        (alarm,) = (one for one in shown["alarms"][system] if one["code"] == "SEAL_OPEN_UNMATCHED")
        assert (alarm["seal"], alarm["counter"], alarm["active"]) == (seal, 3, False)
    assert shown["lamps"] == {seal: {"green": True, "red": False}}
    by_chain = [message["counter"] for message in shown["messages"] if message["by"] == "marketing"]
    assert by_chain == [2, 3, 4]
    own = [message for message in shown["messages"] if message["by"] == "chip"]
    assert [message["text"].split()[-1] for message in own] == [
        *("上电时未闭合,此前未监测", "闭合", "开启", "闭合")
    ]
    assert {message["seal"] for message in own} == {seal}
    assert {message["number"] for message in own} == {shown["messages"][-1]["number"]}


#: The alarms by which each system names an attack, by attack.
NAMED = {
    "replayed record": {"SEAL_REPLAY"},
    "forged record": {"SEAL_AUTH_FAIL"},
    "jumper": {"SEAL_HIGH"},
    "foreign voltage": {"SEAL_MISMATCH"},
    "power cut": {"SEAL_UNOBSERVED", "SEAL_OPEN_UNMATCHED"},
}


def test_all_attacks_are_named_by_all_four() -> None:
    """The seal is sealed again afterwards, and has exactly the events that happened."""
    shown = report("--baud", FAST)
    named = {
        (attack["attack"], system): {alarm["code"] for alarm in attack["named"][system]}
        for attack in shown["attacks"]
        for system in SYSTEMS
    }
    assert named == {(attack, system): codes for attack, codes in NAMED.items() for system in SYSTEMS}
    kinds = [event["kind"] for event in shown["events"]]
    assert kinds == ["boot", *3 * ["closed", "opened"], "closed", "boot", "closed"]
    for system in SYSTEMS:
        active = {alarm["code"] for alarm in shown["alarms"][system] if alarm["active"]}
        assert active == {"SEAL_REPLAY", "SEAL_AUTH_FAIL", "SEAL_UNOBSERVED"}
    assert list(shown["lamps"].values()) == [{"green": True, "red": False}]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "attack"),
    [
        ("replayed", "replayed record"),
        ("forged", "forged record"),
        ("jumper", "jumper"),
        ("foreign", "foreign voltage"),
        ("power-cut", "power cut"),
    ],
)
def test_one_attack_on_each_of_two_seals(name: str, attack: str) -> None:
    shown = report("--scenario", name, "--seals", "2", "--baud", FAST)
    assert [one["attack"] for one in shown["attacks"]] == [attack, attack]
    assert len({one["seal"] for one in shown["attacks"]}) == 2
    for one in shown["attacks"]:
        assert all({alarm["code"] for alarm in one["named"][system]} == NAMED[attack] for system in SYSTEMS)


@pytest.mark.long
def test_eight_seals_on_one_bus() -> None:
    """Every seal's boot report arrives, and every opening reaches its own customer alone."""
    shown = report("--scenario", "standard", "--seals", "8", "--baud", FAST)
    seals = {event["seal"] for event in shown["events"]}
    assert len(seals) == 8
    assert {event["seal"] for event in shown["events"] if event["kind"] == "boot"} == seals
    openings = [message for message in shown["messages"] if message["counter"] == 3]
    assert {message["seal"] for message in openings} == seals
    assert len({message["number"] for message in openings}) == 8
    owner: dict[str, str] = {}
    for message in shown["messages"]:
        assert owner.setdefault(message["number"], message["seal"]) == message["seal"]


@pytest.mark.long
def test_plain_lines_without_a_terminal(tmp_path: Path) -> None:
    """Without a terminal plain lines show the commands and decoded frames; files stay in the given folder."""
    done = demo("--scenario", "bounce", "--baud", FAST, "--keep", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for link in LINKS:
        assert f"== meterseal {link} run" in done.stdout
    assert "04805380" in done.stdout
    assert "AFN 15" in done.stdout
    assert done.stdout.rstrip().endswith("Everything arrived everywhere.")
    shown = subprocess.run(
        [*METERSEAL, "marketing", "events", "--store", str(tmp_path / "kept" / "marketing.db"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(shown.stdout)["events"]) == 4


def test_live_display_in_a_terminal() -> None:
    """In a terminal the page is drawn; the summary follows it at the end."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*METERSEAL, "demo", "--scenario", "standard", "--baud", FAST],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "60"},
    ) as process:
        os.close(slave)
        seen = bytearray()
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass  # the terminal's other end is closed: the demo has ended
        finally:
            os.close(master)
        assert process.wait(10) == 0
    text = seen.decode()
    assert "events and when each link had them" in text
    assert "Everything arrived everywhere." in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--scenario", "nothing"), "scenario 'nothing': there are standard, bounce, jumper, "),
        (("--baud", "1234"), "1234 baud: DL/T 645 has"),
        (("--netlist", "nothing.v"), "netlist nothing.v: there is no such file"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], sentence: str) -> None:
    done = demo(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_failing_link_is_named(tmp_path: Path) -> None:
    """A link that cannot start ends the demo with its sentence."""
    (tmp_path / "file").write_text("")
    done = demo("--keep", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty" in done.stderr

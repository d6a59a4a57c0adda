"""The transcript in `docs/demo.md` comes from one run of the demo, in which everything arrived everywhere."""

from __future__ import annotations

import re

from meterseal.tools.demo.observe import SYSTEMS
from verif.project.transcript import DOCUMENT, EXCERPT, excerpts

SHOWN = dict(EXCERPT.findall(DOCUMENT.read_text(encoding="utf-8")))
ATTACKS = ("replayed record", "forged record", "jumper", "foreign voltage", "power cut")


def option(program: str, name: str) -> str:
    """Return the value of an option in one of the six commands."""
    (command,) = re.findall(rf"^meterseal {program} .*", SHOWN["commands"], re.MULTILINE)
    return re.findall(rf"{name} (\S+)", command)[0]


def first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, pattern
    return found[1]


def at_chip(counter: int) -> str:
    """Return the time at which the chip reported that event, as in the summary."""
    return first(rf"event {counter} \w+ +chip (\S+)", SHOWN["summary"])


def test_the_six_commands_reach_each_other() -> None:
    programs = re.findall(r"^meterseal (\w+) run", SHOWN["commands"], re.MULTILINE)
    assert programs == ["chip", "meter", "terminal", "metering", "marketing", "customer"]
    assert option("terminal", "--bus") == f"socket://{option('chip', '--tcp')}"
    assert option("terminal", "--station") == option("metering", "--listen")
    assert option("metering", "--marketing") == f"http://{option('marketing', '--http')}"
    assert option("marketing", "--sms-port") == option("customer", "--pty")


def test_all_excerpts_are_of_the_same_run() -> None:
    opened = first(r"^(\S+) chip +event .* counter=3 kind=opened", SHOWN["opening"])
    notified = first(r"^(\S+) customer  message .*EV000003$", SHOWN["opening"])
    forged = re.findall(r"^(\d\S+) ", SHOWN["forgery"], re.MULTILINE)
    assert opened == at_chip(3)
    assert opened < first(r"(\S+) marketing \d+: .*EV000003$", SHOWN["summary"]) <= notified
    assert notified < min(forged) <= max(forged) < at_chip(4)


def test_every_system_named_every_attack() -> None:
    assert re.findall(r"^  attack +seal +(.*)", SHOWN["summary"], re.MULTILINE)[0].split() == list(SYSTEMS)
    for attack in ATTACKS:
        row = first(rf"^  {attack}  +\d+  (.*)", SHOWN["summary"])
        assert len(re.split(r"  +", row)) == len(SYSTEMS)
    assert SHOWN["summary"].endswith("\nEverything arrived everywhere.\n```\n")


def test_polls_and_modems_are_left_out() -> None:
    printed = """\
== meterseal chip run --pty /tmp/meterseal-3m0yykim/rs485
== open seal 1
01:00:00.000 chip      event counter=3
01:00:00.100 terminal  rs485 tx 68  [645 11 1 04805340 seal journal, bounds]
01:00:00.200 marketing at tx AT\\r
01:00:00.300 customer  message number=1 text=【封印】
01:00:00.400 customer  message number=1 text=【供电局】
01:00:00.500 customer  event counter=9
== attack: forged record
01:00:01.000 meter     alarm code=X
01:00:01.100 meter     connected port=x
== close seal 1
01:00:02.000 meter     alarm code=Y

What each link saw:
  nothing
"""
    assert excerpts(printed) == {
        "commands": "```\nmeterseal chip run --pty …/rs485\n```\n",
        "opening": "```\n== open seal 1\n01:00:00.000 chip      event counter=3\n"
        "01:00:00.300 customer  message number=1 text=【封印】\n"
        "01:00:00.400 customer  message number=1 text=【供电局】\n```\n",
        "forgery": "```\n== attack: forged record\n01:00:01.000 meter     alarm code=X\n```\n",
        "summary": "```\nWhat each link saw:\n  nothing\n```\n",
    }

"""The documents agree with the code in tables, examples, commands, paths and links.

Blocks between `<!-- generated: NAME -->` and `<!-- end -->` are made from the code. After a change there,
`make docs` writes them again.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from amaranth.hdl import Fragment
from fastapi.routing import APIRoute

import meterseal
import sealchip
from meterseal import cli
from meterseal.clock import CST
from meterseal.domain.alarm_rules import SEVERITY, derive_alarms
from meterseal.domain.event import SealEvent
from meterseal.domain.journal import JournalEntry
from meterseal.domain.record import Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.i18n import catalogue
from meterseal.protocols import handover
from meterseal.protocols.csg1209022 import relay, user_data
from meterseal.protocols.csg1209022.codes import Afn, UplinkDi
from meterseal.protocols.csg1209022.frame import DIR_UP, PRM, Frame, TerminalAddress, point_da
from meterseal.protocols.csg1209022.terminal import TerminalLink
from meterseal.protocols.dlt645 import requests
from meterseal.protocols.dlt645.carrier_sense import CarrierSense
from meterseal.protocols.dlt645.items import ITEMS, Item
from meterseal.sim.chip import control
from meterseal.systems.marketing.api import events_in, json_out
from meterseal.systems.metering.api import create_app as metering_app
from sealchip import interface
from sealchip.bus import bus_access
from sealchip.chip import SealChip
from sealchip.dlt645 import reporter, slave
from sealchip.gsm import text as gsm_text
from sealchip.interface import PROVISIONING, Di, Layout
from verif.formal import theorems

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"<!-- generated: ([\w -]+) -->\n(.*?)<!-- end -->", re.DOTALL)
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
REPOSITORY_PATH = re.compile(r"`((?:rtl|host|verif|docs|\.ci)/[\w./-]*)(?:::(\w+))?`")

LAYOUTS = {name: value for name, value in vars(interface).items() if isinstance(value, Layout)}
#: The project's own codes. `Function` and `Err` belong to the standard, and `Di` has a table of another form.
ENUMS = {
    name: value
    for name, value in vars(interface).items()
    if inspect.isclass(value)
    and issubclass(value, IntEnum)
    and value not in (IntEnum, Di, interface.Function)
} | {"Flags": interface.Flags}


# Generated blocks


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |\n" for row in lines)


def comments(members: type[IntEnum | IntFlag]) -> dict[str, str]:
    """Return the text of the `#:` lines above each member."""
    found = re.findall(r"((?: *#: .*\n)+) *(\w+) = ", inspect.getsource(members))
    return {name: " ".join(re.findall(r"#: (.*)", text)) for text, name in found}


def enum_table(members: type[IntEnum | IntFlag]) -> str:
    meanings = comments(members)
    rows: list[tuple[object, ...]] = []
    for member in members:
        code = f"bit {member.bit_length() - 1}" if isinstance(member, IntFlag) else member.value
        meaning = (meanings[member.name],) if meanings else ()
        rows.append((code, member.name.lower().replace("_", " "), *meaning))
    return table(("code", "name", *(("meaning",) if meanings else ())), rows)


def layout_table(layout: Layout) -> str:
    rows = [(layout.offsets[field.name], field.width, field.name, field.doc) for field in layout.fields]
    return table(("offset", "bytes", "field", "content"), rows) + f"\n{layout.size} bytes.\n"


def di_table() -> str:
    meanings = comments(Di)
    rows = []
    for di in Di:
        last = di + 15 if di == Di.RECORD_HISTORY else di
        item = ITEMS[di]
        name = item.zh.replace("1", "n") if last > di else item.zh
        code = f"{di:08X}" + (f"..{last & 0xFF:02X}" if last > di else "")
        rows.append((f"`{code}`", name, _size(item), meanings[di.name]))
        if di == Di.PROVISIONING:
            more = (ITEMS[di + offset] for offset in PROVISIONING if offset)
            rows += [(f"`{item.di:08X}`", item.zh, _size(item), "Write with password.") for item in more]
    return table(("DI", "名称", "bytes", "access and content"), rows)


def _size(item: Item) -> object:
    return "–" if item.size is None else item.size


def flash_table() -> str:
    first, second = interface.FLASH_IDENTITY_SLOTS
    log, sector = interface.FLASH_LOG_BASE, interface.FLASH_SECTOR_BYTES
    rows = [
        (f"`{first:04X}`", interface.IDENTITY.size, "identity, slot A"),
        (f"`{second:04X}`", interface.IDENTITY.size, "identity, slot B"),
    ]
    for n in range(interface.FLASH_LOG_SECTORS):
        slots = (
            f"event log, {sector // interface.FLASH_SLOT_BYTES} slots of {interface.FLASH_SLOT_BYTES} bytes"
        )
        rows.append((f"`{log + n * sector:04X}`", sector, slots))
    return table(("address", "bytes", "content"), rows) + f"\n{interface.FLASH_SIZE} bytes in all.\n"


def baud_table() -> str:
    rows = [(f"`{word:02X}`", rate) for word, rate in interface.BAUD_FEATURE.items()]
    return table(("feature word", "bit/s"), rows)


def user_data_table() -> str:
    entry = interface.JOURNAL_ENTRY.size
    rows = [
        (0, 2, f"vendor code, ASCII `{user_data.VENDOR.decode()}`"),
        (2, 1, f"layout version, {user_data.VERSION}"),
        (3, 6, "meter address, BCD, low byte first"),
        (user_data.HEAD_BYTES, entry, "journal entry"),
    ]
    return table(("offset", "bytes", "content"), rows) + f"\n{user_data.USER_DATA} bytes.\n"


def relay_table() -> str:
    def codes(members: type[IntEnum]) -> str:
        return ", ".join(f"{member.value} {member.name.lower().replace('_', ' ')}" for member in members)

    usual = relay.RelayRequest(b"")
    rows = [
        (0, "type", f"{relay.TRANSPARENT} = the frame is passed on as it is"),
        (1, "port", f"number of the terminal's port, usually {usual.port}"),
        (2, "baud", f"in units of {relay.BAUD_UNIT} bit/s: 2400 is {2400 // relay.BAUD_UNIT}"),
        (3, "parity", codes(relay.Parity)),
        (4, "data bits", f"usually {usual.data_bits}"),
        (5, "stop bits", codes(relay.StopBits)),
        (6, "timeout", f"seconds, usually {usual.timeout}"),
        (7, "length", "of the frame that follows"),
        (relay.HEAD_BYTES, "frame", "the DL/T 645 frame, preamble included"),
    ]
    return table(("offset", "field", "content"), rows)


def defaults(function: Callable[..., object]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def chip_times() -> str:
    slot = bus_access.SLOT_MS
    longest = slot * ((1 << bus_access.SLOT_BITS) - 1)
    backoff = [reporter.BACKOFF_MS << n for n in (0, reporter.BACKOFF_STEPS)]
    rows = [
        ("silence after which no answer is expected any more", f"{bus_access.SILENCE_MS} ms"),
        ("least quiet between an answer and a seal's frame", f"{bus_access.GAP_MS} ms"),
        ("quiet after an own frame that was given up", f"{bus_access.CRASH_MS} ms"),
        ("drawn slot, added to it", f"0 to {longest} ms in steps of {slot} ms"),
        ("wait for the meter's 94H", f"{reporter.ANSWER_MS} ms"),
        ("back-off after a report without 94H", f"{backoff[0]} ms, doubled each time up to {backoff[1]} ms"),
        ("response delay Td as a slave", f"{slave.TD_MS} to {slave.TOO_LATE_MS} ms, else no answer"),
    ]
    return table(("what", "time"), rows)


def chip_messages() -> str:
    rows = [
        (
            it.kind.name.lower().replace("_", " "),
            it.state.name.lower() if it.state else "any other",
            it.zh,
            it.en,
        )
        for it in gsm_text.PHRASES
    ]
    time = "2026-11-22 13:05"
    opened = gsm_text.PHRASES[0].zh
    examples = [
        gsm_text.message("000000000101", opened, time=time),
        gsm_text.message("000000000101", opened, time=None, age=7, lost=2),
    ]
    return table(("kind", "state", "中文", "English"), rows) + "\n" + code_block("\n".join(examples))


def carrier_sense() -> str:
    times = defaults(CarrierSense)
    rows = [
        ("quiet before a station transmits", f"{times['quiet'] * 1000:.0f} ms"),
        ("left free after its own exchange, for the seals", f"{times['gap'] * 1000:.0f} ms"),
        ("waits for the answer to a request of others", f"at most {times['answer'] * 1000:.0f} ms"),
    ]
    return table(("what", "time"), rows)


def uplink_times() -> str:
    times = defaults(TerminalLink)
    rows = [
        ("heartbeat", f"every {times['heartbeat']:.0f} s"),
        ("wait for a confirmation", f"{times['timeout']:.0f} s"),
        ("attempts on one connection", times["tries"]),
    ]
    return table(("what", "value"), rows)


def raisers() -> dict[str, set[str]]:
    """Return, by alarm code, the packages that raise it; `all four` if the shared rules do."""
    found: dict[str, set[str]] = {}
    for path in Path(meterseal.__path__[0]).rglob("*.py"):
        if path.parent.name == "demo":
            continue  # It looks at alarms and raises none.
        text = path.read_text(encoding="utf-8")
        shared = path.name == "ingest.py"
        if inspect.getsourcefile(derive_alarms) == str(path):
            # The list of codes comes before the rules in this file.
            text, shared = text.partition("_ABNORMAL = ")[2], True
        for code in re.findall(r"\bCode\.([A-Z_]+)", text):
            found.setdefault(code, set()).add("all four" if shared else path.parent.name)
    return found


def alarm_table() -> str:
    by = raisers()
    rows = []
    for code, severity in SEVERITY.items():
        names = [catalogue.text(f"alarm.{code}", lang) for lang in ("zh", "en")]
        systems = by.get(code, {"not yet"})
        where = "all four" if "all four" in systems else ", ".join(sorted(systems))
        rows.append((f"`{code}`", severity.value, *names, where))
    return table(("code", "severity", "中文", "English", "raised by"), rows)


def code_block(text: str, language: str = "") -> str:
    return f"```{language}\n{text}\n```\n"


METER, TERMINAL = "440100000001", TerminalAddress("440106", 1)
OPENED = datetime(2026, 11, 22, 13, 5, 9, tzinfo=CST)
REPORTED = datetime(2026, 11, 22, 13, 5, 11, tzinfo=CST)
RECORD = SealRecord("810400000001", 1, 3, Kind.OPENED, StateClass.OPEN, age=2).encode()
ENTRY = JournalEntry(3, OPENED, REPORTED, RECORD)


def report_example() -> str:
    return code_block(requests.write(METER, Di.REPORT, RECORD).encode().hex(" ").upper())


def uplink_example() -> str:
    frame = Frame.of(
        DIR_UP | PRM | 4,
        TERMINAL,
        Afn.USER_DEFINED,
        0,
        point_da(1),
        UplinkDi.USER_DEFINED,
        user_data.SealReport(METER, ENTRY).encode(),
        con=True,
    )
    return code_block(frame.encode().hex(" ").upper())


def handover_example() -> str:
    event = SealEvent.from_record(
        RECORD, occurred_at=OPENED, received_at=REPORTED, meter=METER, terminal="440106:1", stored_at=REPORTED
    )
    body = json.loads(handover.encode(event))
    return code_block(json.dumps(body, indent=2, ensure_ascii=False), "json")


def finding_example() -> str:
    verdict = RecordVerdict.on(RECORD, VerdictCode.AUTH_FAIL)
    finding = handover.Finding(
        verdict, "report by terminal 440106:1: MAC wrong under the seal's key", REPORTED
    )
    body = json.loads(handover.encode_finding(finding))
    return code_block(json.dumps(body, indent=2, ensure_ascii=False), "json")


# Commands, and requests to a running link


def routes(*routers: Any) -> str:
    """Return method, path and first line of the docstring of each route of a JSON API."""
    rows = [
        (f"`{method} {route.path}`", inspect.cleandoc(route.endpoint.__doc__).partition("\n")[0])
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in sorted(route.methods)
    ]
    return table(("request", "answer"), rows)


def control_port() -> str:
    """Return the examples in the module's own docstring."""
    examples = re.findall(r"^    (\{.*)$", str(control.__doc__), re.MULTILINE)
    return code_block("\n".join(examples))


def commands(command: Any, path: tuple[str, ...] = ("meterseal",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with its path, in the order of the help."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(cli.app)))


def command_reference() -> str:
    return "\n".join(
        f"{'#' * len(path)} {' '.join(path)}\n\n{inspect.cleandoc(command.help)}\n{options(command)}"
        for path, command in COMMANDS.items()
        if len(path) > 1
    )


def options(command: Any) -> str:
    context = command.context_class(command)
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record]
    return "\n" + table(("option", "meaning"), rows) if rows else ""


GENERATED: dict[str, Callable[[], str]] = {
    "di": di_table,
    **{f"layout {name}": lambda layout=layout: layout_table(layout) for name, layout in LAYOUTS.items()},
    **{f"codes {name}": lambda members=members: enum_table(members) for name, members in ENUMS.items()},
    "flash": flash_table,
    "baud": baud_table,
    "user data": user_data_table,
    "relay": relay_table,
    "chip times": chip_times,
    "theorems": theorems.table,
    "chip messages": chip_messages,
    "carrier_sense": carrier_sense,
    "uplink times": uplink_times,
    "alarms": alarm_table,
    "example report": report_example,
    "example uplink": uplink_example,
    "example handover": handover_example,
    "example finding": finding_example,
    "commands": command_reference,
    "control port": control_port,
    # The routes are made without an application to serve, since they are never called here.
    "http metering": lambda: routes(metering_app(*[cast("Any", None)] * 5)),
    "http marketing": lambda: routes(events_in(cast("Any", None)), json_out(cast("Any", None), None)),
}


def blocks() -> Iterator[tuple[Path, str, str]]:
    for path in DOCUMENTS:
        for name, text in BLOCK.findall(path.read_text(encoding="utf-8")):
            yield path, name, text


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "document" in metafunc.fixturenames:
        metafunc.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def test_generated_blocks_are_those_of_the_code(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    fresh = BLOCK.sub(
        lambda block: f"<!-- generated: {block[1]} -->\n{GENERATED[block[1]]()}<!-- end -->", text
    )
    if os.environ.get("METERSEAL_UPDATE_DOCS"):
        document.write_text(fresh, encoding="utf-8")
    else:
        assert text == fresh, "out of date: `make docs` writes it again"


def test_everything_generated_is_in_a_document_once() -> None:
    assert sorted(name for _, name, _ in blocks()) == sorted(GENERATED)


def test_every_identifier_is_documented() -> None:
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    assert [di.name for di in Di if f"{di:08X}" not in text] == []


def mentioned_commands(text: str) -> Iterator[str]:
    """Yield the command lines `meterseal …` in code blocks and code spans."""
    fences = FENCE.findall(text)
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    lines = [line for code in fences for line in code.replace("\\\n", " ").splitlines()]
    for line in [*lines, *spans]:
        found = re.match(r"(?:\$ )?(?:\S*/)?meterseal (?=[a-z-])(.*)", line.strip())
        if found:
            yield found[1].partition(" #")[0]


def complaint(line: str) -> str | None:
    """Return what is wrong with one command line, or None if the command and its options exist."""
    path: tuple[str, ...] = ("meterseal",)
    words = shlex.split(re.sub(r"[\[\]…]", " ", line))
    while words and (*path, words[0]) in COMMANDS:
        path = (*path, words.pop(0))
    command = COMMANDS[path]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        return f"`{line}`: there is no {' '.join(path)} {words[0]}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"`{line}`: {' '.join(path)} has no {', '.join(wrong)}" if wrong else None


def test_commands_that_are_mentioned_exist(document: Path) -> None:
    lines = mentioned_commands(document.read_text(encoding="utf-8"))
    assert [wrong for line in lines if (wrong := complaint(line))] == []


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}


def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_paths_and_tests_that_are_named_exist(document: Path) -> None:
    missing = []
    for path, test in REPOSITORY_PATH.findall(document.read_text(encoding="utf-8")):
        target = ROOT / path
        if not target.exists() or (test and f"def {test}(" not in target.read_text(encoding="utf-8")):
            missing.append(f"{path}::{test}" if test else path)
    assert missing == []


def test_guarantees_that_the_code_names_are_tests() -> None:
    tests = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("verif/**/test_*.py")}
    known = set(tests) | {name for text in tests.values() for name in re.findall(r"def (test_\w+)\(", text)}
    sources = [path for part in ("rtl", "host") for path in ROOT.glob(f"{part}/**/*.py")]
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*sources, *DOCUMENTS]
        for name in re.findall(r"\btest_\w+(?:\.py)?\b(?!\*)", path.read_text(encoding="utf-8"))
        if name not in known
    ]
    assert missing == []


def test_every_block_of_the_chip_is_in_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    sources = Path(sealchip.__path__[0]).glob("[a-z]*.py")
    assert [source.name for source in sources if f"`{source.name}`" not in text] == []


def test_every_pin_is_in_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    chip = SealChip(307_200)
    Fragment.get(chip, None)  # Amaranth warns of a component that is made and never elaborated.
    pins = ["clk", "rst", *chip.signature.members]
    assert [pin for pin in pins if f"`{pin}`" not in text] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/bring-up.md"])
def test_the_voltage_of_the_sealed_loop_is_that_of_its_resistors(page: str) -> None:
    volts = {float(found) for found in re.findall(r"\b(4\.\d\d) V\b", (ROOT / page).read_text("utf-8"))}
    assert volts & {round(interface.SEALED_MV / 1000, 2)}
    assert volts <= {round(interface.SEALED_MV / 1000, 2), 4.99}, "not the sealed loop's or a jumper's"

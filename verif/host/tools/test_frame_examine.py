"""`meterseal frame` explains bytes of either protocol and makes frames."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from meterseal.errors import Failure
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.tools.frame.cli import app
from meterseal.tools.frame.examine import Protocol, examine, parse_hex
from verif.plans.plan import DATA

VECTORS = json.loads((DATA / "vectors" / "uplink.json").read_text(encoding="utf-8"))
UPLINK = {vector["name"]: vector for vector in VECTORS if "reason" not in vector}
INVALID = [vector for vector in VECTORS if "reason" in vector]
METER = {
    "read": MeterFrame("000000681608", 0x11, bytes.fromhex("01040004")),
    "answer": MeterFrame("000000681608", 0x91, bytes.fromhex("01040004081668000000")),
    "shortened": MeterFrame("AAAAAAAA1608", 0x11, bytes.fromhex("010C3003")),
    "report": MeterFrame("000000681608", 0x14, bytes.fromhex("80538004") + bytes(8) + b"\x16" * 38),
    "acknowledged": MeterFrame("000000681608", 0x94),
    "refused": MeterFrame("000000681608", 0xD1, b"\x02"),
}

any_frame = st.sampled_from(
    [bytes.fromhex(vector["hex"]) for vector in VECTORS] + [frame.encode() for frame in METER.values()]
)


def run(*args: str) -> tuple[list[Any], str]:
    """Return the JSON documents of `meterseal frame ARGS --json` and the sentence with which it fails."""
    result = CliRunner().invoke(app, [*args, "--json"])
    if result.exception is not None:
        assert isinstance(result.exception, Failure), result.output
    return [json.loads(line) for line in result.stdout.splitlines()], str(result.exception or "")


@given(st.lists(any_frame | st.binary(max_size=20), max_size=5).map(b"".join), st.sampled_from(Protocol))
def test_parts_together_are_the_input(raw: bytes, protocol: Protocol) -> None:
    parts = examine(raw, protocol)
    assert b"".join(part.raw for part in parts) == raw
    assert all((part.frame is None) == bool(part.reason) for part in parts)


@given(st.lists(any_frame, min_size=1, max_size=4))
def test_frames_of_both_protocols_in_one_input(raws: list[bytes]) -> None:
    alone = [part for raw in raws for part in examine(raw)]
    together = examine(b"".join(raws))
    assert [part.raw for part in alone if part.frame] == [part.raw for part in together if part.frame]


@pytest.mark.parametrize("vector", UPLINK.values(), ids=UPLINK)
@pytest.mark.parametrize("protocol", ["auto", "uplink"])
def test_uplink_document(vector: dict[str, Any], protocol: str) -> None:
    (document,), failure = run("decode", vector["hex"], "--protocol", protocol)
    assert not failure
    assert document["protocol"] == "uplink"
    assert document["valid"] is True
    expected = dict(vector["fields"])
    assert document["data"] == expected.pop("content")
    assert {name: document[name] for name in expected} == expected
    assert document["raw"] == vector["hex"].upper()
    assert document["fields"][0]["raw"] == "68"


@pytest.mark.parametrize("name", METER)
def test_meter_document(name: str) -> None:
    frame = METER[name]
    (document,), failure = run("decode", frame.encode().hex())
    assert not failure
    assert document["protocol"] == "dlt645"
    assert document["valid"] is True
    assert document["address"] == frame.address
    assert document["control"] == f"{frame.control:02X}"
    assert document["di"] == (None if frame.di is None else f"{frame.di:08X}")
    assert bytes.fromhex(document["data"]) == frame.content
    assert document["length"] == len(frame.data)


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["name"])
def test_invalid_frames_fail_with_the_reason(vector: dict[str, str]) -> None:
    documents, failure = run("decode", vector["hex"])
    refused = [document for document in documents if not document["valid"]]
    assert failure == f"invalid frame: {'; '.join(document['reason'] for document in refused)}"
    if vector["name"] not in ("a byte too many", "last byte missing", "first start missing"):
        assert len(documents) == 1
        assert vector["reason"].split("[")[0] in failure


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no bytes"),
        ("0", "one is missing"),
        ("68zz", "'z' is not"),
        ("00 01", "no byte 68"),
        ("68 AA AA AA AA AA AA 68 13 00 E0 16", "checksum is E0, computed DF"),
    ],
)
def test_bytes_that_are_not_a_frame(text: str, reason: str) -> None:
    (document,), failure = run("decode", text)
    assert document["valid"] is False
    assert reason in document["reason"]
    assert reason in failure


def test_separators_do_not_matter() -> None:
    raw = METER["read"].encode()
    for text in (
        raw.hex(" ").upper(),
        raw.hex(":"),
        "\n".join(f"0x{byte:02x}," for byte in raw),
        raw.hex("-", 2),
    ):
        assert parse_hex(text) == raw
    (document,), _ = run("decode", *raw.hex(" ").split())
    assert document["address"] == "000000681608"


def test_several_frames_one_document_a_line() -> None:
    raws = [METER["read"].encode().hex(), UPLINK["confirm"]["hex"], METER["answer"].encode(0).hex()]
    documents, failure = run("decode", *raws)
    assert [document["protocol"] for document in documents] == ["dlt645", "uplink", "dlt645"]
    assert not failure


def test_a_relayed_meter_frame_belongs_to_its_uplink_frame() -> None:
    relay = UPLINK["relay down, a meter frame"]["hex"]
    assert [document["protocol"] for document in run("decode", relay)[0]] == ["uplink"]
    documents, failure = run("decode", relay, "--protocol", "dlt645")
    assert [document["valid"] for document in documents] == [False, True, False]
    assert failure


@pytest.mark.parametrize(("lang", "word"), [("zh", "通信地址"), ("en", "communication address")])
def test_plain_text_in_both_languages(lang: str, word: str) -> None:
    result = CliRunner().invoke(app, ["decode", METER["answer"].encode().hex(), "--lang", lang])
    assert result.exit_code == 0
    assert word in result.stdout
    assert len(result.stdout.splitlines()) > 8


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    result = CliRunner().invoke(app, ["decode", METER["answer"].encode().hex(), "--lang", "en"])
    assert result.exit_code == 0
    assert "┃" in result.stdout or "│" in result.stdout
    assert "communication address" in result.stdout


def test_encode_prints_plain_hex() -> None:
    result = CliRunner().invoke(
        app, ["encode", "dlt645", "--address", "1", "--di", "04000401", "--preamble", "0"]
    )
    assert (
        result.stdout == MeterFrame("000000000001", 0x11, b"\x01\x04\x00\x04").encode(0).hex().upper() + "\n"
    )


@pytest.mark.parametrize("name", METER)
def test_encode_dlt645(name: str) -> None:
    frame = METER[name]
    args = ["--address", frame.address, "--control", f"{frame.control:02X}"]
    if frame.di is not None:
        args += ["--di", f"{frame.di:08X}"]
    content = frame.content[8:] if frame.control == 0x14 else frame.content
    (document,), failure = run("encode", "dlt645", *args, "--data", content.hex())
    assert not failure
    assert document == {"protocol": "dlt645", "raw": frame.encode().hex().upper()}


@pytest.mark.parametrize("vector", UPLINK.values(), ids=UPLINK)
def test_encode_uplink(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    raw = bytes.fromhex(vector["hex"])
    args = [
        item for name in ("control", "address", "afn", "seq", "di") for item in (f"--{name}", fields[name])
    ]
    args += ["--station", str(fields["station"]), "--data", fields["content"]]
    args += ["--da", raw[16:18].hex()] if fields["point"] is None else ["--point", str(fields["point"])]
    for name in ("password", "tp"):
        args += [f"--{name}", vector[name]] if name in vector else []
    (document,), failure = run("encode", "uplink", *args)
    assert not failure
    assert document == {"protocol": "uplink", "raw": vector["hex"].upper()}


@pytest.mark.parametrize(
    "args",
    [
        ["dlt645", "--address", "1234567890123"],
        ["dlt645", "--address", "1", "--data", "00" * 256],
        ["dlt645", "--address", "1", "--data", "xx"],
        ["dlt645", "--address", "1", "--control", "111"],
        ["dlt645", "--address", "1", "--di", "0400040"],
        ["uplink", "--address", "1", "--afn", "02", "--di", "E0001001"],
        ["uplink", "--address", "450302000001", "--afn", "04", "--di", "E0000107"],
        ["uplink", "--address", "450302000001", "--afn", "0C", "--di", "04000401", "--point", "3000"],
        ["uplink", "--address", "450302000001", "--afn", "0C", "--di", "04000401", "--da", "01"],
    ],
)
def test_encode_refuses_what_makes_no_frame(args: list[str]) -> None:
    documents, failure = run("encode", *args)
    assert documents == []
    assert failure

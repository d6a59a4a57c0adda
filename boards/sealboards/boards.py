"""The table of boards, with one entry each."""

from __future__ import annotations

from dataclasses import replace

from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.icestick import ICEStickPlatform
from amaranth_boards.ulx3s import ULX3S_25F_Platform
from amaranth_boards.upduino_v3 import UpduinoV3Platform

from sealboards.board import CONFIGURATION_CLOCK, Board, Wire

__all__ = ["BOARDS"]

_ICE40 = {"IO_STANDARD": "SB_LVCMOS"}
_ICE40_LVDS = {"IO_STANDARD": "SB_LVDS_INPUT"}
_ICEPROG = ("iceprog {bitstream}", "iceprog -o {base:#x} {image}")


class _UpduinoPlatform(UpduinoV3Platform):
    """Uses the crystal oscillator, because the FPGA's own is 10 % off, too much for a UART."""

    default_clk = "clk12"


_ICEBREAKER = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    platform=ICEBreakerPlatform,
    fpga="iCE40UP5K",
    clock="clk12",
    divide=12,
    wires={
        "loop_cmp": Wire("pmod_0:1", negative="pmod_0:7"),
        "loop_fb": Wire("pmod_0:2"),
        "loop_drive": Wire("pmod_0:8"),
        "rs485_re_n": Wire("pmod_1:1"),
        "rs485_di": Wire("pmod_1:2"),
        "rs485_ro": Wire("pmod_1:3"),
        "rs485_de": Wire("pmod_1:4"),
        "gsm_txd": Wire("pmod_1:7"),
        "gsm_rxd": Wire("pmod_1:8"),
        "flash_sck": Wire("15"),
        "flash_cs_n": Wire("16"),
        "flash_copi": Wire("14"),
        "flash_cipo": Wire("17"),
        "flash_wp_n": Wire("12"),
        "flash_hold_n": Wire("13"),
        "led_green": Wire("37", inverted=True),
        "led_red": Wire("11", inverted=True),
    },
    flash_base=0x100000,
    logic_cells=5280,
    block_rams=30,
    budget=2000,
    programming=_ICEPROG,
    attributes=_ICE40,
    differential=_ICE40_LVDS,
)

_ICESTICK = Board(
    name="icestick",
    title="Lattice iCEstick",
    platform=ICEStickPlatform,
    fpga="iCE40HX1K",
    clock="clk12",
    divide=12,
    wires={
        # No differential pair of the left bank is on a connector, so the comparator is external.
        "loop_cmp": Wire("j_1:3"),
        "loop_drive": Wire("j_1:4"),
        "rs485_re_n": Wire("pmod_0:1"),
        "rs485_di": Wire("pmod_0:2"),
        "rs485_ro": Wire("pmod_0:3"),
        "rs485_de": Wire("pmod_0:4"),
        "flash_sck": Wire("70"),
        "flash_cs_n": Wire("71"),
        "flash_copi": Wire("67"),
        "flash_cipo": Wire("68"),
        "led_green": Wire("95"),
        "led_red": Wire("99"),
    },
    flash_base=0x100000,
    logic_cells=1280,
    block_rams=16,
    budget=1280,
    programming=_ICEPROG,
    front_end="comparator",
    gsm=False,
    attributes=_ICE40,
)

_UPDUINO = replace(
    _ICEBREAKER,  # the same FPGA, clock and flash
    name="upduino",
    title="tinyVision UPduino v3",
    platform=_UpduinoPlatform,
    wires={
        "loop_cmp": Wire("j_0:7", negative="j_0:8"),
        "loop_fb": Wire("j_0:9"),
        "loop_drive": Wire("j_0:10"),
        "rs485_re_n": Wire("j_0:11"),
        "rs485_di": Wire("j_0:12"),
        "rs485_ro": Wire("j_0:13"),
        "rs485_de": Wire("j_0:14"),
        "gsm_txd": Wire("j_0:15"),
        "gsm_rxd": Wire("j_0:16"),
        "flash_sck": Wire("15"),
        "flash_cs_n": Wire("16"),
        "flash_copi": Wire("14"),
        "flash_cipo": Wire("17"),
        "flash_wp_n": Wire("10"),
        "led_green": Wire("39", inverted=True),
        "led_red": Wire("41", inverted=True),
    },
    preparation="Solder the OSC jumper: the crystal oscillator then clocks pin 20.",
)

_ULX3S = Board(
    name="ulx3s",
    title="Radiona ULX3S (25F)",
    platform=ULX3S_25F_Platform,
    fpga="LFE5U-25F",
    clock="clk25",
    divide=25,
    wires={
        "loop_cmp": Wire("gpio_0:14+", negative="gpio_0:14-"),
        "loop_fb": Wire("gpio_0:15+"),
        "loop_drive": Wire("gpio_0:15-"),
        "rs485_re_n": Wire("gpio_0:21+"),
        "rs485_di": Wire("gpio_0:22+"),
        "rs485_ro": Wire("gpio_0:23+"),
        "rs485_de": Wire("gpio_0:24+"),
        "gsm_txd": Wire("gpio_0:25+"),
        "gsm_rxd": Wire("gpio_0:26+"),
        "flash_sck": Wire(CONFIGURATION_CLOCK),
        "flash_cs_n": Wire("R2"),
        "flash_copi": Wire("W2"),
        "flash_cipo": Wire("V2"),
        "flash_wp_n": Wire("Y2"),
        "flash_hold_n": Wire("W1"),
        "led_green": Wire("C1"),
        "led_red": Wire("B2"),
    },
    flash_base=0x200000,
    logic_cells=24288,
    block_rams=56,
    budget=3800,
    programming=(
        "openFPGALoader -b ulx3s -f {bitstream}",
        "openFPGALoader -b ulx3s -f -o {base:#x} {image}",
    ),
    attributes={"IO_TYPE": "LVCMOS33"},
    differential={"IO_TYPE": "LVDS"},
)

#: Boards by name, the reference first.
BOARDS = {board.name: board for board in (_ICEBREAKER, _ICESTICK, _UPDUINO, _ULX3S)}

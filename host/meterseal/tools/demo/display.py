"""Displays a running demo: as a live page in a terminal, as plain lines elsewhere, or not at all."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterseal.clock import CST
from meterseal.tools.demo.observe import SYSTEMS, Observation
from meterseal.tools.demo.plan import LINKS
from meterseal.tools.demo.wire import summary

__all__ = ["Display", "LiveDisplay", "PlainDisplay", "Silent"]

_WIRE_LINES, _EVENT_LINES, _MESSAGE_LINES = 12, 12, 4
#: Trace lines worth showing; the others repeat them from another point of view.
_SHOWN = frozenset({"wire", "event", "alarm", "lamps", "message", "discarded", "lost", "connected"})


class Display(Protocol):
    """Shows what happens in a demo."""

    def __enter__(self) -> Display:
        """Begin to display."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the screen as it is."""
        ...

    def say(self, text: str) -> None:
        """Show a step of the demo itself."""
        ...

    def line(self, link: str, line: dict[str, Any]) -> None:
        """Show one line of a link's trace."""
        ...

    def update(self, seen: Observation) -> None:
        """Show the present content of all stores."""
        ...


class Silent:
    """Shows nothing, for a demo whose report is all that is needed."""

    def __enter__(self) -> Silent:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def line(self, link: str, line: dict[str, Any]) -> None:
        """Do nothing."""

    def update(self, seen: Observation) -> None:
        """Do nothing."""


class PlainDisplay(Silent):
    """Prints one line for each event, in the order in which the links report them."""

    def say(self, text: str) -> None:
        """Print a step."""
        print(f"== {text}", flush=True)

    def line(self, link: str, line: dict[str, Any]) -> None:
        """Print what a link observed or did."""
        if line["what"] in _SHOWN:
            print(f"{_clock(line)} {link:<9} {_words(line)}", flush=True)


class LiveDisplay:
    """Draws events with their hops, lamps, alarms, the phones' screens, and the traffic on the wires."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen = Observation()
        self._step = ""
        self._wires: deque[str] = deque(maxlen=_WIRE_LINES)
        self._lamps: dict[str, tuple[bool, bool]] = {}
        # Created last, because it draws the page at once.
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self.page)

    def __enter__(self) -> LiveDisplay:
        """Occupy the lower part of the terminal."""
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        """Leave the last page on the screen."""
        self._live.__exit__(*exception)

    def say(self, text: str) -> None:
        """Show a step above the page."""
        self._step = text
        self._console.print(Text(f"== {text}", style="bold"))

    def line(self, link: str, line: dict[str, Any]) -> None:
        """Show wires and lamps."""
        if line["what"] == "lamps":
            self._lamps[line["seal"]] = (line["green"], line["red"])
        elif line["what"] in _SHOWN and line["what"] not in ("event", "alarm", "message"):
            self._wires.append(f"{_clock(line)} {link:<9} {_words(line)}")

    def update(self, seen: Observation) -> None:
        """Show the content of the stores."""
        self._seen = seen

    def page(self) -> Group:
        """Return what is shown now."""
        return Group(
            self._events(),
            self._alarms(),
            Panel("\n".join(self._messages()), title="phones", title_align="left"),
            Panel(
                Text("\n".join(self._wires), no_wrap=True, overflow="ellipsis"),
                title=f"wires · {self._step}",
                title_align="left",
            ),
        )

    def _events(self) -> Table:
        table = Table("seal", "lamp", "event", *LINKS, title="events and when each link had them")
        shown = sorted(self._seen.events.values(), key=lambda event: min(event.hops.values()))
        for event in shown[-_EVENT_LINES:]:
            hops = [
                f"{event.hops[link].astimezone(CST):%H:%M:%S.%f}"[:-3] if link in event.hops else "·"
                for link in LINKS
            ]
            table.add_row(event.seal, self._lamp(event.seal), f"{event.counter} {event.kind}", *hops)
        return table

    def _lamp(self, seal: str) -> Text:
        green, red = self._lamps.get(seal, (False, False))
        if green:
            return Text("● green", style="green")
        return Text("● red", style="red") if red else Text("○ off", style="dim")

    def _alarms(self) -> Table:
        table = Table(*SYSTEMS, title="alarms (active)")
        active = [
            "\n".join(
                f"{alarm['code']} {alarm['seal']}"
                for alarm in self._seen.alarms.get(system, [])
                if alarm["active"]
            )
            for system in SYSTEMS
        ]
        table.add_row(*active)
        return table

    def _messages(self) -> list[str]:
        return [
            f"{message['number']}: {message['text']}" for message in self._seen.messages[-_MESSAGE_LINES:]
        ]


def _clock(line: dict[str, Any]) -> str:
    """Return the time of day, to the millisecond."""
    return str(line["time"])[11:23]


def _words(line: dict[str, Any]) -> str:
    what = line["what"]
    if what == "wire":
        return f"{line['wire']} {line['direction']} {summary(line)}"
    rest = {key: value for key, value in line.items() if key not in ("time", "system", "what")}
    return f"{what} " + " ".join(f"{key}={value}" for key, value in rest.items())

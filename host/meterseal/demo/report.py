"""The demo's last word: one document, and the same as a summary to read."""

from __future__ import annotations

from typing import Any

from meterseal.demo.observe import SYSTEMS, Observation
from meterseal.demo.plan import LINKS

__all__ = ["document", "summary"]


def document(seen: Observation, lamps: dict[str, dict[str, bool]]) -> dict[str, Any]:
    """Events with their hops, alarms by system, lamps by seal, messages on the phones."""
    ordered = sorted(seen.events.values(), key=lambda event: (event.seal, event.counter))
    return {
        "events": [event.document() for event in ordered],
        "alarms": {system: seen.alarms[system] for system in SYSTEMS},
        "lamps": lamps,
        "messages": seen.messages,
    }


def summary(report: dict[str, Any]) -> str:
    """The document as lines of text."""
    lines = ["", "What each link saw (time of day, China Standard Time):"]
    for event in report["events"]:
        hops = "  ".join(f"{link} {_clock(event['hops'][link])}" for link in LINKS)
        lines.append(f"  seal {event['seal']} event {event['counter']} {event['kind']:<7} {hops}")
    lines.append("Alarms:")
    for system in SYSTEMS:
        told = [
            f"{alarm['code']} (event {alarm['counter']}, {'active' if alarm['active'] else 'cleared'})"
            for alarm in report["alarms"][system]
        ]
        lines.append(f"  {system:<9} {', '.join(told) or 'none'}")
    lines.append("Lamps:")
    for seal, lamps in report["lamps"].items():
        shown = " ".join(colour for colour, lit in lamps.items() if lit) or "off"
        lines.append(f"  seal {seal} {shown}")
    lines.append("Messages on the phones:")
    lines += [
        f"  {_clock(message['received_at'])} {message['number']}: {message['text']}"
        for message in report["messages"]
    ]
    return "\n".join(lines)


def _clock(time: str | None) -> str:
    return time[11:23] if time else "-"

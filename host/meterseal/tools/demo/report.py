"""Makes the report of a demo as one document, and as a text summary of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from meterseal.tools.demo.observe import SYSTEMS, Attack, Observation
from meterseal.tools.demo.plan import LINKS

__all__ = ["document", "summary"]


def document(
    seen: Observation, lamps: dict[str, dict[str, bool]], attacks: Sequence[Attack] = ()
) -> dict[str, Any]:
    """Return events with their hops, alarms by system, lamps by seal, messages on the phones, and attacks."""
    ordered = sorted(seen.events.values(), key=lambda event: (event.seal, event.counter))
    return {
        "events": [event.document() for event in ordered],
        "alarms": {system: seen.alarms[system] for system in SYSTEMS},
        "lamps": lamps,
        "messages": seen.messages,
        "attacks": [asdict(attack) for attack in attacks],
    }


def summary(report: dict[str, Any]) -> str:
    """Return the document as text."""
    lines = ["", "What each link saw (time of day, China Standard Time):"]
    for event in report["events"]:
        hops = "  ".join(f"{link} {_clock(event['hops'][link])}" for link in LINKS)
        lines.append(f"  seal {event['seal']} event {event['counter']} {event['kind']:<7} {hops}")
    lines.append("Alarms:")
    for system in SYSTEMS:
        shown_alarms = [
            f"{alarm['code']} (event {alarm['counter']}, {'active' if alarm['active'] else 'cleared'})"
            for alarm in report["alarms"][system]
        ]
        lines.append(f"  {system:<9} {', '.join(shown_alarms) or 'none'}")
    lines.append("Lamps:")
    for seal, lamps in report["lamps"].items():
        shown = " ".join(colour for colour, lit in lamps.items() if lit) or "off"
        lines.append(f"  seal {seal} {shown}")
    lines.append("Messages on the phones:")
    lines += [
        f"  {_clock(message['received_at'])} {message['by']:<9} {message['number']}: {message['text']}"
        for message in report["messages"]
    ]
    return "\n".join([*lines, *_attacks(report["attacks"])])


def _attacks(attacks: list[dict[str, Any]]) -> list[str]:
    """Return a table of the attacks, with a column of alarms (and their events) for each system."""
    if not attacks:
        return []
    rows = [("attack", "seal", *SYSTEMS)]
    details = []
    for attack in attacks:
        cells = [
            " ".join(f"{alarm['code']} ({alarm['counter']})" for alarm in attack["named"][system])
            for system in SYSTEMS
        ]
        rows.append((attack["attack"], attack["seal"], *cells))
        details += [
            f"  {attack['attack']}: seal {attack['seal']}, {alarm['code']}: {alarm['detail']}"
            for alarm in attack["named"]["metering"]
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return ["Attacks, and how each system named them (event):", *table, *details]


def _clock(time: str | None) -> str:
    return time[11:23] if time else "-"

"""The language of the control port: one JSON object a line in each direction, without I/O.

    {"do": "open", "seal": 0}                     seal: number on the bus, or address; 0 if there is one
    {"do": "close", "seal": "000000000101"}
    {"do": "bounce", "seal": 0, "ms": 10, "edges": 7, "end": "closed"}       end: as it is, if not given
    {"do": "jumper", "seal": 0, "on": true}       a wire across the plates, past the resistor in the head
    {"do": "loop_mv", "seal": 0, "mv": 3300}      an external voltage, whatever the chip drives; null ends it
    {"do": "corrode", "seal": 0, "mv": 2800}      a contact that passes no more; null: a good one
    {"do": "loop_noise", "seal": 0, "mv": 40}     at the comparator, rms
    {"do": "power", "seal": 0, "on": false}
    {"do": "noise", "probability": 0.01, "seconds": 2}             on the bus, in each bit time
    {"do": "state"}                               all seals, or the one given

`state` gives for each seal, among others, `loop_mv` (while driven) and `lamps`: green, red, dark, or `red 3`
for groups of three flashes.

An answer has `"ok": true` and the result, or `"ok": false` and `error`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from meterseal.errors import Failure
from meterseal.sim.chip.rig import Rig, Seal

__all__ = ["LINE_MAX", "answer"]

#: Longest command line in bytes.
LINE_MAX = 4096

_Check = Callable[[object], bool]


def _number(low: float, high: float) -> tuple[_Check, str]:
    def check(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    return check, f"a number from {low:g} to {high:g}"


def _whole(low: int, high: int) -> tuple[_Check, str]:
    def check(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return check, f"a whole number from {low} to {high}"


def _or_null(checked: tuple[_Check, str]) -> tuple[_Check, str]:
    check, good = checked
    return lambda value: value is None or check(value), f"{good}, or null"


_SWITCH: tuple[_Check, str] = (lambda value: isinstance(value, bool), "true or false")

#: Fields of each command beside `do` and `seal`: the check, and a description of valid values.
_FIELDS: dict[str, dict[str, tuple[_Check, str]]] = {
    "open": {},
    "close": {},
    "bounce": {
        "ms": _number(0.1, 10_000),
        "edges": _whole(1, 1000),
        "end": (lambda value: value in ("open", "closed", None), '"open" or "closed"'),
    },
    "jumper": {"on": _SWITCH},
    "loop_mv": {"mv": _or_null(_whole(0, 30_000))},
    "corrode": {"mv": _or_null(_whole(0, 5_000))},
    "loop_noise": {"mv": _whole(0, 1_000)},
    "power": {"on": _SWITCH},
    "noise": {"probability": _number(0, 1), "seconds": _number(0, 3600)},
    "state": {},
}


def answer(rig: Rig, line: bytes) -> bytes:
    """Carry out the command in `line` and return the answer with its line end."""
    try:
        result = {"ok": True, **_carry_out(rig, _parse(line))}
    except Failure as failure:
        result = {"ok": False, "error": str(failure)}
    return json.dumps(result, ensure_ascii=False).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise Failure(f"not JSON: {error}") from None
    do = request.get("do") if isinstance(request, dict) else None
    fields = _FIELDS.get(do) if isinstance(do, str) else None
    if fields is None:
        raise Failure(f'no such command: give {{"do": …}} with one of {", ".join(_FIELDS)}')
    unknown = request.keys() - fields.keys() - {"do", "seal"}
    if unknown:
        raise Failure(f"{do} knows no {', '.join(sorted(unknown))}")
    for name, (check, good) in fields.items():
        if not check(request.get(name)):
            raise Failure(f"{do}: `{name}` is {json.dumps(request.get(name))}; give {good}")
    return dict(request)


def _carry_out(rig: Rig, request: dict[str, Any]) -> dict[str, Any]:
    match request["do"]:
        case "noise":
            rig.noise(request["probability"], request["seconds"])
            return {}
        case "state" if "seal" not in request:
            return {"seals": [rig.state(seal) for seal in rig.seals], "pair": rig.bus_state()}
    seal = _seal(rig, request)
    match request["do"]:
        case "open":
            rig.move(seal, closed=False)
        case "close":
            rig.move(seal, closed=True)
        case "bounce":
            end = request.get("end")
            closed = seal.head.closed if end is None else end == "closed"
            rig.bounce(seal, ms=request["ms"], edges=request["edges"], closed=closed)
        case "jumper":
            rig.jumper(seal, on=request["on"])
        case "loop_mv":
            rig.foreign(seal, request["mv"])
        case "corrode":
            rig.corrode(seal, request["mv"])
        case "loop_noise":
            rig.loop_noise(seal, request["mv"])
        case "power":
            rig.power(seal, on=request["on"])
    return rig.state(seal)


def _seal(rig: Rig, request: dict[str, Any]) -> Seal:
    if "seal" not in request and len(rig.seals) > 1:
        raise Failure(f"there are {len(rig.seals)} seals on this bus: name one with `seal`")
    return rig.find(request.get("seal", 0))

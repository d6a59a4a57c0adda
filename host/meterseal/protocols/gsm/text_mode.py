"""Implements the modem's side of text mode: 3GPP TS 27.005 clause 3.5.1, TS 27.007 clause 5.5.

Strings are in the character set that `AT+CSCS` chose. In `UCS2` each character is four hex digits, in the
names and numbers of commands too. A text whose data coding is UCS-2 is hex digits in any character set.

Guarantees: `test_gsm_text_mode.py::test_strings_in_each_character_set`, `::test_texts_by_data_coding`,
`::test_any_text_is_read_or_refused`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from meterseal.protocols.gsm.pdu import PduError, Submit

__all__ = ["CHARACTER_SETS", "TextMode"]

CHARACTER_SETS = ("IRA", "GSM", "UCS2")
_GSM_7_BIT, _UCS2 = 0x00, 0x08
_REJECT_DUPLICATES, _HEADER = 0x04, 0x40
#: Characters of one SMS in the 7-bit alphabet and in UCS-2.
_MOST = {_GSM_7_BIT: 160, _UCS2: 70}


@dataclass(slots=True)
class TextMode:
    """Holds the settings of one modem: `AT+CSCS`, and first octet and data coding of `AT+CSMP`."""

    character_set: str = "IRA"
    first_octet: int = 17
    coding: int = _GSM_7_BIT

    def string(self, raw: str) -> str:
        """Return a string parameter, given without quotes; `PduError` when the character set lacks it."""
        if self.character_set != "UCS2":
            return raw
        try:
            if len(raw) % 4:
                raise PduError(f"{raw!r} is not four hex digits a character")
            return bytes.fromhex(raw).decode("utf-16-be")
        except ValueError as error:
            raise PduError(f"{raw!r} is not in UCS-2: {error}") from None

    def choose(self, name: str) -> bool:
        """Choose the character set that `AT+CSCS="name"` names; return whether there is such a one.

        In UCS-2 the name may be in UCS-2 itself, as clause 5.5 has it, or in letters, as with most modules.
        """
        if self.character_set == "UCS2" and name not in CHARACTER_SETS:
            try:
                name = self.string(name)
            except PduError:
                return False
        if name not in CHARACTER_SETS:
            return False
        self.character_set = name
        return True

    def parameters(self, raw: str) -> bool:
        """Take `fo[,vp[,pid[,dcs]]]` of `AT+CSMP`; return whether they can be used here."""
        found = re.fullmatch(r"(\d{1,3})(?:,(\d{0,3})(?:,(\d{0,3})(?:,(\d{0,3}))?)?)?", raw)
        first, coding = (int(found[1]), int(found[4] or 0)) if found else (_HEADER, 0)
        usable = first & 0x03 == 1 and not first & _HEADER and coding in _MOST
        if usable:
            self.first_octet, self.coding = first, coding
        return usable

    def message(self, number: str, raw: str, reference: int) -> Submit:
        """Return the message to `number` with `raw` typed after the prompt; `PduError` when it is none."""
        ucs2 = TextMode("UCS2") if self.coding == _UCS2 else self
        text = ucs2.string(raw)
        if len(text) > _MOST[self.coding]:
            raise PduError(f"{len(text)} characters do not fit one SMS")
        return Submit(number, text, reference, bool(self.first_octet & _REJECT_DUPLICATES))

    def number(self, raw: str) -> str:
        """Return the destination of `AT+CMGS`; `PduError` when it is not a phone number."""
        number = self.string(raw)
        if not re.fullmatch(r"\+?[0-9]{1,20}", number):
            raise PduError(f"{number!r} is not a phone number of 1 to 20 digits")
        return number

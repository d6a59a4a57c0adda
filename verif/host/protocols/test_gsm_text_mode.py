"""Text mode is read as a modem reads it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.protocols.gsm.pdu import PduError, Submit
from meterseal.protocols.gsm.text_mode import CHARACTER_SETS, TextMode

UCS2 = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=70)


def hexed(text: str) -> str:
    return text.encode("utf-16-be").hex().upper()


@given(UCS2)
def test_strings_in_each_character_set(text: str) -> None:
    assert TextMode("UCS2").string(hexed(text)) == text
    assert TextMode("IRA").string("13800138000") == "13800138000"


def test_numbers() -> None:
    assert TextMode("UCS2").number(hexed("+8613800138000")) == "+8613800138000"
    assert TextMode("IRA").number("13800138000") == "13800138000"
    for character_set, wrong in (("IRA", hexed("+86138")), ("UCS2", "13800138000"), ("IRA", "")):
        with pytest.raises(PduError):
            TextMode(character_set).number(wrong)


def test_a_character_set_is_named_in_letters_or_in_ucs2() -> None:
    mode = TextMode()
    assert not mode.choose("ASCII")
    assert mode.choose("UCS2")
    assert mode.choose("UCS2")
    assert not mode.choose(hexed("ASCII"))
    assert not mode.choose("0055004")
    assert mode.choose(hexed("GSM"))
    assert mode.character_set == "GSM"


@given(UCS2, st.sampled_from(CHARACTER_SETS))
def test_texts_by_data_coding(text: str, character_set: str) -> None:
    """With UCS-2 as data coding a text is hex in any character set; otherwise the set decides."""
    mode = TextMode(character_set)
    assert mode.parameters("17,167,0,8")
    assert mode.message("1", hexed(text), 3) == Submit("1", text, 3, reject_duplicates=False)
    assert mode.parameters("21,167,0,0")
    raw = hexed(text) if character_set == "UCS2" else text
    assert mode.message("1", raw, 3) == Submit("1", text, 3, reject_duplicates=True)


@pytest.mark.parametrize("wrong", ["", "16,167,0,8", "81,167,0,8", "17,167,0,4", "17,167,0,8,1", "17,,,x"])
def test_parameters_that_cannot_be_used(wrong: str) -> None:
    mode = TextMode()
    assert not mode.parameters(wrong)
    assert mode == TextMode()


def test_a_text_that_is_too_long() -> None:
    mode = TextMode(coding=8)
    assert mode.message("1", hexed("封" * 70), 0).text == "封" * 70
    with pytest.raises(PduError, match="71 characters"):
        mode.message("1", hexed("封" * 71), 0)


@given(st.text(max_size=300), st.sampled_from(CHARACTER_SETS), st.sampled_from([0, 8]))
def test_any_text_is_read_or_refused(raw: str, character_set: str, coding: int) -> None:
    with contextlib.suppress(PduError):
        TextMode(character_set, coding=coding).message("1", raw, 0)

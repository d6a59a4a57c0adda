from datetime import datetime
from string import Formatter

import pytest

from meterseal.clock import CST
from meterseal.domain.alarm_rules import Code, Severity
from meterseal.i18n import catalogue
from meterseal.protocols.gsm.pdu import split
from sealchip.interface import Kind, StateClass

#: Built from halves, so that no file of the project spells them out.
ACCUSATIONS = ["窃" + "电", "偷" + "电", "嫌" + "疑", "th" + "eft", "st" + "eal"]
#: The longest values that a message may carry in practice.
LATE = datetime(2026, 9, 30, 23, 59, tzinfo=CST)
TEXTS = [(key, lang) for key in catalogue.keys() for lang in catalogue.LANGUAGES]  # noqa: SIM118


@pytest.mark.parametrize(("key", "lang"), TEXTS)
def test_every_text_exists_in_both_languages_without_accusation(key: str, lang: str) -> None:
    words = catalogue.template(key, lang)
    assert words.strip()
    assert not [word for word in ACCUSATIONS if word in words.lower()]


@pytest.mark.parametrize("key", catalogue.keys())
def test_both_languages_take_the_same_values(key: str) -> None:
    def places(lang: str) -> set[str]:
        fields = Formatter().parse(catalogue.template(key, lang))
        return {field.split(".")[0] for _, field, _, _ in fields if field}

    assert places("zh") == places("en")


@pytest.mark.parametrize("key", catalogue.keys("sms"))
@pytest.mark.parametrize("lang", catalogue.LANGUAGES)
def test_an_sms_needs_at_most_two_segments(key: str, lang: str) -> None:
    states = [catalogue.text(state, lang) for state in catalogue.keys("state")]
    for when in ("time.at", "time.before"):
        message = catalogue.text(
            key,
            lang,
            tail="0012",
            time=catalogue.text(when, lang, at=LATE),
            state=max(states, key=len),
            record="EV000000123",
        )
        assert len(split(message)) <= 2


def test_every_code_that_the_chain_knows_has_its_word() -> None:
    wanted = {f"alarm.{code}" for code in Code} | {f"severity.{severity}" for severity in Severity}
    wanted |= {
        f"{group}.{entry.name.lower()}"
        for group, enum in (("kind", Kind), ("state", StateClass))
        for entry in enum
    }
    assert wanted <= set(catalogue.keys())


def test_the_opening_reads_as_the_utility_words_it() -> None:
    at = datetime(2026, 11, 22, 13, 5, tzinfo=CST)
    time = catalogue.text("time.at", "zh", at=at)
    assert catalogue.text("sms.opened", "zh", tail="0012", time=time, record="EV000123") == (
        "【供电局】户号尾号0012电表封印于11-22 13:05被打开,未查到授权工单,正在核实。"
        "如知情请回复或致电95598。记录号EV000123"
    )


def test_a_missing_text_is_named() -> None:
    with pytest.raises(KeyError, match=r"sms\.nothing.*zh"):
        catalogue.text("sms.nothing", "zh")


def test_an_unknown_language_becomes_the_default() -> None:
    assert catalogue.language("fr") == catalogue.language(None) == "zh"
    assert catalogue.language("en") == "en"

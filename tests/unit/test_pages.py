"""What all pages share: figures, words, charts, and what no page may do."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from orchestration.operations.page_words import messages, page_words, titles, vocabularies
from reports import charts, formats, render
from reports.page import environment
from reports.words import LANGUAGES, Phrase, joined, read, translations, untranslated, update

MONEY = st.decimals("-1e12", "1e12", places=4)


@given(MONEY)
def test_money_is_rounded_away_from_zero_and_grouped(amount):
    cents = int(abs(amount) * 100 + Decimal("0.5"))
    whole = f"{cents // 100:,}.{cents % 100:02}"
    assert formats.exact(amount) == f"{'-' if amount < 0 else ''}{whole}"


@given(st.decimals("-1e12", "1e12", places=3), st.sampled_from(LANGUAGES))
def test_a_figure_with_all_its_places_is_as_babel_writes_it(amount, language):
    assert formats.plain(amount, language) == format_decimal(amount, "#,##0.000", language)
    whole = int(amount)
    assert formats.plain(whole, language) == format_decimal(whole, "#,##0", language)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        # Babel alone would round these halves to even.
        (formats.exact(Decimal("0.125")), "0.13"),
        (formats.money(Decimal("-2500.5")), "-2,501"),
        (formats.money(Decimal("999.994")), "999.99"),
        (formats.percent(0.12345), "12.3 %"),
        (formats.percent(-0.0004, 0), "0 %"),
        (formats.percent(Decimal("0.5"), language="zh"), "50.0%"),
        (formats.rate(Decimal("0.0375")), "3.75 %"),
        (formats.return_on_capital(-11.0), "< -1,000 %"),
        (formats.count(1234567), "1,234,567"),
        (formats.month(date(2025, 3, 1)), "2025-03"),
        (formats.month(date(2025, 3, 1), "zh"), "2025年3月"),
        (formats.figure(date(2025, 3, 31)), "2025-03-31"),
        (formats.figure(0.012345), "0.01235"),
        (formats.figure(12345.6), "12,346"),
        (formats.exact(None) + formats.percent(None) + formats.count(None), "–––"),
    ],
)
def test_figures_have_one_form(shown, text):
    assert shown == text


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_catalogue_has_the_words_in_use_and_a_translation_of_each(language):
    kept, current = read(language), update(language, page_words())
    assert {message.id for message in kept} == {message.id for message in current}
    assert untranslated(kept) == []
    places = re.compile(r"%\(\w+\)s|\{\w+\}")
    for message in kept:
        ids = [message.id] if isinstance(message.id, str) else message.id
        texts = [message.string] if isinstance(message.string, str) else message.string
        if message.id:
            assert {tuple(sorted(places.findall(text))) for text in (*ids, *texts)} == {
                tuple(sorted(places.findall(ids[0])))
            }, message.id

        # The pages double a sign of percent before they look a text up.
        if message.python_format:
            assert "%" not in re.sub(r"%%|%\(\w+\)s", "", ids[0]), message.id


VOCABULARIES = [
    *(("translated", name, words) for name, words in vocabularies().items()),
    *(("titled", name, words) for name, words in titles().items()),
]


@pytest.mark.parametrize(
    ("how", "words"),
    [(how, words) for how, _, words in VOCABULARIES],
    ids=[f"{how} {name}" for how, name, _ in VOCABULARIES],
)
def test_every_word_of_a_vocabulary_is_chinese_on_a_chinese_page(how, words):
    """A new feature, tier, channel or kind fails here until the catalogue has its word."""
    chinese, english = (environment(language).filters[how] for language in ("zh", "en"))
    left = {word: chinese(word) for word in words if re.search("[a-z]", word)}
    # Settings, commands, and names of tables, columns and steps are the same in every language.
    steps = "base|landing|value|features|scores|measurement"
    code = re.compile(
        r"make [a-z-]+|[A-Z_]{4,}=?|nullif|[a-z0-9]+(?:[_./][a-z0-9<>]+)+|"
        rf"(?<![a-z])(?:{steps})\b|\{{\w+\}}"
    )
    assert {
        word
        for word, text in left.items()
        if re.search("[A-Za-z]", code.sub("", text))
        or set(code.findall(text)) - set(code.findall(word))
    } == set()
    assert [english(word) for word in words] == [
        formats.titled(word) if how == "titled" else word for word in words
    ]


def test_a_message_of_the_terminal_is_chinese_but_for_names_that_the_english_has():
    """Keys, commands, types and file names stay; any other Latin word is untranslated."""
    chinese = translations("zh").gettext
    word = re.compile("[A-Za-z][A-Za-z0-9_]*")
    found = {
        text: set(word.findall(chinese(text))) - set(word.findall(text)) for text in messages()
    }
    assert len(found) > 300
    assert {text: more for text, more in found.items() if more} == {}
    # A message with a word has a Chinese one.
    plain = [text for text in found if word.search(re.sub(r"\{\w+\}|`.*?`", "", text))]
    assert [text for text in plain if not re.search("[\u4e00-\u9fff]", chinese(text))] == []


@pytest.mark.parametrize(
    ("words", "english", "chinese"),
    [
        ("top", "top", "高端"),
        (Phrase("{0}, last {1} months", Phrase("balance on {0}", "loans"), 12),)
        + ("balance on loans, last 12 months", "近12个月贷款余额"),
        (joined("{0}, {1}", ["older", Phrase("rather {0}", "single"), "digital"]),)
        + ("older, rather single, digital", "较年长、单身（程度较轻）、偏好电子渠道"),
        (Phrase("{0}: {1}", "fees paid", Decimal("-8578.50")),)
        + ("fees paid: -8,578.50", "支付的手续费：-8,578.50"),
        (Phrase("branch {0}", "1000"), "branch 1000", "网点 1000"),
        ("a word of no catalogue", "a word of no catalogue", "a word of no catalogue"),
        (Decimal("8578"), "8,578", "8,578"),
        ("", "", ""),
        (None, "–", "–"),
    ],
)
def test_words_of_tables_are_in_the_language_of_the_page(words, english, chinese):
    assert environment("en").filters["translated"](words) == english
    assert environment("zh").filters["translated"](words) == chinese


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'xx' is invalid: expected one of en, zh"):
        render("value.html", {"head": {"month": None}}, "xx")


def test_a_page_is_in_its_language():
    page = render("value.html", {"head": {"month": None}}, "zh")
    assert '<html lang="zh">' in page
    assert "<h1>价值报告</h1>" in page and "Value report" not in page


MONTHS = [
    {"month": date(2025, number, 1), "figure": figure, "missing": figure is None}
    for number, figure in ((1, 1500.0), (2, None), (3, -2.0))
]


def test_a_chart_has_a_label_and_a_tooltip_for_each_mark_and_loads_no_resource():
    chart = charts.months(MONTHS, 'Rows "<b>"')
    for words in ("2025-01: 1,500", "2025-02: –", "2025-03: -2"):
        assert f'aria-label="{words}"' in chart and f"<title>{words}</title>" in chart
    assert 'aria-label="Rows &#34;&lt;b&gt;&#34;"' in chart
    assert not re.search(r"https?:|url\(|<script|<style|<image", chart)
    # No colour of its own: the page's are light or dark.
    colors = set(re.findall(r'(?:fill|stroke)="([^"]+)"', chart))
    assert colors <= {"none", "var(--accent)", "var(--bad)", "var(--soft)"}


def test_a_chart_is_drawn_for_a_wide_and_for_a_narrow_page():
    steps = [
        {"measure": name, "amount": Decimal(9), "start": 0.0, "end": 9.0, "kind": "good"}
        for name in ("fee", "profit")
    ]
    chart = charts.bridge(steps, {"fee": "<i>Fees", "profit": "Profit"}, "Bridge")
    assert re.findall(r'<svg class="chart (\S+)"', chart) == ["wide-only", "narrow-only"]
    assert "<i>" not in chart and "&lt;i&gt;Fees: 9.00" in chart


@pytest.mark.parametrize(("language", "label"), [("en", "2.5m"), ("zh", "250万")])
def test_an_axis_is_in_the_sizes_of_the_language(language, label):
    history = [
        {"month": date(2025, 1, 1), "economic_profit": Decimal(2_500_000)}
        | {"contribution_margin": Decimal(2_400_000)}
    ]
    assert f">{label}</text>" in charts.trend(history, "Trend", "{month}", language)

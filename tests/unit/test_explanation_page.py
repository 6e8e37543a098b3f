"""The explanation as a page: the figures of the command, in both languages, differences first."""

from __future__ import annotations

import re
import stat
from datetime import date
from decimal import Decimal
from typing import get_args

import pytest

from orchestration import cli
from orchestration.valuation.display import show_explanation, write_explanation
from orchestration.valuation.explanation import BALANCE_NOT_KNOWN, BALANCES, without_balance
from reports.words import LANGUAGES
from tests.unit.test_value_report import Page

NASTY = "<script>alert(1)</script>"


def measure(name, published, recomputed=None, parts=(), formula="exposure x capital weight"):
    again = published if recomputed is None else recomputed
    return {
        **{"measure": name, "formula": formula, "parts": list(parts)},
        **{"published": published, "recomputed": again, "difference": again - published},
        "is_incomplete": False,
    }


def found(*measures, **other):
    return {
        "release": "2025-12-r1",
        "role": "manager",
        "account": {
            **{"account_id": "A<1>", "month": date(2025, 12, 1), "product_name": NASTY},
            **{"product_line": "deposits", "interest_rate": Decimal("0.036500")},
            **{"is_in_default": False, "closed_on": None, "opened_on": date(2024, 3, 1)},
        },
        "balances": BALANCES,
        "balance_note": None,
        "measures": list(measures),
        "records": [],
        "records_note": None,
        "differences": sum(one["difference"] != 0 for one in measures),
    } | other


TRANSFER = measure(
    "transfer_result",
    Decimal("-13.80"),
    parts=[
        {"part": "days above zero", "day_sum": Decimal("150000.00"), "amount": Decimal("15.0000")},
        {"part": "days below zero", "price": Decimal("0.073000"), "amount": Decimal("-28.8000")},
    ],
)
TRANCHE = measure(
    "mean_rate, above zero, 12 months",
    Decimal("0.0312500000"),
    parts=[{"part": "2025-01", "annual_rate": Decimal("0.03"), "amount": Decimal("0.0312500000")}],
)
BOOKING = {
    **{"table": "transaction", "file": "2025-12.csv", "row": 1005, "transaction_id": "T1"},
    **{"booked_on": date(2025, 12, 1), "kind": "fee", "amount": Decimal("-2.00")},
}


def page_of(tmp_path, content, language="en"):
    path = tmp_path / "for" / "account.html"
    write_explanation(content, path, language)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = Page(path.read_text(encoding="utf-8"))
    assert page.astray == [] and page.open == []
    return page


def test_the_page_has_every_figure_with_all_its_places(tmp_path):
    page = page_of(tmp_path, found(TRANSFER, TRANCHE, records=[BOOKING]))
    assert page.row("Transfer result", "-13.80") == [
        "Transfer result",
        "-13.80",
        "-13.80",
        "0.00",
        "",
    ]
    assert page.row("Part", "Day sum") == ["Part", "Day sum", "Amount", "Price"]
    assert page.row("Days above zero") == ["Days above zero", "150,000.00", "15.0000", ""]
    assert page.row("Days below zero") == ["Days below zero", "", "-28.8000", "0.073000"]
    assert "<summary>above zero, 12 months: 0.0312500000</summary>" in page.text
    assert page.row("2025-12.csv")[1:] == ["1,005", "T1", "2025-12-01", "fee", "-2.00"]
    assert "<dt>Interest rate</dt><dd>0.036500</dd>" in page.words
    assert "<dt>Is in default</dt><dd>no</dd>" in page.words
    assert "Closed on" not in page.text
    assert "by release 2025-12-r1. Read as manager; this reading is noted." in page.words
    assert "Every amount follows from its parts." in page.words and "alarm" not in page.body


def test_scopes_of_a_measure_share_a_heading_even_at_the_beginning(tmp_path):
    below = {**TRANCHE, "measure": "mean_rate, below zero, 3 months", "parts": 4 * TRANCHE["parts"]}
    page = page_of(tmp_path, found(TRANCHE, below))
    assert page.text.count('<h3 id="mean_rate">') == 1
    # Many parts are shown on request, or where there is a difference.
    assert page.text.count("<details open>") == page.text.count("<details>") == 1
    page = page_of(tmp_path, found(TRANCHE, {**below, "difference": Decimal(1)}))
    assert page.text.count("<details open>") == 2


def test_a_difference_to_the_release_is_an_error(tmp_path):
    page = page_of(
        tmp_path, found(TRANSFER, measure("direct_cost", Decimal("1.51"), Decimal("1.50")))
    )
    assert '<p class="stand broken alarm" role="alert">' in page.text
    assert "1 amount does not follow from its parts: expected none. Run make refresh" in page.words
    assert page.row("Direct cost", "1.51")[1:] == ["1.51", "1.50", "-0.01", "differs"]
    assert page.row("Transfer result", "-13.80")[-1] == ""
    assert (
        "Expected 1.50 from the parts, found 1.51 in the release: a difference of -0.01."
        in page.words
    )
    assert "Every amount follows" not in page.words


def test_the_page_is_in_chinese_on_request(tmp_path):
    page = page_of(tmp_path, found(TRANSFER, TRANCHE, records=[BOOKING]), "zh")
    assert '<html lang="zh">' in page.text and "<h2>构成明细</h2>" in page.text
    assert page.row("余额为负的天数") == ["余额为负的天数", "", "-28.8000", "0.073000"]
    assert "<summary>正余额, 12 个月: 0.0312500000</summary>" in page.text
    assert page.row("2025-12.csv")[3] == "2025年12月1日"


def test_delivered_text_is_escaped_and_the_page_needs_nothing(tmp_path):
    page = page_of(tmp_path, found(TRANSFER, records=[BOOKING | {"transaction_id": NASTY}]))
    assert "<script" not in page.text and page.text.count("&lt;script&gt;alert(1)") == 2
    assert "A&lt;1&gt;" in page.text and "A<1>" not in page.text
    assert not re.search(r"https?:|url\(|@import|javascript:", page.text)
    assert '<meta name="robots" content="noindex">' in page.text
    anchors = {address[1:] for address in page.addresses if address != "data:,"}
    assert anchors <= set(re.findall(r' id="(\w+)"', page.text))


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("bookings are not shown: the files differ", "bookings are not shown: the files differ"),
        (None, "The delivery has no record of the account in this month."),
    ],
)
def test_a_page_without_records_gives_the_reason(tmp_path, note, words):
    page = page_of(tmp_path, found(TRANSFER, records_note=note))
    assert words in page.words


def test_the_command_offers_every_language():
    assert get_args(get_args(get_args(cli.Language)[0])[0]) == LANGUAGES


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        (
            "en",
            [
                "account A<1> in 2025-12, release 2025-12-r1",
                "  product_line deposits",
                "transfer_result -13.80 = exposure x capital weight",
                "  part days above zero, day_sum 150,000.00, amount 15.0000",
                "delivered records: transaction",
            ],
        ),
        (
            "zh",
            [
                "账户 A<1>，2025-12，发布版本 2025-12-r1",
                "  产品条线 存款",
                "  是否违约 否",
                "资金转移损益 -13.80 = 风险敞口 × 资本权重",
            ],
        ),
    ],
)
def test_an_explanation_on_the_terminal_is_in_its_language(capsys, language, shown):
    show_explanation(found(TRANSFER, records=[BOOKING]), language)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line not in lines] == [], lines
    if language != "en":
        keys = {"day_sum", "transfer_result", "amount", "kind"}
        assert not [line for line in lines if keys & set(re.findall(r"[a-z_]+", line))]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "The balance of this account is not known in this month: no transfer price, "),
        ("zh", "该账户本月余额未知："),
    ],
)
def test_an_unknown_balance_is_named_before_the_amounts(tmp_path, capsys, language, words):
    content = found(TRANSFER, balance_note=BALANCE_NOT_KNOWN)
    show_explanation(content, language)
    assert capsys.readouterr().out.splitlines()[1].startswith(words)
    page = page_of(tmp_path, content, language)
    assert page.words.index(words) < page.words.index('<div class="cards">')
    known = found(TRANSFER)
    show_explanation(known, language)
    assert words not in capsys.readouterr().out + page_of(tmp_path, known, language).words


def unpriced(price: str, is_in_default: bool) -> dict[str, dict[str, object]]:
    """By name the measures of an account whose balance is not known, with interest booked of 3."""
    nothing = Decimal("0.00")
    zeros = ("transfer_result", "exposure", "provision", "expected_loss", "fee_income", "overhead")
    measures = [
        *(measure(name, nothing, parts=[{"part": "x", "amount": nothing}]) for name in zeros),
        measure("transfer_price", Decimal(price)),
        measure("capital_charge", Decimal("0.40")),
        measure("net_interest_margin", Decimal("3.00")),
        measure("economic_profit", Decimal("1.50")),
    ]
    found = without_balance(measures, is_in_default=is_in_default)
    return {row["measure"]: row for row in found}


def test_what_follows_from_an_unknown_balance_is_unknown_and_no_zero():
    rows = unpriced("0.020000", is_in_default=False)
    unknown = {name for name, row in rows.items() if row["published"] is None}
    assert unknown == {"transfer_result", "exposure", "expected_loss"}
    assert all(rows[name]["parts"] == [] and not rows[name]["difference"] for name in unknown)
    # An account that is not in default has no provision, and one without a fee none: true zeros.
    assert [str(rows[name]["published"]) for name in ("provision", "fee_income", "overhead")] == [
        *("0.00", "0.00", "0.00"),
    ]
    # What a loan's record gives is part of the charge; the balance is not.
    incomplete = {name for name, row in rows.items() if row.get("is_incomplete")}
    assert incomplete == {"capital_charge", "net_interest_margin", "economic_profit"}


def test_money_off_the_books_has_no_price_whatever_its_balance():
    rows = unpriced("0.000000", is_in_default=True)
    assert str(rows["transfer_result"]["published"]) == "0.00"
    assert not rows["net_interest_margin"]["is_incomplete"]
    assert rows["economic_profit"]["is_incomplete"]
    assert rows["provision"]["published"] is None


def test_unknown_amounts_are_marked_on_the_page_and_the_terminal(tmp_path, capsys):
    rows = unpriced("0.020000", is_in_default=False)
    content = found(*rows.values(), balance_note=BALANCE_NOT_KNOWN)
    content["account"]["closing_balance"] = None
    page = page_of(tmp_path, content)
    assert page.row("Exposure") == ["Exposure", "–", "–", "–", "unknown"]
    assert page.row("Fee income")[1:] == ["0.00", "0.00", "0.00", ""]
    assert page.row("Net interest margin")[-1] == "incomplete"
    assert "<dt>Closing balance</dt><dd>unknown</dd>" in page.words
    show_explanation(content)
    lines = capsys.readouterr().out
    assert "exposure – (unknown) = " in lines and "fee_income 0.00 = " in lines
    assert "net_interest_margin 3.00 (without what is not known) = " in lines

"""What `make scenario`, `make diff`, `make price` and `make reference` print, in both languages."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from orchestration.operations.page_words import page_words
from orchestration.platform.reference import column_types
from orchestration.valuation.display import (
    show_differences,
    show_price,
    show_proposal,
    show_scenario,
)
from orchestration.valuation.reference_files import FILES
from reports.formats import columns_of
from reports.words import read
from tests.unit.test_price import priced

# Codes, names of tables and files, settings and abbreviations stay in Latin letters.
CODE = re.compile(
    r"[\w.]*[./]\w[\w./]*|\b[A-Z][A-Z0-9_]+\b|\w*_\w+|\b(?:r1|deposit|files|jingxi|clv)\b", re.ASCII
)


def words_left(text: str) -> list[str]:
    """English words of a text in Chinese."""
    return re.findall(r"[A-Za-z]{2,}", CODE.sub("", text))


def difference(dimension: str, key: str, before: str, after: str, *raroc: str | None) -> dict:
    amounts = Decimal(before), Decimal(after), Decimal(after) - Decimal(before)
    returns = [None if one is None else Decimal(one) for one in raroc]
    returns += [None if None in returns else returns[1] - returns[0]]
    return {
        **{"period": "twelve months", "dimension": dimension, "dimension_key": key},
        **{
            f"{measure}_{side}": value
            for measure, values in (
                ("contribution_margin", amounts),
                ("economic_profit", amounts),
                ("raroc", returns),
            )
            for side, value in zip(("release", "scenario", "difference"), values, strict=True)
        },
    }


SCENARIO = {
    **{"name": "+100", "release": "r1", "as_of": "2025-12", "changed": ["transfer_curve"]},
    **{"same_code": False, "currency": "CNY", "customers_of_another_tier": 1063},
    **{"folder": "/home/100", "file": "/home/100/difference.csv"},
    "differences": [
        difference("all", "all", "447880.54", "438408.91", "0.606658", "0.591092"),
        difference("line", "deposits", "210476.33", "176503.86", "19.085252", "14.816861"),
        difference("line", "payments", "66050.33", "65102.10", None, None),
        difference("product", "MORTGAGE", "1.00", "2.00", "0.1", "0.2"),
        {**difference("all", "all", "9.00", "9.00", "0.1", "0.2"), "period": "month"},
    ],
}


def test_a_scenario_is_one_table_with_the_total_first(capsys):
    show_scenario(SCENARIO)
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line.startswith("  ")][-5:]
    before_and_after = ["before", "after", "difference"]
    assert table[0] == ["Contribution", "margin", "Economic", "profit", "RAROC"]
    assert table[1] == 3 * before_and_after
    assert table[2] == [
        *("Total", "of", "the", "bank", "447,881", "438,409", "-9,472", "447,881", "438,409"),
        *("-9,472", "60.7", "%", "59.1", "%", "-1.6"),
    ]
    # Hardly any capital: no difference of returns.
    assert table[3][:4] == ["Deposits", "210,476", "176,504", "-33,972"] and table[3][-1] == "–"
    assert table[4][0] == "Payments" and table[4][-3:] == ["–", "–", "–"]
    assert len({columns_of(line) for line in lines if line.startswith("  ")} - {0}) == 3
    assert "1,063" in lines[-2] and "/home/100/difference.csv" in lines[-1]
    assert len(lines) == 11


def test_the_rows_of_a_scenario_are_those_asked_for(capsys):
    show_scenario(SCENARIO, by="product")
    shown = capsys.readouterr().out
    assert "MORTGAGE" in shown and "Deposits" not in shown and "Total of the bank" in shown


def test_a_scenario_of_small_amounts_shows_cents(capsys):
    small = [difference("all", "all", "1.00", "2.50", "0.1", "0.2")]
    show_scenario({**SCENARIO, "differences": small})
    assert re.search(r" 1\.00 +2\.50 +1\.50 ", capsys.readouterr().out)


PROPOSAL = {
    **{"release": "r1", "folder": "/home/prices"},
    "proposed": [{"seed": "transfer_curve", "rows": 8}],
    "observed": {"transfer_curve": [{"side": "paid", "accounts": 12, "rate": Decimal("1.80")}]},
    **{"notes": {}, "kept": {"risk_rating": ""}, "unchanged": ["target"]},
}
RELEASE = {"release_id": "r1", "source": "files", "as_of": "2025-12", "code_version": "0.1.0"}
DIFFERENCES = {
    **{"before": RELEASE, "after": RELEASE, "input_file": None, "customer": [], "tier_move": []},
    "reference_data": [
        {"seed": "hurdle_rate", "origin_before": "default", "origin_after": "delivered"}
    ],
    "model": [
        {"model_name": "clv", "version_before": "1", "version_after": "2", "kind": "model"}
        | {"trained_as_of": "2025-12"}
    ],
    "account_month": [
        {"cause": cause, "product_line": "deposits", "account_months": 1}
        | {"contribution_difference": Decimal("-1.00")}
        for cause in (
            *("new month", "month gone", "records", "model", "reference data or code"),
            *("reference data", "code", "other accounts"),
        )
    ],
    "contact": [
        {"change": change, "contacts": 1}
        for change in ("added", "dropped", "other arm or channel", "kept")
    ],
    "table": [{"table": "value.account_month", "rows_before": 1, "only_after": 2}],
}


@pytest.mark.parametrize(
    ("show", "found", "chinese"),
    [
        (show_scenario, SCENARIO, "全行合计"),
        (show_proposal, PROPOSAL, "内部资金转移定价曲线（transfer_curve）：8行"),
        (show_differences, DIFFERENCES, "原来源 系统默认值, 现来源 本行文件"),
        (show_price, "LOAN", "贷款利率下限（年）"),
        (show_price, "GIRO", "复制组合 deposit 的期限段"),
    ],
)
def test_what_commands_print_has_no_english_word_left_in_chinese(show, found, chinese, capsys):
    if show is show_price:
        term = 24 if found == "LOAN" else None
        found = {**priced(found, "12000", term, customer="C1"), "release": "r1"}
    show(found, "zh")
    shown = capsys.readouterr().out
    assert chinese in shown
    assert words_left(shown) == []
    show(found, "en")
    assert re.search("[\u4e00-\u9fff]", capsys.readouterr().out) is None


def test_every_file_of_reference_data_is_described_with_the_units_of_its_columns():
    types = column_types()
    assert FILES.keys() == types.keys()
    scopes = {"product_line", "product_id", "branch_id", "effective_from", "reason", "text"}
    for seed, file in FILES.items():
        decimals = [name for name, kind in types[seed].items() if kind.startswith("decimal")]
        for name in decimals:
            # Shares, caps and ages are described together.
            parts = (name, name.split("_")[-1], name.split("_")[0])
            assert any(part in file.units for part in parts), (seed, name)
        named = set(re.findall(r"\b[a-z]+_[a-z_0-9]+\b", file.units)) - scopes
        known = {*types[seed], *FILES, "average_life", "economic_profit"}
        assert named <= known, (seed, named - known)


def test_all_words_of_commands_are_in_the_catalogue():
    catalogue = read("zh")
    for word in page_words():
        assert catalogue.get(word) is not None and catalogue.get(word).string, word

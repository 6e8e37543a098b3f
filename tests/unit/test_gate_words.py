"""What gates found, in the language of the page."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from expectations.gate import RESULT_COLUMNS
from orchestration.platform.gate_report import render_report
from orchestration.platform.gate_words import (
    found_words,
    limit_words,
    rule_words,
    unjudged_words,
    warning_words,
)
from reports.page import environment

ENGLISH, CHINESE = (environment(language).filters["translated"] for language in ("en", "zh"))


@pytest.mark.parametrize(
    ("words", "text", "chinese"),
    [
        (found_words, "36 rows; bookings 0", "共36行；交易笔数 0"),
        (found_words, "2 of 36 rows break it; bookings 0 to 63", "36行中有2行不符；交易笔数 0至63"),
        (found_words, "36 rows; bias is empty", "共36行；总额偏差为空"),
        (found_words, "2025-01 to 2025-03; 2025-06", "2025-01至2025-03；2025-06"),
        (found_words, "2025-01 (bookings 0); and 3 more", "2025-01（交易笔数 0）；另有3项"),
        (found_words, "unallocated overhead: collections", "未分摊间接费用：collections"),
        (found_words, "movement by account and 1 more", "账户发生额，另有1项"),
        (
            found_words,
            "transaction, reference: reference: 12 row(s) in /in/a.csv (first: row 3)",
            "transaction、reference：reference：/in/a.csv 中12行（首行：第3行）",
        ),
        (
            found_words,
            "2025-01: in all 7.10; largest: branch B1, lending, interest_income: ledger 9.00, "
            "booked 2.00, tolerance 5.00",
            "2025-01：合计7.10；最大差异：机构 B1，lending，interest_income：总账 9.00，"
            "交易 2.00、容差 5.00",
        ),
        (
            found_words,
            "chance alone stays below 0.02 in 95 of 100 samples",
            "100次抽样中有95次随机波动低于0.02",
        ),
        (
            found_words,
            "not judged: no ledger is delivered; source totals are reconciled instead",
            "未判定：未提供总账；改与来源合计核对",
        ),
        (
            found_words,
            "base.account, base.customer does not exist: build the previous layer",
            "base.account, base.customer 不存在：先构建上一层",
        ),
        (
            unjudged_words,
            "the clv model is off for this source",
            "本数据来源未启用客户生命周期价值模型",
        ),
        # A product of the bank's, which the catalogue has as a channel.
        (found_words, "card (missing 1)", "card（缺少的个数 1）"),
        (
            found_words,
            "withdrawal on accounts of deposits: 3 of 9 bookings",
            "存款账户的“现金支取”：9笔交易中的3笔",
        ),
        (limit_words, "at least 0.6", "不低于0.6"),
        (limit_words, "0.2 to 5", "0.2至5"),
        (limit_words, "watch, warning, alarm", "关注、预警、警报"),
        # A limit that no rule has any more: as an earlier release has it.
        (rule_words, "there are 3 to 9 segments", "客群为3至9个"),
        (
            rule_words,
            "a rule of another version, at most 5%",
            "a rule of another version, at most 5%",
        ),
        (found_words, "", ""),
    ],
)
def test_a_text_of_a_gate_is_in_the_language_of_the_page(words, text, chinese) -> None:
    assert ENGLISH(words(text)) == text
    assert CHINESE(words(text)) == chinese


def test_a_column_is_shown_by_its_label() -> None:
    found = found_words("36 rows; silent_days_at_end 0")
    assert ENGLISH(found) == "36 rows; silent days at end 0"


CURE = "train again on the latest labels (make train); until then use the ranking only"
LINE = (
    "G3 warns: model clv: predicted total over actual total, less 1, -0.5, limit ±0.25, beyond "
    "chance (90 % interval -0.6 to -0.3); total_bias and 2 more"
)


def test_a_warning_is_its_line_and_its_cure() -> None:
    result = {"bound": "±0.25", "observed": "1 of 4 rows break it; bias -0.5", "cure": CURE}
    found = warning_words(result, f"{LINE}. {CURE.capitalize()}")
    assert (ENGLISH(found["text"]), found["cure"]) == (LINE, CURE)
    assert CHINESE(found["text"]) == (
        "G3 警告：客户生命周期价值模型：预测总额与实际总额的偏差（比值减1） -0.5，限值±0.25，"
        "超出随机波动（90 %区间 -0.6至-0.3）；total_bias，另有2项"
    )
    other = warning_words(result, "a line of another form")
    assert other == {"text": "a line of another form", "cure": ""}


def test_a_chinese_gate_report_has_no_english_sentence(tmp_path: Path) -> None:
    rows = {
        # A rule that stops the refresh, one that warns, and one that holds.
        "value_reconciliation.lines_differing": {
            **{"gate": "GV", "severity": "fail", "success": False, "bound": "0"},
            "observed": "1 of 792 rows break it; lines_differing 0 to 3",
            "unexpected": "2025-12, ledger (lines_differing 3)",
            "meaning": "value is computed",
            "cure": "check the log of step value",
            "about": ["value.reconciliation"],
        },
        "model_calibration.calibration_error": {
            **{"gate": "G3", "severity": "warn", "success": False, "bound": "±0.25"},
            **{"observed": "1 of 4 rows break it; bias -0.5", "cure": CURE},
            "meaning": "predicted totals are within 25% of actual totals, or not beyond chance",
            "lines": [f"{LINE}. {CURE.capitalize()}"],
        },
        "base_key.null_keys": {
            **{"gate": "G2", "severity": "fail", "success": True, "bound": "0"},
            **{"observed": "5 rows; null_keys 0", "cure": "refresh the months named"},
            "meaning": "no key of the base is empty",
        },
    }
    with duckdb.connect() as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in RESULT_COLUMNS.items())
        connection.execute(f"create schema meta; create table meta.gate_result ({columns})")
        for rule, row in rows.items():
            row |= {"rule": rule, "subject": rule.partition(".")[0], "build_number": 1}
            connection.execute(
                f"insert into meta.gate_result ({', '.join(row)})"
                f" values ({', '.join('?' for _ in row)})",
                list(row.values()),
            )
        pages = [
            render_report(connection, tmp_path / f"{language}.html", language).read_text()
            for language in ("en", "zh")
        ]
    assert f"{LINE}. {CURE.capitalize()}" in pages[0]
    assert "Check the log" not in pages[0] and "check the log of step value" in pages[0]
    body = re.sub(r"<(style|code)>.*?</\1>", "", pages[1].partition("<main")[2], flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "\n", body)
    left = set(re.findall(r"[A-Za-z]+(?: [A-Za-z]+)+", text)) - {"make train"}
    assert left == set()
    assert "查看价值核算步骤（value）的日志" in text and "（90 %区间 -0.6至-0.3）" in text

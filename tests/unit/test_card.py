"""The card states the facts, section by section, and marks the sections that have none."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.card import CardFacts, model_card
from ml.evaluation.drift import drift_table
from ml.evaluation.fairness import fairness_table
from ml.evaluation.metrics import coverage_by_decile, decile_table

SECTIONS = [
    "What it is",
    "Data",
    "How it was judged",
    "Figures",
    "By cut-off",
    "Calibration by decile",
    "Intervals",
    "Fairness by sex and age band",
    "By kind of customer",
    "Drift",
    "Important features",
    "Limits",
    "Traceability",
]
EVALUATION = pd.DataFrame(
    {
        "metric": ["gini", "mean_absolute_error"],
        "value": [0.61234, 2345.678],
        "low": [0.5912, 2300.0],
        "high": [0.63333, np.nan],
        "rule_value": [0.4321, 999.6],
        "difference_low": [0.1, -0.00012345],
        "difference_high": [0.23, 1e-7],
        "better": ["higher", "lower"],
    }
)
LEAST = CardFacts(
    name="clv",
    purpose="Predicts what a customer will bring.",
    learner="TwoPartRegressor",
    kind="model",
    trained_as_of=date(2025, 12, 31),
    horizon_months=12,
    training_cutoffs=[date(2023, 9, 1), date(2023, 12, 1)],
    evaluation_cutoffs=[date(2024, 12, 1)],
    refit_cutoffs=[date(2024, 9, 1)],
    rows=26870,
    features=["age", "balance"],
    data_digest="d1g3st",
    code_version="c0de",
    dagster_run_id="run-1",
    trainer="training job",
    evaluation=None,
    reasons=["there is no champion yet", "beats the rule"],
    limits=[],
)


def sections(card: str) -> dict[str, str]:
    parts = card.split("\n## ")[1:]
    return {title: text.strip() for title, text in (part.split("\n", 1) for part in parts)}


def cells(text: str) -> list[list[str]]:
    """Rows of the only table of a section, titles first."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert rows[1] == ["---"] * len(rows[0]) and len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]


def of(**changes) -> dict[str, str]:
    return sections(model_card(dataclasses.replace(LEAST, **changes)))


def test_every_section_is_present_in_order_with_a_reason_where_it_has_no_data():
    found = of()
    assert list(found) == SECTIONS
    without = [title for title, text in found.items() if text.startswith("not available: ")]
    assert without == SECTIONS[3:12]
    assert all(len(found[title]) > len("not available: ") for title in without)


def test_a_run_can_give_the_reason_only_for_sections_without_data():
    reason = "the first refresh has nothing to compare with"
    found = of(unavailable={"Drift": reason, "Figures": "none"}, evaluation=EVALUATION)
    assert found["Drift"] == f"not available: {reason}"
    assert "not available" not in found["Figures"]
    with pytest.raises(ValueError, match="Drfit"):
        of(unavailable={"Drfit": reason})


def test_the_facts_of_the_run_are_in_their_sections():
    found = of(limits=["Synthetic\ncustomers only."])
    assert model_card(LEAST).startswith("# Model card: clv\n\n## What it is\n\nPredicts what")
    for words in ("TwoPartRegressor", "model", "2025-12-31", "12 months"):
        assert words in found["What it is"]
    for words in ("2023-09-01, 2023-12-01", "2024-12-01", "2024-09-01", "26,870", "`balance`"):
        assert words in found["Data"]
    assert "- there is no champion yet\n- beats the rule" in found["How it was judged"]
    assert found["Limits"] == "- Synthetic customers only."
    for words in ("`d1g3st`", "`c0de`", "`run-1`", "`training job`"):
        assert words in found["Traceability"]


def test_verdicts_on_bounds_are_listed_and_a_fairness_check_of_no_group_is_not_judged():
    verdicts = {"total_bias": "passed", "unfair_groups": "not judged"}
    found = of(
        verdicts=verdicts,
        fairness=pd.DataFrame({"group": ["F"], "customers": [40], "calibration_gap": [np.nan]}),
    )
    assert found["How it was judged"].endswith(
        "Bounds:\n\n- total bias: passed\n- unfair groups: not judged"
    )
    assert found["Fairness by sex and age band"].startswith("Not judged: no group is large enough.")


def test_facts_not_recorded_are_marked_as_not_available():
    found = of(
        horizon_months=None,
        refit_cutoffs=[],
        reasons=[],
        code_version=None,
        dagster_run_id="",
        trainer=None,
    )
    assert "Horizon: none in months" in found["What it is"]
    assert found["Data"].count("not available") == 1
    assert found["How it was judged"].endswith("not available: no reasons were recorded")
    assert found["Traceability"].count("not available") == 3


def test_figures_are_rounded_for_reading():
    assert cells(of(evaluation=EVALUATION)["Figures"]) == [
        ["metric", "better", "model", "rule", "model less rule"],
        ["gini", "higher", "0.612 [0.591, 0.633]", "0.432", "[0.100, 0.230]"],
        ["mean absolute error", "lower", "2,346 [2,300, –]", "1,000", "[-0.000123, 1.00e-07]"],
    ]


def test_cells_of_any_table_stay_cells():
    table = pd.DataFrame(
        {
            "cut-off": [date(2024, 6, 1), date(2024, 9, 1)],
            "note": ["a | b", "two\nlines"],
            "customers": [12345, 0],
            "gini": [0.0, np.inf],
            "judged": [True, False],
            "least": [None, -1234567.0],
        }
    )
    assert of(by_cutoff=table)["By cut-off"].split("\n")[2:] == [
        "| 2024-06-01 | a \\| b | 12,345 | 0 | yes | – |",
        "| 2024-09-01 | two lines | 0 | +∞ | no | -1,234,567 |",
    ]


def test_the_tables_of_an_evaluation_are_shown_as_they_are_made():
    generator = np.random.default_rng(1)
    predicted = generator.lognormal(3, 1, 1000)
    y = predicted + generator.normal(0, 5, 1000)
    sex = np.repeat(["F", "M", None], [600, 350, 50])
    features = pd.DataFrame(generator.normal(size=(1000, 12)), columns=list("abcdefghijkl"))
    importance = pd.DataFrame(
        {"feature": [f"f{k}" for k in range(30)], "importance": np.linspace(1, 0, 30)}
    )
    found = of(
        deciles=decile_table(y, predicted),
        coverage=coverage_by_decile(y, predicted, predicted - 8, predicted + 8),
        nominal_coverage=0.9,
        fairness=fairness_table(y, predicted, {"sex": sex}, kind="value", seed=1),
        by_kind=pd.DataFrame(
            {
                "customer_kind": ["corporate", "person"],
                "customers": [12, 988],
                "bias": [np.nan, 0.1],
                "note": ["not judged: 12 customers", None],
            }
        ),
        drift=drift_table(features, features + 0.1),
        importance=importance,
    )
    assert len(cells(found["Calibration by decile"])) == 11
    assert [row[1] for row in cells(found["Intervals"])[1:]] == ["100"] * 10
    assert found["Intervals"].startswith("Asked to hold 90 % of the outcomes.")
    groups = cells(found["Fairness by sex and age band"])
    assert [row[1] for row in groups] == ["group", "F", "M", "unknown"]
    assert groups[3][2:] == ["50"] + ["–"] * 8
    assert cells(found["By kind of customer"])[1:] == [
        ["corporate", "12", "–", "not judged: 12 customers"],
        ["person", "988", "0.100", "–"],
    ]
    assert len(cells(found["Drift"])) == 11 and "0.25" in found["Drift"]
    assert [row[0] for row in cells(found["Important features"])[1:]] == [
        f"f{k}" for k in range(20)
    ]


def test_the_same_facts_give_the_same_card_and_an_empty_table_is_no_data():
    assert model_card(LEAST) == model_card(dataclasses.replace(LEAST))
    assert of(evaluation=EVALUATION.head(0), deciles=EVALUATION.head(0)) == of()

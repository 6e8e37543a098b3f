"""Shares of the hidden truth, coverage of intervals, seeds that fail: on figures worked by hand."""

from __future__ import annotations

import json
import os
from datetime import date
from math import log
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from benchmarks.homes import CommandFailed, once, refreshed, variables
from benchmarks.interval_coverage import Coverage, coverage_of, latest_as_of, met
from benchmarks.truth_findings import Bias, Findings, Recovery, mean_report, report
from benchmarks.truth_recovery import (
    NotMeasurable,
    bias,
    capture_over_chance,
    column_by_key,
    each_seed,
    log_score_skill,
    mean_discount_factor,
    measure,
    probability_of,
    recovery,
)
from orchestration.platform.settings import Settings, read_settings

GENERATOR = np.random.default_rng(7)
# Linear in the score: what a score keeps of another it keeps in every sample.
PRODUCT = {"mean product": lambda y, score: float(np.mean(y * score))}


def test_a_model_that_keeps_four_fifths_of_the_truth_has_that_share_in_every_sample():
    truth = GENERATOR.gamma(2, 100, 500)
    y = truth + GENERATOR.normal(0, 50, 500)
    (one,) = recovery("clv", PRODUCT, y, (0.8 * truth, 0.25 * truth, truth), seed=1)
    found = (one.share, one.share_low, one.share_high, one.rule_share)
    assert found == pytest.approx((0.8, 0.8, 0.8, 0.25))
    assert one.truth == pytest.approx(np.mean(y * truth))


def test_rows_of_a_customer_count_as_one_draw():
    truth = np.repeat(GENERATOR.gamma(2, 100, 20), 50)
    model = np.repeat(GENERATOR.gamma(2, 100, 20), 50)
    customers = np.repeat(np.arange(20), 50)
    (apart,) = recovery("response", PRODUCT, truth, (model, model, truth), seed=1)
    (together,) = recovery("response", PRODUCT, truth, (model, model, truth), 1, customers)
    assert apart.share == together.share
    assert together.share_high - together.share_low > 2 * (apart.share_high - apart.share_low)


def test_the_share_is_undefined_where_the_truth_achieves_nothing():
    y = np.array([1.0, 0.0, 1.0, 0.0])
    (one,) = recovery("default", PRODUCT, y, (y, y, np.zeros(4)), seed=1)
    assert np.isnan([one.share, one.rule_share, one.share_low, one.share_high]).all()
    assert "nan" not in report(Findings(recoveries=[one]))


def test_log_score_skill_is_the_share_of_the_base_rates_score_that_is_saved():
    y = np.array([1.0, 0.0, 0.0, 0.0])
    base = -(log(0.25) + 3 * log(0.75)) / 4
    own = -(log(0.7) + 3 * log(0.9)) / 4
    found = log_score_skill(y, np.array([0.7, 0.1, 0.1, 0.1]))
    assert found == pytest.approx(1 - own / base)
    assert log_score_skill(y, np.full(4, 0.25)) == pytest.approx(0)
    assert log_score_skill(y, np.full(4, 0.6)) < 0
    assert np.isnan(log_score_skill(np.zeros(4), np.full(4, 0.25)))


def test_capture_over_chance_is_zero_for_equal_scores():
    y = np.arange(20.0)
    assert capture_over_chance(y, np.zeros(20)) == pytest.approx(0)
    assert capture_over_chance(y, y) == pytest.approx((19 + 18) / 190 - 0.1)


def test_total_bias_is_given_for_model_rule_and_truth():
    y = np.array([10.0, 30.0, 60.0])
    one = bias("clv", y, (1.1 * y, 0.5 * y, y), seed=1)
    assert (one.model, one.rule, one.truth) == pytest.approx((0.1, -0.5, 0.0))
    assert (one.low, one.high) == pytest.approx((0.1, 0.1))
    assert one.outcome == pytest.approx(100 / 3)


def test_a_constant_hazard_is_the_twelve_month_probability_again():
    # Surviving month after month, and each month's own share of the leavers.
    hazard, left, gone = 0.02, 1.0, 0.0
    for _ in range(12):
        gone, left = gone + left * hazard, left * (1 - hazard)
    assert probability_of(np.array([hazard, 0.0, 1.0])) == pytest.approx([gone, 0, 1])


def test_an_equal_margin_each_month_is_discounted_by_the_mean_factor():
    discounted = sum(100 / 1.1 ** ((month - 0.5) / 12) for month in range(1, 13))
    assert 1200 * mean_discount_factor(0.1) == pytest.approx(discounted)
    assert mean_discount_factor(0.0) == 1


def test_the_truth_is_taken_by_key_and_an_unknown_one_is_refused():
    with duckdb.connect() as connection:
        query = "select * from (values ('A', 1.5), ('B', 2.5)) as known (customer_id, expected)"
        found = column_by_key(connection, query, {}, np.array(["B", "A", "B"], dtype=object))
        assert found.tolist() == [2.5, 1.5, 2.5]
        with pytest.raises(LookupError, match="1 of 2 rows"):
            column_by_key(connection, query, {}, np.array(["B", "C"], dtype=object))


def test_coverage_less_nominal_and_the_worst_tenth_by_hand():
    by_tenth = pd.DataFrame(
        {"decile": [1, 2, 3], "customers": [100, 100, 200], "coverage": [0.99, 0.9, 0.75]}
    )
    one = coverage_of("evaluation", by_tenth, 0.9, 0.8, 0.9)
    assert one.customers == 400
    assert one.covered == pytest.approx((99 + 90 + 150) / 400)
    assert one.difference == pytest.approx(339 / 400 - 0.9)
    assert (one.worst_tenth, one.worst) == (3, 0.75)
    assert one.worst_difference == pytest.approx(-0.15)


AS_OF = date(2024, 12, 1)


def homes(folder: Path, months: list[tuple[str, str, float]]) -> tuple[Settings, Settings]:
    """One that scored as of 2024-12 at a rate of 21 %, and one with twelve months more."""
    seen, later = Settings(home=folder / "it's seen"), Settings(home=folder / "later")
    for path in (seen.warehouse, later.warehouse):
        path.parent.mkdir(parents=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute("create schema value")
            connection.execute(
                "create table value.profit_by_customer "
                "(customer_id varchar, month date, contribution_margin decimal(18, 2))"
            )
            connection.execute("insert into value.profit_by_customer values ('A', '2024-12-01', 7)")
    with duckdb.connect(str(later.warehouse)) as connection:
        connection.executemany("insert into value.profit_by_customer values (?, ?, ?)", months)
    with duckdb.connect(str(seen.warehouse)) as connection:
        connection.execute(
            "create table value.product_parameter as "
            "select date '2024-12-01' as month, 0.21::decimal(9, 6) as hurdle_rate"
        )
        connection.execute("create schema scores")
        connection.execute(
            "create table scores.customer as select * from (values "
            "('A', 95.00, 90.90, 90.92), "
            "('B', 10.00, 0.00, 20.00), "
            "('C', 50.00, 45.01, 60.00), "
            "('D', null, null, null)"
            ") as score (customer_id, clv_12m, clv_low, clv_high)"
        )
    return seen, later


def test_intervals_meet_the_discounted_contribution_of_the_twelve_months_after(tmp_path):
    # From the middle of 2025-06, half a month after half a year: 1.21 ** (5.5 / 12).
    factor = 1.21 ** (5.5 / 12)
    months = [
        ("A", "2025-06-01", round(90.91 * factor, 2)),
        ("C", "2025-06-01", round(45 * factor, 2)),
        # Beyond the horizon.
        ("A", "2026-01-01", 100),
        ("D", "2025-06-01", 1_000),
    ]
    one = met(*homes(tmp_path, months), AS_OF, 0.9, seed=1)
    assert (one.customers, one.nominal) == (3, 0.9)
    assert one.covered == pytest.approx(2 / 3)
    assert (one.worst_tenth, one.worst) == (4, 0)
    assert "2024-12" in one.period


def test_a_later_month_that_was_seen_is_refused(tmp_path):
    changed = [("B", "2024-11-01", 1.0), ("C", "2025-01-01", 1.0)]
    with pytest.raises(ValueError, match="1 customer months up to 2024-12"):
        met(*homes(tmp_path, changed), AS_OF, 0.9, seed=1)


@pytest.mark.parametrize(
    ("today", "as_of"),
    [
        # The twelve months after must be over, and the as-of month end a quarter.
        (date(2026, 11, 25), date(2025, 9, 1)),
        (date(2026, 7, 1), date(2025, 6, 1)),
        (date(2026, 6, 30), date(2025, 3, 1)),
        (date(2027, 1, 1), date(2025, 12, 1)),
        (date(2031, 5, 5), date(2025, 12, 1)),
    ],
)
def test_the_newest_as_of_month_with_a_year_after_it(today, as_of):
    assert latest_as_of(today) == as_of


def found_of(share: float, *, models: tuple[str, ...] = ("clv",)) -> Findings:
    return Findings(
        [Recovery(name, "Gini", share, 0.5, 1.0, share, share) for name in models],
        [Bias(name, 10, 1.0, share - 1, share - 1, share - 1, 0.5, 0.0) for name in models],
        [Coverage("evaluation", 10, 0.9, share, share, share, 10, share - 0.1)],
        ["clv: something to know"],
    )


def test_a_seed_that_fails_does_not_lose_the_others():
    def judged(seed: int) -> Findings:
        if seed == 2:
            raise CommandFailed("the refresh failed in seeds/2")
        return found_of(0.8 + seed / 100)

    lines: list[str] = []
    found, failed = each_seed([1, 2, 3], judged, lines.append)
    assert list(found) == [1, 3]
    assert failed == {2: "CommandFailed: the refresh failed in seeds/2"}
    assert [words.split()[:2] for words in lines] == [["seed", "1"], ["seed", "2"], ["seed", "3"]]
    assert "81.0%" in lines[0] and "seeds/2" in lines[1] and "83.0%" in lines[2]


def test_the_mean_is_over_the_seeds_that_have_a_figure_with_least_and_most():
    seeds = [found_of(0.8), found_of(0.9, models=("clv", "default"))]
    text = mean_report(seeds)
    clv, default = (
        next(line for line in text.splitlines() if line.startswith(name))
        for name in ("clv ", "default")
    )
    assert clv.split()[2:6] == ["2", "85.0%", "[80.0%,", "90.0%]"]
    assert default.split()[2:6] == ["1", "90.0%", "[90.0%,", "90.0%]"]
    covered = next(line for line in text.splitlines() if line.startswith("evaluation"))
    assert covered.split()[1:] == [
        *("2", "90.0%", "-5.0%", "[-10.0%,", "+0.0%]"),
        *("-15.0%", "[-20.0%,", "-10.0%]"),
    ]


def test_a_report_shows_shares_bias_coverage_and_notes_in_aligned_columns():
    text = report(found_of(0.8))
    for table in text.split("\n\n")[:3]:
        head, row = table.splitlines()[-2:]
        assert len(head) == len(row)
    assert "note: clv: something to know" in text


def settings_of(home: Path, **changed: Any) -> Settings:
    return Settings(home=home, customers=321, user="Ana", **changed)


def test_another_process_has_the_same_settings_and_no_place_of_this_home(tmp_path, monkeypatch):
    settings = settings_of(tmp_path / "other", seed=5, as_of="2025-06")
    monkeypatch.setenv("JINGXI_SEED", "9")
    monkeypatch.setenv("JINGXI_SOURCE_PATH", "/elsewhere")
    for place in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(place, "/elsewhere")
    named = variables(settings)
    assert "/elsewhere" not in named.values()
    for name in set(os.environ) - set(named):
        monkeypatch.delenv(name)
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == settings


def test_a_home_is_built_once_and_rebuilt_for_other_settings(tmp_path):
    text = tmp_path / "text.json"
    text.write_text('{"first": 1}')
    home = tmp_path / "home"
    command = ("json.tool", str(text))
    once(settings_of(home), command)
    assert "first" in (home / "measured.log").read_text()
    (home / "champion").write_text("of seed 20")
    text.write_text('{"second": 2}')
    once(settings_of(home), command)
    assert "first" in (home / "measured.log").read_text()
    once(settings_of(home, seed=21), command)
    assert "second" in (home / "measured.log").read_text()
    assert not (home / "champion").exists()


def test_a_failed_command_is_reported_with_its_error_and_can_run_again(tmp_path):
    text, home = tmp_path / "text.json", tmp_path / "home"
    command = ("json.tool", str(text))
    with pytest.raises(CommandFailed, match=r"No such file"):
        once(settings_of(home), command)
    (home / "half").write_text("made")
    text.write_text("{}")
    once(settings_of(home), command)
    assert not (home / "half").exists()


def test_a_home_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CommandFailed, match="Move them away"):
        once(settings_of(tmp_path), ("json.tool", "--help"))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.slow
def test_a_refused_refresh_is_reported_in_its_own_words(tmp_path):
    settings = settings_of(tmp_path / "home", reference_path=tmp_path / "nowhere")
    with pytest.raises(CommandFailed, match="refused: .*nowhere"):
        refreshed(settings)


def test_a_home_without_a_refresh_or_with_the_truth_of_another_bank_is_refused(tmp_path):
    settings = settings_of(tmp_path)
    with pytest.raises(NotMeasurable, match="make refresh"):
        measure(settings)
    settings.truth.mkdir()
    (settings.truth / ".generated.json").write_text(json.dumps({"identity": "synthetic seed=1"}))
    settings.warehouse.parent.mkdir()
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create schema meta")
        connection.execute("create schema landing")
        connection.execute("create table meta.bank as select 'berka' as identity")
        connection.execute(
            "create table landing.refresh_window as "
            "select date '1993-01-01' as first_month, date '1998-12-31' as as_of"
        )
    with pytest.raises(NotMeasurable, match="not that of berka"):
        measure(settings)
    assert "mlflow" not in {path.name for path in tmp_path.iterdir()}

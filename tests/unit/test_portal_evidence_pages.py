"""Pages of the portal on releases of a few rows: what the small bank lacks, and their charts."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reports
from ml.anomaly.reasons import DayEvidence, KindEvidence, explain
from ml.promotion import Measure, decide
from orchestration.alerts.reason_words import transaction_reason
from orchestration.models.reason_words import AGAIN, changed, trained_again, verdict
from orchestration.platform.settings import Settings
from orchestration.portal import grid, models, quality, risk
from orchestration.portal.page import Page, Release, opened
from reports import chart_curve, chart_map, chart_measure, chart_strip
from reports.page import environment
from reports.phrases import recognised
from reports.words import Phrase

MONTH = date(2025, 12, 1)
HEAD = """
create schema meta; create schema profile; create schema decisions; create schema base;
create schema scores; create schema value; create schema alerts; create schema quarantine;
create table meta.release as select '{release}' as release_id, '2025-12' as as_of,
    'a bank' as source, 'abc' as code_version, now() as created_at,
    'run1' as dagster_run_id;
"""
GRID = """
create table decisions.grid (
    district_id varchar, district_name varchar, region varchar, employee_id varchar,
    branch_id varchar, customers integer, customers_with_manager integer, manager_share double,
    contribution_margin_12m decimal(18, 2), clv_12m decimal(18, 2), potential decimal(18, 2),
    planned_contacts integer, contacts_12m integer, coverage double, latitude double,
    longitude double
);
create table decisions.guide (
    segment_name varchar, product_id varchar, product_name varchar, product_line varchar,
    customers integer, planned_contacts integer, expected_incremental_profit decimal(18, 2),
    talking_points varchar, talking_points_zh varchar
);
create table base.customer (customer_id varchar, district_id varchar, accounts integer);
create table scores.customer (
    customer_id varchar, segment_name varchar, clv_horizon_months integer
);
"""


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., Path]:
    """Makes a release of a home from statements."""

    def make(name: str, statements: str) -> Path:
        path = Settings(home=tmp_path).published / "releases" / f"{name}.duckdb"
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute(HEAD.format(release=name) + statements)
        return path

    return make


def shown(page: Page, release: Release, language: str = "en") -> str:
    """The page of a release, without the site's own data that a link to a CSV needs."""
    site = {"page": page.name, "file": page.file, "up": "", "pages": [], "languages": ("en", "zh")}
    site |= {
        "files": "",
        "release_id": release.release_id,
        "month": release.month,
        "source": release.source,
        "horizon": release.horizon,
        "run_id": release.run_id,
        "branches": release.branches,
        "currency": release.currency,
        "unpriced": release.unpriced,
        "assets": [],
    }
    return reports.render(page.template, {"site": site, **page.content(release)}, language)


def test_a_query_that_names_a_table_by_an_alias_is_read(tmp_path, released):
    # Six of one group, four of another, which are too few, and six without an account.
    rows = "insert into base.customer select range, 'D1', if(range < 10, 1, 0) from range(16);"
    rows += """
        insert into scores.customer select range, if(range < 6, 'low', 'high'), 12 from range(16);
    """
    with opened(Settings(home=tmp_path), released("r1", GRID + rows)) as release:
        assert release.rows("grid_segment") == [
            {"district_id": "D1", "segment_name": "low", "customers": 6}
        ]
    with opened(Settings(home=tmp_path), released("r2", "")) as release:
        assert release.rows("grid_segment") == []


def test_a_grid_without_coordinates_states_what_to_deliver(tmp_path, released):
    rows = (
        "insert into decisions.grid values ('D1', 'Altmark', 'North', 'E1', 'B1', 3, 2, 0.667,"
        " 1234.56, 99.00, 0, 0, 1, 0.333, null, null);"
    )
    with opened(Settings(home=tmp_path), released("r1", GRID + rows)) as release:
        page = shown(grid.PAGE, release)
    assert "Deliver latitude and longitude (in degrees) in the table district" in page
    assert "1,235" in page and "Altmark" in page and "<svg" not in page
    # Without any offer's profit the columns of potential and plan are left out, and why.
    assert "The model uplift, or contacts with a held-out group, give it" in page
    assert ">Potential<" not in page


def test_a_grid_without_districts_states_what_to_deliver(tmp_path, released):
    rows = (
        "insert into decisions.grid values ('(none)', null, null, null, null, 3, 0, 0, 10, 9, 0, 0,"
        " 0, 0, null, null);"
    )
    for name, statements in (("r1", GRID + rows), ("r2", "")):
        with opened(Settings(home=tmp_path), released(name, statements)) as release:
            assert "Deliver the table district" in shown(grid.PAGE, release)


def test_the_guide_is_that_of_the_districts_largest_groups(tmp_path, released):
    rows = """
    insert into decisions.grid values
        ('D1', 'Altmark', 'North', 'E1', 'B1', 3, 2, 0.667, 100, 90, 55.5, 4, 1, 0.3, 48.5, 12.5),
        ('D2', 'Brenn <2>', 'East', null, 'B2', 1, 0, 0, -5, 3, 0, 0, 0, 0, 49, 13);
    insert into base.customer select range, if(range < 16, 'D1', 'D2'), 1 from range(21);
    insert into scores.customer
        select range, if(range between 6 and 10, 'older', 'younger, single'), 12 from range(21);
    insert into decisions.guide values
        ('younger, single', 'LOAN', 'Loan', 'lending', 3, 4, 55.50, 'Ask first.', '先问。'),
        ('older', 'FUND', 'Fund', 'wealth', 1, 0, 0, 'Explain.', '说明。');
    create table base.branch as select 'B1' as branch_id, 'Market square' as branch_name;
    """
    with opened(Settings(home=tmp_path), released("r1", GRID + rows)) as release:
        english, chinese = (shown(grid.PAGE, release, language) for language in ("en", "zh"))
        csv = grid.PAGE.content(release)["tables"]
    assert "Ask first." in english and "Explain." not in english
    assert "先问。" in chinese and "Ask first." not in chinese
    assert "the largest group of Altmark, Brenn &lt;2&gt;" in english
    assert 'Market square <span class="soft">B1</span>' in english
    assert [row["segment_name"] for row in csv["guide"]] == ["younger, single", "older"]
    assert [row["largest_group"] for row in csv["districts"]] == ["younger, single"] * 2
    label = "Altmark: 3 customers, Contribution, 12 months 100.00"
    assert english.count(f'aria-label="{label}"') == 2


def test_a_districts_contribution_is_that_of_its_priced_accounts(tmp_path, released):
    rows = """
    insert into decisions.grid values
        ('D1', 'Altmark', 'North', 'E1', 'B1', 3, 2, 0.667, 100, 90, 55.5, 4, 1, 0.3, 48.5, 12.5),
        ('D2', 'Brenn', 'East', null, 'B2', 1, 0, 0, -5, 3, 0, 0, 0, 0, 49, 13);
    insert into base.customer values ('C1', 'D1', 1), ('C2', 'D1', 1), ('C3', 'D2', 1);
    create table value.profit_unpriced as from (values
        ('customer', 'C1', date '2025-12-01', 30.00::decimal(18, 2)),
        ('customer', 'C2', date '2025-01-01', -7.50), ('customer', 'C2', date '2024-12-01', 99.00),
        ('line', 'deposits', date '2025-12-01', 30.00)
    ) as t (dimension, dimension_key, month, contribution_margin);
    """
    with opened(Settings(home=tmp_path), released("r1", GRID + rows)) as release:
        page = shown(grid.PAGE, release)
        file = {
            row["district_id"]: row for row in grid.PAGE.content(release)["tables"]["districts"]
        }
    # 100.00 - 30.00 + 7.50; a year ago does not count.
    names = ("contribution_margin_12m", "contribution_margin_all_12m")
    assert [str(file["D1"][name]) for name in names] == ["77.50", "100.00"]
    assert [str(file["D2"][name]) for name in names] == ["-5.00", "-5.00"]
    assert "Contribution, 12 months 77.50" in page and ">priced accounts only<" in page
    with opened(Settings(home=tmp_path), released("r2", GRID + rows.partition(";")[0])) as release:
        assert "priced accounts only" not in shown(grid.PAGE, release)


PLACES = st.lists(
    st.tuples(st.floats(45, 52), st.floats(8, 20), st.integers(0, 5000)), min_size=1, max_size=40
)


def of(places: list[tuple[float, float, int]]) -> list[dict[str, object]]:
    return [
        {"name": f"Place {number}", "latitude": north, "longitude": east, "size": size}
        for number, (north, east, size) in enumerate(places)
    ]


@given(PLACES)
def test_names_on_a_map_meet_neither_a_bubble_nor_another_name(places):
    found, height = chart_map.spots(of(places), 1000)
    boxes = []
    for name in chart_map.names(found, 1000, height):
        width = chart_map.LETTER * len(name["text"])
        left = name["x"] - width * {"left": 0, "center": 0.5, "right": 1}[name["align"]]
        top = name["y"] - chart_map.HEIGHT / 2
        boxes.append((left, top, left + width, top + chart_map.HEIGHT, name["text"]))
        assert left >= 0 and left + width <= 1000
        for spot in found:
            if spot.row["name"] == name["text"]:
                continue
            across = max(left - (spot.x + spot.radius), spot.x - spot.radius - left - width)
            along = max(top - (spot.y + spot.radius), spot.y - spot.radius - top - chart_map.HEIGHT)
            assert max(across, along) >= -1e-6
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
            assert apart >= -1e-6


def haversine(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres between two places in degrees, on a sphere."""
    (north, east), (north2, east2) = (map(math.radians, place) for place in (one, other))
    half = math.sin((north2 - north) / 2) ** 2
    half += math.cos(north) * math.cos(north2) * math.sin((east2 - east) / 2) ** 2
    return 2 * 6371 * math.asin(math.sqrt(half))


def test_distances_on_a_map_are_those_on_the_ground():
    towns = {"a": (50.08, 14.43), "b": (49.20, 16.61), "c": (50.60, 13.60), "d": (48.97, 14.47)}
    rows = [
        {"name": name, "latitude": at[0], "longitude": at[1], "size": 5}
        for name, at in towns.items()
    ]
    at = {spot.row["name"]: (spot.x, spot.y) for spot in chart_map.spots(rows, 1000)[0]}
    ratios = [
        math.dist(at[one], at[other]) / haversine(towns[one], towns[other])
        for one in towns
        for other in towns
        if one < other
    ]
    assert max(ratios) / min(ratios) < 1.02
    # Places on either side of the date line lie beside each other.
    across = [
        {"name": name, "latitude": 10.0, "longitude": east, "size": 1}
        for name, east in (("w", 179.5), ("e", -179.5), ("f", 178.5))
    ]
    by_name = {spot.row["name"]: spot.x for spot in chart_map.spots(across, 1000)[0]}
    assert by_name["f"] < by_name["w"] < by_name["e"]


def test_a_map_has_a_label_for_each_place_and_areas_in_proportion():
    rows = [
        {"name": "A<1>", "latitude": 50.0, "longitude": 14.0, "size": 400, "shade": Decimal(-5)}
        | {"label": "A<1>: -5"},
        {"name": "B", "latitude": 49.0, "longitude": 15.0, "size": 100, "shade": None}
        | {"label": "B: –"},
    ]
    (large, small), _ = chart_map.spots(rows, 1000)
    assert math.isclose((large.radius / small.radius) ** 2, 4.0)
    drawn = chart_map.district_map(rows, "Map")
    assert re.findall(r'<svg class="chart (\S+)"', drawn) == ["wide-only", "narrow-only"]
    assert drawn.count('aria-label="A&lt;1&gt;: -5"') == 2 and "A<1>" not in drawn
    assert 'fill="var(--bad)"' in drawn and 'fill="var(--soft)"' in drawn
    alone = chart_map.district_map(rows[:1], "Map", is_small=True)
    assert alone.count("<svg") == 1 and "NaN" not in alone


def test_charts_of_figures_have_a_label_for_each_mark_and_load_no_resource():
    rows = [
        {"name": "AUC", "value": 0.1, "low": 0.05, "high": 0.2, "kind": "good", "label": "a <1>"},
        {"name": "Gini", "value": -0.1, "low": None, "high": None, "kind": "bad", "label": "b"},
    ]
    deciles = [
        {"decile": number, "customers": 10, "predicted": number / 20, "observed": number / 25}
        for number in range(1, 11)
    ]
    words = {"title": "T", "x": "x", "y": "y"}
    drawn = {
        "intervals": chart_measure.measures(rows, "Title", bound=0.25),
        "drifts": chart_measure.drifts(
            [{"name": "age", "psi": 0.3, "noise": 0.05, "label": "age: 0.3"}], "Drift", limit=0.25
        ),
        "calibration": chart_curve.calibration(
            deciles, words | {"label": "{decile} {predicted} {observed}"}, in_shares=True
        ),
        "gains": chart_curve.gains(deciles, words | {"label": "{share}: {held}"}),
        "strips": chart_strip.strips([{"name": "gaps", "month": MONTH, "count": 2}], "Strips"),
    }
    for name, chart in drawn.items():
        assert chart.count("<svg") == 2, name
        assert not re.search(r"https?:|url\(|<script|<image", chart), name
    assert drawn["intervals"].count("a &lt;1&gt;") == 4
    assert 'aria-label="1 5.0 % 4.0 %"' in drawn["calibration"]
    # The two highest tenths hold (10 + 9) / 55 of the outcomes.
    assert 'aria-label="20 %: 34.5 %"' in drawn["gains"]
    assert 'aria-label="gaps, 2025-12: 2"' in drawn["strips"]
    assert chart_curve.gains([deciles[0] | {"observed": 0.0}], words | {"label": ""}) is None


KINDS = st.builds(
    KindEvidence,
    kind=st.sampled_from(["deposit", "withdrawal", "transfer_in", "transfer_out", "card_payment"]),
    channel=st.sampled_from(["branch", "online", "standing_order", "(none)"]),
    is_in=st.booleans(),
    largest_amount=st.floats(1, 1e7),
    usual_amount=st.floats(1, 1e4),
    known_bookings=st.integers(0, 9),
    bookings_2d=st.integers(0, 9),
    bookings_10d=st.integers(0, 30),
    just_below_round_10d=st.integers(0, 30),
    daily=st.floats(0, 3),
    strangers=st.integers(0, 1),
    new_channels=st.integers(0, 1),
    **dict.fromkeys(
        ("amount_surprise", "count_surprise", "stranger_surprise", "channel_surprise"),
        st.floats(0, 9),
    ),
)
DAYS = st.builds(
    DayEvidence,
    swept_share=st.floats(0, 1),
    passed_share=st.floats(0, 1),
    days_silent=st.integers(0, 500),
    sweep_surprise=st.floats(0, 9),
    pass_surprise=st.floats(0, 9),
)


@given(st.lists(KINDS, min_size=1, max_size=3), DAYS)
def test_every_reason_of_an_abnormal_booking_is_chinese_on_a_chinese_page(kinds, day):
    reason = explain(kinds, day)
    phrase = transaction_reason(reason)
    chinese, english = (environment(language).filters["translated"] for language in ("zh", "en"))
    assert not re.search("[A-Za-z]", chinese(phrase)), (reason, chinese(phrase))
    # In English the sentence stays: only figures lose what they do not need.
    spoken = re.sub(r"[\d,.]+", "0", english(phrase))
    assert spoken.replace("_", " ") == re.sub(r"[\d,.]+", "0", reason).replace("_", " ")


@pytest.mark.parametrize("champion", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_every_reason_of_a_decision_on_a_model_is_chinese_on_a_chinese_page(champion, shift):
    draw = np.random.default_rng(3)
    y = draw.normal(size=200)
    ahead, behind = y + draw.normal(scale=0.3, size=200), draw.normal(size=200) + shift
    measures = (
        Measure("gini", lambda y, s: float(np.corrcoef(y, s)[0, 1]), "higher"),
        Measure("mean_absolute_error", lambda y, s: float(np.abs(y - s).mean()), "lower"),
    )
    for challenger, rule in ((ahead, behind), (behind, ahead)):
        decision = decide(
            measures, "gini", y, challenger, rule, ahead if champion else None, seed=1
        )
        words = environment("zh").filters["translated"](verdict("; ".join(decision.reasons)))
        assert not re.search("[a-z]", words), words


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("hazard: so the rule is champion", "hazard: so the rule is champion"),
        ("so the rule is champion", "因此以规则为在用模型"),
        ("agreed with the committee; see minutes", "agreed with the committee；see minutes"),
        ("too few to learn from: 8 events among 2524 rows; 20 of both kinds are needed",)
        + ("样本过少无法训练：2,524 行中仅 8 个事件；两类各需 20 个",),
        (
            "age band 55-64 (260 customers): predictions lie below outcomes by 169 % of the mean"
            " outcome of all customers [-251 %, -73 %], more than 25 %",
            "年龄段55-64（260位客户）：预测低于实际，"
            "幅度为全体平均结果的169 % [-251 %, -73 %]，超过25 %",
        ),
        ("trained again: the discount rate changed from 0.1 to 0.12; the champion fits",)
        + ("重新训练：折现率由 0.1 变为 0.12；在用模型适用",),
        ("trained again: the list of features changed", "重新训练：特征清单有变化"),
        ("", ""),
        (None, "–"),
    ],
)
def test_a_reason_of_a_person_stays_as_it_is(text, chinese):
    assert environment("zh").filters["translated"](verdict(text)) == chinese


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", "Trained again in this refresh\n  clv           the discount rate changed from"),
        ("zh", "本次刷新重新训练的模型\n  clv           折现率由 0.1 变为 0.12"),
    ],
)
def test_the_closing_summary_states_which_models_are_trained_again_and_why(language, shown):
    reason = changed("discount_rate", "0.100000", "0.120000")
    notes = {"clv": f"a horizon of 6 is used; trained again: {reason}", "default": None}
    again = [
        {"model": name, "reason": verdict(one.removeprefix(AGAIN))}
        for name, note in notes.items()
        for one in trained_again(note)
    ]
    text = reports.text("summary.txt", "trained", {"trained": again}, language)
    assert text.startswith(shown) and len(text.splitlines()) == 2
    assert reports.text("summary.txt", "trained", {"trained": []}, language).strip() == ""


def test_a_text_is_the_phrase_of_the_first_pattern_that_it_fits():
    patterns = {"{0} of {1}": ("figure", "words"), "none": ()}
    found = recognised("1,234.50 of cash deposit", patterns)
    assert isinstance(found, Phrase) and found.parts == (Decimal("1234.50"), "cash deposit")
    assert recognised("none", patterns) == "none" and not isinstance(
        recognised("none", patterns), Phrase
    )
    assert recognised("1 of X", patterns) == "1 of X"


RISK = """
create table value.loss_backtest as select * from (values
    (date '2025-12-01', 'lending', 2024, 3, 900.00, 500.00, 1, 10.00, 400.00, 5000.0000),
    (date '2024-12-01', 'lending', 2024, 3, 900.00, 500.00, 1, 99.00, 999.00, 5000.0000)
) as t (month, product_line, cohort, accounts, loss_at_risk, largest_loss_at_risk, new_defaults,
    expected_loss, realised_loss, variance);
create table meta.model_version as select * from (values
    ('default', null, 'too few to learn from: 8 events among 639 rows; 20 of both kinds are needed')
) as t (model_name, version, note);
"""


def test_risk_states_why_there_is_no_warning_and_what_chance_allows(tmp_path, released):
    with opened(Settings(home=tmp_path), released("r1", RISK)) as release:
        page, chinese = (shown(risk.PAGE, release, language) for language in ("en", "zh"))
        (line, cohort) = risk.PAGE.content(release)["tables"]["backtest"]
    assert "the model default scores nobody (too few to learn from: 8 events" in page
    assert "样本过少无法训练" in chinese
    # Bernstein: ln(40) = 3.6889; 500 x 3.6889 / 3 = 614.81;
    # 614.81 + sqrt(614.81² + 2 x 5000 x 3.6889) = 614.81 + 644.11
    assert (line["expected_loss"], line["realised_loss"]) == (Decimal("10.00"), Decimal("400.00"))
    assert line["by_chance"] == cohort["by_chance"]
    assert abs(float(line["by_chance"]) - 1258.92) < 0.02 and not line["is_beyond_chance"]
    assert "within chance" in page and "beyond chance" not in page
    assert "No account has an exposure." in page


MODELS = """
create table meta.model_version as select 'clv' as model_name, '{version}' as version,
    'champion' as alias, 'run-{version}' as mlflow_run_id, date '2025-12-31' as trained_as_of,
    'a bank' as source, 'model' as kind, 'retention_margin' as learner, 12 as horizon_months,
    'gini' as main_metric, {gini}::double as value, 0.7 as low, 0.9 as high, 0.75 as rule_value,
    'abcdef0123456789abcdef' as data_digest, 'trainer' as trained_by, 'Ana' as promoted_by,
    now() as promoted_at, 'better' as promotion_reason, '1' as previous_version, '' as note;
create table profile.model_drift as select 'clv' as model_name, 2 as features,
    1 as drifting_features, 0.9 as largest_psi, 'age' as largest_psi_feature;
create table meta.model_evaluation as select 'clv' as model_name, '{version}' as version,
    'gini' as metric, {gini}::double as value, 0.7 as low, 0.9 as high, 0.75 as rule_value,
    0.01 as difference_low, 0.03 as difference_high, 'higher' as better, true as champion,
    12 as horizon_months, date '2025-12-31' as trained_as_of, 'model' as note;
create table meta.model_monitoring as select 'clv' as model_name, '{version}' as version,
    'model' as judged, date '{cohort}' as cutoff, 'gini' as metric, {gini}::double as value,
    0.7 as low, 0.9 as high, 500 as rows;
create table meta.model_audit as select 'clv' as model_name, 'promoted' as event,
    '{version}' as version, '1' as previous_version, 'Ana <b>' as approver,
    'agreed in committee' as reason, timestamptz '2026-01-05 10:00:00+00' as happened_at,
    'run' as dagster_run_id, 'approval' as mode, 'done' as state;
"""


def part_of(release: Release, name: str) -> str:
    (part,) = [part for part in models.PAGE.parts(release) if part.name == name]
    site = {"page": "models", "file": f"models/{part.file}", "up": "../", "pages": []}
    site |= {
        "files": "",
        "languages": ("en", "zh"),
        "release_id": release.release_id,
        "month": release.month,
        "run_id": release.run_id,
        "branches": release.branches,
        "currency": release.currency,
        "unpriced": None,
        "assets": [],
    }
    return reports.render(models.PAGE.part_template, {"site": site, **part.content}, "en")


def test_a_model_is_followed_over_the_releases_kept_from_before(tmp_path, released):
    filled = [
        dict(version="2", gini="0.80", cohort="2024-06-01"),
        dict(version="2", gini="0.80", cohort="2024-06-01"),
        dict(version="3", gini="0.84", cohort="2024-09-01"),
    ]
    paths = []
    for number, values in enumerate(filled):
        path = released(f"r{number}", MODELS.format(**values))
        os.utime(path, (1000 + number, 1000 + number))
        paths.append(path)
    settings = Settings(home=tmp_path)
    with opened(settings, paths[2]) as release:
        page, tables = part_of(release, "clv"), models.PAGE.content(release)["tables"]
    monitored = [(row["version"], row["cutoff"], row["value"]) for row in tables["monitoring"]]
    assert monitored == [("2", date(2024, 6, 1), 0.80), ("3", date(2024, 9, 1), 0.84)]
    words = " ".join(page.split())
    assert "Version 2 scored in release r1." in words
    assert "Ana &lt;b&gt;" in page and "agreed in committee" in page
    assert "<code>run-3</code>" in page and "2026-01-05 10:00" in page
    for words_of_a_link in (
        *('data-mlflow="#/runs/run-3"', 'data-mlflow="#/models/clv/versions/3"'),
        'data-dagster="runs/run"',
    ):
        assert words_of_a_link in page
    # (0.84 - 0.75) / 0.75 = 12 % better than the rule
    assert "better by 12.0 %" in page
    assert "The release has no calibration by tenth of this version" in words
    with opened(settings, paths[1]) as release:
        assert "No release kept from before this one was scored by another version." in part_of(
            release, "clv"
        )


def test_a_model_that_is_off_has_a_page_with_the_reason(tmp_path, released):
    off = """
    create table meta.model_version as select 'uplift' as model_name, null::varchar as version,
        null::varchar as alias, null::varchar as mlflow_run_id, null::date as trained_as_of,
        null::varchar as source, null::varchar as kind, null::varchar as learner,
        null::integer as horizon_months, null::varchar as main_metric, null::double as value,
        null::double as low, null::double as high, null::double as rule_value,
        null::varchar as data_digest, null::varchar as trained_by, null::varchar as promoted_by,
        null::timestamptz as promoted_at, 'this source has no campaign' as note;
    create table profile.model_drift (model_name varchar, features integer,
        drifting_features integer, largest_psi double, largest_psi_feature varchar);
    """
    with opened(Settings(home=tmp_path), released("r1", off)) as release:
        overview, page = shown(models.PAGE, release), part_of(release, "uplift")
    assert "this source has no campaign" in overview and "this source has no campaign" in page
    assert "the effects of a channel and of its campaign are not separated" in page
    assert "No version was ever promoted." in page and "<svg" not in page


def test_a_release_without_models_states_it(tmp_path, released):
    with opened(Settings(home=tmp_path), released("r1", "")) as release:
        assert "The release has no models" in shown(models.PAGE, release)
        assert list(models.PAGE.parts(release)) == []


QUALITY = """
create table quarantine.transaction (file varchar, row_number bigint, rule varchar,
    column_name varchar, value varchar, month date, cause varchar);
insert into quarantine.transaction
    select 'a.csv', range, 'allowed_values', 'kind', 'odd <' || range % 7 || '>', null, null
    from range(40);
create table quarantine.loan as from quarantine.transaction limit 0;
create table meta.input_file as select 'transaction' as table_name, 'a' || range || '.csv' as path,
    null::date as extract_month, 10::bigint as rows, 10::bigint as landed, 0::bigint as quarantined,
    0::bigint as after_as_of, 0::bigint as before_first_month, 'f' || range as sha256
    from range(130);
create table profile.base_account_month as select date '2025-12-01' as month, 1 as accounts,
    1.0 as closing_balance, -3 as bookings_difference, 0 as balance_breaks, 0 as month_gaps,
    0 as balances_not_booked, 7 as balances_unknown;
create table meta.reference_data as select 'offer_rule' as seed, 'delivered' as origin,
    '/somewhere/of/the/bank/offer_rule.csv' as path, 5::bigint as rows, 'ab12' as sha256;
"""


def test_quality_goes_from_the_month_of_a_check_to_values_and_files(tmp_path, released):
    with opened(Settings(home=tmp_path), released("r1", QUALITY)) as release:
        found = quality.PAGE.content(release)
        page = shown(quality.PAGE, release)
    # Five values of a rule and column at most, the most seen first: 0 to 4 have six rows each.
    assert [(row["value"], row["rows"]) for row in found["values"]] == [
        (f"odd <{number}>", 6) for number in range(5)
    ]
    assert "odd &lt;0&gt;" in page and "odd &lt;5&gt;" not in page
    broken = [row for row in found["tables"]["months"] if row["count"]]
    assert [(row["gate"], row["what"], row["count"]) for row in broken] == [
        ("G2", "bookings lost or doubled", 3),
        ("G2", "accounts without a known balance", 7),
    ]
    assert 'aria-label="G2: bookings lost or doubled, 2025-12: 3"' in page
    assert len(found["tables"]["files"]) == 130 and len(found["files"]) == 100
    assert "Here are the first 100 of 130" in page
    assert page.count('data-dagster="assets/landing/transaction"') == 100
    # The bank's folders are not shown.
    assert "offer_rule.csv" in page and "/somewhere" not in page


def test_quality_of_a_release_with_next_to_nothing_states_it(tmp_path, released):
    with opened(Settings(home=tmp_path), released("r1", "")) as release:
        page = shown(quality.PAGE, release)
    for words in (
        "No file was read.",
        "no record of its reference data",
        "No row is in quarantine",
    ):
        assert words in page

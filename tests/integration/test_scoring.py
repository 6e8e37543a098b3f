"""Scoring on a warehouse made by hand, by champions of a real store."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from ml.attrition.model import AttritionModel
from ml.base_rate import ColumnRate
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.hazard import DiscreteTimeHazard
from ml.measures import LAST_PERIOD, PACE
from ml.registry import LEARNER, PACKED_MODEL, RULE, Candidate, ChampionUnusable, Registry, Version
from ml.response.model import OFFER, OfferBaseRate
from ml.segments.model import RuleTiering, SegmentModel
from orchestration.alerts import assets as alerts_assets
from orchestration.alerts import default_course
from orchestration.alerts.default_course import write_default_course
from orchestration.models import scoring
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import plus_months
from orchestration.models.datasets import customers_to_score, features_of
from orchestration.models.offer_scoring import score_offers
from orchestration.models.registration import create_tables
from orchestration.models.scoring import score_customers
from orchestration.models.studies import OF_CUSTOMERS
from orchestration.platform.model_store import settle_in
from orchestration.platform.settings import Settings
from orchestration.platform.tables import ensure_table
from orchestration.release.publish import publish_features
from orchestration.scores import assets as scores_assets
from orchestration.scores.account_default import keep_default_probabilities

pytestmark = pytest.mark.slow

NOW = date(2024, 12, 1)
QUARTER_AGO, HALF_A_YEAR_AGO = date(2024, 9, 1), date(2024, 6, 1)
# Twenty months: a horizon of six.
FIRST_MONTH, HORIZON = date(2023, 5, 1), 6

TABLES = """
create schema features; create schema value; create schema base; create schema alerts;
create schema outcomes;
create table features.customer_month (
    customer_id varchar, month date, age integer, months_observed integer, accounts integer,
    loans integer, is_defaulted integer, days_past_due integer, days_since_active integer,
    bookings_12m integer, contribution_margin_12m double, accounts_deposits integer,
    contribution_deposits_3m double, accounts_cards integer, contribution_cards_3m double
);
create view outcomes.customer_sample as select distinct customer_id from features.customer_month;
create table value.profit_by_customer (
    customer_id varchar, month date, contribution_margin decimal(18, 2)
);
create table value.customer_tier (customer_id varchar, month date, tier_number integer);
create table value.product_parameter (
    product_id varchar, month date, hurdle_rate decimal(9, 6), loss_given_default decimal(9, 6)
);
create table base.customer (customer_id varchar, employee_id varchar, is_defaulted boolean);
create table base.refresh_window as select date '2024-12-01' as as_of_month;
create table alerts.loan (
    account_id varchar, customer_id varchar, days_past_due integer, is_defaulted boolean,
    is_borrower_defaulted boolean, exposure decimal(18, 2), loss_given_default decimal(9, 6),
    employee_id varchar
);
create table features.offer (
    product_id varchar, product_line varchar, is_offered boolean default true,
    lagged_rate_offer double, lagged_rate_line double, lagged_rate_all double,
    lagged_contacts_offer double, market_rate_short double, market_rate_long double
);
create table value.offer (
    product_id varchar, campaigns integer, exposure decimal(18, 2), incentive_cost decimal(18, 2),
    probability_of_default decimal(9, 6), loss_given_default decimal(9, 6)
);
"""


@dataclass(frozen=True)
class Person:
    """A customer as known at a month's end."""

    customer_id: str
    tier: int | None = 2
    margins: tuple[float, ...] = ()  # of the month and those before it, newest first
    age: int = 40
    months_observed: int = 20
    accounts: int = 1
    loans: int = 0
    is_defaulted: int | None = None
    days_past_due: int | None = None
    days_since_active: int = 5
    bookings_12m: int = 100
    contribution_margin_12m: float = 50.0
    accounts_deposits: int = 1
    contribution_deposits_3m: float = 10.0
    accounts_cards: int = 0
    contribution_cards_3m: float = 0.0

    def features(self) -> dict[str, Any]:
        kept = ("customer_id", "tier", "margins")
        return {name: value for name, value in vars(self).items() if name not in kept}


def insert_people(connection: duckdb.DuckDBPyConnection, month: date, *people: Person) -> None:
    """Insert the features of people at a month's end; for today also their base data."""
    for person in people:
        features = person.features()
        connection.execute(
            f"insert into features.customer_month (customer_id, month, {', '.join(features)}) "
            f"values (?, ?, {', '.join('?' * len(features))})",
            [person.customer_id, month, *features.values()],
        )
        if person.tier is not None:
            connection.execute(
                "insert into value.customer_tier values (?, ?, ?)",
                [person.customer_id, month, person.tier],
            )
        for number, margin in enumerate(person.margins):
            connection.execute(
                "insert into value.profit_by_customer values (?, ?, ?)",
                [person.customer_id, plus_months(month, -number), margin],
            )
        if month == NOW:
            connection.execute(
                "insert into base.customer values (?, 'officer', ?)",
                [person.customer_id, bool(person.is_defaulted)],
            )


def rates(column: str, edges: tuple[float, ...], by_class: tuple[float, ...]) -> ColumnRate:
    """A rule with known rates: fitted for its classes, the rates then set to those given."""
    values = np.array([edges[0] - 1, *edges])
    rule = ColumnRate(column, edges).fit(pd.DataFrame({column: values}), np.arange(len(values)) % 2)
    rule.rate_ = float(np.mean(by_class))
    rule.rates_ = np.array([*by_class, rule.rate_])
    return rule


class Store:
    """A registry whose champions are made by hand, laid out as in a home."""

    def __init__(self, folder: Path, template: Path) -> None:
        folder = folder / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "mlflow.db"
        shutil.copy(template, self.database)
        self.artifacts = folder / "artifacts"
        self.uri = f"sqlite:///{self.database}"
        self.registry = Registry(self.uri, str(self.artifacts))
        self.client = mlflow.MlflowClient(self.uri, self.uri)
        self.registry.models()

    @property
    def context(self) -> TrainingContext:
        return TrainingContext(
            first_month=FIRST_MONTH,
            as_of=date(2024, 12, 31),
            seed=1,
            mode="never",
            source="made up",
            tracking_uri=self.uri,
            artifact_root=str(self.artifacts),
            run_id="run",
            code_version="0",
            promotion="auto",
            trainer="Tove Berg",
        )

    def champion(self, name: str, model: Any, example: pd.DataFrame, kind: str = LEARNER) -> None:
        version = self.registry.register(Candidate(name, model, model, kind, {}, {}, {}, example))
        self.registry.promote(version, by="policy", reason="made by hand", event="first")

    def model_file(self, name: str) -> Path:
        version = self.version(name)
        source = str(self.client.get_model_version(name, version.version).source)
        return self.artifacts / name / "models" / Path(source).name / "artifacts" / PACKED_MODEL

    def version(self, name: str) -> Version:
        champion = self.registry.champion(name)
        assert champion is not None
        return champion

    def loaded(self, name: str) -> Any:
        return self.registry.load(self.version(name))


# The queries of dbt that follow the scores, by table.
QUERIES: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def queries(customer_score_queries: dict[str, str]) -> None:
    QUERIES.update(customer_score_queries)


def join(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Build a table as dbt does; returns its rows."""
    connection.execute(f"create or replace table {table} as {QUERIES[table]}")
    return connection.execute(f"select count(*) from {table}").fetchall()[0][0]


def write_credit_alerts(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Build `alerts.credit` from the scores that were written."""
    write_default_course(connection, context)
    join(connection, "scores.customer")
    return join(connection, "alerts.credit")


def switched_on(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """What training writes of models that have a champion."""
    create_tables(connection)
    for name in names:
        connection.execute(
            "insert into meta.model_version (model_name, version) values (?, '1')", [name]
        )


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(TABLES)
        opened.execute("insert into value.product_parameter values ('loan', ?, 0.1, 0.45)", [NOW])
        ensure_table(opened, "scores.account_default")
        yield opened


MODELS = tuple(one.name for one in OF_CUSTOMERS)
ANN = Person("ann", margins=(10,) * 12, loans=1, is_defaulted=0, days_past_due=0)
BOB = Person(
    "bob",
    tier=3,
    margins=(-20,),
    age=29,
    loans=2,
    is_defaulted=1,
    days_past_due=95,
    contribution_margin_12m=-20,
)
CAT = Person(
    "cat",
    tier=1,
    margins=(30.05, 30.05, 30.05),
    age=70,
    days_since_active=200,
    contribution_margin_12m=95,
)
DAN = Person("dan", tier=4, accounts=0, accounts_deposits=0, days_since_active=400)
EVE = Person("eve", tier=2, margins=(200,), age=44, contribution_margin_12m=60)
PEOPLE = (ANN, BOB, CAT, DAN, EVE)
# Within a year. The champion predicts half a year, at the same monthly hazard.
P_DEFAULT = (0.03, 0.08, 0.15, 0.5)
P_HALF_YEAR = tuple(1 - (1 - p) ** 0.5 for p in P_DEFAULT)


def learned_from(people: int, seed: int) -> pd.DataFrame:
    """Features of many, as they are at a cut-off."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 90, people),
            "months_observed": 20,
            "accounts": generator.integers(1, 4, people),
            "loans": generator.integers(0, 3, people),
            "is_defaulted": 0,
            "days_past_due": generator.choice([0, 0, 0, 5, 40], people),
            "days_since_active": generator.integers(0, 200, people),
            "bookings_12m": generator.integers(0, 400, people),
            "contribution_margin_12m": generator.normal(60, 60, people),
            "accounts_deposits": 1,
            "contribution_deposits_3m": generator.normal(15, 5, people),
            "accounts_cards": generator.integers(0, 2, people),
            "contribution_cards_3m": generator.normal(5, 2, people),
        }
    )
    # Of no other feature, so that nothing can stand in for it.
    frame[LAST_PERIOD] = generator.normal(30, 30, people)
    frame[PACE] = frame[LAST_PERIOD]
    return frame


LEARNED = learned_from(300, seed=4)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Store:
    """Champions whose word can be worked by hand, and one of value that is learned."""
    store = Store(tmp_path_factory.mktemp("by_hand"), model_store)
    frame = LEARNED
    example = frame.head()
    y = np.where(np.arange(300) % 7 == 0, 0.0, frame[PACE])
    with threadpool_limits(1):
        clv = TwoPartRegressor(trees=5, horizon=HORIZON).fit(frame, y).calibrate(frame, y)
    store.champion("clv", clv, example)
    store.champion("attrition", rates("days_since_active", (90,), (0.1, 0.4)), example)
    store.champion("default", rates("days_past_due", (1, 30, 60), P_HALF_YEAR), example)
    store.champion("high_value", rates(PACE, (100,), (0.02, 0.3)), example)
    tiers = pd.DataFrame({"contribution_margin_12m": np.arange(101.0), "age": 40})
    store.champion("segment", RuleTiering().fit(tiers), example, RULE)
    contacts = pd.DataFrame({OFFER: ["card"] * 10 + ["fund"] * 10})
    answered = np.array([1] * 3 + [0] * 7 + [1] * 1 + [0] * 9)
    response = OfferBaseRate().fit(contacts, answered)
    store.champion("response", response, contacts.head(), RULE)
    return store


@pytest.fixture(scope="module")
def learned(by_hand: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Champions that are learned, with reasons and scores by line."""
    store = Store(tmp_path_factory.mktemp("learned"), by_hand.database)
    # The copy holds champions of the same names; these replace them.
    for name in store.registry.models():
        store.client.delete_registered_model(name)
    for experiment in store.client.search_experiments():
        if experiment.name != "Default":
            store.client.rename_experiment(experiment.experiment_id, f"{experiment.name}_by_hand")
    generator = np.random.default_rng(9)
    frame = learned_from(400, seed=5)
    n = len(frame)
    example = frame.head()

    def happens(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        event = generator.random(n) < expit(score)
        return np.where(event, generator.integers(1, HORIZON + 1, n), HORIZON), event

    with threadpool_limits(1):
        time, event = happens(frame["days_since_active"].to_numpy() / 40 - 3)
        held = pd.DataFrame(
            {
                "row": np.repeat(np.arange(n), 2),
                "line": np.tile(["cards", "deposits"], n),
                "customer_id": np.repeat(np.arange(n).astype(str), 2),
                "months_held": np.repeat(time, 2),
                "is_lost": np.repeat(event, 2),
            }
        )
        held = held[(held["line"] == "deposits") | frame["accounts_cards"].to_numpy()[held["row"]]]
        cards = held["line"] == "cards"
        held.loc[cards, "is_lost"] |= generator.random(cards.sum()) < 0.3
        attrition = AttritionModel(periods=HORIZON).fit(
            frame, time, event, lines=held.reset_index(drop=True)
        )
        store.champion("attrition", attrition, example)
        # The pace, which depends on the horizon, predicts default best.
        time, event = happens(1 - frame[PACE].to_numpy() / 20)
        default = DiscreteTimeHazard(periods=HORIZON, trees=15).fit(frame, time, event)
        assert PACE in default.columns_ or LAST_PERIOD in default.columns_
        store.champion("default", default, example)
        y = np.where(generator.random(n) < 0.8, frame[PACE] * 1.1, 0)
        clv = TwoPartRegressor(trees=8, horizon=HORIZON).fit(frame, y).calibrate(frame, y)
        store.champion("clv", clv, example)
        segments = SegmentModel(segments=3, sample=200, resamples=2, starts=2).fit(frame)
        store.champion("segment", segments, example)
    return store


# By hand.


def scored(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    join(connection, "scores.customer")
    found = connection.execute("select * from scores.customer order by customer_id").df()
    return found.set_index("customer_id")


def known(scores: pd.DataFrame, column: str) -> dict[str, Any]:
    """Customers with a value in a column, and the value."""
    return scores[column].dropna().to_dict()


def test_each_model_scores_its_own_customers_and_leaves_the_others_empty(connection, by_hand):
    insert_people(connection, NOW, *PEOPLE)
    switched_on(connection, *MODELS)
    assert score_customers(connection, by_hand.context) == 5
    scores = scored(connection)
    assert list(scores.index) == ["ann", "bob", "cat", "dan", "eve"]
    # Dan holds no account any more.
    assert known(scores, "p_attrition") == pytest.approx(
        {"ann": 0.1, "bob": 0.1, "cat": 0.4, "eve": 0.1}
    )
    # Six months of 10; one month of −20; three months of 30.05, a half year at which is 180.30;
    # one of 200.
    at_risk = {name: float(amount) for name, amount in known(scores, "value_at_risk").items()}
    assert at_risk == {"ann": 6.0, "bob": 0.0, "cat": 72.12, "eve": 120.0}
    # Bob is in default; the others without loans are no borrowers.
    assert known(scores, "p_default") == pytest.approx({"ann": P_HALF_YEAR[0], "bob": 1.0})
    # Cat is in the top tier already.
    assert known(scores, "p_high_value") == pytest.approx({"ann": 0.02, "bob": 0.02, "eve": 0.3})
    assert known(scores, "segment") == {
        "ann": "low value · 30–44",
        "bob": "loss-making · under 30",
        "cat": "high value · 62+",
        "eve": "medium value · 30–44",
    }
    assert known(scores, "segment_name") == known(scores, "segment")
    assert known(scores, "segment_rule")["bob"] == "loss-making · under 30"
    assert set(known(scores, "clv_12m")) == set(scores.index)
    for version, column in {
        "clv_model_version": "clv_12m",
        "attrition_model_version": "p_attrition",
        "default_model_version": "p_default",
        "high_value_model_version": "p_high_value",
        "segment_model_version": "segment",
    }.items():
        assert known(scores, version) == dict.fromkeys(known(scores, column), "1")


def test_value_to_come_is_the_champions_prediction_to_the_cent_with_its_interval(
    connection, by_hand
):
    insert_people(connection, NOW, *PEOPLE)
    switched_on(connection, "clv")
    score_customers(connection, by_hand.context)
    scores = scored(connection)
    model = by_hand.loaded("clv")
    for person in PEOPLE:
        half_a_year = [
            *(person.margins[:HORIZON]),
        ]
        last = sum(half_a_year)
        pace = last * HORIZON / max(1, len(half_a_year))
        row = pd.DataFrame([{**person.features(), LAST_PERIOD: last, PACE: pace}])
        row = row.astype({"is_defaulted": float, "days_past_due": float})
        published = scores.loc[person.customer_id]
        point, low, high = model.predict_interval(row)[0]
        for column, value in (("clv_12m", point), ("clv_low", low), ("clv_high", high)):
            assert float(published[column]) == pytest.approx(value, abs=0.006), column
        three_years = model.predict_months(row, 36)[0]
        assert float(published["clv_36m"]) == pytest.approx(three_years, abs=0.006)
        assert published["clv_horizon_months"] == HORIZON


def test_where_a_model_is_off_its_columns_are_empty(connection, by_hand):
    insert_people(connection, NOW, *PEOPLE)
    switched_on(connection, "attrition")
    connection.execute("insert into meta.model_version (model_name, note) values ('default', 'x')")
    score_customers(connection, by_hand.context)
    scores = scored(connection)
    filled = ["p_attrition", "value_at_risk", "attrition_model_version"]
    assert scores.drop(columns=filled).isna().all(axis=None)
    assert scores[filled].notna().sum().tolist() == [4, 4, 4]
    names = connection.execute("select distinct model_name from scores.reason").fetchall()
    assert names == [("attrition",)]
    for table in ("product_attrition", "segment_profile", "segment_migration"):
        assert connection.execute(f"select count(*) from scores.{table}").fetchall() == [(0,)]


def test_a_bank_too_young_for_any_model_has_a_row_for_each_customer(connection, by_hand):
    insert_people(connection, NOW, *PEOPLE)
    switched_on(connection)
    young = replace(by_hand.context, first_month=date(2024, 6, 1))
    assert score_customers(connection, young) == 5
    assert scored(connection).isna().all(axis=None)
    assert score_offers(connection, young) == 0
    assert write_credit_alerts(connection, young) == 0


def test_the_rule_of_value_scores_too(connection, by_hand, tmp_path):
    """Somebody has to score: where nobody beats it, the last period again is champion."""
    store = Store(tmp_path / "rule", by_hand.database)
    frame = learned_from(100, seed=6)
    y = frame[PACE].to_numpy()
    rule = LastPeriodAgain(horizon=HORIZON).fit(frame, y).calibrate(frame, y)
    store.champion("clv", rule, frame.head(), RULE)
    insert_people(connection, NOW, *PEOPLE)
    switched_on(connection, "clv")
    score_customers(connection, store.context)
    assert float(scored(connection).loc["ann", "clv_12m"]) == 60.0
    # Six halves of a year like the last, as nobody is known to leave.
    assert float(scored(connection).loc["ann", "clv_36m"]) == 360.0


def test_migration_follows_each_customer_over_the_horizon(connection, by_hand):
    def with_margin(name: str, margin: float, accounts: int = 1) -> Person:
        return Person(name, accounts=accounts, contribution_margin_12m=margin)

    low, medium, high = (f"{value} value · 30–44" for value in ("low", "medium", "high"))
    before = [("a", 10), ("b", 10), ("c", 70), ("d", 95), ("e", 10)]
    insert_people(connection, HALF_A_YEAR_AGO, *[with_margin(*one) for one in before])
    insert_people(connection, HALF_A_YEAR_AGO, with_margin("none then", 10, 0))
    after = [("a", 10), ("b", 70), ("c", 95), ("d", 95), ("f", 10)]
    insert_people(connection, NOW, *[with_margin(*one) for one in after])
    insert_people(connection, NOW, with_margin("e", 10, 0), with_margin("none then", 10))
    switched_on(connection, "segment")
    score_customers(connection, by_hand.context)
    moves = connection.execute(
        "select from_month, to_month, from_segment, to_segment, customers, share "
        "from scores.segment_migration"
    ).fetchall()
    assert {row[:2] for row in moves} == {(HALF_A_YEAR_AGO, NOW)}
    third = pytest.approx(1 / 3)
    assert sorted(row[2:] for row in moves) == sorted(
        [
            (low, low, 1, third),
            (low, medium, 1, third),
            (low, "left", 1, third),
            (medium, high, 1, 1.0),
            (high, high, 1, 1.0),
            ("new", low, 2, 1.0),
        ],
        key=lambda row: row[:2],
    )


def test_every_customer_and_offer_has_the_chance_of_an_answer(connection, by_hand):
    insert_people(connection, NOW, ANN, DAN)
    connection.execute("insert into features.offer (product_id) values ('card'), ('fund')")
    switched_on(connection, "response")
    score_customers(connection, by_hand.context)
    assert score_offers(connection, by_hand.context) == 4
    found = connection.execute(
        "select customer_id, product_id, p_response, response_model_version from scores.offer "
        "order by all"
    ).fetchall()
    assert [row[:2] for row in found] == [
        *[("ann", "card"), ("ann", "fund"), ("dan", "card"), ("dan", "fund")],
    ]
    model = by_hand.loaded("response")
    predicted = model.probability(pd.DataFrame({OFFER: ["card", "fund"]}))
    assert predicted[0] > predicted[1]
    assert [row[2] for row in found] == pytest.approx([*predicted, *predicted], abs=1e-6)


def test_a_product_never_offered_is_scored_where_the_list_of_offers_asks_for_it(
    connection, by_hand
):
    insert_people(connection, NOW, ANN)
    connection.execute("insert into features.offer (product_id) values ('card')")
    connection.execute("insert into features.offer (product_id, is_offered) values ('gold', false)")
    connection.execute("insert into value.offer (product_id, campaigns) values ('gold', 0)")
    switched_on(connection, "response")
    score_customers(connection, by_hand.context)
    assert score_offers(connection, by_hand.context) == 2
    found = connection.execute("select product_id, p_response from scores.offer order by all")
    scored = dict(found.fetchall())
    # The rule of this store has no lines: an offer not seen has the rate of all.
    assert scored["gold"] == pytest.approx(by_hand.loaded("response").rate_, abs=1e-6)
    before = everything(connection)
    connection.execute("insert into value.offer (product_id, campaigns) values ('bond', 0)")
    with pytest.raises(ValueError, match="offers bond are invalid: expected products of the bank"):
        score_offers(connection, by_hand.context)
    assert everything(connection) == before


class Recording:
    """A connection that notes the tables of other steps, and of this one, that its queries read."""

    TABLE = re.compile(
        r"\b(?:from|join)\s+((?:base|value|features|outcomes|scores|alerts)\.\"?\w+)"
    )

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.read: set[str] = set()

    def execute(self, query: str, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self.read |= {name.replace('"', "") for name in self.TABLE.findall(query)}
        return self._connection.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_the_scores_and_the_course_of_default_depend_on_the_tables_that_they_read(
    connection, by_hand
):
    """But for the models, and for tables that a step writes and counts."""
    # Of an earlier month too, from which customers have moved between segments.
    insert_people(connection, HALF_A_YEAR_AGO, *PEOPLE)
    insert_people(connection, NOW, *PEOPLE)
    connection.execute("insert into features.offer (product_id) values ('card')")
    connection.execute("insert into features.offer (product_id, is_offered) values ('gold', false)")
    connection.execute("insert into value.offer (product_id, campaigns) values ('gold', 0)")
    switched_on(connection, *MODELS, "response")

    def read(*work: Callable[[Any, TrainingContext], int]) -> set[str]:
        recording = Recording(connection)
        for one in work:
            one(recording, by_hand.context)
        return recording.read

    def declared(tables: Mapping[str, Sequence[str]]) -> set[str]:
        found = {name for reads in tables.values() for name in reads}
        return {name for name in found if not name.startswith("models.")}

    written = set(scores_assets.READ)
    scores = read(score_customers, score_offers, keep_default_probabilities)
    assert scores - written == declared(scores_assets.READ) - written
    assert declared(scores_assets.READ) & written == {"scores.default", "scores.segment"}
    course = "alerts.default_course"
    assert read(write_default_course) - {course} == declared({course: alerts_assets.READ[course]})


# Learned champions: reasons, lines, batches.


def crowd(people: int = 24) -> list[Person]:
    """People as in training, with some whom fewer models score."""
    frame = learned_from(people, seed=7)
    # Margins that rose in the last half year: a longer look back is another pace.
    made = []
    for number, row in enumerate(frame.to_dict("records")):
        monthly = row.pop(LAST_PERIOD) / 6
        row.pop(PACE)
        whole = {
            name: float(value) if name.startswith("contribution") else int(value)
            for name, value in row.items()
        }
        margins = (round(monthly, 2),) * 6 + (round(monthly / 5, 2),) * 6
        made.append(Person(f"person {number:02d}", margins=margins, **whole))
    made[3] = replace(made[3], accounts=0, accounts_deposits=0, accounts_cards=0, loans=0)
    made[9] = replace(made[9], is_defaulted=1, loans=1)
    return made


def written(connection: duckdb.DuckDBPyConnection) -> dict[str, pd.DataFrame]:
    join(connection, "scores.customer")
    tables = ("customer", "product_attrition", "reason", "segment_profile", "segment_migration")
    return {
        table: connection.execute(f"select * from scores.{table} order by all").df()
        for table in tables
    }


@pytest.fixture(scope="module")
def scored_crowd(learned: Store) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Person]]]:
    """A warehouse scored by the learned champions."""
    with duckdb.connect() as opened:
        opened.execute(TABLES)
        opened.execute("insert into value.product_parameter values ('loan', ?, 0.1, 0.45)", [NOW])
        people = crowd()
        insert_people(opened, NOW, *people)
        insert_people(
            opened, HALF_A_YEAR_AGO, *[replace(one, margins=()) for one in people[::-1][:15]]
        )
        switched_on(opened, *MODELS)
        # A model that is on has a champion; this one has none here.
        opened.execute("delete from meta.model_version where model_name = 'high_value'")
        score_customers(opened, learned.context)
        yield opened, people


def test_a_customer_has_at_most_three_reasons_per_model_strongest_first(scored_crowd, learned):
    connection, people = scored_crowd
    reasons = written(connection)["reason"]
    assert set(reasons["model_name"]) == {"attrition", "clv", "default", "segment"}
    by_model = {
        "attrition": {one.customer_id for one in people if one.accounts > 0},
        "clv": {one.customer_id for one in people},
        "default": {one.customer_id for one in people if one.loans and not one.is_defaulted},
        "segment": {one.customer_id for one in people if one.accounts > 0},
    }
    for name, rows in reasons.groupby("model_name"):
        model = learned.loaded(name)
        known_names = model.dimensions_ if name == "segment" else model.columns_
        assert set(rows["feature"]) <= set(known_names), name
        # A customer may be as usual in everything; nearly every customer has a reason.
        assert set(rows["customer_id"]) <= by_model[name]
        assert len(set(rows["customer_id"])) > 0.8 * len(by_model[name])
        assert set(rows["model_version"]) == {learned.version(name).version}
    for _, rows in reasons.sort_values("rank").groupby(["customer_id", "model_name"]):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert len(rows) <= 3
        assert rows["contribution"].abs().is_monotonic_decreasing
        assert rows["feature"].is_unique
    assert ((reasons["contribution"] > 0) == (reasons["direction"] == "raises")).all()


def test_a_reason_shows_the_customers_own_value_beside_the_usual_one(scored_crowd):
    connection, people = scored_crowd
    reasons = written(connection)["reason"]
    of = {one.customer_id: one.features() for one in people}
    shown = reasons[
        (reasons["model_name"] == "attrition") & (reasons["feature"] == "days_since_active")
    ]
    assert len(shown) > 5
    holders = [one.days_since_active for one in people if one.accounts > 0]
    for row in shown.to_dict("records"):
        assert float(row["value"]) == of[row["customer_id"]]["days_since_active"]
        assert float(row["usual"]) == pytest.approx(np.median(holders))
    # The longest silence raises the probability.
    longest = max((one for one in people if one.accounts > 0), key=lambda p: p.days_since_active)
    first = shown[shown["customer_id"] == longest.customer_id].iloc[0]
    assert first["direction"] == "raises"


def test_each_line_held_is_at_least_as_much_at_risk_as_the_customer(scored_crowd, learned):
    connection, people = scored_crowd
    tables = written(connection)
    lines = tables["product_attrition"].set_index(["customer_id", "product_line"])
    held = {
        (one.customer_id, line)
        for one in people
        if one.accounts > 0
        for line, number in (("deposits", one.accounts_deposits), ("cards", one.accounts_cards))
        if number
    }
    assert set(lines.index) == held
    customers = tables["customer"].set_index("customer_id")["p_attrition"]
    own = customers.loc[lines.index.get_level_values("customer_id")].to_numpy()
    assert (lines["p_attrition"].to_numpy() >= own - 1e-12).all()
    # Cards are given up by those who stay, too.
    is_card = lines.index.get_level_values("product_line") == "cards"
    assert (lines["p_attrition"].to_numpy() - own)[is_card].mean() > 0.05
    # A line's quarter at the pace of the last, twice.
    one = next(one for one in people if one.accounts > 0)
    row = lines.loc[(one.customer_id, "deposits")]
    brings = 2 * one.contribution_deposits_3m
    assert float(row["value_at_risk"]) == pytest.approx(row["p_attrition"] * brings, abs=0.006)
    assert set(lines["attrition_model_version"]) == {learned.version("attrition").version}


def test_the_profile_describes_each_segment_by_dimension(scored_crowd, learned):
    connection, _ = scored_crowd
    tables = written(connection)
    model = learned.loaded("segment")
    profile = tables["segment_profile"]
    assert set(profile["segment"]) == set(model.segments_)
    assert set(profile["dimension"]) == set(model.dimensions_)
    assert len(profile) == len(model.segments_) * len(model.dimensions_)
    shares = profile.drop_duplicates("segment")["share"]
    assert shares.sum() == pytest.approx(1)
    customers = tables["customer"].dropna(subset=["segment"])
    named = customers.set_index("segment")["segment_name"].to_dict()
    assert named.items() <= dict(model.names_).items()
    moves = tables["segment_migration"]
    assert (
        moves["customers"].sum()
        == len(customers) + moves.loc[moves["to_segment"] == "left", "customers"].sum()
    )


def test_batches_give_the_same_scores_as_one_pass(scored_crowd, learned, monkeypatch):
    connection, _ = scored_crowd
    at_once = written(connection)
    monkeypatch.setattr(scoring, "BATCH", 7)
    assert score_customers(connection, learned.context) == 24
    for table, rows in written(connection).items():
        assert len(rows), table
        pd.testing.assert_frame_equal(rows, at_once[table], rtol=1e-12)


# Champions that cannot be trusted.

SCORED_BY = {
    "attrition": lambda *given: score_customers(*given),
    "response": lambda *given: score_offers(*given),
    "default": lambda *given: write_default_course(*given),
}


def everything(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple]]:
    tables = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() "
        "where schema_name in ('scores', 'alerts') order by all"
    ).fetchall()
    return {
        name: connection.execute(f"select * from {name} order by all").fetchall()
        for (name,) in tables
    }


@pytest.mark.parametrize("name", SCORED_BY)
@pytest.mark.parametrize("how", ["changed", "file gone", "nobody is champion"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "again"])
def test_a_champion_missing_or_changed_stops_the_scoring_before_anything_is_written(
    connection, by_hand, name, how, is_first
):
    lend(connection, Loan(ANN, days_past_due=3))
    insert_people(connection, NOW, CAT)
    connection.execute("insert into features.offer (product_id) values ('card')")
    switched_on(connection, *MODELS, "response")
    earlier = replace(by_hand.context, as_of=date(2024, 11, 30))
    if not is_first:
        score_customers(connection, by_hand.context)
        score_offers(connection, by_hand.context)
        write_credit_alerts(connection, by_hand.context)
    elif name == "default":
        score_customers(connection, by_hand.context)
    before = everything(connection)
    path, kept = by_hand.model_file(name), by_hand.model_file(name).read_bytes()
    try:
        if how == "changed":
            flip(path)
        elif how == "file gone":
            path.unlink()
        else:
            by_hand.client.delete_registered_model_alias(name, "champion")
        words = {
            "changed": "was tampered with or is damaged",
            "file gone": "cannot be loaded",
            "nobody is champion": f"model {name} is on but has no champion",
        }
        # An earlier month too: it would drop what is known of the months after.
        for context in (by_hand.context, earlier):
            with pytest.raises(ChampionUnusable, match=words[how]):
                SCORED_BY[name](connection, context)
            assert everything(connection) == before
    finally:
        path.write_bytes(kept)
        by_hand.client.set_registered_model_alias(name, "champion", "1")
    assert by_hand.loaded(name) is not None


# Credit.


@dataclass(frozen=True)
class Loan:
    """A borrower's loan; the days past due a quarter ago, if the borrower had features then."""

    owner: Person
    days_past_due: int = 0
    before: int | None = None  # days past due of the borrower a quarter ago
    is_defaulted: bool = False
    exposure: float = 1000.0


def lend(connection: duckdb.DuckDBPyConnection, *loans: Loan) -> None:
    for loan in loans:
        owner = loan.owner
        if not connection.execute(
            "select 1 from base.customer where customer_id = ?", [owner.customer_id]
        ).fetchall():
            insert_people(connection, NOW, owner)
            if loan.before is not None:
                past = replace(owner, days_past_due=loan.before, margins=())
                insert_people(connection, QUARTER_AGO, past)
        account = f"loan of {owner.customer_id}"
        connection.execute(
            "insert into alerts.loan values (?, ?, ?, ?, ?, ?, 0.45, 'officer')",
            [
                *(account, owner.customer_id, loan.days_past_due, loan.is_defaulted),
                *(bool(owner.is_defaulted), loan.exposure),
            ],
        )


def borrower(name: str, days: int, is_defaulted: int = 0) -> Person:
    """Whose loans are so many days past due, the worst of them."""
    return Person(name, loans=2, is_defaulted=is_defaulted, days_past_due=days)


# The probability follows the borrower's days, the account's own may be fewer. By days of the
# borrower: 0 → 0.03, from 1 → 0.08, from 30 → 0.15, from 60 → 0.50.
LOANS = (
    Loan(borrower("calm", 0), before=0),
    Loan(borrower("as before", 5), before=5),
    Loan(borrower("better", 5), before=40),
    Loan(borrower("doubled", 5), before=0),
    Loan(borrower("new", 5)),
    Loan(borrower("day late", 0), days_past_due=1, before=0),
    Loan(borrower("29 late", 0), days_past_due=29, before=0),
    Loan(borrower("30 late", 0), days_past_due=30, before=0),
    Loan(borrower("59 late", 0), days_past_due=59, before=0),
    Loan(borrower("60 late", 0), days_past_due=60, before=0),
    Loan(borrower("one in seven", 30), before=30, exposure=2000),
    Loan(borrower("one in two", 60), before=60, exposure=500.5),
    Loan(borrower("other in default", 95, is_defaulted=1), exposure=100),
    Loan(borrower("loan in default", 95, is_defaulted=1), days_past_due=95, is_defaulted=True),
)
SEVERITY = {
    "doubled": "watch",
    "day late": "watch",
    "29 late": "watch",
    "30 late": "warning",
    "59 late": "warning",
    "60 late": "alarm",
    "one in seven": "warning",
    "one in two": "alarm",
    "other in default": "alarm",
}


@pytest.fixture
def lent(connection: duckdb.DuckDBPyConnection, by_hand: Store) -> pd.DataFrame:
    """The alerts of the loans, by customer."""
    lend(connection, *LOANS)
    # Borrowers without an open loan are scored and raise no alert.
    insert_people(connection, NOW, borrower("repaid", 60), borrower("card holder", 60))
    switched_on(connection, "default")
    score_customers(connection, by_hand.context)
    keep_default_probabilities(connection, by_hand.context)
    alerts = write_credit_alerts(connection, by_hand.context)
    found = connection.execute("select * from alerts.credit").df().set_index("customer_id")
    assert len(found) == alerts
    return found


def test_severity_is_by_days_past_due_or_by_probability(lent):
    assert lent["severity"].to_dict() == SEVERITY


def test_an_alert_gives_reason_month_expected_loss_and_responsible_employee(lent):
    def of(name: str) -> dict[str, Any]:
        return lent.loc[name].to_dict()

    doubled, seven, two = of("doubled"), of("one in seven"), of("one in two")
    assert doubled["p_default"] == pytest.approx(0.08)
    assert doubled["p_default_before"] == pytest.approx(0.03)
    assert (doubled["account_id"], doubled["employee_id"]) == ("loan of doubled", "officer")
    assert str(doubled["month"])[:10] == "2024-12-01"
    assert doubled["default_model_version"] == "1"
    # Exposure × probability × loss given default.
    assert float(seven["expected_loss_12m"]) == pytest.approx(2000 * 0.15 * 0.45)
    assert float(two["expected_loss_12m"]) == pytest.approx(112.61)
    assert (float(two["exposure"]), float(two["loss_given_default"])) == (500.5, 0.45)
    assert of("day late")["reason"] == "1 days past due; probability of default 0.03"
    # Beside the median of the borrowers: what is more than theirs raises the probability.
    assert two["reason"] == "days_past_due 60 (usual 5 of other customers)"
    assert seven["reason"] == "days_past_due 30 (usual 5 of other customers)"
    default = of("other in default")
    assert default["reason"] == (
        "another loan of the borrower is in default; probability of default 1.0"
    )
    assert default["p_default"] == 1.0
    assert np.isnan(default["p_default_before"])
    assert float(default["expected_loss_12m"]) == pytest.approx(45)
    # The rule predicts no month.
    assert lent["expected_lead_months"].isna().all()


def test_a_loan_has_its_owners_probability_unless_in_default(connection, lent):
    found = connection.execute("select * from scores.account_default").fetchall()
    expected = {
        f"loan of {one.owner.customer_id}": one.owner.days_past_due
        for one in LOANS
        if not one.owner.is_defaulted
    }
    assert {row[0] for row in found} == set(expected)
    for account, month, probability, version in found:
        place = int(np.searchsorted([1, 30, 60], expected[account], side="right"))
        assert float(probability) == pytest.approx(P_DEFAULT[place], abs=1e-6)
        assert (month, version) == (NOW, "1")


def test_probabilities_of_earlier_months_stay_and_those_of_later_months_are_removed(
    connection, by_hand
):
    lend(connection, Loan(borrower("ann", 30)), Loan(borrower("bob", 0)))
    rows = [
        ("loan of ann", date(2024, 11, 1), 0.2),
        ("loan of ann", NOW, 0.9),
        ("loan gone", NOW, 0.9),
        ("loan of ann", date(2025, 1, 1), 0.9),
        ("loan gone", date(2023, 1, 1), 0.4),
    ]
    connection.executemany("insert into scores.account_default values (?, ?, ?, 'old')", rows)
    switched_on(connection, "default")
    score_customers(connection, by_hand.context)
    assert keep_default_probabilities(connection, by_hand.context) == 2
    expected = [
        ("loan gone", date(2023, 1, 1), 0.4, "old"),
        ("loan of ann", date(2024, 11, 1), 0.2, "old"),
        ("loan of ann", NOW, 0.15, "1"),
        ("loan of bob", NOW, 0.03, "1"),
    ]

    def kept() -> list[tuple]:
        found = connection.execute("select * from scores.account_default order by all").fetchall()
        return [
            (account, month, round(float(p), 5), version) for account, month, p, version in found
        ]

    assert kept() == expected
    # The same month again is the same; without the model, what was known before it stays.
    keep_default_probabilities(connection, by_hand.context)
    assert kept() == expected
    connection.execute("delete from meta.model_version")
    score_customers(connection, by_hand.context)
    assert keep_default_probabilities(connection, by_hand.context) == 0
    assert kept() == expected[:2]
    assert write_credit_alerts(connection, by_hand.context) == 0
    assert connection.execute("select count(*) from alerts.credit").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("low", "high", "judged", "is_used"),
    [
        (0.26, 0.9, "model", False),
        (-0.6, -0.26, "model", False),
        (0.19, 1.02, "model", True),
        # The twin did not learn from the cohort, which the model that scores did.
        (0.26, 0.9, "twin", True),
    ],
)
def test_expected_loss_ignores_a_model_whose_total_is_off_beyond_chance(
    connection, by_hand, low, high, judged, is_used
):
    lend(connection, Loan(borrower("ann", 30)))
    switched_on(connection, "default")
    score_customers(connection, by_hand.context)
    ensure_table(connection, "meta.model_monitoring")
    connection.execute(
        "insert into meta.model_monitoring by name select 'default' as model_name, '1' as version,"
        " ? as judged, 'total_bias' as metric, ? as cutoff, 0.5 as value, ? as low, ? as high,"
        " 100 as rows",
        [judged, QUARTER_AGO, low, high],
    )
    assert keep_default_probabilities(connection, by_hand.context) == 1
    ((probability, version),) = connection.execute(
        "select p_default, default_model_version from scores.account_default"
    ).fetchall()
    if is_used:
        assert (float(probability), version) == (0.15, "1")
    else:
        assert (probability, version) == (None, None)


def test_a_total_that_was_off_in_the_evaluation_is_not_used_either(connection, by_hand):
    lend(connection, Loan(borrower("ann", 30)))
    switched_on(connection, "default")
    score_customers(connection, by_hand.context)
    connection.execute(
        "insert into meta.model_evaluation by name select 'default' as model_name, '1' as version,"
        " 'total_bias' as metric, 0.5 as value, 0.3 as low, 0.7 as high, true as champion"
    )
    keep_default_probabilities(connection, by_hand.context)
    found = connection.execute("select p_default from scores.account_default").fetchall()
    assert found == [(None,)]


def test_a_quarter_ago_is_scored_from_the_anchors_of_the_horizon_that_was_learned(
    connection, learned, monkeypatch
):
    """With half a year of pace, as the champion was trained, not a whole one."""
    people = [
        replace(one, loans=1, is_defaulted=0, days_past_due=3, accounts=1) for one in crowd(20)
    ]
    insert_people(connection, QUARTER_AGO, *[replace(one, tier=2) for one in people])
    lend(connection, *[Loan(replace(one, margins=(1,)), days_past_due=3) for one in people])
    # The margins of a quarter ago were inserted already.
    connection.execute("delete from value.profit_by_customer where month > ?", [QUARTER_AGO])
    switched_on(connection, "default")
    monkeypatch.setattr(default_course, "BATCH", 7)
    score_customers(connection, learned.context)
    assert write_credit_alerts(connection, learned.context) == 20
    alerts = connection.execute("select * from alerts.credit order by customer_id").df()
    model = learned.loaded("default")

    def features(month: date) -> pd.DataFrame:
        (frame,) = customers_to_score(connection, month, HORIZON, 100)
        assert frame["customer_id"].tolist() == alerts["customer_id"].tolist()
        return features_of(frame)

    before = features(QUARTER_AGO)
    assert (before[PACE] != 0).all()

    def yearly(probability: np.ndarray) -> np.ndarray:
        return 1 - (1 - probability) ** 2

    np.testing.assert_allclose(alerts["p_default_before"], yearly(model.probability(before)))
    now = features(NOW)
    np.testing.assert_allclose(alerts["p_default"], yearly(model.probability(now)))
    np.testing.assert_allclose(alerts["expected_lead_months"], model.expected_lead_time(now))


# From outside: by MLflow alone, from what a release publishes.


def released(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The features as a release carries them, under the name `release`."""
    connection.execute(
        "create schema landing; "
        "create table landing.refresh_window as select ?::date first_month, ?::date as_of",
        [FIRST_MONTH, date(2024, 12, 31)],
    )
    connection.execute("attach ':memory:' as release")
    publish_features(connection, "release")
    return connection


def opened(store: Store, name: str) -> Any:
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_registry_uri(store.uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(f"models:/{name}@champion")


@pytest.mark.parametrize("champions", ["by_hand", "learned"])
def test_published_features_give_the_published_scores_through_mlflow_alone(
    connection, request, champions
):
    store: Store = request.getfixturevalue(champions)
    insert_people(connection, NOW, *PEOPLE)
    names = [name for name in MODELS if store.registry.champion(name)]
    switched_on(connection, *names)
    score_customers(connection, store.context)
    published = (
        released(connection)
        .execute("select * from release.features.customer_month order by customer_id")
        .df()
    )
    assert set(published["month"].astype(str)) == {str(NOW)}
    scores = scored(connection)
    for name in names:
        model = opened(store, name)
        read = model.metadata.get_input_schema().input_names()
        assert set(read) <= set(published.columns), name
        predicted = model.predict(published)
        assert list(predicted.columns) == model.metadata.get_output_schema().input_names(), name
        for column in predicted:
            expected = scores[column].reset_index(drop=True)
            if predicted[column].dtype.kind == "f":
                expected = expected.astype(float)
                # Money is rounded to the cent where it is published.
                np.testing.assert_allclose(predicted[column], expected, atol=0.006, err_msg=column)
            else:
                assert predicted[column].fillna("").tolist() == expected.fillna("").tolist(), column


def test_published_offers_beside_published_customers_give_the_published_response(
    connection, by_hand
):
    insert_people(connection, NOW, ANN, DAN)
    connection.execute("insert into features.offer (product_id) values ('card'), ('fund')")
    switched_on(connection, "response")
    score_customers(connection, by_hand.context)
    score_offers(connection, by_hand.context)
    rows = released(connection).execute(
        "select customer.*, offer.* exclude (product_id) from release.features.customer_month "
        "as customer cross join release.features.offer as offer order by customer_id, product_id"
    )
    predicted = opened(by_hand, "response").predict(rows.df())["p_response"]
    expected = connection.execute("select p_response from scores.offer order by all").fetchall()
    by_customer = connection.execute(
        "select p_response from scores.offer order by customer_id, product_id"
    ).fetchall()
    assert len(expected) == 4
    assert predicted.tolist() == [value for (value,) in by_customer]


def test_a_copied_home_reads_its_own_models_and_not_the_other_homes(by_hand, tmp_path):
    home = Settings(home=tmp_path / "moved home")
    shutil.copytree(by_hand.database.parent, home.mlflow_home)
    original = by_hand.model_file("clv")
    before = by_hand.version("clv")
    settle_in(home)
    again = Registry(home.own_model_store, str(home.mlflow_home / "artifacts"))
    client = mlflow.MlflowClient(home.own_model_store, home.own_model_store)
    kept = original.read_bytes()
    try:
        # The other home's file is damaged: who reads it is refused.
        flip(original)
        champion = again.champion("clv")
        assert champion == before
        predicted = again.load(champion).predict(LEARNED)
        assert again.load_twin(champion) is not None
        mlflow.set_tracking_uri(home.own_model_store)
        mlflow.set_registry_uri(home.own_model_store)
        served = mlflow.pyfunc.load_model("models:/clv@champion").predict(LEARNED.astype(float))
    finally:
        original.write_bytes(kept)
    np.testing.assert_allclose(served["clv_12m"], predicted)
    for experiment in client.search_experiments():
        if experiment.name != "Default":
            assert str(home.mlflow_home) in experiment.artifact_location
    assert str(home.mlflow_home) in client.get_run(before.run_id).info.artifact_uri
    # The first home goes on as before, and a second look changes nothing.
    settle_in(home)
    assert by_hand.loaded("clv").predict(LEARNED).tolist() == predicted.tolist()


def test_places_that_are_no_homes_are_left_as_they_are(by_hand, tmp_path):
    home = Settings(home=tmp_path / "home")
    (home.mlflow_home / "artifacts").mkdir(parents=True)
    shutil.copy(by_hand.database, home.mlflow_home / "mlflow.db")
    client = mlflow.MlflowClient(home.own_model_store, home.own_model_store)
    bucket = "s3://bank/mlflow/artifacts/elsewhere"
    client.create_experiment("elsewhere", artifact_location=bucket)
    before = {one.name: one.artifact_location for one in client.search_experiments()}
    # The artifacts were not brought along, and the other home still has them.
    settle_in(home)
    after = {one.name: one.artifact_location for one in client.search_experiments()}
    assert after == before and after["elsewhere"] == bucket

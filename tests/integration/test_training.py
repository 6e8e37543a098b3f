"""Training on a real store: who becomes champion, who does not, and what is written down."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ml.base_rate import ColumnRate
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.estimator import score_of
from ml.evaluation import metrics
from ml.hazard import DiscreteTimeHazard
from ml.measures import LAST_PERIOD, PACE
from ml.promotion import Measure
from ml.registry import (
    EVALUATION,
    LEARNER,
    PACKED_MODEL,
    RULE,
    TWIN,
    Candidate,
    ChampionUnusable,
    Registry,
    Version,
    listed,
)
from ml.serving import MODEL
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import plus_months
from orchestration.models.datasets import HOLDERS, digest
from orchestration.models.governance import (
    COMPARED_WITH,
    PASSED,
    REASONS,
    REFUSED,
    VERDICT,
    PromotionRefused,
    promote,
)
from orchestration.models.monitoring import monitor
from orchestration.models.records import Records
from orchestration.models.registration import TrainingReport, is_on
from orchestration.models.studies.measures import PROBABILITY_MEASURES
from orchestration.models.study import Learner, Material, Off, Sample, Split, Study
from orchestration.models.training import needs_training, train

pytestmark = pytest.mark.slow

TRAINER, APPROVER, REASON = "Tove Berg", "Ana Lima", "fewer complaints in the pilot"
AS_OF = date(2024, 12, 31)
PARAMETERS = {
    "training_cutoffs": listed(["2023-12"]),
    "evaluation_cutoffs": listed(["2024-06"]),
    "refit_cutoffs": listed(["2023-12", "2024-06"]),
}
WANTED = {"source": "made up", "format": "1", "horizon_months": "6", "features": listed(["silent"])}
# Found nowhere in an artifact, so like nothing else.
MARK = "zq-person-"


class People:
    """Customers at one cut-off; the silent ones with few products leave more often."""

    def __init__(self, cutoff: date, n: int, seed: int, silence: float = 0.0) -> None:
        generator = np.random.default_rng(seed)
        self.frame = pd.DataFrame(
            {
                "customer_id": [f"{MARK}{number:05d}" for number in range(n)],
                "cutoff": cutoff,
                "age": generator.integers(18, 90, n),
                "silent": np.clip(generator.uniform(0, 100, n) + silence, 0, 200),
                "products": generator.integers(1, 5, n),
                "noise": generator.uniform(0, 1, n),
            }
        )
        self.chance = expit(
            -2.5 + 0.05 * self.frame["silent"] - 0.7 * (self.frame["products"] - 1)
        ).to_numpy()
        self.y = (generator.random(n) < self.chance).astype(float)
        # In no feature.
        self.is_woman = (self.frame.index % 2 == 0).astype(bool)

    def sample(self, y: np.ndarray | None = None) -> Sample:
        y = self.y if y is None else y
        return Sample(self.frame, y, pd.DataFrame({"left": y}))


EARLIER = People(date(2023, 12, 1), 1200, seed=1)
LATER = People(date(2024, 6, 1), 800, seed=2)
NOW = People(date(2024, 12, 1), 800, seed=3)


def together(*samples: Sample) -> Sample:
    return Sample(
        pd.concat([sample.frame for sample in samples], ignore_index=True),
        np.concatenate([sample.y for sample in samples]),
        pd.concat([sample.outcome for sample in samples], ignore_index=True),
    )


def material(
    train_on: Sample | None = None,
    later: Sample | None = None,
    scored: pd.DataFrame | None = NOW.frame,
) -> Material:
    first, second = train_on or EARLIER.sample(), later or LATER.sample()
    return Material((Split(first, second),), together(first, second), scored, PARAMETERS)


def rate(
    column: str, classes: int = 10, edges: Sequence[float] | None = None, name: str = ""
) -> Learner:
    def fit(sample: Sample, seed: int) -> ColumnRate:
        return ColumnRate(column, edges, classes).fit(sample.features, sample.y)

    return Learner(name or f"rate_by_{column}", fit)


def _boosted(sample: Sample, seed: int) -> DiscreteTimeHazard:
    return DiscreteTimeHazard(seed=seed, periods=1, trees=25).fit(
        sample.features, np.ones(len(sample)), sample.y > 0, sample.customers
    )


def _elsewhere(sample: Sample, seed: int) -> ColumnRate:
    assert multiprocessing.parent_process() is not None
    return _by_products(sample, seed)


def _by_products(sample: Sample, seed: int) -> ColumnRate:
    return ColumnRate("products", None, 2).fit(sample.features, sample.y)


def _like_men(sample: Sample, seed: int) -> DiscreteTimeHazard:
    rows = np.flatnonzero([int(name[-1]) % 2 == 1 for name in sample.customers])
    men = sample.features.iloc[rows].drop(columns="age")
    return DiscreteTimeHazard(seed=seed, periods=1, trees=25).fit(
        men, np.ones(len(rows)), sample.y[rows] > 0, sample.customers[rows]
    )


LIKE_MEN = Learner("like_men", _like_men)
RULE_OF_THUMB = rate("products", 2, name="rule_of_thumb")
# Worse than the rule, better, and better still.
NOISE, SILENCE, BOOSTED = rate("noise"), rate("silent"), Learner("boosted", _boosted)


def study(name: str, *learners: Learner, **changed: Any) -> Study:
    declared = Study(
        name=name,
        purpose="Who leaves within six months, for the tests.",
        horizon=6,
        wanted=WANTED,
        read=material,
        newest=LATER.sample,
        learners=learners,
        rule=RULE_OF_THUMB,
        measures=PROBABILITY_MEASURES,
        deciding="log_score",
        kind="probability",
        unit="probability",
        limits=("a bank that never was",),
    )
    return replace(declared, **changed)


def few(sample: Sample, events: int) -> Sample:
    """The same customers, of whom the first had the event."""
    return replace(sample, y=(np.arange(len(sample)) < events).astype(float))


def not_read() -> NoReturn:
    raise AssertionError("samples were read though nothing is to be trained")


class Home:
    """A registry and a build warehouse."""

    def __init__(self, folder: Path, model_store: Path) -> None:
        shutil.copy(model_store, folder / "mlflow.db")
        self.artifacts = folder / "artifacts"
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.database = folder / "mlflow.db"
        self.registry = Registry(self.uri, str(self.artifacts))
        self.client = mlflow.MlflowClient(self.uri, self.uri)
        self.connection = duckdb.connect()
        self.connection.execute("create schema base")
        people = EARLIER.frame[["customer_id"]].assign(sex=np.where(EARLIER.is_woman, "F", "M"))
        self.connection.register("people", people)
        self.connection.execute("create table base.customer as select * from people")

    def context(self, mode: str = "auto", promotion: str = "auto") -> TrainingContext:
        return TrainingContext(
            first_month=date(2023, 1, 1),
            as_of=AS_OF,
            seed=11,
            mode=mode,
            source="made up",
            tracking_uri=self.uri,
            artifact_root=str(self.artifacts),
            run_id="run-of-the-test",
            code_version="0123abc",
            promotion=promotion,
            trainer=TRAINER,
        )

    def with_champion(self, name: str, learner: Learner, kind: str = LEARNER) -> Version:
        """A champion made by hand, with the least that training leaves with one."""
        twin = learner.fit(EARLIER.sample(), 0)
        evaluation = {
            "metric": ["log_score"],
            "value": [log_loss(LATER.y, score_of(twin, LATER.frame))],
        }
        nothing = dict.fromkeys(("low", "high", "rule_value", "difference_low", "difference_high"))
        table = pd.DataFrame({**evaluation, **nothing, "better": "lower"})
        tags = {"trained_as_of": "2024-06-30", "main_metric": "log_score", "learner": learner.name}
        version = self.registry.register(
            Candidate(
                name=name,
                model=learner.fit(material().refit, 0),
                twin=twin,
                kind=kind,
                parameters={},
                metrics={},
                tags={**WANTED, **tags},
                example=LATER.sample().features.head(),
                tables={EVALUATION: table},
            )
        )
        return self.registry.promote(version, by="policy", reason="made by hand", event="first")

    def train(
        self, one: Study | Off, mode: str = "auto", promotion: str = "auto"
    ) -> TrainingReport:
        (report,) = self.train_all([one], mode, promotion)
        return report

    def train_all(
        self, studies: Sequence[Study | Off], mode: str = "auto", promotion: str = "auto"
    ) -> list[TrainingReport]:
        return train(self.connection, self.context(mode, promotion), self.registry, studies)

    def champion(self, name: str) -> Version:
        champion = self.registry.champion(name)
        assert champion is not None
        return champion

    def events(self, name: str) -> list[tuple[str, str, str]]:
        return [
            (record.event, record.previous_version, record.version)
            for record in self.registry.audit(name)
        ]

    def model_file(self, version: Version) -> Path:
        source = str(self.client.get_model_version(version.name, version.version).source)
        return (
            self.artifacts
            / version.name
            / "models"
            / Path(source).name
            / "artifacts"
            / PACKED_MODEL
        )

    def logged(self, version: Version) -> Path:
        return Path(self.client.get_run(version.run_id).info.artifact_uri)

    def champion_row(self, name: str) -> dict[str, Any]:
        """The row of meta.model_version."""
        rows = self.connection.execute(
            "select * from meta.model_version where model_name = ?", [name]
        ).df()
        assert len(rows) == 1
        return rows.iloc[0].to_dict()


def flip(path: Path) -> None:
    """Another bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("home"), model_store)
    yield made
    made.connection.close()


# Whether to train.


def version(**tags: str) -> Version:
    return Version("any", "1", "", {**WANTED, **tags})


@pytest.mark.parametrize(
    ("mode", "champion", "expected"),
    [
        ("auto", None, (True, "there is no champion yet")),
        ("never", None, (True, "there is no champion yet")),
        ("auto", version(), (False, "the champion fits")),
        ("never", version(), (False, "the champion fits")),
        ("always", version(), (True, "training was asked for")),
        ("auto", version(source="b"), (True, "the bank changed")),
        (
            "never",
            version(horizon_months="12", features="[]"),
            (True, "the horizon changed from 12 to 6; the list of features changed"),
        ),
    ],
)
def test_a_fitting_champion_is_retrained_only_on_request(mode, champion, expected):
    assert needs_training(mode, champion, WANTED) == expected


def test_with_training_switched_off_a_missing_champion_stops_the_refresh(home):
    with pytest.raises(RuntimeError) as refused:
        home.train(study("unborn", SILENCE), mode="never")
    assert str(refused.value) == (
        "model unborn must be trained (there is no champion yet), but training is switched off; "
        "run make refresh TRAIN=auto"
    )
    assert home.registry.versions("unborn") == []


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_a_fitting_champion_stays_without_reading_or_registering(home, mode):
    name = f"settled_{mode}"
    home.with_champion(name, SILENCE)
    report = home.train(study(name, BOOSTED, read=not_read), mode)
    assert (report.version, report.trained, report.promoted) == ("1", False, False)
    assert len(home.registry.versions(name)) == 1
    assert home.champion_row(name)["note"] == "the champion fits"


# The policy.


@pytest.fixture(scope="module")
def ruled(home: Home) -> TrainingReport:
    """What came of a learner that beats nothing, with as few events as are enough."""
    samples = material(few(EARLIER.sample(), 20), few(LATER.sample(), 10))
    return home.train(study("ruled", NOISE, read=lambda: samples))


def test_the_rule_is_the_first_champion_where_no_learner_beats_it(home, ruled):
    assert (ruled.version, ruled.kind, ruled.trained, ruled.promoted) == ("2", RULE, True, False)
    assert ruled.reasons[-1] == "so the rule is champion"
    assert any("rate_by_noise: does not beat the rule" in words for words in ruled.reasons)
    assert home.events("ruled") == [("first", "", "2")]
    (refused, rule) = home.registry.versions("ruled")
    assert (refused.kind, refused.tags[VERDICT]) == (LEARNER, REFUSED)
    challenger = home.registry.challenger("ruled")
    assert challenger is not None and challenger.version == refused.version
    # What scores has seen the evaluation period, what was judged has not.
    samples = material(few(EARLIER.sample(), 20), few(LATER.sample(), 10))
    for loaded, learned in (
        (home.registry.load(rule), samples.refit),
        (home.registry.load_twin(rule), samples.train),
    ):
        expected = score_of(RULE_OF_THUMB.fit(learned, 0), NOW.frame)
        np.testing.assert_allclose(score_of(loaded, NOW.frame), expected)


def test_a_long_study_is_fitted_in_another_process_with_the_same_results(home, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    usual = study("usual", Learner("products", _by_products), rule=Learner("boosted", _boosted))
    long = replace(usual, name="long", learners=(Learner("products", _elsewhere),), is_long=True)
    reports = home.train_all([usual, long])
    # The rule wins: it is fitted for scoring after the verdict.
    assert [report.kind for report in reports] == [RULE, RULE]
    assert reports[0].metrics == reports[1].metrics
    here, there = (home.registry.load(home.champion(name)) for name in ("usual", "long"))
    np.testing.assert_array_equal(score_of(here, NOW.frame), score_of(there, NOW.frame))


def test_a_rules_evaluation_card_and_profile_are_its_own(home, ruled):
    rule = home.champion("ruled")
    champion_row = home.champion_row("ruled")
    assert (champion_row["kind"], champion_row["learner"]) == (RULE, "rule_of_thumb")
    predicted = score_of(home.registry.load_twin(rule), LATER.frame)
    assert champion_row["value"] == pytest.approx(log_loss(few(LATER.sample(), 10).y, predicted))
    card = (home.logged(rule) / "model_card.md").read_text()
    assert "Learner: rule_of_thumb" in card and "Kind: rule" in card
    # Its column, though the learner beside it does not read it.
    assert set(home.registry.table(rule, "profile")["feature"]) == {"products"}


def test_a_worse_challenger_is_refused_in_words_and_the_champion_stays(home):
    home.with_champion("kept", SILENCE)
    report = home.train(study("kept", NOISE), mode="always")
    assert (report.version, report.trained, report.promoted) == ("1", True, False)
    challenger = home.registry.challenger("kept")
    assert challenger is not None
    assert (challenger.version, challenger.tags[VERDICT]) == ("2", REFUSED)
    assert challenger.tags[COMPARED_WITH] == "1"
    assert "does not beat the rule: log_score +" in challenger.tags[REASONS]
    assert "does not beat the champion: log_score +" in challenger.tags[REASONS]
    assert len(home.registry.audit("kept")) == 1
    # The rule does not replace an existing champion.
    assert [one.kind for one in home.registry.versions("kept")] == [LEARNER, LEARNER]
    assert "rate_by_noise: does not beat the champion" in home.champion_row("kept")["note"]


def test_a_better_challenger_takes_over_and_the_audit_names_its_predecessor(home):
    home.with_champion("followed", SILENCE)
    report = home.train(study("followed", BOOSTED), mode="always")
    assert (report.version, report.promoted) == ("2", True)
    assert home.events("followed") == [("first", "", "1"), ("automatic", "1", "2")]
    record = home.registry.audit("followed")[-1]
    assert (record.approver, record.state, record.mode) == ("policy", "done", "auto")
    assert record.dagster_run_id == "run-of-the-test"
    champion_row = home.champion_row("followed")
    assert (champion_row["version"], champion_row["previous_version"], champion_row["learner"]) == (
        "2",
        "1",
        "boosted",
    )
    assert "beats the champion: log_score -" in champion_row["promotion_reason"]
    assert home.champion("followed").tags[COMPARED_WITH] == "1"


def test_a_model_without_a_champion_takes_the_first_learner_that_passes(home):
    """Reported in the order of the studies, whichever is fitted first."""
    home.with_champion("settled", SILENCE)
    reports = home.train_all(
        [
            study("second_passes", NOISE, SILENCE),
            Off("switched_off", "no loans in the records"),
            study("settled", SILENCE, read=not_read),
            study("first_passes", SILENCE, BOOSTED),
        ]
    )
    assert [(one.model_name, one.kind, one.version, one.promoted) for one in reports] == [
        ("second_passes", LEARNER, "2", True),
        ("switched_off", "off", None, False),
        ("settled", LEARNER, "1", False),
        ("first_passes", LEARNER, "1", True),
    ]
    assert home.champion_row("switched_off")["note"] == "no loans in the records"
    verdicts = [one.tags[VERDICT] for one in home.registry.versions("second_passes")]
    assert verdicts == [REFUSED, PASSED]
    # The release does not wait for the better one.
    assert len(home.registry.versions("first_passes")) == 1


def test_training_on_request_tries_all_learners_and_each_must_beat_the_best_before(home):
    """Alone silence passes; behind the boosted one it does not."""
    report = home.train(study("boosted_first", BOOSTED, SILENCE), mode="always")
    assert (report.version, report.promoted) == ("1", True)
    first, second = home.registry.versions("boosted_first")
    assert [first.tags[VERDICT], second.tags[VERDICT]] == [PASSED, REFUSED]
    assert second.tags[REASONS].startswith("beats the rule")
    challenger = home.registry.challenger("boosted_first")
    assert challenger is not None and challenger.version == "1"
    assert home.events("boosted_first") == [("automatic", "", "1")]


# Approval.


def test_with_approval_the_rule_scores_until_another_person_promotes(home):
    report = home.train(study("awaited", SILENCE), promotion="approval")
    assert (report.version, report.kind, report.promoted) == ("2", RULE, False)
    assert "version 1 waits for approval (job promote)" in report.reasons
    challenger = home.registry.challenger("awaited")
    assert challenger is not None
    assert (challenger.version, challenger.tags[VERDICT]) == ("1", PASSED)
    with pytest.raises(PromotionRefused, match="trained it and may not approve it"):
        promote(home.registry, "awaited", "1", f" {TRAINER.upper()}", REASON)
    promote(home.registry, "awaited", "1", APPROVER, REASON)
    assert home.events("awaited") == [("first", "", "2"), ("promoted", "2", "1")]
    # The next refresh scores with it and trains nothing.
    after = home.train(study("awaited", SILENCE, read=not_read), promotion="approval")
    assert (after.version, after.kind) == ("1", LEARNER)
    assert home.champion_row("awaited")["promoted_by"] == APPROVER


def test_the_better_of_two_passed_learners_waits_and_needs_no_override(home):
    home.with_champion("relay", rate("silent", 2))
    report = home.train(study("relay", SILENCE, BOOSTED), "always", "approval")
    assert (report.version, report.promoted) == ("1", False)
    assert report.reasons[-1] == "version 3 waits for approval (job promote)"
    # No champion is missing, so no rule is registered.
    assert [one.tags.get(VERDICT) for one in home.registry.versions("relay")] == [
        *(None, PASSED, PASSED),
    ]
    promote(home.registry, "relay", "3", APPROVER, REASON)
    assert home.events("relay")[-1] == ("promoted", "1", "3")


# Champions that do not fit, or are not whole.


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"source": "another bank"}, ["the bank changed"]),
        (
            {"horizon_months": "12", "features": listed(["silent", "age"])},
            ["the horizon changed from 6 to 12", "the list of features changed"],
        ),
    ],
)
def test_a_champion_of_another_purpose_is_replaced_without_a_comparison(home, other, why):
    name = f"other_{'_'.join(other)}"
    home.with_champion(name, BOOSTED)
    # Worse than the champion there is, which must not score.
    report = home.train(study(name, SILENCE, wanted={**WANTED, **other}))
    assert (report.version, report.promoted) == ("2", True)
    assert report.reasons[: len(why)] == tuple(f"trained again: {one}" for one in why)
    new = home.champion(name)
    assert new.tags[COMPARED_WITH] == ""
    assert "the champion" not in new.tags[REASONS]
    assert {tag: new.tags[tag] for tag in other} == other


def test_the_rule_replaces_a_champion_of_another_purpose(home):
    home.with_champion("moved", SILENCE)
    report = home.train(study("moved", NOISE, wanted={**WANTED, "source": "another bank"}))
    assert (report.version, report.kind) == ("3", RULE)
    assert home.events("moved")[-1] == ("first", "1", "3")


@pytest.mark.parametrize("damaged", [MODEL, TWIN, EVALUATION])
def test_training_replaces_a_damaged_champion_without_comparing_with_it(home, damaged):
    name = f"damaged_{damaged.split('.')[0]}"
    champion = home.with_champion(name, BOOSTED)
    path = {
        MODEL: home.model_file(champion),
        TWIN: home.logged(champion) / TWIN,
        EVALUATION: home.logged(champion) / f"{EVALUATION}.csv",
    }[damaged]
    flip(path)
    report = home.train(study(name, SILENCE), mode="always")
    assert (report.version, report.promoted) == ("2", True)
    assert any("was tampered with or is damaged" in words for words in report.reasons)
    new = home.champion(name)
    assert new.tags[COMPARED_WITH] == ""
    assert "the champion" not in new.tags[REASONS]
    home.registry.load(new)
    home.registry.table(new, EVALUATION)


def test_a_damaged_champion_is_not_replaced_without_a_request(home):
    """The refresh stops at scoring instead: who changed the file is to be found out."""
    flip(home.model_file(home.with_champion("unasked", SILENCE)))
    report = home.train(study("unasked", SILENCE, read=not_read))
    assert (report.version, report.trained) == ("1", False)
    with pytest.raises(ChampionUnusable, match="tampered with or is damaged"):
        home.registry.load(home.champion("unasked"))


# Off.


@pytest.mark.parametrize(
    ("learned", "judged", "words"),
    [
        (19, 300, "too few to learn from: 19 events among 1200 rows; 20 of both kinds are needed"),
        (300, 9, "too few to be judged on: 9 events among 800 rows; 10 of both kinds are needed"),
        (
            300,
            791,
            "too few to be judged on: 791 events among 800 rows; 10 of both kinds are needed",
        ),
    ],
)
def test_a_model_with_too_few_events_is_off_with_the_reason(home, learned, judged, words):
    samples = material(few(EARLIER.sample(), learned), few(LATER.sample(), judged))
    # Also with training switched off: what is off needs no champion.
    for mode in ("auto", "never"):
        report = home.train(study("rare", SILENCE, read=lambda: samples), mode)
        assert (report.version, report.kind, report.reasons) == (None, "off", (words,))
    assert not is_on(home.connection, "rare")
    assert home.champion_row("rare")["note"] == words
    assert home.registry.versions("rare") == []


# Bounds.


def bounded(home: Home, name: str, samples: Material, **changed: Any) -> Version:
    """The challenger of a study whose champion is a rule that it is far ahead of."""
    home.with_champion(name, RULE_OF_THUMB, RULE)
    report = home.train(study(name, SILENCE, read=lambda: samples, **changed), mode="always")
    assert report.version == "1"
    (_, challenger) = home.registry.versions(name)
    words = challenger.tags[REASONS].split("; ")
    assert words[0].startswith("beats the rule") and words[1].startswith("beats the champion")
    assert challenger.tags[VERDICT] == REFUSED
    return challenger


def test_a_challenger_unfair_to_one_sex_is_refused_with_the_groups_named(home):
    """The silence of women is counted as half of what it is, and the learner takes it for that of
    men; the rule does not go by it."""

    def counted(people: People) -> Sample:
        silent = people.frame["silent"] * np.where(people.is_woman, 0.5, 1)
        sample = people.sample()
        return Sample(people.frame.assign(silent=silent), sample.y, sample.outcome)

    samples = material(counted(EARLIER), counted(LATER), counted(NOW).frame)
    home.with_champion("unfair", RULE_OF_THUMB, RULE)
    report = home.train(study("unfair", LIKE_MEN, read=lambda: samples), mode="always")
    assert report.version == "1"
    (_, challenger) = home.registry.versions("unfair")
    assert challenger.tags[VERDICT] == REFUSED
    words = challenger.tags[REASONS]
    assert "sex F (400 customers): predictions lie below outcomes by " in words
    assert "not counted" not in words
    table = home.registry.table(challenger, "fairness")
    by_sex = table[table["attribute"] == "sex"].set_index("group")
    assert by_sex.loc["F", "mean_outcome"] == pytest.approx(LATER.y[LATER.is_woman].mean())
    # A person reads the reasons that the registry stores.
    assert "unfair_groups" not in challenger.tags[REASONS]


def test_a_challenger_less_unfair_than_the_champion_is_promoted_with_the_groups_named(home):
    """Women leave after the same silence more often than men. The rule does not show it, the
    silence as it is counted a little."""

    def left(people: People) -> np.ndarray:
        chance = np.clip(people.chance * np.where(people.is_woman, 1.7, 0.3), 0, 1)
        return (np.random.default_rng(5).random(len(chance)) < chance).astype(float)

    def of(people: People) -> Sample:
        counted = people.frame["silent"] * np.where(people.is_woman, 1.1, 0.9)
        sample = people.sample(left(people))
        return Sample(people.frame.assign(silent=counted), sample.y, sample.outcome)

    home.with_champion("fairer", RULE_OF_THUMB, RULE)
    samples = material(of(EARLIER), of(LATER), of(NOW).frame)
    report = home.train(study("fairer", SILENCE, read=lambda: samples), mode="always")
    (_, challenger) = home.registry.versions("fairer")
    words = challenger.tags[REASONS]
    assert report.promoted, words
    assert "not counted, for what scores otherwise is as far off: sex F, sex M" in words


def test_a_learner_right_for_both_sexes_passes_and_their_figures_are_kept(home, documented):
    table = home.registry.table(documented[0], "fairness").set_index(["attribute", "group"])
    for group in ("F", "M"):
        assert table.loc[("sex", group), "gap_low"] < 0.25
        assert table.loc[("sex", group), "gap_high"] > -0.25


def test_a_challenger_that_scores_a_changed_population_is_refused(home):
    shifted = People(date(2024, 12, 1), 800, seed=3, silence=60)
    challenger = bounded(home, "drifted", material(scored=shifted.frame))
    stated = challenger.tags[REASONS].split("; ")[-1]
    assert stated.startswith("score_drift ") and stated.endswith(" above 0.25")
    worst = home.registry.table(challenger, "drift").iloc[0]
    assert worst["feature"] == "silent" and worst["psi"] > 0.25


def test_probabilities_far_too_high_are_refused_however_good_their_order(home):
    """More than twice as many left before as do later."""
    later = (np.random.default_rng(8).random(len(LATER.chance)) < LATER.chance / 2.5).astype(float)
    order = (
        Measure("auc", metrics.auc, "higher"),
        Measure("total_bias", metrics.total_bias, "zero"),
    )
    challenger = bounded(
        home, "too_high", material(later=LATER.sample(later)), deciding="auc", measures=order
    )
    stated = challenger.tags[REASONS].split("; ")[-1]
    assert stated.startswith("total_bias ") and stated.endswith(" above 0.25")


# What is written down.


@pytest.fixture(scope="module")
def documented(home: Home) -> tuple[Version, Study]:
    """A first champion, with every table that is kept of one."""
    one = study("documented", BOOSTED)
    report = home.train(one)
    assert (report.version, report.kind, report.promoted) == ("1", LEARNER, True)
    return home.champion("documented"), one


def test_the_first_learner_that_beats_the_rule_is_champion_by_the_policy(home, documented):
    champion, _ = documented
    assert champion.tags[REASONS].startswith("beats the rule: ")
    (record,) = home.registry.audit("documented")
    assert (record.event, record.approver, record.state) == ("automatic", "policy", "done")
    assert (record.version, record.previous_version) == ("1", "")
    assert (record.dagster_run_id, record.mode) == ("run-of-the-test", "auto")
    assert record.reason.startswith("beats the rule: log_score -")


def test_a_version_records_its_origin(home, documented):
    champion, _ = documented
    refit = material().refit
    expected = {
        **WANTED,
        "data_digest": digest(refit.frame, refit.y),
        "trained_as_of": "2024-12-31",
        "dagster_run_id": "run-of-the-test",
        "code_version": "0123abc",
        "trainer": TRAINER,
        "learner": "boosted",
        "main_metric": "log_score",
        "learned_until": "2024-06",
        VERDICT: PASSED,
        COMPARED_WITH: "",
        "kind": LEARNER,
        "promoted_by": "policy",
        "promotion_event": "automatic",
        "previous_champion": "",
    }
    assert {name: champion.tags.get(name) for name in expected} == expected
    run = home.client.get_run(champion.run_id)
    recorded = {
        "trees": "25",
        "training_rows": "1200",
        "evaluation_rows": "800",
        "refit_rows": "2000",
    }
    assert {name: run.data.params[name] for name in recorded} == recorded
    assert run.data.params["training_cutoffs"] == listed(["2023-12"])


def test_the_evaluation_judges_the_twin_on_unseen_rows(home, documented):
    champion, one = documented
    twin = home.registry.load_twin(champion)
    # Fitted on the earlier rows alone, as anybody can do again.
    again = _boosted(EARLIER.sample(), home.context().seed)
    predicted = score_of(twin, LATER.frame)
    np.testing.assert_allclose(predicted, score_of(again, LATER.frame))
    table = home.registry.table(champion, EVALUATION).set_index("metric")
    expected = {
        "log_score": log_loss(LATER.y, predicted),
        "brier": brier_score_loss(LATER.y, predicted),
        "auc": roc_auc_score(LATER.y, predicted),
        "total_bias": predicted.sum() / LATER.y.sum() - 1,
    }
    for name, value in expected.items():
        assert table.loc[name, "value"] == pytest.approx(value), name
        assert table.loc[name, "low"] <= value <= table.loc[name, "high"], name
    rule = score_of(RULE_OF_THUMB.fit(EARLIER.sample(), 0), LATER.frame)
    assert table.loc["log_score", "rule_value"] == pytest.approx(log_loss(LATER.y, rule))
    assert list(table.index) == [measure.name for measure in one.measures]


def test_the_scoring_model_is_refitted_on_all_complete_cohorts(home, documented):
    again = _boosted(material().refit, home.context().seed)
    champion = home.registry.load(documented[0])
    np.testing.assert_allclose(score_of(champion, NOW.frame), score_of(again, NOW.frame))
    twin = home.registry.load_twin(documented[0])
    assert not np.allclose(score_of(champion, NOW.frame), score_of(twin, NOW.frame))


def test_the_tables_and_the_card_are_kept_with_the_version(home, documented):
    champion, _ = documented
    columns = {
        EVALUATION: {"metric", "value", "low", "high", "rule_value", "better"},
        "profile": {"feature", "bin", "share"},
        "score_profile": {"feature", "bin", "share"},
        "fairness": {"attribute", "group", "calibration_gap"},
        "importance": {"feature", "mean_contribution"},
        "by_cutoff": {"evaluation", "rows", "log_score", "auc"},
        "deciles": {"decile", "predicted", "observed"},
        "drift": {"feature", "psi"},
    }
    for name, needed in columns.items():
        table = home.registry.table(champion, name)
        assert needed <= set(table.columns) and len(table), name
    model = home.registry.load(champion)
    assert set(home.registry.table(champion, "profile")["feature"]) == set(model.columns_)
    # The feature that predicts leaving comes first.
    importance = home.registry.table(champion, "importance")["feature"].tolist()
    assert importance[0] == "silent"
    by_cutoff = home.registry.table(champion, "by_cutoff")
    assert by_cutoff[["evaluation", "rows"]].values.tolist() == [["2024-06", 800]]
    card = (home.logged(champion) / "model_card.md").read_text()
    for words in (
        "# Model card: documented",
        "Who leaves within six months, for the tests.",
        "Training cut-offs: 2023-12-01",
        "Evaluation cut-offs: 2024-06-01",
        champion.tags["data_digest"],
        TRAINER,
        "run-of-the-test",
        "a bank that never was",
        "beats the rule",
    ):
        assert words in card, words
    for picture in ("calibration", "gains", "importance"):
        assert (home.logged(champion) / f"{picture}.png").stat().st_size > 1000


def test_no_stored_artifact_holds_a_customer(home, documented):
    def contents(path: Path) -> Iterator[tuple[str, bytes]]:
        yield str(path), path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path}/{name}", archive.read(name)

    champion, _ = documented
    folder = home.artifacts / champion.name
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {MODEL, TWIN, "model_card.md", "profile.csv"} <= {path.name for path in files}
    read = [one for path in (*files, home.database) for one in contents(path)]
    assert any("model.skops/" in name for name, _ in read)
    for name, content in read:
        assert MARK.encode() not in content, name
        # The library's own source, which lies with each model, names the column.
        if "mlflow.db" not in name and "/artifacts/code/ml/" not in name:
            assert b"customer_id" not in content, name


def test_the_warehouse_and_the_registry_describe_the_same_champion(home, documented):
    champion, one = documented
    home.train(replace(one, read=not_read))
    champion_row = home.champion_row("documented")
    expected = {
        "version": champion.version,
        "alias": "champion",
        "mlflow_run_id": champion.run_id,
        "source": "made up",
        "kind": LEARNER,
        "learner": "boosted",
        "horizon_months": 6,
        "main_metric": "log_score",
        "data_digest": champion.tags["data_digest"],
        "trained_by": TRAINER,
        "promoted_by": "policy",
        "promotion_reason": champion.tags["promotion_reason"],
    }
    assert {name: champion_row[name] for name in expected} == expected
    assert str(champion_row["trained_as_of"])[:10] == "2024-12-31"
    assert champion_row["promoted_at"] is not None and not pd.isna(champion_row["promoted_at"])
    assert champion_row["previous_version"] is None
    table = home.registry.table(champion, EVALUATION)
    rows = home.connection.execute(
        "select * from meta.model_evaluation where model_name = 'documented'"
    ).df()
    assert rows["metric"].tolist() == table["metric"].tolist()
    np.testing.assert_allclose(rows["value"], table["value"])
    assert rows["champion"].all() and (rows["horizon_months"] == 6).all()
    deciding = rows.set_index("metric").loc["log_score"]
    for name in ("value", "low", "high", "rule_value"):
        assert champion_row[name] == pytest.approx(deciding[name])


# Kinds of customers.


def of_kinds(people: People) -> Sample:
    """Persons, and too few firms to judge."""
    kind = np.where(np.arange(len(people.frame)) < 60, "corporate", "person")
    sample = people.sample()
    return replace(sample, frame=sample.frame.assign(customer_kind=kind))


@pytest.mark.parametrize(("learner", "kind"), [(SILENCE, LEARNER), (NOISE, RULE)])
def test_the_release_has_the_champions_level_by_kind(home, learner, kind):
    name = f"of_kinds_{kind}"
    given = material(of_kinds(EARLIER), of_kinds(LATER))
    train(
        home.connection, home.context(), home.registry, [study(name, learner, read=lambda: given)]
    )
    champion = home.champion(name)
    assert champion.kind == kind
    corporate, person = (
        home.connection.execute(
            "select * from meta.model_kind where model_name = ? order by customer_kind", [name]
        )
        .df()
        .to_dict("records")
    )
    assert corporate["note"].startswith("not judged: 60 customers with ")
    assert pd.isna(corporate["bias"]) and person["note"].startswith("740 customers with ")
    assert person["version"] == champion.version and person["customers"] == 740
    predicted = score_of(home.registry.load_twin(champion), given.later.features)[60:]
    expected = predicted.sum() / LATER.y[60:].sum() - 1
    assert person["bias"] == pytest.approx(expected)
    logged = home.client.get_run(champion.run_id).data.metrics
    assert logged["total_bias_person"] == pytest.approx(expected)
    assert logged["auc_person"] == pytest.approx(person["value"])
    assert "total_bias_corporate" not in logged
    # A model that is switched off has no kinds.
    train(home.connection, home.context(), home.registry, [Off(name, "no records")])
    assert not home.connection.execute(
        "select 1 from meta.model_kind where model_name = ?", [name]
    ).fetchall()


@pytest.mark.parametrize(("learner", "kind"), [(SILENCE, LEARNER), (NOISE, RULE)])
def test_the_release_has_the_champions_calibration_by_tenth(home, learner, kind):
    name = f"by_tenth_{kind}"
    given = material()
    train(
        home.connection, home.context(), home.registry, [study(name, learner, read=lambda: given)]
    )
    champion = home.champion(name)
    assert champion.kind == kind
    tenths = home.connection.execute(
        "select * from meta.model_decile where model_name = ? order by decile", [name]
    ).df()
    assert set(tenths["version"]) == {champion.version}
    score = np.sort(score_of(home.registry.load_twin(champion), given.later.features))
    predicted = [part.mean() for part in np.array_split(score, 10)]
    assert tenths["predicted"].tolist() == pytest.approx(predicted)
    outcomes = (tenths["customers"] * tenths["observed"]).sum()
    assert outcomes == pytest.approx(LATER.y.sum()) and tenths["customers"].sum() == len(LATER.y)
    train(home.connection, home.context(), home.registry, [Off(name, "no records")])
    assert not home.connection.execute(
        "select 1 from meta.model_decile where model_name = ?", [name]
    ).fetchall()


# Intervals.


def _money(people: People) -> Sample:
    generator = np.random.default_rng(int(people.frame["silent"].sum()))
    pace = generator.lognormal(5, 1, len(people.frame))
    frame = people.frame.assign(**{LAST_PERIOD: pace, PACE: pace})
    grown = pace * np.where(frame["products"] > 2, 1.6, 0.6)
    y = np.where(
        generator.random(len(pace)) < 0.85, grown * generator.lognormal(0, 0.2, len(pace)), 0
    )
    return Sample(frame, y, pd.DataFrame({"contribution": y}))


def test_intervals_of_the_evaluation_period_are_passed_to_the_scoring_model(home):
    earlier, later, now = _money(EARLIER), _money(LATER), _money(NOW)
    samples = Material((Split(earlier, later),), together(earlier, later), now.frame, PARAMETERS)

    def two_part(sample: Sample, seed: int) -> TwoPartRegressor:
        return TwoPartRegressor(seed=seed, trees=15).fit(sample.features, sample.y)

    def last_period(sample: Sample, seed: int) -> LastPeriodAgain:
        return LastPeriodAgain().fit(sample.features, sample.y)

    home.train(
        study(
            "money",
            Learner("two_part", two_part),
            read=lambda: samples,
            rule=Learner("last_period_again", last_period),
            measures=(
                Measure("mean_absolute_error", metrics.mean_absolute_error, "lower"),
                Measure("total_bias", metrics.total_bias, "zero"),
            ),
            deciding="mean_absolute_error",
            kind="value",
            unit="currency units",
        )
    )
    champion = home.champion("money")
    assert champion.kind == LEARNER
    model, twin = home.registry.load(champion), home.registry.load_twin(champion)
    np.testing.assert_array_equal(model.interval_.below_, twin.interval_.below_)
    _, low, high = model.predict_interval(now.features).T
    # Customers of another month: nine in ten, by what binomial chance leaves of 1,000.
    assert metrics.coverage(now.y, low, high) == pytest.approx(0.9, abs=0.04)
    logged = home.client.get_run(champion.run_id).data.metrics
    assert logged["interval_coverage"] == pytest.approx(0.9, abs=0.06)
    assert len(home.registry.table(champion, "coverage")) == 10


# Monitoring, on a bank of its own.

MONTHS = [plus_months(date(2023, 5, 1), number) for number in range(20)]


def bank(connection: duckdb.DuckDBPyConnection, customers: int = 500) -> None:
    """Twenty months of customers, some of which fall silent each month and leave soon after."""
    connection.execute(
        """
        create schema if not exists base; create schema features; create schema value;
        create table value.product_parameter as
            select 'account' as product_id, make_date(2024, 12, 1) as month, 0.1 as hurdle_rate;
        """
    )
    generator = np.random.default_rng(6)
    ids = np.array([f"{MARK}{number:05d}" for number in range(customers)])
    falls = generator.integers(0, 60, customers)
    gone = falls + generator.integers(2, 6, customers)
    parts = []
    for number, month in enumerate(MONTHS):
        silent = np.clip(number - falls, 0, None) * 30
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": ids,
                    "month": month,
                    "age": 30 + np.arange(customers) % 40,
                    **{"months_observed": 20, "tenure_months": 40},
                    "accounts": np.where(number >= gone, 0, 1),
                    "loans": 0,
                    "is_defaulted": 0,
                    "days_since_active": silent,
                    "noise": generator.uniform(0, 1, customers),
                }
            )
        )
    connection.register("rows", pd.concat(parts, ignore_index=True))
    connection.execute("create table features.customer_month as select * from rows")
    connection.execute(
        """
        create schema outcomes;
        create table outcomes.customer_month as
        select
            known.customer_id,
            known.month as cutoff,
            sum(later.accounts)::double as contribution,
            min(date_diff('month', known.month, later.month)) filter (later.accounts = 0)
                as months_to_exit,
            null::integer as months_to_default,
            2 as best_tier_number,
            6.0::double as bookings,
            6.0::double as inflow,
            10.0::double as balance,
            max_by(later.accounts, later.month)::double as accounts
        from features.customer_month as known
        inner join features.customer_month as later
            on later.customer_id = known.customer_id
            and later.month > known.month and later.month <= known.month + to_months(6)
        where known.month + to_months(6) <= date '2024-12-01'
        group by all;
        create view outcomes.customer_sample as
        select distinct customer_id from outcomes.customer_month;
        create table value.profit_by_customer as
        select customer_id, month, accounts::decimal(18, 2) as contribution_margin
        from features.customer_month;
        create table value.customer_tier as
        select customer_id, month, 2 as tier_number from features.customer_month;
        """
    )


def _leaves(cohorts: Any) -> np.ndarray:
    return cohorts.outcome["months_to_exit"].notna().to_numpy(dtype=float)


@pytest.fixture(scope="module")
def watched(home: Home) -> tuple[Records, Study]:
    """A champion of the bank's own records, and its records."""
    bank(home.connection)
    records = Records(home.connection, replace(home.context(), first_month=MONTHS[0]))
    assert records.plan is not None and records.plan.horizon == 6
    one = study(
        "attrition",
        rate("days_since_active", edges=(1, 60)),
        read=lambda: records.material(_leaves, HOLDERS),
        newest=lambda: records.newest(_leaves, HOLDERS),
        rule=rate("noise", 1, name="rate_of_all"),
    )
    train(home.connection, records.context, home.registry, [one])
    return records, one


def watch(home: Home, records: Records, *studies: Study | Off) -> tuple[pd.DataFrame, pd.DataFrame]:
    monitor(home.connection, records, home.registry, studies)
    return (
        home.connection.execute("select * from meta.model_drift order by all").df(),
        home.connection.execute("select * from meta.model_monitoring order by all").df(),
    )


def test_a_champion_is_watched_by_its_twin_on_the_newest_matured_cohort(home, watched):
    records, one = watched
    drift, accuracy = watch(home, records, one, Off("default", "no loans"))
    champion = home.champion("attrition")
    assert champion.kind == LEARNER
    assert champion.tags["learned_until"] == "2024-06"
    newest = records.newest(_leaves, HOLDERS)
    assert set(accuracy["judged"]) == {"twin"}
    assert set(accuracy["version"]) == {champion.version}
    assert set(accuracy["rows"]) == {len(newest)}
    assert {str(day)[:10] for day in accuracy["cutoff"]} == {"2024-06-01"}
    figures = accuracy.set_index("metric")["value"]
    assert set(figures.index) == {"log_score", "calibration_error", "total_bias"}
    predicted = score_of(home.registry.load_twin(champion), newest.features)
    assert figures["log_score"] == pytest.approx(log_loss(newest.y, predicted))
    assert figures["total_bias"] == pytest.approx(predicted.sum() / newest.y.sum() - 1)
    assert drift[["model_name", "subject", "feature"]].values.tolist() == [
        ["attrition", "feature", "days_since_active"],
        ["attrition", "score", "score"],
    ]
    assert (drift["psi"] >= 0).all()


def test_a_cohort_later_than_all_that_was_learned_is_judged_by_the_champion_itself(home, watched):
    records, one = watched
    champion = home.champion("attrition")
    # As of a month in which the champion had learned less.
    tags = {"learned_until": "2024-05"}
    home.registry.tag(champion, tags)
    try:
        _, accuracy = watch(home, records, one)
        newest = records.newest(_leaves, HOLDERS)
        predicted = score_of(home.registry.load(champion), newest.features)
        assert set(accuracy["judged"]) == {"model"}
        figures = accuracy.set_index("metric")["value"]
        assert figures["log_score"] == pytest.approx(log_loss(newest.y, predicted))
    finally:
        home.registry.tag(champion, {"learned_until": "2024-06"})


def test_drift_is_found_where_the_current_customers_differ(home, watched):
    records, one = watched
    home.connection.execute("begin")
    try:
        home.connection.execute(
            "update features.customer_month set days_since_active = 400 where month = ?",
            [records.context.as_of_month],
        )
        fresh = Records(home.connection, records.context)
        drift, _ = watch(home, fresh, one)
        assert (drift["psi"] > 0.25).all() and len(drift) == 2
    finally:
        home.connection.execute("rollback")


def test_findings_of_a_model_stay_when_another_is_watched_alone(home, watched):
    records, one = watched
    before = watch(home, records, one)
    after = watch(home, records, Off("default", "no loans"))
    assert all(len(found) for found in before)
    for found, kept in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(found, kept)
    gone = watch(home, records, Off("attrition", "history too short"))
    assert all(found.empty for found in gone)


def test_an_unloadable_champion_is_not_watched(home, watched):
    records, one = watched
    path = home.model_file(home.champion("attrition"))
    content = path.read_bytes()
    flip(path)
    try:
        drift, accuracy = watch(home, records, one)
        assert drift.empty and accuracy.empty
    finally:
        path.write_bytes(content)


def test_a_rebuilt_warehouse_describes_the_champion_as_before(home, watched):
    _, one = watched
    before = home.champion_row("attrition")
    home.connection.execute("drop table meta.model_version; drop table meta.model_evaluation")
    home.train(replace(one, read=not_read))
    after = home.champion_row("attrition")
    for champion_row in (before, after):
        champion_row.pop("note")
    assert json.dumps(before, default=str) == json.dumps(after, default=str)

"""Who may make a champion: by the policy, on a person's word, and back again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._utils.schedules import schedule_execution_time_iterator
from sklearn.base import BaseEstimator

from ml.base_rate import ColumnRate
from ml.estimator import score_of
from ml.evaluation import metrics
from ml.promotion import Bound, Decision, Measure, decide
from ml.registry import LEARNER, PACKED_MODEL, RULE, Candidate, ChampionUnusable, Registry, Version
from orchestration import cli
from orchestration.definitions import build_definitions
from orchestration.models.context import training_context
from orchestration.models.governance import (
    COMPARED_WITH,
    PASSED,
    REASONS,
    REFUSED,
    TRAINER,
    VERDICT,
    PromotionRefused,
    carry_out_promotion,
    open_registry,
    promote,
    roll_back,
    write_audit,
)
from orchestration.models.jobs import PROMOTE, PROMOTE_OP, ROLL_BACK, ROLL_BACK_OP
from orchestration.operations.jobs import TRAIN, refresh_tags
from orchestration.operations.schedules import MONTHLY, QUARTERLY, WEEKLY
from orchestration.platform import audit, build_numbers
from orchestration.platform.files import write_whole
from orchestration.platform.identity import operating_system_user, same_person
from orchestration.platform.resources import TRAIN_TAG, Home
from orchestration.platform.settings import Settings, read_settings

pytestmark = pytest.mark.slow

TRAINED_BY, REASON = "Tove Berg", "fewer complaints in the pilot"
LOG_SCORE = Measure("log_score", metrics.log_score, "lower")
BRIER = Measure("brier", metrics.brier, "lower")
NAMES = ("JINGXI_HOME", "DAGSTER_HOME", "MLFLOW_TRACKING_URI")


class Bank:
    """A home with a registry, and customers of an earlier and a later period.

    Whether a customer leaves depends on days of silence alone.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = open_registry(settings)
        self.client = mlflow.MlflowClient()
        generator = np.random.default_rng(7)
        (self.frame, self.left), (self.later, self.later_left) = (
            self._period(generator, n) for n in (3000, 1500)
        )

    @staticmethod
    def _period(generator: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
        silent = generator.uniform(0, 100, n)
        frame = pd.DataFrame({"days_silent": silent, "shoe_size": generator.integers(36, 47, n)})
        return frame, (generator.random(n) < silent / 120).astype(int)

    def learned(self, column: str, classes: int = 10) -> BaseEstimator:
        return ColumnRate(column, classes=classes).fit(self.frame, self.left)

    def register(self, name: str, model: Any, kind: str = LEARNER, **tags: str) -> Version:
        all_tags = {TRAINER: TRAINED_BY, VERDICT: PASSED, "source": "synthetic", **tags}
        return self.registry.register(
            Candidate(name, model, model, kind, {}, {}, all_tags, self.later.head(20))
        )

    def tried(
        self, name: str, model: Any, bounds: Sequence[Bound] = ()
    ) -> tuple[Version, Decision]:
        """A challenger judged by the policy beside the champion's twin and a rule, and registered
        with the verdict."""
        champion = self.registry.champion(name)
        decision = decide(
            (LOG_SCORE, BRIER),
            LOG_SCORE.name,
            self.later_left,
            score_of(model, self.later),
            np.full(len(self.later), self.left.mean()),
            score_of(self.registry.load_twin(champion), self.later) if champion else None,
            seed=1,
            bounds=bounds,
        )
        tags = {
            VERDICT: PASSED if decision.promote else REFUSED,
            REASONS: "; ".join(decision.reasons),
            COMPARED_WITH: champion.version if champion else "",
        }
        return self.register(name, model, **tags), decision

    def with_champion(self, name: str) -> Version:
        return self.registry.promote(
            self.register(name, self.learned("days_silent", 2)),
            by="policy",
            reason="nobody scored",
            event="first",
        )

    def model_file(self, version: Version) -> Path:
        source = str(self.client.get_model_version(version.name, version.version).source)
        folder = self.settings.mlflow_home / "artifacts" / version.name / "models"
        return folder / Path(source).name / "artifacts" / PACKED_MODEL

    def champion(self, name: str) -> str:
        champion = self.registry.champion(name)
        return champion.version if champion else "none"

    def events(self, name: str) -> list[str]:
        return [record.event for record in self.registry.audit(name)]


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, model_store: Path, parsed_project: Path
) -> Iterator[Settings]:
    place = tmp_path_factory.mktemp("home")
    shutil.copytree(parsed_project, place / "dbt")
    (place / "mlflow").mkdir()
    shutil.copy(model_store, place / "mlflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        patch.setenv("JINGXI_HOME", str(place))
        patch.setenv("JINGXI_PROMOTION", "approval")
        yield read_settings()
        # What preparing the environment set.
        for name in NAMES:
            os.environ.pop(name, None)


@pytest.fixture(scope="module")
def definitions(home: Settings) -> dg.Definitions:
    return build_definitions(home)


@pytest.fixture(scope="module")
def bank(home: Settings, definitions: dg.Definitions) -> Bank:
    return Bank(home)


@pytest.fixture(autouse=True)
def _in_the_home(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGXI_HOME", str(home.home))
    monkeypatch.setenv("JINGXI_PROMOTION", "approval")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.mlflow_tracking_uri)
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster_home))


def flip(path: Path) -> None:
    """Another bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# By the policy.


def test_a_better_challenger_passes_and_may_be_promoted(bank):
    bank.with_champion("better")
    version, decision = bank.tried("better", bank.learned("days_silent"))
    assert decision.promote
    appointment = promote(bank.registry, "better", version.version, "Ana Lima", REASON)
    assert (appointment.version, appointment.previous_version) == ("2", "1")
    assert any("make refresh TRAIN=never" in line for line in appointment.lines())
    assert bank.champion("better") == "2"
    last = bank.registry.audit("better")[-1]
    assert (last.event, last.previous_version, last.version) == ("promoted", "1", "2")
    assert (last.approver, last.reason) == ("Ana Lima", REASON)


def test_a_worse_challenger_is_refused_with_the_policys_reasons(bank):
    bank.with_champion("worse")
    version, decision = bank.tried("worse", bank.learned("shoe_size"))
    assert not decision.promote
    with pytest.raises(PromotionRefused) as refused:
        promote(bank.registry, "worse", version.version, "Ana Lima", REASON)
    assert "the policy refused it: does not beat the rule: log_score " in str(refused.value)
    assert "does not beat the champion: log_score +" in str(refused.value)
    assert (bank.champion("worse"), bank.events("worse")) == ("1", ["first"])


def test_a_challenger_out_of_bounds_is_refused_however_far_ahead(bank):
    bank.with_champion("unbound")
    bounds = (Bound("calibration error", 0.14, 0.1),)
    version, decision = bank.tried("unbound", bank.learned("days_silent"), bounds)
    assert decision.beats
    with pytest.raises(PromotionRefused, match=r"calibration error 0\.14 above 0\.1"):
        promote(bank.registry, "unbound", version.version, "Ana Lima", REASON)


def test_an_override_promotes_against_the_policy_and_is_audited_as_one(bank):
    bank.with_champion("overridden")
    version, _ = bank.tried("overridden", bank.learned("shoe_size"))
    done = promote(bank.registry, "overridden", version.version, "Ana Lima", REASON, override=True)
    assert "against the policy: the policy refused it: does not beat" in done.notes[0]
    last = bank.registry.audit("overridden")[-1]
    assert last.event == "override"
    assert last.reason.startswith(f"{REASON} (override: the policy refused it: does not beat")
    assert bank.champion("overridden") == "2"


def test_an_override_without_need_is_an_ordinary_promotion(bank):
    bank.with_champion("needless")
    version, _ = bank.tried("needless", bank.learned("days_silent"))
    promote(bank.registry, "needless", version.version, "Ana Lima", REASON, override=True)
    last = bank.registry.audit("needless")[-1]
    assert (last.event, last.reason) == ("promoted", REASON)


def test_a_verdict_against_a_former_champion_does_not_count_for_the_current_one(bank):
    bank.with_champion("stale")
    waiting, _ = bank.tried("stale", bank.learned("days_silent", 5))
    quicker, _ = bank.tried("stale", bank.learned("days_silent", 20))
    promote(bank.registry, "stale", quicker.version, "Ana Lima", REASON)
    with pytest.raises(PromotionRefused, match="compared it with version 1, not with version 3"):
        promote(bank.registry, "stale", waiting.version, "Ana Lima", REASON)


def test_a_learner_that_passed_without_a_champion_may_follow_a_rule_promoted_since(bank):
    version, decision = bank.tried("meanwhile", bank.learned("days_silent"))
    assert decision.promote
    rule = bank.register("meanwhile", bank.learned("days_silent", 1), RULE)
    bank.registry.promote(rule, by="policy", reason="no learner may score yet", event="first")
    promote(bank.registry, "meanwhile", version.version, "Ana Lima", REASON)
    assert bank.champion("meanwhile") == version.version


def test_a_version_that_was_never_judged_is_refused(bank):
    bank.with_champion("unjudged")
    version = bank.register("unjudged", bank.learned("days_silent"))
    bank.client.delete_model_version_tag("unjudged", version.version, VERDICT)
    with pytest.raises(PromotionRefused, match="the policy has not judged it"):
        promote(bank.registry, "unjudged", version.version, "Ana Lima", REASON)


# On a person's word.


@pytest.mark.parametrize(
    "approver", [TRAINED_BY, "tove berg", "  TOVE   Berg ", "\uff34ove\u00a0Berg"]
)
def test_the_trainer_may_not_approve_however_the_name_is_written(bank, approver):
    if "own" not in bank.registry.models():
        bank.with_champion("own")
        bank.tried("own", bank.learned("days_silent"))
    for override in (False, True):
        with pytest.raises(PromotionRefused, match="trained it and may not approve it"):
            promote(bank.registry, "own", "2", approver, REASON, override=override)
    assert (bank.champion("own"), bank.events("own")) == ("1", ["first"])


def test_a_version_without_a_recorded_trainer_is_refused(bank):
    version = bank.register("nameless", bank.learned("days_silent"), **{TRAINER: " "})
    with pytest.raises(PromotionRefused, match="its trainer is not recorded"):
        promote(bank.registry, "nameless", version.version, "Ana Lima", REASON)


def test_similar_names_are_different_people():
    assert not same_person("Ana Lima", "Ana Lim")
    assert not same_person("Ana", "")


def test_everything_that_is_missing_is_reported_at_once(bank):
    bank.with_champion("bare")
    version, _ = bank.tried("bare", bank.learned("shoe_size"))
    flip(bank.model_file(version))
    with pytest.raises(PromotionRefused) as refused:
        promote(bank.registry, "bare", version.version, "  ", " too short ")
    for words in (
        "approver is missing",
        "reason is too short: expected at least 10 characters",
        "was tampered with or is damaged",
        "the policy refused it",
    ):
        assert words in str(refused.value)
    assert bank.events("bare") == ["first"]


def test_unknown_versions_and_models_are_refused_with_the_known_ones(bank):
    bank.with_champion("known")
    with pytest.raises(PromotionRefused, match="model known has no version 9: expected one of 1$"):
        promote(bank.registry, "known", "9", "Ana Lima", REASON)
    with pytest.raises(
        PromotionRefused, match="model knwon is not registered. Registered models: .*known"
    ):
        promote(bank.registry, "knwon", "1", "Ana Lima", REASON)
    with pytest.raises(
        PromotionRefused, match="model knwon is not registered. Registered models: .*known"
    ):
        roll_back(bank.registry, "knwon", "Ana Lima", REASON)


def test_the_champion_is_not_promoted_again(bank):
    bank.with_champion("still")
    with pytest.raises(PromotionRefused, match="version 1 is already champion"):
        promote(bank.registry, "still", "1", "Ana Lima", REASON)


@pytest.mark.parametrize("damage", [flip, Path.unlink], ids=["a bit is other", "it is gone"])
def test_a_version_whose_file_is_damaged_is_not_promoted(bank, damage):
    name = f"hurt_{damage.__name__}"
    bank.with_champion(name)
    version, _ = bank.tried(name, bank.learned("days_silent"))
    damage(bank.model_file(version))
    with pytest.raises(PromotionRefused, match=rf"model {name}: model\.skops of version 2 "):
        promote(bank.registry, name, version.version, "Ana Lima", REASON, override=True)
    assert (bank.champion(name), bank.events(name)) == ("1", ["first"])


def test_a_version_without_its_twin_is_not_promoted(bank):
    bank.with_champion("single")
    version, _ = bank.tried("single", bank.learned("days_silent"))
    run = bank.client.get_run(version.run_id)
    (Path(run.info.artifact_uri) / "evaluation_twin.skops").unlink()
    with pytest.raises(PromotionRefused, match=r"evaluation_twin\.skops of version 2 cannot be"):
        promote(bank.registry, "single", version.version, "Ana Lima", REASON)


# And back.


def with_three(bank: Bank, name: str) -> None:
    bank.with_champion(name)
    for classes in (5, 20):
        version = bank.register(name, bank.learned("days_silent", classes))
        promote(bank.registry, name, version.version, "Ana Lima", REASON)


def test_rollback_restores_the_former_champion_and_leaves_a_record(bank):
    with_three(bank, "returned")
    former = bank.registry.load(bank.registry.version("returned", "2"))
    appointment = roll_back(bank.registry, "returned", "Ola Nilsen", "calls went up by half")
    assert (appointment.version, appointment.previous_version) == ("2", "3")
    np.testing.assert_array_equal(
        score_of(bank.registry.load_champion("returned"), bank.later),
        score_of(former, bank.later),
    )
    last = bank.registry.audit("returned")[-1]
    assert (last.event, last.previous_version, last.version) == ("rollback", "3", "2")
    assert (last.approver, last.reason) == ("Ola Nilsen", "calls went up by half")
    again = roll_back(bank.registry, "returned", "Ola Nilsen", "calls are still up")
    assert (again.version, bank.champion("returned")) == ("1", "1")


def test_rollback_is_refused_without_a_former_champion(bank):
    bank.with_champion("only")
    with pytest.raises(PromotionRefused, match=r"no champion before version 1.*make train"):
        roll_back(bank.registry, "only", "Ana Lima", REASON)
    assert (bank.champion("only"), bank.events("only")) == ("1", ["first"])


@pytest.mark.parametrize(("approver", "reason"), [("", REASON), ("Ana Lima", " short ")])
def test_rollback_needs_a_name_and_a_reason(bank, approver, reason):
    if "signed" not in bank.registry.models():
        with_three(bank, "signed")
    with pytest.raises(PromotionRefused, match=r"(approver|reason) is (missing|too short)"):
        roll_back(bank.registry, "signed", approver, reason)
    assert bank.champion("signed") == "3"


def test_a_champion_tampered_with_is_refused_and_rollback_passes_over_damaged_versions(bank):
    with_three(bank, "tampered")
    champion = bank.registry.champion("tampered")
    flip(bank.model_file(champion))
    with pytest.raises(ChampionUnusable, match=r"tampered with .*make rollback-model"):
        bank.registry.load_champion("tampered")
    flip(bank.model_file(bank.registry.version("tampered", "2")))
    appointment = roll_back(bank.registry, "tampered", "Ana Lima", "its file was changed")
    assert (appointment.version, len(appointment.notes)) == ("1", 1)
    assert "passed over: version 2: model tampered: model.skops" in appointment.notes[0]
    bank.registry.load_champion("tampered")


def test_rollback_does_not_return_to_a_champion_of_another_bank(bank):
    bank.with_champion("moved")
    for source in ("berka", "berka"):
        version = bank.register("moved", bank.learned("days_silent"), source=source)
        promote(bank.registry, "moved", version.version, "Ana Lima", REASON)
    assert roll_back(bank.registry, "moved", "Ana Lima", REASON).version == "2"
    with pytest.raises(PromotionRefused, match="version 1: made for another source"):
        roll_back(bank.registry, "moved", "Ana Lima", REASON)


# The record in the warehouse.


def test_the_audit_is_written_into_the_warehouse_oldest_first(bank, tmp_path):
    with_three(bank, "written")
    roll_back(bank.registry, "written", "Ola Nilsen", "calls went up by half", dagster_run_id="r1")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        for _ in range(2):
            count = write_audit(connection, bank.registry)
        rows = connection.execute(
            "select event, version, previous_version, approver, dagster_run_id, state, "
            "happened_at > '2020-01-01'::timestamptz "
            "from meta.model_audit where model_name = 'written'"
        ).fetchall()
        ((held, last),) = connection.execute(
            "select count(*), last(event) from meta.model_audit"
        ).fetchall()
    assert rows == [
        ("first", "1", None, "policy", None, "done", True),
        ("promoted", "2", "1", "Ana Lima", None, "done", True),
        ("promoted", "3", "2", "Ana Lima", None, "done", True),
        ("rollback", "2", "3", "Ola Nilsen", "r1", "done", True),
    ]
    assert held == count == len(bank.registry.audit())
    assert last == "rollback"


class Killed(BaseException):
    """Nothing of the process is done any more."""


def test_a_promotion_killed_before_the_alias_moved_is_reported_as_abandoned(bank, tmp_path):
    bank.with_champion("killed")
    version, _ = bank.tried("killed", bank.learned("days_silent"))
    dying = Registry(
        bank.settings.mlflow_tracking_uri, str(bank.settings.mlflow_home / "artifacts")
    )

    def killed(*_: str) -> None:
        raise Killed

    dying._client.set_registered_model_alias = killed
    with pytest.raises(Killed):
        promote(dying, "killed", version.version, "Ana Lima", REASON)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        write_audit(connection, bank.registry)
        audit_query = "select version, state from meta.model_audit where model_name = 'killed'"
        assert connection.execute(audit_query).fetchall() == [("1", "done"), ("2", "abandoned")]
        assert bank.champion("killed") == "1"
        promote(bank.registry, "killed", version.version, "Ana Lima", REASON)
        write_audit(connection, bank.registry)
        assert connection.execute(audit_query).fetchall()[2:] == [("2", "done")]


# Jobs.

OPS = {PROMOTE: PROMOTE_OP, ROLL_BACK: ROLL_BACK_OP}


def run(definitions: dg.Definitions, job: str, **config: object) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(job).execute_in_process(
        run_config={"ops": {OPS[job]: {"config": config}}}, raise_on_error=False
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.user_failure_data.description)


def audited(bank: Bank, model: str) -> list[audit.Entry]:
    return [one for one in audit.entries(bank.settings) if f"model {model}" in one.subject]


def test_the_jobs_promote_and_roll_back_with_the_run_in_the_record(bank, definitions):
    bank.with_champion("by_job")
    version, _ = bank.tried("by_job", bank.learned("days_silent"))
    asked = {"model": "by_job", "approver": "Ana Lima", "reason": REASON}
    promoted = run(definitions, PROMOTE, version=version.version, **asked)
    assert promoted.success
    assert bank.champion("by_job") == "2"
    returned = run(definitions, ROLL_BACK, **asked)
    assert returned.success
    assert [(one.act, one.subject, one.detail, one.outcome) for one in audited(bank, "by_job")] == [
        (
            *("promote", "model by_job version 2"),
            *(f"approver Ana Lima: {REASON}", "done"),
        ),
        (
            *("rollback_model", "model by_job version 1"),
            *(f"approver Ana Lima: {REASON}", "done"),
        ),
    ]
    assert bank.champion("by_job") == "1"
    records = bank.registry.audit("by_job")[1:]
    assert [(one.event, one.dagster_run_id, one.mode) for one in records] == [
        ("promoted", promoted.run_id, "approval"),
        ("rollback", returned.run_id, "approval"),
    ]


def test_a_job_that_is_refused_fails_with_the_reason(bank, definitions):
    bank.with_champion("refused")
    version, _ = bank.tried("refused", bank.learned("days_silent"))
    asked = {"model": "refused", "version": version.version, "reason": REASON}
    assert "may not approve it" in failure(
        run(definitions, PROMOTE, approver=TRAINED_BY.upper(), **asked)
    )
    assert "no champion before version 1" in failure(
        run(definitions, ROLL_BACK, model="refused", approver="Ana Lima", reason=REASON)
    )
    with bank.settings.lock.open("a") as held:
        # As another process does: this one may take its own lock again.
        fcntl.flock(held, fcntl.LOCK_EX)
        result = run(definitions, PROMOTE, approver="Ana Lima", **asked)
    assert "is changing" in failure(result)
    assert bank.champion("refused") == "1"


def test_the_commands_promote_and_roll_back(bank, capsys):
    bank.with_champion("by_hand")
    version, _ = bank.tried("by_hand", bank.learned("days_silent"))
    model = ("--model", "by_hand", "--reason", REASON, "--approver")
    assert cli.main(["promote", *model, TRAINED_BY, "--version", version.version]) == cli.REFUSED
    assert "may not approve it" in capsys.readouterr().err
    assert cli.main(["promote", *model, "Ana Lima", "--version", version.version]) == 0
    assert "champion of by_hand: version 2 (before it: version 1)" in capsys.readouterr().out
    assert cli.main(["rollback-model", *model, "Ola Nilsen"]) == 0
    assert "champion of by_hand: version 1 (before it: version 2)" in capsys.readouterr().out
    assert bank.champion("by_hand") == "1"
    lines = audited(bank, "by_hand")
    assert [(one.act, one.outcome) for one in lines] == [
        ("promote", "refused"),
        ("promote", "done"),
        ("rollback_model", "done"),
    ]
    assert "may not approve it" in lines[0].detail


def test_an_override_is_an_act_of_its_own_in_the_audit_trail(bank):
    bank.with_champion("forced")
    version, decision = bank.tried("forced", bank.learned("shoe_size"))
    assert not decision.promote
    asked = ("forced", version.version, "Ana Lima", REASON)
    with pytest.raises(PromotionRefused, match="set override"):
        carry_out_promotion(bank.settings, *asked)
    carry_out_promotion(bank.settings, *asked, override=True)
    refused, done = audited(bank, "forced")
    assert (refused.act, refused.outcome) == ("promote", "refused")
    assert (done.act, done.outcome) == ("override", "done")
    assert done.detail.startswith(f"approver Ana Lima: {REASON}; against the policy: the policy")


def test_with_roles_the_approver_is_who_runs_it_and_not_the_trainer(bank, capsys):
    name = operating_system_user()
    bank.with_champion("by_role")
    own, _ = bank.tried("by_role", bank.learned("days_silent"))
    other = bank.register("by_role", bank.learned("days_silent"), trainer=name)
    file = bank.settings.own_roles

    def roles(*held: str) -> None:
        write_whole(file, json.dumps({"people": {name: {"roles": list(held)}}}))

    model = ["promote", "--model", "by_role", "--reason", REASON, "--version"]
    try:
        roles("ML engineer")
        assert cli.main([*model, own.version]) == cli.REFUSED
        assert "is refused: role approver is required" in capsys.readouterr().err
        roles("ML engineer", "approver")
        assert cli.main([*model, other.version]) == cli.REFUSED
        assert "may not approve it" in capsys.readouterr().err
        assert cli.main([*model, own.version, "--approver", "Ana Lima"]) == cli.REFUSED
        assert "APPROVER=Ana Lima is invalid" in capsys.readouterr().err
        assert cli.main([*model, own.version]) == 0
    finally:
        file.unlink()
    assert bank.registry.audit("by_role")[-1].approver == name
    assert [(one.user_name, one.role, one.outcome) for one in audited(bank, "by_role")] == [
        (name, "none", "refused"),
        (name, "approver", "refused"),
        (name, "approver", "refused"),
        (name, "approver", "done"),
    ]


# Training on its own.


def test_the_training_job_only_trains_and_judges(definitions):
    job = definitions.resolve_job_def(TRAIN)
    steps = {step.key for step in create_execution_plan(job).steps}
    assert steps == {"models_layer", "gate_G3"}
    assert job.tags[TRAIN_TAG] == "always"


def test_the_training_tag_of_a_run_overrides_the_setting(home, monkeypatch):
    monkeypatch.setenv("JINGXI_TRAIN", "never")
    monkeypatch.setenv("JINGXI_USER", "Ana Lima")
    with duckdb.connect() as connection:
        connection.execute(
            "create schema landing; create schema meta; "
            "create table landing.refresh_window as "
            "select date '2023-01-01' as first_month, date '2025-12-31' as as_of; "
            "create table meta.bank as select 'synthetic' as identity"
        )
        asked = training_context(connection, Home().settings, "r", {TRAIN_TAG: "always"})
        assert (asked.mode, asked.trainer, asked.promotion) == ("always", "Ana Lima", "approval")
        assert training_context(connection, Home().settings, "r", {}).mode == "never"
        assert training_context(connection, Home().settings, "r").mode == "never"
        with pytest.raises(ValueError, match="train=sometimes is invalid: expected one of auto"):
            training_context(connection, Home().settings, "r", {TRAIN_TAG: "sometimes"})


def test_models_trained_after_the_scores_keep_the_release_from_being_published():
    with duckdb.connect() as connection:
        for layer in (*build_numbers.LAYERS, "models"):
            build_numbers.begin(connection, layer, "a run")
            build_numbers.finish(connection, layer)
        assert (
            "layer scores is older than layer models, which it reads"
            in build_numbers.complaints(connection)
        )


# Schedules.


def tick(definitions: dg.Definitions, name: str, moment: datetime) -> Any:
    schedule = definitions.resolve_schedule_def(name)
    with dg.build_schedule_context(
        scheduled_execution_time=moment, repository_def=definitions.get_repository_def()
    ) as context:
        return schedule.evaluate_tick(context)


def publish(settings: Settings, as_of: str) -> None:
    release = settings.published / "releases" / f"{as_of}.duckdb"
    with duckdb.connect(str(release)) as connection:
        connection.execute("create schema meta")
        connection.execute(
            "create table meta.release as select $as_of as release_id, $as_of as as_of",
            {"as_of": as_of},
        )
    link = settings.published / "current.duckdb"
    link.unlink(missing_ok=True)
    link.symlink_to(release)


def test_the_monthly_refresh_is_as_of_the_newest_month(home, definitions):
    third = datetime(2025, 9, 3, 3, tzinfo=UTC)
    first = tick(definitions, MONTHLY, third)
    assert (first.run_requests, "make refresh" in first.skip_message) == ([], True)
    publish(home, "2025-05")
    (request,) = tick(definitions, MONTHLY, third).run_requests
    assert request.tags.items() >= refresh_tags("2025-08").items()
    ended = tick(definitions, MONTHLY, datetime(2027, 9, 3, 3, tzinfo=UTC))
    assert ended.run_requests[0].tags.items() >= refresh_tags("2025-12").items()


def test_refresh_and_training_wait_for_their_business_days(home, definitions):
    """In April 2026 the third business day is Friday the third, the fourth is Monday the sixth."""
    publish(home, "2025-06")

    def asked(name: str, month: int, day: int) -> list[str]:
        moment = datetime(2026, month, day, 3, tzinfo=UTC)
        return [one.run_key for one in tick(definitions, name, moment).run_requests]

    assert [asked(MONTHLY, 4, day) for day in (1, 2, 3, 4)] == [[], [], ["2025-12"], ["2025-12"]]
    assert [asked(QUARTERLY, 4, day) for day in (3, 5, 6, 30)] == [[], [], *[["2026-Q2"]] * 2]
    assert (
        "business day 4"
        in tick(definitions, QUARTERLY, datetime(2026, 4, 3, 3, tzinfo=UTC)).skip_message
    )


def test_both_schedules_look_every_morning_so_that_a_missed_day_is_made_up_for(definitions):
    def due(name: str) -> list[datetime]:
        schedule = definitions.resolve_schedule_def(name)
        times = schedule_execution_time_iterator(
            datetime(2026, 1, 1, tzinfo=UTC).timestamp(), schedule.cron_schedule, "UTC"
        )
        return list(takewhile(lambda moment: moment.year == 2026, times))

    refreshes, trainings = due(MONTHLY), due(QUARTERLY)
    assert len(refreshes) == 365
    assert {moment.month for moment in trainings} == {1, 4, 7, 10}
    assert {moment.hour for moment in (*refreshes, *trainings)} == {3}


def test_schedules_are_off_until_switched_on(definitions):
    assert {schedule.name for schedule in definitions.schedules} == {MONTHLY, QUARTERLY, WEEKLY}
    for schedule in definitions.schedules:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED

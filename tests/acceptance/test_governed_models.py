"""Champions by approval, from the command line to the release; and champions that are not whole.

One bank goes through it all, in the order of the fixtures: each stage keeps the output of its
commands and the release that was served after it, which nothing changes later.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import mlflow
import pytest

from ml.registry import LEARNER, MODEL_DIGEST, PACKED_MODEL, RULE, Registry, Version
from orchestration.models.governance import PASSED, REASONS, REFUSED, VERDICT
from sources.export import export_delivery
from sources.synthetic import SyntheticBank

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Eighteen months: enough for a horizon of six.
BANK = {"customers": 2_500, "seed": 7, "months": 18, "bookings_per_month": 4.0}
AS_OF = "2024-06"
TRAINER, APPROVER = "Tove Berg", "Ana Lima"
WHY, WHY_AGAINST, WHY_BACK = (
    "better in the pilot",
    "asked for by the board",
    "calls went up by half",
)
DONE, FAILED, NOT_ALLOWED = 0, 1, 2


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what was served when it had."""

    status: int
    output: str
    release: Path
    digest: str

    def rows(self, sql: str, *values: object) -> list[tuple]:
        with duckdb.connect(str(self.release), read_only=True) as connection:
            return connection.execute(sql, list(values)).fetchall()

    def champion(self, columns: str) -> tuple:
        ((*found,),) = self.rows(
            f"select {columns} from meta.model_version where model_name = 'clv'"
        )
        return tuple(found)

    def audit(self, columns: str) -> list[tuple]:
        return self.rows(
            f"select {columns} from meta.model_audit where model_name = 'clv' order by happened_at"
        )

    @property
    def scored(self) -> dict[str, tuple]:
        """Value to come of each customer, without the model version."""
        return {
            customer: rest
            for customer, *rest in self.rows(
                "select customer_id, clv_12m, clv_36m, clv_low, clv_high from scores.customer"
            )
        }

    @property
    def scored_by(self) -> list[tuple]:
        return self.rows("select distinct clv_model_version from scores.customer order by all")


class Bank:
    """A home, the commands given to it, and its registry."""

    def __init__(self, place: Path, command: Any) -> None:
        self.home = place / "home"
        self._command = command
        self._settings = {
            "source": "files",
            "source_path": place / "delivery",
            "promotion": "approval",
            "user": TRAINER,
        }
        with duckdb.connect() as connection:
            made = SyntheticBank(place / "made", place / "truth", **BANK)
            made.prepare(connection)
            export_delivery(connection, made.delivery, place / "delivery", "parquet")
        # Nothing to learn of offers: the models of customers alone are trained.
        for table in ("contact", "response"):
            for path in (place / "delivery").glob(f"{table}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def run(self, *arguments: str, **settings: object) -> Outcome:
        result = self._command(self.home, *arguments, **{**self._settings, **settings})
        return self._outcome(result.returncode, result.stdout + result.stderr)

    def _outcome(self, status: int, output: str) -> Outcome:
        link = self.home / "published" / "current.duckdb"
        return Outcome(
            status, output, link.resolve(), hashlib.sha256(link.read_bytes()).hexdigest()
        )

    def refresh_again(self, **settings: object) -> Outcome:
        """The newest month alone: all else stays unchanged."""
        return self.run("refresh", "--months", AS_OF, **settings)

    def promote(self, version: str, approver: str, reason: str, *more: str) -> Outcome:
        asked = ("--version", version, "--approver", approver, "--reason", reason)
        return self.run("promote", "--model", "clv", *asked, *more)

    @property
    def registry(self) -> Registry:
        store = self.home / "mlflow"
        return Registry(f"sqlite:///{store}/mlflow.db", str(store / "artifacts"))

    def champion(self) -> Version:
        champion = self.registry.champion("clv")
        assert champion is not None
        return champion

    def model_file(self, version: Version) -> Path:
        source = str(mlflow.MlflowClient().get_model_version("clv", version.version).source)
        models = self.home / "mlflow" / "artifacts" / "clv" / "models"
        return models / source.rpartition("/")[2] / "artifacts" / PACKED_MODEL


@pytest.fixture(scope="module")
def bank(tmp_path_factory, command):
    yield Bank(tmp_path_factory.mktemp("governed"), command)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@dataclass(frozen=True)
class First:
    """After the first refresh, in which nobody could approve anything yet."""

    refreshed: Outcome
    champion: Version
    waiting: Version


@pytest.fixture(scope="module")
def first(bank):
    refreshed = bank.run("refresh")
    assert refreshed.status == DONE, refreshed.output
    waiting = [
        version
        for version in bank.registry.versions("clv")
        if version.tags.get(VERDICT) == PASSED and version.kind == LEARNER
    ]
    return First(refreshed, bank.champion(), waiting[-1])


@dataclass(frozen=True)
class Approved:
    """After a version was asked for by its trainer, then by another, and scored."""

    by_trainer: Outcome
    by_another: Outcome
    refreshed: Outcome
    champion: Version


@pytest.fixture(scope="module")
def approved(bank, first):
    number = first.waiting.version
    by_trainer = bank.promote(number, TRAINER.upper(), WHY, "--override")
    by_another = bank.promote(number, APPROVER, WHY)
    return Approved(by_trainer, by_another, bank.refresh_again(train="never"), bank.champion())


@dataclass(frozen=True)
class Trained:
    """After `train` alone."""

    trained: Outcome
    champion: Version
    challengers: list[Version]


@pytest.fixture(scope="module")
def trained(bank, approved):
    known = {version.version for version in bank.registry.versions("clv")}
    outcome = bank.run("train", "--model", "clv")
    new = [one for one in bank.registry.versions("clv") if one.version not in known]
    return Trained(outcome, bank.champion(), new)


@dataclass(frozen=True)
class Overridden:
    """After a version that the policy refused was asked for, then insisted on."""

    wanted: Version
    plainly: Outcome
    insisted: Outcome
    champion: Version


@pytest.fixture(scope="module")
def overridden(bank, approved, trained):
    (wanted,) = (
        one
        for one in trained.challengers
        if one.tags["learner"] != approved.champion.tags["learner"]
    )
    plainly = bank.promote(wanted.version, APPROVER, WHY_AGAINST)
    insisted = bank.promote(wanted.version, APPROVER, WHY_AGAINST, "--override")
    return Overridden(wanted, plainly, insisted, bank.champion())


@dataclass(frozen=True)
class Returned:
    """After the champion before was called back, by its trainer, and scored."""

    called_back: Outcome
    refreshed: Outcome
    champion: Version


@pytest.fixture(scope="module")
def returned(bank, overridden):
    asked = ("--model", "clv", "--approver", TRAINER, "--reason", WHY_BACK)
    called_back = bank.run("rollback-model", *asked)
    return Returned(called_back, bank.refresh_again(train="never"), bank.champion())


@dataclass(frozen=True)
class Damaged:
    """After a refresh with a champion whose file holds another bit, and a training."""

    tampered: Outcome
    found: str
    trained: Outcome
    champion: Version


@pytest.fixture(scope="module")
def damaged(bank, returned):
    file = bank.model_file(returned.champion)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    tampered = bank.refresh_again()
    trained = bank.run("train", "--model", "clv", promotion="auto")
    found = hashlib.sha256(content).hexdigest()
    return Damaged(tampered, found, trained, bank.champion())


def test_before_an_approval_the_rule_scores_and_the_learner_waits(first):
    assert (first.champion.kind, first.waiting.kind) == (RULE, LEARNER)
    assert f"version {first.waiting.version} waits for approval" in first.refreshed.output
    assert first.refreshed.champion("version, kind, trained_by, promoted_by") == (
        *(first.champion.version, RULE),
        *(TRAINER, "policy"),
    )
    assert first.refreshed.audit("event, version, previous_version, approver, mode, state") == [
        ("first", first.champion.version, None, "policy", "approval", "done")
    ]
    assert first.refreshed.scored_by == [(first.champion.version,)]


def test_the_trainer_may_not_approve_the_version_in_any_spelling(first, approved):
    assert approved.by_trainer.status == NOT_ALLOWED
    assert f"model clv, version {first.waiting.version}" in approved.by_trainer.output
    assert "trained it and may not approve it" in approved.by_trainer.output
    assert "Traceback" not in approved.by_trainer.output


def test_another_person_may_approve_and_the_next_refresh_scores_with_the_version(first, approved):
    number, before = first.waiting.version, first.champion.version
    assert approved.by_another.status == DONE
    assert f"champion of clv: version {number} (before it: version {before})" in (
        approved.by_another.output
    )
    assert approved.by_another.digest == first.refreshed.digest
    assert approved.refreshed.status == DONE, approved.refreshed.output
    assert approved.refreshed.release != first.refreshed.release
    assert approved.refreshed.scored_by == [(number,)]
    assert approved.refreshed.scored != first.refreshed.scored
    assert approved.champion.version == number


def test_the_release_records_approver_reason_and_predecessor(first, approved):
    number, before = first.waiting.version, first.champion.version
    shown = "version, kind, trained_by, promoted_by, promotion_reason, previous_version"
    assert approved.refreshed.champion(shown) == (
        *(number, LEARNER, TRAINER),
        *(APPROVER, WHY, before),
    )
    assert approved.refreshed.audit(
        "event, version, previous_version, approver, reason, mode, state"
    )[1:] == [("promoted", number, before, APPROVER, WHY, "approval", "done")]
    # What was published before is what it was.
    assert first.refreshed.champion("version") == (before,)


def test_training_alone_changes_neither_champion_nor_release(approved, trained):
    assert trained.trained.status == DONE, trained.trained.output
    assert "make refresh TRAIN=never" in trained.trained.output
    assert trained.champion == approved.champion
    assert len(trained.challengers) == 2
    assert all(one.tags["trainer"] == TRAINER for one in trained.challengers)
    assert all(
        one.tags["policy_champion"] == approved.champion.version
        for one in trained.challengers
        if one.tags["learner"] == approved.champion.tags["learner"]
    )
    assert trained.trained.digest == approved.refreshed.digest
    assert trained.trained.release == approved.refreshed.release


def test_the_same_learner_trained_on_the_same_records_does_not_beat_itself(approved, trained):
    (again,) = (
        one
        for one in trained.challengers
        if one.tags["learner"] == approved.champion.tags["learner"]
    )
    assert again.tags["data_digest"] == approved.champion.tags["data_digest"]
    assert again.tags[VERDICT] == REFUSED
    assert "does not beat the champion" in again.tags[REASONS]


def test_a_version_that_the_policy_refused_needs_an_override(approved, overridden):
    assert overridden.wanted.tags[VERDICT] == REFUSED
    assert overridden.plainly.status == NOT_ALLOWED
    for words in ("the policy refused it", "does not beat the champion", "set override"):
        assert words in overridden.plainly.output
    assert overridden.plainly.digest == approved.refreshed.digest


def test_an_override_makes_a_refused_version_champion_and_is_audited(
    approved, overridden, returned
):
    number = overridden.wanted.version
    assert overridden.insisted.status == DONE
    assert "against the policy: the policy refused it" in overridden.insisted.output
    assert overridden.champion.version == number
    *_, (event, version, before, approver, reason), _ = returned.refreshed.audit(
        "event, version, previous_version, approver, reason"
    )
    assert (event, version, before) == ("override", number, approved.champion.version)
    assert approver == APPROVER
    assert reason.startswith(f"{WHY_AGAINST} (override: the policy refused it")


def test_rollback_restores_the_champion_before_and_its_scores(approved, overridden, returned):
    number = approved.champion.version
    assert returned.called_back.status == DONE, returned.called_back.output
    assert f"champion of clv: version {number}" in returned.called_back.output
    assert returned.champion.version == number
    assert returned.refreshed.scored_by == [(number,)]
    assert returned.refreshed.scored == approved.refreshed.scored
    assert returned.refreshed.champion("version, promoted_by, previous_version") == (
        *(number, TRAINER),
        overridden.wanted.version,
    )
    assert returned.refreshed.audit("event, version, previous_version, approver, reason")[-1] == (
        *("rollback", number, overridden.wanted.version),
        *(TRAINER, WHY_BACK),
    )


def test_a_champion_with_one_changed_bit_stops_the_refresh(returned, damaged):
    """Whoever changed it, and though training is not asked for."""
    number, registered = returned.champion.version, returned.champion.tags[MODEL_DIGEST]
    assert damaged.found != registered
    assert damaged.tampered.status == FAILED
    for words in (
        f"model clv: model.skops of version {number} was tampered with or is damaged",
        f"expected SHA-256 {registered}, found {damaged.found}",
        "restore its artifacts from a backup",
        "make rollback-model",
        "TRAIN=always",
        f"still served: {returned.refreshed.release.stem}",
    ):
        assert words in damaged.tampered.output
    assert "Traceback" not in damaged.tampered.output
    assert damaged.tampered.release == returned.refreshed.release
    assert damaged.tampered.digest == returned.refreshed.digest


def test_training_replaces_a_damaged_champion(returned, damaged):
    """By the policy here: nobody is compared with a champion that is not whole."""
    assert damaged.trained.status == DONE, damaged.trained.output
    assert damaged.champion.version != returned.champion.version
    assert damaged.champion.kind == LEARNER
    assert f"version {damaged.champion.version}" in damaged.trained.output

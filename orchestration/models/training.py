"""Training: candidates fitted at past cut-offs, judged on a later period.

The evaluation period, which no candidate was fitted on, always decides. The version that scores
is then fitted again on every cut-off whose labels are complete; its twin, fitted before the
evaluation period, is kept beside it for later comparisons.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ml.evaluation.fairness import age_band
from ml.promotion import decide, defined
from ml.registry import EVALUATION, ChampionUnusable, Registry, Version
from orchestration.models.context import TrainingContext
from orchestration.models.examination import bounds_of, level_of, unfair_beside
from orchestration.models.fitting import (
    Fitted,
    fit_learner,
    fit_rule,
    fit_scoring_rule,
    without_records,
)
from orchestration.models.own_process import OwnProcess
from orchestration.models.reason_words import AGAIN, SEPARATOR, changed, verdict
from orchestration.models.registration import (
    TrainingReport,
    Tried,
    create_tables,
    install,
    keep,
    register_learner,
    register_rule,
    switch_off,
)
from orchestration.models.study import Learner, Material, Off, Sample, Study
from orchestration.platform.progress import report_progress
from orchestration.platform.wording import Found
from sources.message import Message

# Minimum numbers of events, and of customers without one, for training and for evaluation.
LEAST_LEARNED, LEAST_JUDGED = 20, 10
# Studies that are fitted side by side. Each holds its samples: more than two would need more memory
# than a small machine has.
MOST_AT_ONCE = 2
# Rows of a long study that are copied to a process of its own; of more, the copy would need as much
# memory as all else, and fits are less Python and more arithmetic.
MOST_COPIED = 50_000


def needs_training(
    mode: str, champion: Version | None, wanted: Mapping[str, str]
) -> tuple[bool, str]:
    """Whether to train, and why.

    `auto` trains where there is no champion, or where the champion was made for another bank,
    horizon, feature list or format of the stored model, and so must not score.
    """
    if champion is None:
        return True, "there is no champion yet"
    differing = _differing(champion, wanted)
    if differing:
        return True, "; ".join(
            changed(name, champion.tags.get(name), wanted[name]) for name in differing
        )
    return mode == "always", "training was asked for" if mode == "always" else "the champion fits"


@dataclass
class Contest:
    """The samples and the champion for judging the learners of a study, read before any is fitted.

    `standing` and `standing_twin` are the champion for the comparison and its twin; both are None
    where no intact champion exists for this bank, horizon and features. The fits are added one by
    one: the rule from before the evaluation period, the learners, and the rule that scores where no
    other version may.
    """

    study: Study
    material: Material
    groups: Mapping[str, np.ndarray]
    standing: Version | None
    standing_twin: Any
    reasons: tuple[str, ...]
    seed: int
    rule: Any = None
    fitted: list[Fitted] = field(default_factory=list)
    tried: tuple[Tried, ...] = ()
    registered: list[Version] = field(default_factory=list)
    scoring_rule: Any = None

    @property
    def winner(self) -> Tried | None:
        """The last learner that passed: each had to beat the one before."""
        return next((one for one in reversed(self.tried) if one.decision.promote), None)

    def rule_scores(self, promotion: str) -> bool:
        """Whether the rule scores because no other version may."""
        return self.standing is None and (self.winner is None or promotion != "auto")


def train(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    registry: Registry,
    studies: Sequence[Study | Off],
    settled: Callable[[Study | Off], None] = lambda study: None,
) -> list[TrainingReport]:
    """Train each study's model where requested or needed; record which version scores.

    `settled` is called with each study whose champion stands, while others are still fitted.

    Samples are read and versions registered one study after the other; two learners or rules are
    fitted at a time, those of a long study in a process of their own.

    Raises
    ------
    RuntimeError
        When training is switched off and no champion fits.
    """
    create_tables(connection)
    reports: dict[str, TrainingReport] = {}
    # The contest of each running fit, and what takes its result and returns a progress message.
    running: dict[Future[Any], tuple[Contest, Callable[[Contest, Any], str]]] = {}
    # The long studies start first; the others run beside them.
    waiting = sorted(studies, key=lambda study: isinstance(study, Off) or not study.is_long)
    on = [study.name for study in studies if isinstance(study, Study)]
    new = [name for name in on if registry.champion(name) is None]
    if new:
        report_progress(
            Message(
                "no champion yet of {0}: learners are compared with the rules alone",
                ", ".join(new),
            )
        )
    at_once = min(MOST_AT_ONCE, os.cpu_count() or 1)
    # Two fits that share the cores are faster than one whose threads wait for each other. The limit
    # of BLAS applies to the process, that of OpenMP to this thread: each fit sets its own.
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(at_once) as pool,
        OwnProcess() as own,
    ):

        def is_apart(contest: Contest) -> bool:
            few = len(contest.material.refit) <= MOST_COPIED
            return contest.study.is_long and few and at_once > 1

        def submit(
            contest: Contest,
            take: Callable[[Contest, Any], str],
            fit: Callable[..., Any],
            *more: Any,
        ) -> None:
            study = without_records(contest.study)
            fits = own if is_apart(contest) else pool
            running[fits.submit(fit, study, contest.material, *more, contest.seed)] = contest, take

        def submit_learner(contest: Contest, learner: Learner) -> None:
            submit(contest, _take_learner, fit_learner, contest.groups, learner)

        def begin(study: Study | Off) -> None:
            prepared = _prepare(connection, context, registry, study)
            if isinstance(prepared, TrainingReport):
                reports[prepared.model_name] = prepared
                settled(study)
                return
            # Mode `always` fits all learners; otherwise the first learner that passes is taken.
            always = context.mode == "always"
            learners = prepared.study.learners
            learned, judged = len(prepared.material.train), len(prepared.material.later)
            report_progress(
                Message(
                    "{0}: {1} learns from {2} rows, to be judged on {3} later ones",
                    *(study.name, learners[0].name, f"{learned:,}", f"{judged:,}"),
                )
            )
            for learner in learners if always else learners[:1]:
                submit_learner(prepared, learner)
            submit(prepared, _take_rule, fit_rule)

        def go_on(contest: Contest) -> None:
            if len(contest.tried) < len(contest.fitted):
                contest.tried = _judge_all(contest)
            following = contest.study.learners[len(contest.fitted) :]
            if following and not contest.tried[-1].decision.promote:
                submit_learner(contest, following[0])
            elif contest.rule_scores(context.promotion) and contest.scoring_rule is None:
                submit(contest, _take_scoring_rule, fit_scoring_rule, contest.rule)
                _register_learners(registry, context, contest)
            else:
                if not contest.registered:
                    _register_learners(registry, context, contest)
                report = _settle(connection, context, registry, contest)
                reports[report.model_name] = report
                report_progress(
                    Message(
                        "{0}: champion is version {1} ({2})",
                        *(report.model_name, str(report.version), report.kind),
                    )
                )
                settled(contest.study)

        while waiting or running:
            going = [(fit, one) for fit, (one, _) in running.items() if not fit.done()]
            # The process of its own fits one after the other.
            at_work = sum(not is_apart(one) for _, one in going) + any(
                is_apart(one) for _, one in going
            )
            held = len({contest.study.name for contest, _ in running.values()})
            # One study more than are fitted: it is judged and registered during the fits.
            if waiting and at_work < MOST_AT_ONCE and held <= MOST_AT_ONCE:
                begin(waiting.pop(0))
                continue
            done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            contest, take = running.pop(done)
            if message := take(contest, done.result()):
                report_progress(Message("{0}: {1}", contest.study.name, message))
            if not any(other is contest for other, _ in running.values()):
                go_on(contest)
    return [reports[study.name] for study in studies]


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    registry: Registry,
    study: Study | Off,
) -> Contest | TrainingReport:
    """The contest to fit, or the report where there is nothing to fit."""
    if isinstance(study, Off):
        return switch_off(connection, study.name, study.reason)
    registry.settle(study.name)
    champion = registry.champion(study.name)
    needed, reason = needs_training(context.mode, champion, study.wanted)
    if not needed and champion is not None:
        return keep(connection, registry, champion, study.horizon, (study.note, reason))
    report_progress(Message("{0}: reading what there is to learn", study.name))
    material = study.read()
    few = _too_few(study, material)
    if few:
        # Applies even if training is switched off: a model that is off needs no champion.
        return switch_off(connection, study.name, few)
    if context.mode == "never":
        raise RuntimeError(
            f"model {study.name} must be trained ({reason}), but training is switched off; "
            "run make refresh TRAIN=auto"
        )
    standing, twin = None, None
    # No model of a new bank has a champion: `train` reports that once.
    reasons = [] if champion is None else [AGAIN + one for one in reason.split(SEPARATOR)]
    for one in reasons:
        words = Message("{0}: {1}", study.name, verdict(one) or "")
        report_progress(Found(f"{study.name}: {one}", words))
    if champion is not None and not _differing(champion, study.wanted):
        try:
            registry.load(champion)
            # The release reads the evaluation of the champion from this table.
            registry.table(champion, EVALUATION)
            standing, twin = champion, registry.load_twin(champion)
        except ChampionUnusable as error:
            # Training replaces a damaged champion; no learner is compared with it.
            reasons.append(str(error))
    return Contest(
        study,
        material,
        _groups(connection, material.later),
        standing,
        twin,
        tuple(reasons),
        context.seed,
    )


def _take_learner(contest: Contest, fitted: Fitted) -> str:
    contest.fitted.append(fitted)
    return Message(
        "{0} fitted and examined ({1} of at most {2} learners)",
        *(fitted.learner, len(contest.fitted), len(contest.study.learners)),
    )


def _take_rule(contest: Contest, rule: Any) -> str:
    contest.rule = rule
    return ""


def _take_scoring_rule(contest: Contest, rule: Any) -> str:
    contest.scoring_rule = rule
    return Message("the rule fitted for scoring, for no learner may score yet")


def _judge(
    contest: Contest, one: Fitted, rule_score: np.ndarray, ahead: np.ndarray | None, whom: str
) -> Tried:
    """The policy's verdict on a learner against the rule and the best version so far."""
    study = contest.study
    y, score, customers = one.examination.judged
    measures = defined(study.measures, y)
    standing = rule_score if ahead is None else ahead
    wronged = unfair_beside(study, one.examination, standing, contest.groups, contest.seed)
    decision = decide(
        measures,
        study.deciding,
        y,
        score,
        rule_score,
        ahead,
        seed=contest.seed,
        groups=customers,
        bounds=bounds_of(one.examination, measures, one.reach, contest.seed, wronged),
        champion_name=whom,
        level=level_of(study),
    )
    if others := [group for group in one.examination.unfair if group not in wronged]:
        named = ", ".join(group.partition(" (")[0] for group in others)
        note = f"not counted, for what scores otherwise is as far off: {named}"
        decision = replace(decision, reasons=(*decision.reasons, note))
    meaningless = [measure.name for measure in study.measures if measure not in measures]
    if meaningless:
        note = f"without meaning for these outcomes: {', '.join(meaningless)}"
        decision = replace(decision, reasons=(*decision.reasons, note))
    return Tried(
        one.learner,
        one.model,
        one.twin,
        measures,
        rule_score,
        one.examination,
        one.reach,
        decision,
    )


def _judge_all(contest: Contest) -> tuple[Tried, ...]:
    """The policy's verdict on each learner fitted so far, in the study's order: a learner that
    passes is the one that the next must beat."""
    study, later = contest.study, contest.material.later
    rule_score = study.judged(contest.rule, later)[1]
    ahead, whom = None, "the champion"
    if contest.standing_twin is not None:
        ahead = study.judged(contest.standing_twin, later)[1]
    order = [learner.name for learner in study.learners]
    tried: list[Tried] = []
    for one in sorted(contest.fitted, key=lambda fitted: order.index(fitted.learner)):
        tried.append(_judge(contest, one, rule_score, ahead, whom))
        if tried[-1].decision.promote:
            ahead, whom = one.examination.judged[1], one.learner
    return tuple(tried)


def _register_learners(registry: Registry, context: TrainingContext, contest: Contest) -> None:
    """Register the learners that were tried, each with the policy's verdict."""
    study = contest.study
    for number, tried in enumerate(contest.tried):
        report_progress(Message("{0}: registering {1}", study.name, tried.learner))
        contest.registered.append(
            register_learner(
                registry,
                context,
                study,
                contest.material,
                tried,
                contest.rule,
                alias=not number or tried.decision.promote,
                # Of each the champion, though the next learner must beat one that passed, so that
                # an approval does not report a missing comparison with the champion.
                compared_with=contest.standing.version if contest.standing else "",
            )
        )


def _settle(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    registry: Registry,
    contest: Contest,
) -> TrainingReport:
    """The winner becomes champion or waits for approval; where no version may score yet, the rule
    is registered and becomes champion."""
    study, material = contest.study, contest.material
    reasons = list(contest.reasons)
    shown = contest.winner or contest.tried[0]
    promoted: Version | None = None
    for tried, version in zip(contest.tried, contest.registered, strict=True):
        reasons += [f"{tried.learner}: {words}" for words in tried.decision.reasons]
        if tried.decision.promote:
            promoted = version
    if promoted is not None and context.promotion == "auto":
        install(registry, context, promoted, "; ".join(shown.decision.reasons), "automatic")
    elif promoted is not None:
        reasons.append(f"version {promoted.version} waits for approval (job promote)")
    if contest.rule_scores(context.promotion):
        report_progress(Message("{0}: registering the rule", study.name))
        version = register_rule(
            registry, context, study, material, contest.scoring_rule, contest.rule, shown
        )
        install(registry, context, version, "no learner may score yet", "first")
        reasons.append("so the rule is champion")
    standing = registry.champion(study.name)
    if standing is None:
        raise RuntimeError(f"model {study.name} has no champion after training")
    report = keep(connection, registry, standing, study.horizon, (study.note, *reasons))
    compared = shown.decision.against_rule
    return TrainingReport(
        study.name,
        standing.version,
        standing.kind,
        trained=True,
        promoted=promoted is not None and standing.version == promoted.version,
        reasons=report.reasons,
        metrics={name: one.score for name, one in compared.items()},
        rule_metrics={name: one.other.value for name, one in compared.items()},
        run_id=standing.run_id,
    )


def _too_few(study: Study, material: Material) -> str:
    """The reason why these samples are too small for training; empty where they are not."""
    if study.kind != "probability":
        return ""
    samples = [("learn from", split.train, LEAST_LEARNED) for split in material.splits]
    samples += [("be judged on", split.later, LEAST_JUDGED) for split in material.splits]
    for words, sample, least in samples:
        events = int((sample.y > 0).sum())
        if min(events, len(sample) - events) < least:
            return (
                f"too few to {words}: {events} events among {len(sample)} rows; "
                f"{least} of both kinds are needed"
            )
    return ""


def _groups(connection: duckdb.DuckDBPyConnection, later: Sample) -> dict[str, np.ndarray]:
    """Sex and age band of each row; sex is not among the features, age is."""
    sex = connection.execute("select customer_id, sex from base.customer").df()
    known = sex.drop_duplicates("customer_id").set_index("customer_id")["sex"]
    ages = later.frame["age"] if "age" in later.frame else pd.Series(np.nan, later.frame.index)
    return {
        "sex": later.frame["customer_id"].map(known).fillna("").astype(str).to_numpy(),
        "age_band": age_band(ages.to_numpy(dtype=float, na_value=np.nan)),
    }


def _differing(champion: Version, wanted: Mapping[str, str]) -> list[str]:
    return [name for name, value in wanted.items() if champion.tags.get(name) != value]

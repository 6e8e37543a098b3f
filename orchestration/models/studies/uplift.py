"""`uplift`: what a contact adds to the probability of taking an offer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from expectations.suites.offer_scores import uplift_judge
from orchestration.models.declaration import CONTACTS, Column, Declaration
from orchestration.models.studies.response import evaluation_border
from orchestration.models.study import Learner, Material, Off, Sample, Split, Study

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.promotion import Measure
    from ml.response.uplift import UpliftModel
    from ml.response.uplift_blend import UpliftBlend
    from ml.response.uplift_learners import Base
    from ml.response.uplift_rules import StrongerRule
    from orchestration.models.records import Records

LEAST_ARM, LEAST_RESPONSES = 400, 40
# Learner and base, in the order in which they are tried, after the blend of the first with the
# response score; a bank that has no champion yet waits for its release, and only the blend is tried
# unless training was asked for.
BLEND = "blend"
TRIED: tuple[tuple[str, str, Base], ...] = (
    ("s_boosting", "s", "boosting"),
    ("x_boosting", "x", "boosting"),
    ("t_boosting", "t", "boosting"),
    ("class_transformation", "class_transformation", "boosting"),
    ("s_linear", "s", "linear"),
)


@dataclass(frozen=True)
class Arms:
    """What a learner of effects needs beside the features; arrays of shape (n,).

    `treatment` is 1 for those contacted, `probability` that of the arm assigned.
    """

    y: np.ndarray
    treatment: np.ndarray
    probability: np.ndarray


PURPOSE = (
    "What a contact adds to the probability that a customer takes an offer within 60 days, learned "
    "from randomised campaigns. Judged by inverse-probability weighted outcomes of later "
    "campaigns, whose mean is the effect."
)
LIMITS = (
    "learned from customers whom campaigns drew: the effect on others may differ",
    "the effects of a channel and of its campaign are not separated",
)


def uplift_study(records: Records) -> Study | Off:
    """Learners of the effect by offer against the stronger of the best single column and treating
    by the response score."""
    from ml.registry import listed
    from ml.response.model import OFFER
    from ml.response.uplift import FORMAT

    contacts = randomised_contacts(records.connection, records.context.first_month)
    border = _border(contacts)
    if border is None:
        treated = int((contacts["arm"] == "treatment").sum())
        return Off(
            "uplift",
            f"too few matured contacts with a known assignment: {treated} treated, "
            f"{len(contacts) - treated} held out, "
            f"{int(contacts['responded'].sum()) if len(contacts) else 0} responses; {LEAST_ARM} "
            f"of each arm with {LEAST_RESPONSES} responses are needed, over several campaigns",
        )
    begins, asked = border, records.context.mode == "always"
    learners = tuple(
        Learner(name, partial(_effects, learner=learner, base=base))
        for name, learner, base in TRIED
    )

    def material() -> Material:
        earlier, later = split_at(contacts, begins)
        return Material(
            splits=(Split(earlier, later),),
            refit=sample_of(contacts, contacts),
            scored=None,
            parameters={"evaluated_from": str(begins.date())},
        )

    return Study(
        name="uplift",
        purpose=PURPOSE,
        horizon=None,
        wanted={
            "source": records.context.source,
            "format": FORMAT,
            "features": listed([*records.features, OFFER]),
        },
        read=material,
        newest=lambda: split_at(contacts, begins)[1],
        learners=(Learner(BLEND, _blended), *(learners if asked else ())),
        rule=Learner("stronger_rule", _stronger_rule),
        measures=_measures(),
        deciding="area_under_gain",
        kind="value",
        unit="probability",
        limits=LIMITS,
        further=_policy,
        is_long=True,
    )


def _effects(sample: Sample, seed: int, *, learner: str, base: Base) -> UpliftModel:
    from ml.response.uplift import UpliftModel

    return UpliftModel(learner=learner, base=base, seed=seed).fit(*_randomised(sample))


def _blended(sample: Sample, seed: int) -> UpliftBlend:
    from ml.response.model import ResponseModel
    from ml.response.uplift import UpliftModel
    from ml.response.uplift_blend import UpliftBlend

    return UpliftBlend(UpliftModel(seed=seed), ResponseModel(seed)).fit(*_randomised(sample))


def _stronger_rule(sample: Sample, seed: int) -> StrongerRule:
    from ml.response.model import ResponseModel
    from ml.response.uplift_rules import StrongerRule

    return StrongerRule(ResponseModel(seed), seed=seed).fit(*_randomised(sample))


def _randomised(sample: Sample) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    arms: Arms = sample.further
    return sample.features, arms.y, arms.treatment, arms.probability


def _policy(model: Any, rule: StrongerRule, later: Sample, seed: int) -> dict[str, pd.DataFrame]:
    from orchestration.models.uplift_evaluation import POLICY, policy_table

    return {POLICY: policy_table(model, rule, later, seed)}


def _measures() -> tuple[Measure, ...]:
    from ml.evaluation import metrics
    from ml.evaluation.uplift import area_under_gain, gain_at
    from ml.promotion import Measure

    return (
        Measure("area_under_gain", area_under_gain, "higher"),
        Measure("gain_at_10", partial(gain_at, share=0.1), "higher"),
        Measure("gain_at_30", partial(gain_at, share=0.3), "higher"),
        Measure("total_bias", metrics.total_bias, "zero"),
    )


def randomised_contacts(connection: Any, first_month: date) -> pd.DataFrame:
    """Matured contacts of both arms whose assignment is known to have been random.

    Without the columns of offer and market: they are the same for both arms of a campaign and
    distinguish campaigns, not customers.
    """
    from ml.response.model import OFFER_LINE
    from orchestration.models.contact_frames import CONTEXT, contact_frame

    contacts = contact_frame(connection, first_month, arms=("treatment", "control")).drop(
        columns=[OFFER_LINE, *CONTEXT]
    )
    probability = contacts["assignment_probability"]
    return contacts[(probability > 0) & (probability < 1)].reset_index(drop=True)


def _border(contacts: pd.DataFrame) -> pd.Timestamp | None:
    if contacts.empty or contacts["responded"].sum() < LEAST_RESPONSES:
        return None
    border = evaluation_border(contacts)
    if border is None:
        return None
    earlier = contacts[contacts["matured_on"] < border]
    later = contacts[contacts["contacted_on"] >= border]
    arms = [part["arm"].value_counts() for part in (earlier, later)]
    enough = all(arm.get(name, 0) >= LEAST_ARM for arm in arms for name in ("treatment", "control"))
    return border if enough else None


def split_at(contacts: pd.DataFrame, border: pd.Timestamp) -> tuple[Sample, Sample]:
    """What was known before a day to learn from, and the contacts from then on."""
    earlier = contacts[contacts["matured_on"] < border]
    later = contacts[contacts["contacted_on"] >= border]
    return sample_of(earlier, earlier), sample_of(later, earlier)


def sample_of(contacts: pd.DataFrame, known: pd.DataFrame) -> Sample:
    """`y` is the pseudo-outcome about the response that `known` contacts make one expect of the
    offer: of a later sample, contacts before it."""
    from ml.response.model import OFFER
    from ml.response.uplift import pseudo_outcome

    frame = contacts.reset_index(drop=True)
    y = frame["responded"].to_numpy(dtype=float)
    treatment = (frame["arm"] == "treatment").to_numpy(dtype=int)
    probability = frame["assignment_probability"].to_numpy(dtype=float)
    expected = (
        frame[OFFER]
        .map(known.groupby(OFFER)["responded"].mean())
        .fillna(known["responded"].mean())
        .to_numpy(dtype=float)
    )
    frame.insert(1, "cutoff", frame["contacted_on"].dt.to_period("M").dt.to_timestamp())
    return Sample(
        frame,
        pseudo_outcome(y, treatment, probability, expected),
        frame[["contact_id"]],
        Arms(y, treatment, probability),
    )


UPLIFT = Declaration(
    name="uplift",
    description="what a contact adds to the probability of taking an offer",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Uplift",
    scores="offer",
    reads=CONTACTS,
    columns=(
        Column(
            "uplift",
            "double",
            "what a contact adds to the probability of taking the offer, at most `p_response`",
        ),
    ),
    study=uplift_study,
    gate=(uplift_judge("uplift"),),
)

"""`response`: which contacted customers take an offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.suites.offer_scores import response_judge
from orchestration.models.declaration import CONTACTS, Column, Declaration
from orchestration.models.study import Learner, Material, Off, Sample, Split, Study

if TYPE_CHECKING:
    import pandas as pd

    from ml.response.model import OfferBaseRate, ResponseModel
    from orchestration.models.records import Records

LEAST_CONTACTS, LEAST_RESPONSES = 400, 40
EVALUATED_SHARE = 0.25

PURPOSE = (
    "Probability that a customer takes an offer within 60 days, when contacted. What contact "
    "changes is not in it: that is uplift."
)
LIMITS = ("learned from those whom campaigns chose: others may answer otherwise",)


def response_study(records: Records) -> Study | Off:
    """Boosting and regression by offer, calibrated in time, against the offer's base rate."""
    from ml.registry import listed
    from ml.response.model import FORMAT, OFFER, OFFER_LINE
    from orchestration.models.contact_frames import CONTEXT, contact_frame
    from orchestration.models.studies.measures import PROBABILITY_MEASURES

    contacts = contact_frame(records.connection, records.context.first_month)
    if contacts.empty:
        return Off("response", "this source has no campaign whose responses are in")
    responses = int(contacts["responded"].sum())
    border = evaluation_border(contacts)
    if len(contacts) < LEAST_CONTACTS or responses < LEAST_RESPONSES or border is None:
        return Off(
            "response",
            f"too few matured contacts: {len(contacts)} with {responses} responses; "
            f"{LEAST_CONTACTS} with {LEAST_RESPONSES} are needed, over several campaigns",
        )
    begins = border

    def material() -> Material:
        is_later = contacts["contacted_on"] >= begins
        is_earlier = contacts["matured_on"] < begins
        return Material(
            splits=(Split(_sample(contacts[is_earlier]), _sample(contacts[is_later])),),
            refit=_sample(contacts),
            scored=None,
            parameters={"evaluated_from": str(begins.date()), "responses": responses},
        )

    return Study(
        name="response",
        purpose=PURPOSE,
        horizon=None,
        wanted={
            "source": records.context.source,
            "format": FORMAT,
            "features": listed([*records.features, OFFER, OFFER_LINE, *CONTEXT]),
        },
        read=material,
        newest=lambda: _sample(contacts[contacts["contacted_on"] >= begins]),
        learners=(Learner("ensemble_by_offer", ensemble_by_offer),),
        rule=Learner("base_rate_of_offer", base_rate_of_offer),
        measures=PROBABILITY_MEASURES,
        deciding="log_score",
        kind="probability",
        unit="probability",
        feeds_money=True,
        limits=LIMITS,
    )


def ensemble_by_offer(sample: Sample, seed: int) -> ResponseModel:
    """Fitted on contacts in the order of their dates, oldest first."""
    from ml.response.model import ResponseModel

    return ResponseModel(seed=seed).fit(sample.features, sample.y)


def base_rate_of_offer(sample: Sample, seed: int) -> OfferBaseRate:
    """The rule is deterministic: the seed is not used."""
    from ml.response.model import OfferBaseRate

    return OfferBaseRate().fit(sample.features, sample.y)


def _sample(contacts: pd.DataFrame) -> Sample:
    frame = contacts.reset_index(drop=True)
    frame.insert(1, "cutoff", frame["contacted_on"].dt.to_period("M").dt.to_timestamp())
    return Sample(frame, frame["responded"].to_numpy(dtype=float), frame[["contact_id"]])


def evaluation_border(contacts: pd.DataFrame) -> pd.Timestamp | None:
    """The day from which contacts evaluate: the newest quarter, in whole months, with enough of
    both kinds on either side; None where there is no such day."""
    months = contacts["contacted_on"].dt.to_period("M")
    for month in sorted(months.unique(), reverse=True):
        border = month.to_timestamp()
        later = contacts[contacts["contacted_on"] >= border]
        earlier = contacts[contacts["matured_on"] < border]
        if len(later) < EVALUATED_SHARE * len(contacts) or later["responded"].sum() < 10:
            continue
        # The newest part of the earlier contacts calibrates: it needs responses too.
        return border if earlier["responded"].sum() >= LEAST_RESPONSES / 2 else None
    return None


RESPONSE = Declaration(
    name="response",
    description="calibrated probability of response to an offer, when contacted",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Response",
    scores="offer",
    reads=CONTACTS,
    columns=(
        Column(
            "p_response",
            "double",
            "probability that the customer takes the offer within 60 days, when contacted",
        ),
    ),
    study=response_study,
    gate=(response_judge,),
)

"""`product_value`: what a product brings in the first twelve months after it was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expectations.suites.offer_scores import product_value_judge
from orchestration.models.declaration import Column, Declaration
from orchestration.models.study import Learner, Material, Off, Sample, Split, Study

if TYPE_CHECKING:
    import pandas as pd

    from orchestration.models.records import Records

LEAST_LEARNED, LEAST_JUDGED = 100, 50
EVALUATED_SHARE = 0.25
KEYS = ["account_id", "opened_on", "matured_on", "brought"]

PURPOSE = (
    "Contribution margin before expected loss that a product brings in the first {0} months after "
    "a customer took it. For weighing offers against each other, not for judging a customer."
)
LIMITS = ("learned from those who took the product: others may bring less",)


def product_value_study(records: Records) -> Study | Off:
    """Log-linear in the sizes of the customer against the product's mean."""
    from ml.registry import listed
    from ml.response.model import OFFER
    from ml.response.product_value import FORMAT, LINE, ProductMeanValue, ProductValueModel
    from orchestration.models.account_openings import FIRST_MONTHS, opening_frame
    from orchestration.models.studies.measures import VALUE_MEASURES

    openings = opening_frame(records.connection, records.context.first_month)
    border, earlier, later = evaluation_border(openings)
    if border is None or earlier < LEAST_LEARNED:
        return Off("product_value", too_few(len(openings), earlier, later))
    begins = border

    def material() -> Material:
        is_later = openings["opened_on"] >= begins
        is_earlier = openings["matured_on"] <= begins
        return Material(
            splits=(Split(_sample(openings[is_earlier]), _sample(openings[is_later])),),
            refit=_sample(openings),
            scored=None,
            parameters={"evaluated_from": str(begins.date())},
        )

    def log_linear(sample: Sample, seed: int) -> Any:
        return ProductValueModel(seed=seed).fit(sample.features, sample.y)

    def mean_of_product(sample: Sample, seed: int) -> Any:
        return ProductMeanValue().fit(sample.features, sample.y)

    return Study(
        name="product_value",
        purpose=PURPOSE.format(FIRST_MONTHS),
        horizon=FIRST_MONTHS,
        wanted={
            "source": records.context.source,
            "format": FORMAT,
            "features": listed([*records.features, OFFER, LINE]),
        },
        read=material,
        newest=lambda: _sample(openings[openings["opened_on"] >= begins]),
        learners=(Learner("log_linear", log_linear),),
        rule=Learner("mean_of_product", mean_of_product),
        measures=VALUE_MEASURES,
        deciding="gini",
        kind="value",
        unit="currency units",
        feeds_money=True,
        limits=LIMITS,
    )


def _sample(openings: pd.DataFrame) -> Sample:
    frame = openings.reset_index(drop=True)
    y = frame["brought"].to_numpy(dtype=float)
    keys = frame[["account_id"]]
    cutoff = frame["opened_on"].dt.to_period("M").dt.to_timestamp()
    frame = frame.drop(columns=KEYS)
    frame.insert(1, "cutoff", cutoff)
    return Sample(frame, y, keys)


def too_few(openings: int, earlier: int, later: int) -> str:
    """Why no model is learned: how many openings there are of either part, and are needed."""
    from orchestration.models.account_openings import FIRST_MONTHS

    return (
        f"too few accounts whose first {FIRST_MONTHS} months are over: {openings}; "
        f"those over before the latest {later} were opened: {earlier}; "
        f"{LEAST_LEARNED} such accounts and {LEAST_JUDGED} later ones are needed"
    )


def evaluation_border(openings: pd.DataFrame) -> tuple[pd.Timestamp | None, int, int]:
    """The day from which openings evaluate: the newest quarter, in whole months, `LEAST_JUDGED` at
    least; with the openings that were over by then, and those since. Without a day none were over,
    and all are too few."""
    months = openings["opened_on"].dt.to_period("M")
    for month in sorted(months.unique(), reverse=True):
        border = month.to_timestamp()
        later = int((openings["opened_on"] >= border).sum())
        if later >= max(LEAST_JUDGED, EVALUATED_SHARE * len(openings)):
            return border, int((openings["matured_on"] <= border).sum()), later
    return None, 0, len(openings)


PRODUCT_VALUE = Declaration(
    name="product_value",
    description="what a product brings in the year after it was taken",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Product value",
    scores="offer",
    reads=(
        *("features.customer_month", "outcomes.account_opening", "base.customer"),
        "value.product_parameter",
    ),
    columns=(
        Column(
            "product_value",
            "decimal(18, 2)",
            "contribution margin before expected loss that the product brings in its first twelve"
            " months, in currency units",
        ),
    ),
    study=product_value_study,
    # An average offer that brings more or less than this in a year is a mistake of units.
    gate=(product_value_judge("product_value", most_mean_value=1_000_000.0),),
)

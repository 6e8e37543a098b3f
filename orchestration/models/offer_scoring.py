"""Scores every customer and offer with three champions, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.reasons import RAISES
from ml.response.model import OFFER, OFFER_LINE
from ml.serving import scores
from orchestration.models.contact_frames import CONTEXT, offers_to_score
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON
from orchestration.models.datasets import EVERYBODY, customers_sampled, customers_to_score
from orchestration.models.declaration import CUSTOMER_ID, Column, Table, version_of
from orchestration.models.like_customers import LikeCustomers
from orchestration.models.own_process import side_by_side
from orchestration.models.scoring import BATCH, Champion, champion_of
from orchestration.models.studies import OF_OFFERS, RESPONSE, UPLIFT
from orchestration.platform.tables import append_rows, write_table

TABLE = "scores.offer"
REASONS = 2
OF_OFFER = (OFFER, OFFER_LINE, *CONTEXT)

OFFER_TABLE = Table(
    "offer",
    "probability of response, uplift and value by customer and offer",
    (
        CUSTOMER_ID,
        Column("product_id", "varchar", "product that is offered"),
        *(column for one in OF_OFFERS for column in one.scored_columns),
        Column(
            "expected_loss",
            "decimal(18, 2)",
            "exposure of a new account times probability of default and loss given default",
        ),
        Column(
            "expected_incremental_profit",
            "decimal(18, 2)",
            "uplift times product value less expected loss, less the incentive of responses",
        ),
        Column("reason", "varchar", "what raises the uplift most above that of like customers"),
    ),
    ("customer_id", "product_id"),
)

COLD = "select product_id from value.offer where campaigns = 0 order by product_id"

# What a taken product may lose: the mean exposure of a new account, at the customer's own
# probability of default where there is one.
LOSS = """
    update scores.offer as score
    set expected_loss = round(
        offer.exposure::double
        * coalesce(risk.p_default, offer.probability_of_default::double)
        * offer.loss_given_default::double,
        2
    )
    from value.offer as offer
    cross join base.customer as customer
    left join scores."default" as risk on risk.customer_id = customer.customer_id
    where offer.product_id = score.product_id and customer.customer_id = score.customer_id
"""

# Before the cost of the contact, which the channel decides. The incentive goes to all who respond.
PROFIT = """
    update scores.offer as score
    set expected_incremental_profit = round(
        score.uplift * (score.product_value - score.expected_loss)::double
        - score.p_response * offer.incentive_cost::double,
        2
    )
    from value.offer as offer
    where offer.product_id = score.product_id and score.uplift is not null
        and score.product_value is not null
"""


def score_offers(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `scores.offer` from the champions and the probabilities of default; returns the rows.

    Offers are the products that a campaign has offered, and those of `value.offer` that none has
    yet. Empty where the response model is off; without the model of uplift or of product value
    there is no expected profit.

    Raises
    ------
    ml.registry.ChampionUnusable
        When a champion cannot be loaded; the table is then not written.
    """
    registry = context.registry()
    champions = {
        one.name: champion
        for one in OF_OFFERS
        if (champion := champion_of(connection, registry, one.name)) is not None
    }
    asked = pd.DataFrame()
    if RESPONSE.name in champions:
        asked = offers_to_score(connection, offers_without_campaign(connection))
    write_table(connection, TABLE, None)
    offers = asked.to_dict("records")
    if offers:
        sample = customers_sampled(connection, context.as_of_month, LONG_HORIZON, EVERYBODY)
        like = _like_customers(champions.get(UPLIFT.name), sample, offers)
        frames = customers_to_score(connection, context.as_of_month, LONG_HORIZON, BATCH)
        for _, batch in side_by_side(OfferScorer(champions, like, offers), frames):
            for scored in batch:
                append_rows(connection, TABLE, scored)
        connection.execute(LOSS)
        connection.execute(PROFIT)
    ((rows,),) = connection.execute("select count(*) from scores.offer").fetchall()
    return int(rows)


def offers_without_campaign(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Products with a rule of their own that no campaign has offered yet."""
    return [product for (product,) in connection.execute(COLD).fetchall()]


def _beside(frame: pd.DataFrame, known: Mapping[Any, Any]) -> pd.DataFrame:
    """Customers and one offer, described by `known`."""
    return pd.concat([frame, pd.DataFrame(dict(known), index=frame.index)], axis=1)


@dataclass(frozen=True)
class OfferScorer:
    """Rows of `scores.offer` of the customers in a frame, offer by offer."""

    champions: Mapping[str, Champion]
    like: Mapping[str, LikeCustomers]
    offers: Sequence[Mapping[Any, Any]]

    def __call__(self, frame: pd.DataFrame) -> list[pd.DataFrame]:
        return [self._scored(frame, known) for known in self.offers]

    def _scored(self, frame: pd.DataFrame, known: Mapping[Any, Any]) -> pd.DataFrame:
        both = _beside(frame, known)
        scored = pd.DataFrame({"customer_id": frame["customer_id"], "product_id": known[OFFER]})
        for name, champion in self.champions.items():
            found = scores(name, champion.model, both)
            both[found.columns] = scored[found.columns] = found
            scored[version_of(name).name] = champion.number
        if known[OFFER] in self.like:
            like = self.like[known[OFFER]]
            scored["reason"] = _reasons(self.champions[UPLIFT.name], like, both)
        return scored.reindex(columns=[column.name for column in OFFER_TABLE.columns])


def _like_customers(
    champion: Champion | None, sample: pd.DataFrame, offers: Sequence[Mapping[Any, Any]]
) -> dict[str, LikeCustomers]:
    """Whom customers are compared with, by offer; none where the champion explains nothing."""
    found: dict[str, LikeCustomers] = {}
    if champion is None or not hasattr(champion.model, "contributions") or sample.empty:
        return found
    like: LikeCustomers | None = None
    for known in offers:
        both = _beside(sample, known)
        moved, names = _moved(champion, both)
        if names:
            # What is usual of them is the same for every offer.
            like = like.moved_by(moved) if like else LikeCustomers(both, both, moved, names)
            found[known[OFFER]] = like
    return found


def _moved(champion: Champion, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Contributions of what differs between customers: what describes the offer or the market is
    the same in all these rows."""
    moved, names = champion.model.contributions(frame)
    kept = [place for place, name in enumerate(names) if name not in OF_OFFER]
    return moved[:, kept], [names[place] for place in kept]


def _reasons(champion: Champion, like: LikeCustomers, frame: pd.DataFrame) -> np.ndarray:
    """The features that raise each customer's uplift most, as `reason_texts` writes them; none
    where no feature does."""
    reasons = like.reasons(frame, frame, _moved(champion, frame)[0], REASONS)
    reasons = reasons[reasons["direction"] == RAISES]
    rows, texts = reasons["row"].to_numpy(), reason_texts(reasons).to_numpy(dtype=object)
    found = np.full(len(frame), None, dtype=object)
    # Rows are in the order of their ranks: the first reason of each, then the one that follows it.
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    found[rows[first]] = texts[first]
    found[rows[~first]] += "; " + texts[~first]
    return found


def reason_texts(reasons: pd.DataFrame) -> pd.Series:
    """Reasons as the tables hold them; `alerts.credit` writes the same.

    `income_3m 0 (usual 900 of customers of the same tier, before 600)`
    """
    value, usual = (reasons[name].replace("", "none") for name in ("value", "usual"))
    before = (", before " + reasons["before"]).where(reasons["before"] != "", "")
    whose = usual + " of " + reasons["usual_of"]
    return reasons["feature"] + " " + value + " (usual " + whose + before + ")"

"""What worked, by customer group, offer and channel: the rows of `campaigns.playbook`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from ml.evaluation.experiment import Effect, Strata, measure, pool_small_strata, score_p_value
from ml.evaluation.meta_analysis import LEVEL, holm, shrunken
from orchestration.campaigns.sums import NO_SUMS, Sums, rows_of, sums_by

RESPONSE, PROFIT = "response", "profit"
KEYS = ("campaign_id", "customer_group", "outcome")
# Fewer customers in an arm have no effect shown, fewer in all not even their number.
LEAST_OF_ARM, LEAST_SHOWN = 50, 20
COUNTS = ("treated", "control", "profit_treated", "profit_control", "other_contacts")
WORKS, HARMS, OPEN, FEW, RATES = "works", "harms", "open", "few", "rates only"
UNRECORDED = (
    "no response of a control was delivered: were they not recorded, the effect is too high"
)


@dataclass(frozen=True)
class Cell:
    """Contacts of one customer group, offer and channel: the sums of all its campaigns.

    `randomised` has the strata in which either arm was possible and known, of campaigns whose arms
    have the sizes assigned; `other` the rest.
    """

    campaigns: tuple[dict[str, Any], ...]
    randomised: dict[str, Sums]
    other: Strata


def rows(
    connection: duckdb.DuckDBPyConnection, mismatched: Collection[str]
) -> list[dict[str, Any]]:
    """A row for each customer group, offer and channel with a contact whose window is over.

    Parameters
    ----------
    mismatched : campaigns whose arms are not of the sizes assigned; they have no effect
    """
    found = _cells(connection, mismatched)
    made = {key: _row(key, cell) for key, cell in found.items()}
    tested = [key for key, row in made.items() if row["p_value"] is not None]
    p_values = holm(np.array([made[key]["p_value"] for key in tested]))
    for key, adjusted in zip(tested, p_values, strict=True):
        row = made[key]
        row["p_adjusted"] = float(adjusted)
        if adjusted < 1 - LEVEL:
            row["verdict"] = WORKS if row["effect"] > 0 else HARMS
    # The mean of an offer and channel is that of its groups: all customers are not one more.
    groups = [key for key in tested if key[0] != "all" and made[key]["variance"] > 0]
    pooled = shrunken(
        np.array([made[key]["effect"] for key in groups]),
        np.array([made[key]["variance"] for key in groups]),
        np.array(["/".join(key[1:]) for key in groups]),
    )
    for key, interval in zip(groups, pooled, strict=True):
        made[key] |= {
            "pooled_effect": interval.value,
            "pooled_low": interval.low,
            "pooled_high": interval.high,
        }
    return [
        {name: value for name, value in row.items() if name != "variance"} for row in made.values()
    ]


def _cells(
    connection: duckdb.DuckDBPyConnection, mismatched: Collection[str]
) -> dict[tuple[str, str, str], Cell]:
    campaigns = {
        row["campaign_id"]: row
        for row in rows_of(connection, "campaigns.campaign", ("first_contact", "campaign_id"))
    }
    of_cell = defaultdict(list)
    for (campaign_id, group, outcome), sums in sums_by(
        connection, "campaigns.playbook_sum", KEYS
    ).items():
        campaign = campaigns[campaign_id]
        key = (group, campaign["product_id"], campaign["channel"] or "(none)")
        of_cell[key].append((campaign, outcome, sums))
    return {key: _cell(of_cell[key], mismatched) for key in sorted(of_cell)}


def _cell(parts: Iterable[tuple[dict[str, Any], str, Sums]], mismatched: Collection[str]) -> Cell:
    campaigns: dict[str, dict[str, Any]] = {}
    randomised = {RESPONSE: NO_SUMS, PROFIT: NO_SUMS}
    other = NO_SUMS.of_all
    for campaign, outcome, sums in parts:
        known, rest = sums.by_certainty()
        if campaign["campaign_id"] in mismatched:
            known, rest = NO_SUMS, sums
        randomised[outcome] = randomised[outcome].beside(known)
        if outcome == RESPONSE:
            other = other.beside(rest.of_all)
            if len(known.of_all.sums):
                campaigns[campaign["campaign_id"]] = campaign
    return Cell(tuple(campaigns.values()), randomised, other)


def _row(key: tuple[str, str, str], cell: Cell) -> dict[str, Any]:
    group, product_id, channel = key
    responses = cell.randomised[RESPONSE]
    treated, control = (int(count) for count in responses.of_all.counts.sum(axis=0))
    others, other_rate = _treated(cell.other)
    is_enough = min(treated, control) >= LEAST_OF_ARM
    plain = measure(responses.of_all, has_covariate=False).plain
    p_value = score_p_value(pool_small_strata(responses.of_all)[0]) if is_enough else None
    if p_value is not None and np.isnan(p_value):
        p_value = 1.0
    verdict = OPEN if is_enough else FEW if treated + control else RATES
    return {
        "customer_group": group,
        "product_id": product_id,
        "channel": channel,
        "campaigns": len(cell.campaigns),
        **_counts(treated, control, "treated", "control"),
        **_shown(
            is_enough,
            {
                "treated_rate": plain.treated_mean,
                "control_rate": plain.control_mean,
                "effect": plain.value,
                "effect_low": plain.low,
                "effect_high": plain.high,
            },
        ),
        "variance": plain.variance,
        "p_value": p_value,
        "p_adjusted": None,
        "pooled_effect": None,
        "pooled_low": None,
        "pooled_high": None,
        "verdict": verdict,
        **_profit(cell.randomised[PROFIT]),
        "other_contacts": others if others >= LEAST_SHOWN else None,
        "other_rate": other_rate if others >= LEAST_OF_ARM else None,
        "note": UNRECORDED if any(map(_is_unrecorded, cell.campaigns)) else None,
    }


def _counts(treated: int, control: int, *names: str) -> dict[str, int | None]:
    is_shown = treated + control >= LEAST_SHOWN or not treated + control
    return dict(zip(names, (treated, control) if is_shown else (None, None), strict=True))


def _shown(is_enough: bool, figures: dict[str, float]) -> dict[str, float | None]:
    return {name: value if is_enough else None for name, value in figures.items()}


def _profit(sums: Sums) -> dict[str, Any]:
    """Incremental profit a contact: the effect on the treated, costs subtracted from their outcome,
    the covariate's noise taken out where all campaigns have one."""
    found = measure(sums.of_all, treated_strata=sums.of_treated, has_covariate=sums.has_covariate)
    best: Effect = found.adjusted_of_treated
    if not np.isfinite(best.variance):
        best = found.of_treated
    is_enough = min(found.treated, found.control) >= LEAST_OF_ARM
    return {
        **_counts(found.treated, found.control, "profit_treated", "profit_control"),
        **_shown(
            is_enough,
            {
                "profit_per_contact": best.value,
                "profit_low": best.low,
                "profit_high": best.high,
            },
        ),
    }


def _treated(strata: Strata) -> tuple[int, float | None]:
    """Treated customers outside the effect, and their share of responses, strata by size."""
    n, w, wy = strata.sums[:, 0, :3].T
    treated = int(n.sum())
    return treated, float((n * wy / np.where(w > 0, w, 1)).sum()) / treated if treated else None


def _is_unrecorded(campaign: dict[str, Any]) -> bool:
    return bool(campaign["recorded_treated"]) and not campaign["recorded_control"]

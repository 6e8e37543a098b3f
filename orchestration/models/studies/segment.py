"""`segment`: customers who are alike in value, behaviour and stage of life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ml.promotion import Measure
from ml.segments.comparison import explained_share
from ml.segments.model import FORMAT, RuleTiering, SegmentModel
from orchestration.models.datasets import HOLDERS, Cohorts
from orchestration.models.records import TOO_SHORT, Records
from orchestration.models.study import Judged, Learner, Material, Off, Sample, Study

# What a segmentation should tell customers apart by, of the time after it.
LATER = ("contribution", "bookings", "inflow", "balance", "accounts")
# Labels of one outcome must not be taken for those of another when all are judged together.
APART = 1_000


def _explained(y: np.ndarray, labels: np.ndarray) -> float:
    return explained_share(y, labels).epsilon_squared


def segment_study(records: Records, previous: Callable[[], Any]) -> Study | Off:
    """Clusters against tiers of value by stage of life; `previous` is the model whose ids last."""
    if records.plan is None:
        return Off("segment", TOO_SHORT)

    def clusters(sample: Sample, seed: int) -> Any:
        newest = sample.features[sample.cutoffs == sample.cutoffs[-1]]
        before = previous()
        return SegmentModel(seed=seed).fit(
            newest, before if isinstance(before, SegmentModel) else None
        )

    def tiers(sample: Sample, seed: int) -> Any:
        return RuleTiering().fit(sample.features[sample.cutoffs == sample.cutoffs[-1]])

    return Study(
        name="segment",
        purpose=(
            "Groups of customers alike in value, behaviour and stage of life, for positioning "
            "products and for talking to customers as what they are; not for deciding on one."
        ),
        horizon=None,
        wanted=records.wanted(FORMAT),
        read=lambda: _material(records),
        newest=lambda: records.newest(_nothing, HOLDERS),
        learners=(Learner("clusters", clusters),),
        rule=Learner("tier_by_stage_of_life", tiers),
        measures=(Measure("explained_share", _explained, "higher"),),
        deciding="explained_share",
        kind="label",
        unit="share",
        limits=(
            "borders between segments are drawn through a continuum: neighbours are alike",
            "what is explained is the mean over contribution, bookings, inflow, balance and "
            "accounts of the time after, by rank",
        ),
        note=records.horizon_note,
        judged=_told_apart,
    )


def _material(records: Records) -> Material:
    """No outcome is learned from: what scores is fitted on the customers of now."""
    past = records.material(lambda cohorts: np.zeros(len(cohorts.frame)), population=HOLDERS)
    now = records.as_of(HOLDERS)
    if now is None:
        return past
    frame = now.copy()
    frame.insert(1, "cutoff", pd.Timestamp(records.context.as_of_month))
    refit = Sample(frame, np.zeros(len(frame)), pd.DataFrame(index=frame.index))
    return Material(past.splits, refit, now, past.parameters)


def _nothing(cohorts: Cohorts) -> np.ndarray:
    return np.zeros(len(cohorts.frame))


def _told_apart(model: Any, sample: Sample) -> Judged:
    """Ranks of what came after, one outcome below the other, beside the segments at the cut-off."""
    labels = np.unique(model.predict(sample.features), return_inverse=True)[1]
    ranked = []
    for name in LATER:
        rank = rankdata(sample.outcome[name].to_numpy(dtype=float))
        ranked.append((rank - rank.mean()) / (rank.std() or 1.0))
    return (
        np.concatenate(ranked),
        np.concatenate([labels + APART * number for number in range(len(LATER))]).astype(float),
        np.tile(sample.customers, len(LATER)),
    )

"""`segment`: customers who are alike in value, behaviour and stage of life."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from expectations.suites.customer_scores import segment_judge
from orchestration.models.cutoffs import TOO_SHORT
from orchestration.models.declaration import COHORTS, Column, Declaration, Table
from orchestration.models.study import Judged, Learner, Material, Off, Sample, Study

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd

    from orchestration.models.context import TrainingContext
    from orchestration.models.datasets import Cohorts
    from orchestration.models.records import Records
    from orchestration.models.scoring import Champion

# Later outcomes in which the segments should differ.
LATER = ("contribution", "bookings", "inflow", "balance", "accounts")
# Labels of one outcome must not be taken for those of another when all are judged together.
APART = 1_000


def _explained(y: np.ndarray, labels: np.ndarray) -> float:
    from ml.segments.comparison import epsilon_squared

    return epsilon_squared(y, labels)


PURPOSE = (
    "Groups of customers alike in value, behaviour and stage of life, for positioning products and "
    "for talking to customers as what they are; not for deciding on one."
)
LIMITS = (
    "borders between segments are drawn through a continuum: neighbours are alike",
    "what is explained is the mean over contribution, bookings, inflow, balance and "
    "accounts of the time after, by rank",
)


def segment_study(records: Records) -> Study | Off:
    """Clusters against tiers of value by stage of life; the champion's ids and names go on."""
    from ml.promotion import Measure
    from ml.segments.model import FORMAT, RuleTiering, SegmentModel
    from orchestration.models.datasets import HOLDERS

    if records.plan is None:
        return Off("segment", TOO_SHORT)

    def clusters(sample: Sample, seed: int) -> Any:
        newest = sample.features[sample.cutoffs == sample.cutoffs[-1]]
        before = _champion_before(records)
        return SegmentModel(seed=seed).fit(
            newest, before if isinstance(before, SegmentModel) else None
        )

    def tiers(sample: Sample, seed: int) -> Any:
        return RuleTiering().fit(sample.features[sample.cutoffs == sample.cutoffs[-1]])

    return Study(
        name="segment",
        purpose=PURPOSE,
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
        limits=LIMITS,
        note=records.horizon_note,
        judged=_judge_separation,
    )


def _champion_before(records: Records) -> Any:
    """The champion whose segments' ids and names go on; None where there is none to read."""
    from ml.registry import ChampionUnusable

    registry = records.context.registry()
    champion = registry.champion("segment")
    if champion is None or champion.tags.get("source") != records.context.source:
        return None
    try:
        return registry.load(champion)
    except ChampionUnusable:
        return None


def _material(records: Records) -> Material:
    """No outcome is learned from: what scores is fitted on the customers of now."""
    import numpy as np
    import pandas as pd

    from orchestration.models.datasets import HOLDERS

    past = records.material(lambda cohorts: np.zeros(len(cohorts.frame)), population=HOLDERS)
    now = records.as_of(HOLDERS)
    if now is None:
        return past
    frame = now.copy()
    frame.insert(1, "cutoff", pd.Timestamp(records.context.as_of_month))
    refit = Sample(frame, np.zeros(len(frame)), pd.DataFrame(index=frame.index))
    return Material(past.splits, refit, now, past.parameters)


def _nothing(cohorts: Cohorts) -> np.ndarray:
    import numpy as np

    return np.zeros(len(cohorts.frame))


def _judge_separation(model: Any, sample: Sample) -> Judged:
    """Ranks of the later outcomes, concatenated, with the segments at the cut-off."""
    import numpy as np
    from scipy.stats import rankdata

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


def _tiers(records: Records) -> Callable[[pd.DataFrame, np.ndarray], Mapping[str, Any]]:
    """The tiers by rule, shown beside the segments, with borders from today's customers."""
    from ml.segments.model import RuleTiering
    from orchestration.models.datasets import HOLDERS, features_of

    now = records.as_of(HOLDERS)
    if now is None or now.empty:
        return lambda frame, places: {}
    tiers = RuleTiering().fit(features_of(now))

    def rule(frame: pd.DataFrame, places: np.ndarray) -> Mapping[str, Any]:
        return {"segment_rule": tiers.predict(features_of(frame.iloc[places]))}

    return rule


def _profile_and_migration(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    champion: Champion,
    horizon: int,
) -> None:
    from orchestration.platform.tables import write_table

    write_table(connection, "scores.segment_profile", segment_profile(champion.model))
    _migrate(connection, context, champion.model, horizon)


def segment_profile(model: Any) -> pd.DataFrame | None:
    """Rows of `scores.segment_profile`; None for the rule, whose labels are its description."""
    import pandas as pd

    from ml.segments.model import SegmentModel

    if not isinstance(model, SegmentModel):
        return None
    profile = model.profile_
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "segment": profile["segment"],
                    "segment_name": profile["name"],
                    "customers": profile["customers"],
                    "share": profile["share"],
                    "dimension": dimension,
                    "mean": profile[f"{dimension}_mean"],
                    "median": profile[f"{dimension}_median"],
                    "population_mean": profile[f"{dimension}_population_mean"],
                    "population_median": profile[f"{dimension}_population_median"],
                    "deviation": profile[f"{dimension}_deviation"],
                }
            )
            for dimension in model.dimensions_
        ],
        ignore_index=True,
    )


def _migrate(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext, model: Any, horizon: int
) -> None:
    """Segments of one horizon ago, by the same model, against those of now; in the engine."""
    import pandas as pd

    from orchestration.models.datasets import HOLDERS, customers_to_score, features_of
    from orchestration.models.scoring import BATCH
    from orchestration.platform.tables import write_table

    before = connection.execute(
        "select max(month) from features.customer_month "
        f"where month <= ?::date - to_months({horizon})",
        [context.as_of_month],
    ).fetchall()[0][0]
    if before is None:
        return
    earlier = [
        pd.DataFrame(
            {
                "customer_id": frame["customer_id"],
                "segment": model.predict(features_of(frame)),
            }
        )
        for frame in customers_to_score(connection, before, horizon, BATCH, HOLDERS)
    ]
    empty = pd.DataFrame({"customer_id": [], "segment": []}, dtype="str")
    connection.register("segment_before", pd.concat([empty, *earlier]))
    moved = connection.execute(
        """
        with move as (
            select
                coalesce(earlier.segment, 'new') as from_segment,
                coalesce(later.segment, 'left') as to_segment,
                count(*) as customers
            from segment_before as earlier
            full join scores.segment as later using (customer_id)
            where customer_id in (from outcomes.customer_sample)
            group by all
        )
        select
            $before as from_month,
            $now as to_month,
            from_segment,
            to_segment,
            customers,
            customers / sum(customers) over (partition by from_segment) as share
        from move
        order by from_segment, to_segment
        """,
        {"before": before, "now": context.as_of_month},
    ).df()
    connection.unregister("segment_before")
    write_table(connection, "scores.segment_migration", moved)


SEGMENT = Declaration(
    name="segment",
    description="customers alike in value, behaviour and stage of life",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Segment: what puts the customer there",
    scores="customer",
    reads=COHORTS,
    columns=(
        Column("segment", "varchar", "id of the segment; it lasts when the model is trained anew"),
        Column("segment_name", "varchar", "the segment in words"),
        Column("segment_rule", "varchar", "value tier by stage of life, the rule beside the model"),
    ),
    study=segment_study,
    gate=(segment_judge("segment", fewest=2, most=20, largest_share=0.8),),
    population="holders",
    beside=_tiers,
    tables=(
        Table(
            "segment_profile",
            "each segment beside all customers, in each dimension that they are compared by",
            (
                Column("segment", "varchar", "id of the segment"),
                Column("segment_name", "varchar", "the segment in words"),
                Column("customers", "integer", "customers that the model learned from"),
                Column("share", "double", "their share of all of them"),
                Column("dimension", "varchar", "what customers are compared by"),
                Column("mean", "double", "mean of the segment"),
                Column("median", "double", "median of the segment"),
                Column("population_mean", "double", "mean of all customers"),
                Column("population_median", "double", "median of all customers"),
                Column("deviation", "double", "distance from all customers, in deviations"),
            ),
            ("segment", "dimension"),
        ),
        Table(
            "segment_migration",
            "customers of the sample who moved between segments within a horizon",
            (
                Column("from_month", "date", "one horizon before the as-of month"),
                Column("to_month", "date", "the as-of month"),
                Column("from_segment", "varchar", "segment then; `new` for new customers"),
                Column("to_segment", "varchar", "segment now; `left` for those who left"),
                Column("customers", "integer", "customers who moved"),
                Column("share", "double", "their share of the earlier segment"),
            ),
            ("from_segment", "to_segment"),
        ),
    ),
    afterwards=_profile_and_migration,
    is_grouping=True,
)

"""The part of G3 that checks the features that models are built on."""

from __future__ import annotations

import duckdb

from expectations.rules import (
    AS_OF,
    PERSONAL,
    PRESENT,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)

# Columns that identify a person, or describe one without describing the banking.
BARRED_FEATURES = (
    "sex",
    "full_name",
    "phone",
    "email",
    "national_id",
    "birth_date",
)
MOST_EMPTIED = 0.25
LONGEST_WINDOW, MOST_CUTOFFS = 12, 4
LEAST_COVERAGE = 0.5

FEATURE_MONTH = """
    with
    feature as (
        select
            month,
            count(*) as rows,
            count(*) - count(distinct customer_id) as duplicate_customers
        from features.customer_month
        group by month
    ),
    spine as (
        select month, count(*) as customers from features.spine group by month
    )
    select
        coalesce(feature.month, spine.month) as month,
        coalesce(feature.rows, 0) as rows,
        coalesce(spine.customers, 0) as customers,
        coalesce(feature.rows, 0) - coalesce(spine.customers, 0) as difference,
        coalesce(feature.duplicate_customers, 0) as duplicate_customers,
        (
            coalesce(feature.month, spine.month)
            > (select max(as_of) from landing.refresh_window)
        )::integer as after_as_of
    from feature
    full join spine on spine.month = feature.month
    order by month
"""


def _feature_column_sql(connection: duckdb.DuckDBPyConnection) -> str:
    columns = connection.execute(
        """
        select column_name, data_type from information_schema.columns
        where table_schema = 'features' and table_name = 'customer_month'
          and column_name not in ('customer_id', 'month')
        order by ordinal_position
        """
    ).fetchall()
    # One row of aggregates, then a list of its figures: a union of as many branches as there are
    # features took 14 s to plan for 198. The newest month is a scan of its own: an aggregate with a
    # filter takes twenty times as long as one without.
    every, newest, listed = [], [], []
    for place, (name, kind) in enumerate(columns):
        quoted = f'"{name}"'
        infinite = (
            f"coalesce(count_if(not isfinite({quoted})), 0)" if kind in ("DOUBLE", "FLOAT") else "0"
        )
        newest.append(f"count({quoted}) as latest_filled_{place}")
        every.append(
            f"count({quoted}) as filled_{place},"
            f"{infinite} as infinite_{place},"
            # Comparing two values is enough to find a constant column.
            f"(min({quoted}) <> max({quoted}))::integer as varies_{place}"
        )
        listed.append(
            f"{{'column_name': '{name}', 'data_type': '{kind}',"
            f" 'null_share': 1 - filled_{place} / rows,"
            f" 'latest_null_share': 1 - latest_filled_{place} / latest_rows,"
            f" 'emptied': (filled_{place} / rows) - (latest_filled_{place} / latest_rows),"
            f" 'infinite_values': infinite_{place}, 'varies': varies_{place}}}"
        )
    return f"""
        with
        every as (
            select nullif(count(*), 0) as rows, {", ".join(every)} from features.customer_month
        ),
        newest as (
            select nullif(count(*), 0) as latest_rows, {", ".join(newest)}
            from features.customer_month
            where month = (select max(month) from features.customer_month)
        ),
        listed as (select unnest([{", ".join(listed)}]) as figures from every cross join newest)
        select figures.* from listed
    """


# Training sees the cut-offs one horizon before the evaluation, which is the newest, and earlier.
WINDOWS = f"""
    with
    cutoff as (
        select distinct cutoff, horizon, max(cutoff) over () as evaluation
        from outcomes.cutoff_month
    ),
    learned as (
        select
            cutoff,
            least(
                date_diff('month', (select min(first_month) from landing.refresh_window), cutoff)
                + 1,
                {LONGEST_WINDOW}
            ) as months
        from cutoff
        where cutoff <= evaluation - to_months(horizon)
        order by cutoff desc
        limit {MOST_CUTOFFS}
    )
    select
        'training' as cutoffs,
        count(*) as number_of_cutoffs,
        avg(months) / {LONGEST_WINDOW} as window_coverage,
        'the earliest of ' || count(*) || ' sees ' || min(months) || ' of {LONGEST_WINDOW} months'
            as detail
    from learned
    having count(*) > 0
"""


def features_suite() -> Suite:
    """Part of G3. Reads `features.*`, `outcomes.cutoff_month`."""
    profiles: dict[str, Profile | str] = {
        "feature_month": Profile(
            FEATURE_MONTH,
            key=("month",),
            about="features.customer_month",
            needs=(
                "features.customer_month",
                "features.spine",
                "landing.refresh_window",
            ),
        ),
        "feature_column": Profile(
            _feature_column_sql,
            key=("column_name",),
            about="features.customer_month",
            place="features.customer_month.{column_name}",
            needs=("features.customer_month",),
        ),
        "feature_window": Profile(
            WINDOWS,
            key=("cutoffs",),
            about="features.customer_month",
            needs=("outcomes.cutoff_month", "landing.refresh_window"),
        ),
    }
    rules = (
        Rule(
            "feature_month",
            row_count_at_least(1),
            "fail",
            "features are computed",
            "check the log of step features",
            binding=PRESENT,
        ),
        Rule(
            "feature_month",
            column_zero("difference"),
            "fail",
            "every customer of the as-of month and of the sample to learn from has features",
            "check the joins in features: one loses or multiplies rows in the months named",
        ),
        Rule(
            "feature_month",
            column_zero("duplicate_customers"),
            "fail",
            "no customer has two feature rows in a month",
            "check the joins in features: one multiplies rows",
        ),
        Rule(
            "feature_month",
            column_zero("after_as_of"),
            "fail",
            "no features are dated after the as-of date",
            "rebuild features: rows of an earlier build remain after the as-of date",
            binding=AS_OF,
        ),
        Rule(
            "feature_window",
            column_between("window_coverage", low=LEAST_COVERAGE),
            "warn",
            f"the windows of training hold at least {LEAST_COVERAGE:.0%} of the months of those of"
            " scoring",
            "models learn from sums brought to the whole window; deliver a longer history, or wait"
            " for it",
            figure="share of the months of a window that training sees",
        ),
        Rule(
            "feature_column",
            column_zero("infinite_values"),
            "fail",
            "every feature is finite",
            "check the feature's ratio for a division by zero; guard it with nullif",
        ),
        Rule(
            "feature_column",
            (
                "expect_column_values_to_not_be_in_set",
                {"column": "column_name", "value_set": list(BARRED_FEATURES)},
            ),
            "fail",
            "no feature identifies a person or states the sex",
            "remove the column from features.customer_month",
            binding=PERSONAL,
        ),
        Rule(
            "feature_column",
            column_between("emptied", high=MOST_EMPTIED),
            "warn",
            f"no feature is empty for {MOST_EMPTIED:.0%} more of the customers to score than of"
            " those before",
            "check whether the feature's source table is still delivered and filled",
            figure="share of customers with a newly empty value",
        ),
    )
    return Suite("G3", "features", profiles, rules)

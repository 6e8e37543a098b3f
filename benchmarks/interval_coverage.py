"""Measure the coverage of the intervals of customer lifetime value.

Two measures. The one that training logged: intervals set by the errors of one period, judged on a
later one, both in the past. And `beyond`: a bank with records of twelve months after the as-of date
is refreshed as of that date, without the later records; then the value of all months is built in a
second home, and the scored intervals are compared with the actual outcomes.

A longer synthetic bank of the same seed is another bank (its newcomers are spread over other
months): both homes read the records of the longer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.homes import once, own_store, refreshed
from ml.evaluation import metrics
from ml.registry import ChampionUnusable, Registry, Version
from orchestration.models.cutoffs import LONG_HORIZON, months_between, plus_months
from orchestration.models.datasets import discount_rate
from orchestration.models.registration import BY_CUTOFF, COVERAGE
from orchestration.platform.engine import connect
from orchestration.platform.partitions import PERIOD, first_day, last_day
from orchestration.platform.settings import Settings, read_settings


@dataclass(frozen=True)
class Coverage:
    """The share of outcomes within their intervals.

    `low` and `high` are the 90 % bootstrap interval of `covered`, customers resampled; `worst` is
    the share covered in the tenth of the predictions (`worst_tenth`, 10 the highest) that is
    farthest from the nominal share.
    """

    period: str
    customers: int
    nominal: float
    covered: float
    low: float
    high: float
    worst_tenth: int
    worst: float

    @property
    def difference(self) -> float:
        return self.covered - self.nominal

    @property
    def worst_difference(self) -> float:
        return self.worst - self.nominal


def coverage_of(
    period: str, by_tenth: pd.DataFrame, nominal: float, low: float, high: float
) -> Coverage:
    """From a table with columns decile, customers, coverage (`metrics.coverage_by_decile`)."""
    customers, covered = (by_tenth[name].to_numpy(float) for name in ("customers", "coverage"))
    worst = int(np.argmax(np.abs(covered - nominal)))
    return Coverage(
        period,
        int(customers.sum()),
        nominal,
        float(np.average(covered, weights=customers)),
        low,
        high,
        int(by_tenth["decile"].iloc[worst]),
        float(covered[worst]),
    )


def logged(registry: Registry, version: Version, tracking_uri: str) -> Coverage | None:
    """The coverage that training measured for a version; None without evaluated intervals.

    Raises
    ------
    ChampionUnusable
        When the twin or a table is not the one that was registered.
    """
    import mlflow

    interval = getattr(registry.load_twin(version), "interval_", None)
    figures = mlflow.MlflowClient(tracking_uri).get_run(version.run_id).data.metrics
    if interval is None or "interval_coverage" not in figures:
        return None
    origins = len(registry.table(version, BY_CUTOFF))
    return coverage_of(
        "evaluation, by the origin before" if origins > 1 else "evaluation, half by the other half",
        registry.table(version, COVERAGE),
        float(interval.coverage),
        figures["interval_coverage_low"],
        figures["interval_coverage_high"],
    )


def latest_as_of(today: date) -> date:
    """The newest quarter's end within the synthetic bank's history after which a whole horizon is
    over today: landing refuses what is dated in the future, and the bank extracts its customers at
    the quarters' ends, so that in between newcomers are not known yet."""
    last_complete = plus_months(today.replace(day=1), -1)
    as_of = plus_months(last_complete, -LONG_HORIZON)
    last = PERIOD["synthetic"][1]
    if last is not None:
        as_of = min(as_of, first_day(last))
    return plus_months(as_of, -(as_of.month % 3))


def beyond(settings: Settings, today: date | None = None) -> Coverage:
    """Coverage on the twelve months after the as-of date, in two homes below `<home>/beyond`.

    Raises
    ------
    CommandFailed
        When a refresh or the value of the later months could not be made.
    ValueError
        When the months before the as-of date differ between the homes: later records leaked, and
        the comparison would be invalid.
    """
    from sources.synthetic import SyntheticBank

    as_of = latest_as_of(today or date.today())
    end = plus_months(as_of, LONG_HORIZON)
    home = settings.home / "beyond"
    bank = SyntheticBank(
        home / "delivery",
        home / "truth",
        customers=settings.customers,
        seed=settings.seed,
        months=months_between(first_day(PERIOD["synthetic"][0]), end) + 1,
    )
    with connect(settings) as connection:
        bank.prepare(connection)
    # Read as a bank's own files: the source `synthetic` ends with its own history.
    as_files = settings.model_copy(update={"source": "files", "source_path": bank.delivery})

    def of(place: str, month: date) -> Settings:
        return as_files.model_copy(update={"home": home / place, "as_of": f"{month:%Y-%m}"})

    seen = refreshed(of("seen", as_of))
    later = once(of("later", end), ("benchmarks.interval_coverage",))
    registry = Registry(own_store(seen), str(seen.mlflow_home / "artifacts"))
    champion = registry.load_champion("clv")
    interval = getattr(champion, "interval_", None)
    if interval is None:
        raise ChampionUnusable(f"the champion of clv in {seen.home} has no intervals")
    return met(seen, later, as_of, float(interval.coverage), settings.seed)


def met(seen: Settings, later: Settings, as_of: date, nominal: float, seed: int) -> Coverage:
    """Intervals that the warehouse `seen` scored as of a month, against the outcomes in `later`.

    Raises
    ------
    ValueError
        As `beyond`.
    """
    with connect(seen) as connection:
        for name, home in (("seen", seen), ("later", later)):
            quoted = str(home.warehouse).replace("'", "''")
            connection.execute(f"attach '{quoted}' as {name} (read_only)")
        connection.execute("use seen")
        ((differing,),) = connection.execute(
            """
            select count(*)
            from (from seen.value.profit_by_customer where month <= $as_of) as seen
            full join (from later.value.profit_by_customer where month <= $as_of) as later
                on later.customer_id = seen.customer_id and later.month = seen.month
            where seen.contribution_margin is distinct from later.contribution_margin
            """,
            {"as_of": as_of},
        ).fetchall()
        if differing:
            raise ValueError(
                f"{differing:,} customer months up to {as_of:%Y-%m} have another contribution in "
                f"{seen.warehouse} than in {later.warehouse}: what came later was seen"
            )
        scored = connection.execute(
            """
            select
                score.clv_12m::double as point,
                score.clv_low::double as low,
                score.clv_high::double as high,
                coalesce(sum(
                    profit.contribution_margin::double
                    * power(1 + $rate, (0.5 - date_diff('month', $as_of::date, profit.month)) / 12)
                ), 0) as contribution
            from seen.scores.customer as score
            left join later.value.profit_by_customer as profit
                on profit.customer_id = score.customer_id
                and profit.month > $as_of
                and profit.month <= $as_of::date + to_months($horizon)
            where score.clv_12m is not null
            group by score.customer_id, point, low, high
            order by score.customer_id
            """,
            {
                "as_of": as_of,
                "horizon": LONG_HORIZON,
                "rate": discount_rate(connection, as_of),
            },
        ).df()
    point, low, high, came = (
        scored[name].to_numpy(float) for name in ("point", "low", "high", "contribution")
    )
    share = metrics.coverage_estimate(came, low, high, seed)
    return coverage_of(
        f"the 12 months after {as_of:%Y-%m}",
        metrics.coverage_by_decile(came, point, low, high),
        nominal,
        share.low,
        share.high,
    )


def build_value(settings: Settings) -> None:
    """Landing, base and value of a home, nothing after them.

    Raises
    ------
    RuntimeError
        When dbt fails; its words are in the home.
    """
    import sys

    from benchmarks.measuring import in_process
    from orchestration.landing.delivery import open_delivery
    from orchestration.landing.engine import Window, land
    from orchestration.landing.token_key import token_key
    from orchestration.platform import environment, reference
    from orchestration.value import default_probability

    environment.prepare(settings)
    reference.prepare_reference(settings)
    with connect(settings, settings.warehouse) as connection:
        delivery = open_delivery(settings, connection)
        delivery.bind_warehouse(connection, whole=True)
        first, last = first_day(delivery.first_month), first_day(delivery.as_of)
        window = Window(first, first, last, last_day(delivery.as_of))
        land(connection, delivery.source, window, settings.landing, token_key(settings))
        default_probability.ensure(connection, settings)
    target = str(settings.home / "dbt")
    in_process(
        [
            *(str(Path(sys.executable).parent / "dbt"), "--no-use-colors"),
            *("build", "--exclude-resource-type", "unit_test"),
            *("--select", "tag:staging", "tag:base", "tag:value"),
            *("--project-dir", str(environment.DBT_PROJECT)),
            *("--profiles-dir", str(environment.DBT_PROJECT)),
            *("--target-path", target, "--log-path", target),
        ],
        settings.home / "dbt.log",
    )


if __name__ == "__main__":
    build_value(read_settings())

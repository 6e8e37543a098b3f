"""One mart by DuckDB, pandas and polars: the month-end state of each account.

From the landed bookings in Parquet: bookings, inflow, outflow and their sum by account and month,
and the balance so far, from an account's first month with bookings to the last month of the bank.
It is the core of `base.account_month`. Money is whole cents in all three, whose rows must be the
same. Each works in a process of its own, from the Parquet of the bookings to that of the mart; the
time is that of the work, without imports.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from benchmarks.homes import environment_of
from benchmarks.measuring import PEERS, Run, in_process
from orchestration.platform.engine import connect, connect_in_memory
from orchestration.platform.settings import Settings, read_settings
from sources.delimited import literal

COLUMNS = "account_id, cast(month as date), bookings, inflow, outflow, net, balance"
FILES = "*/data.parquet"


def duckdb(bookings: Path, mart: Path) -> None:
    """The mart by SQL, with the memory and the threads of the settings."""
    with connect(read_settings()) as connection:
        connection.execute(f"""
            copy (
                with booking as (
                    select account_id, month, cast(amount * 100 as bigint) as cents
                    from read_parquet({literal(bookings / FILES)}, hive_partitioning = false)
                ),
                booked as (
                    select
                        account_id, month, count(*) as bookings,
                        sum(greatest(cents, 0)) as inflow, sum(greatest(-cents, 0)) as outflow,
                        sum(cents) as net
                    from booking group by account_id, month
                ),
                account as (
                    select account_id, min(month) as first_month from booked group by account_id
                )
                select
                    account_id, month, coalesce(bookings, 0) as bookings,
                    cast(coalesce(inflow, 0) as bigint) as inflow,
                    cast(coalesce(outflow, 0) as bigint) as outflow,
                    cast(coalesce(net, 0) as bigint) as net,
                    cast(sum(coalesce(net, 0)) over so_far as bigint) as balance
                from account
                inner join (select distinct month from booked) as calendar
                    on calendar.month >= account.first_month
                left join booked using (account_id, month)
                window so_far as (partition by account_id order by month)
            ) to {literal(mart)} (format parquet)""")


def pandas(bookings: Path, mart: Path) -> None:
    """The mart by pandas. Accounts are categories and cents integers: as decimals or texts the
    bookings are Python objects, ten times as large."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = [str(path) for path in sorted(bookings.glob(FILES))]
    table = ds.dataset(files, format="parquet", partitioning=None).to_table(
        columns=["account_id", "month", "amount"]
    )
    frame = pd.DataFrame(
        {
            "account_id": table["account_id"].dictionary_encode().unify_dictionaries().to_pandas(),
            "month": table["month"].cast(pa.timestamp("s")).to_pandas(),
            "net": pc.multiply(table["amount"], pa.scalar(100)).cast(pa.int64()).to_pandas(),
        }
    )
    del table
    frame["inflow"] = frame["net"].clip(lower=0)
    frame["outflow"] = (-frame["net"]).clip(lower=0)
    booked = frame.groupby(["account_id", "month"], observed=True).agg(
        bookings=("net", "size"),
        inflow=("inflow", "sum"),
        outflow=("outflow", "sum"),
        net=("net", "sum"),
    )
    del frame
    accounts = booked.index.get_level_values("account_id").unique()
    months = booked.index.get_level_values("month").unique().sort_values()
    every = booked.reindex(pd.MultiIndex.from_product([accounts, months]), fill_value=0)
    every["balance"] = every.groupby(level=0, observed=True)["net"].cumsum()
    every["so_far"] = every.groupby(level=0, observed=True)["bookings"].cumsum()
    found = every[every["so_far"] > 0].drop(columns="so_far")
    found.rename_axis(["account_id", "month"]).reset_index().to_parquet(mart, index=False)


def polars(bookings: Path, mart: Path) -> None:
    """The mart by polars, which reads the files as a stream."""
    import polars as pl

    cents = pl.col("cents")
    booked = (
        pl.scan_parquet(bookings / FILES, hive_partitioning=False)
        .select("account_id", "month", cents=(pl.col("amount") * 100).cast(pl.Int64))
        .group_by("account_id", "month")
        .agg(
            bookings=pl.len().cast(pl.Int64),
            inflow=cents.clip(lower_bound=0).sum(),
            outflow=(-cents).clip(lower_bound=0).sum(),
            net=cents.sum(),
        )
        .collect(engine="streaming")
    )
    account = booked.group_by("account_id").agg(first_month=pl.col("month").min())
    (
        account.join(booked.select("month").unique(), how="cross")
        .filter(pl.col("month") >= pl.col("first_month"))
        .join(booked, on=["account_id", "month"], how="left")
        .drop("first_month")
        .with_columns(pl.col("bookings", "inflow", "outflow", "net").fill_null(0))
        .sort("account_id", "month")
        .with_columns(balance=pl.col("net").cum_sum().over("account_id"))
        .write_parquet(mart)
    )


SIDES: dict[str, Callable[[Path, Path], None]] = {
    "duckdb": duckdb,
    "pandas": pandas,
    "polars": polars,
}
# What a side imports in its work, which is imported before.
IMPORTED: dict[str, tuple[str, ...]] = {
    "duckdb": (),
    "pandas": ("pandas", "pyarrow.dataset"),
    "polars": ("polars",),
}


@dataclass(frozen=True)
class Mart:
    """The mart's rows; by side the run, and of those beside DuckDB how many rows differ."""

    rows: int
    runs: dict[str, Run]
    differing: dict[str, int] = field(default_factory=dict)


def measure(settings: Settings, problems: dict[str, str]) -> Mart:
    """The mart of a home's landed bookings by each side; a side that fails is one of `problems`."""
    folder = settings.home / "mart"
    folder.mkdir(exist_ok=True)
    runs: dict[str, Run] = {}
    for side in SIDES:
        result = folder / f"{side}.json"
        landed, mart = settings.landing / "transaction", folder / f"{side}.parquet"
        try:
            run = in_process(
                [
                    *(sys.executable, "-m", "benchmarks.mart_peers", side),
                    *(str(landed), str(mart), str(result)),
                ],
                settings.home / "bench.log",
                **environment_of(settings),
                PYTHONPATH=str(PEERS),
            )
        except RuntimeError as error:
            problems[f"the mart by {side}"] = str(error)
            continue
        runs[side] = Run(json.loads(result.read_text()), run.peak_bytes)
    marts = {side: folder / f"{side}.parquet" for side in runs}
    if "duckdb" not in marts:
        return Mart(0, runs)
    with connect_in_memory(settings) as connection:
        ((rows,),) = connection.execute(
            "select count(*) from read_parquet(?)", [str(marts["duckdb"])]
        ).fetchall()
    others = {side: path for side, path in marts.items() if side != "duckdb"}
    return Mart(
        rows,
        runs,
        {side: differing(settings, marts["duckdb"], path) for side, path in others.items()},
    )


def differing(settings: Settings, one: Path, other: Path) -> int:
    """How many rows of either mart are not in the other."""
    left, right = (f"select {COLUMNS} from read_parquet({literal(path)})" for path in (one, other))
    with connect(settings) as connection:
        ((rows,),) = connection.execute(
            f"select count(*) from (({left} except all {right}) union all "
            f"({right} except all {left}))"
        ).fetchall()
    return int(rows)


if __name__ == "__main__":
    side, landed, mart, result = sys.argv[1:]
    for name in IMPORTED[side]:
        import_module(name)
    began = time.monotonic()
    SIDES[side](Path(landed), Path(mart))
    Path(result).write_text(json.dumps(time.monotonic() - began))

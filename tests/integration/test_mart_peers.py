"""The mart of `make bench` is the same to the cent by DuckDB, pandas, polars and plain Python."""

import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from benchmarks import mart_peers
from benchmarks.measuring import PEERS
from orchestration.platform.settings import Settings, read_settings
from sources.synthetic import SyntheticBank

MONTHS = 4


@pytest.fixture(scope="module")
def landed(tmp_path_factory) -> Path:
    """The bookings of a tiny bank as landing stores them: without the planted defects."""
    folder = tmp_path_factory.mktemp("mart")
    SyntheticBank(folder / "delivery", folder / "truth", 100, seed=5, months=MONTHS).prepare(None)
    for path in sorted((folder / "delivery" / "transaction").glob("*.parquet")):
        target = folder / "transaction" / f"month={path.stem}"
        target.mkdir(parents=True)
        duckdb.execute(
            f"copy (select account_id, date '{path.stem}-01' as month, "
            f"cast(amount as decimal(18, 2)) as amount from read_parquet('{path}') "
            "where account_id is not null and amount is not null) "
            f"to '{target}/data.parquet' (format parquet)"
        )
    return folder / "transaction"


def by_hand(landed: Path) -> set[tuple]:
    booked = defaultdict(lambda: defaultdict(list))
    files = f"{landed}/*/data.parquet"
    for account, month, amount in duckdb.execute(
        f"select account_id, month, amount from read_parquet('{files}', hive_partitioning = false)"
    ).fetchall():
        booked[account][month].append(amount)
    calendar = sorted({month for months in booked.values() for month in months})
    found = set()
    for account, months in booked.items():
        balance = Decimal(0)
        for month in calendar[calendar.index(min(months)) :]:
            amounts = months.get(month, [])
            came = sum((one for one in amounts if one > 0), Decimal(0))
            went = sum((-one for one in amounts if one < 0), Decimal(0))
            balance += came - went
            cents = (int(one * 100) for one in (came, went, came - went, balance))
            found.add((account, month, len(amounts), *cents))
    return found


@pytest.mark.parametrize("side", mart_peers.SIDES)
def test_each_side_gives_the_rows_of_plain_python(side, landed, tmp_path, monkeypatch):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    if side == "polars":
        monkeypatch.setattr(sys, "path", [*sys.path, str(PEERS)])
        pytest.importorskip("polars", reason="make bench installs it")
    mart = tmp_path / "mart.parquet"
    mart_peers.SIDES[side](landed, mart)
    rows = duckdb.execute(f"select {mart_peers.COLUMNS} from read_parquet('{mart}')").fetchall()
    wanted = by_hand(landed)
    assert len(rows) == len(wanted) > 100 * MONTHS
    assert set(rows) == wanted
    # Accounts have months without bookings.
    assert any(bookings == 0 for _, _, bookings, *_ in rows)


def test_a_cent_that_differs_is_found(landed, tmp_path):
    settings = Settings(home=tmp_path)
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    mart_peers.pandas(landed, one)
    duckdb.execute(
        f"copy (select * replace (balance + (row_number() over () = 7)::int as balance) "
        f"from read_parquet('{one}')) to '{other}' (format parquet)"
    )
    assert mart_peers.differing(settings, one, one) == 0
    assert mart_peers.differing(settings, one, other) == 2


def test_a_side_that_fails_is_a_problem_and_the_others_are_kept(landed, tmp_path, monkeypatch):
    monkeypatch.setattr(mart_peers, "PEERS", tmp_path / "no_peers")
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    settings = read_settings()
    settings.landing.mkdir()
    (settings.landing / "transaction").symlink_to(landed)
    problems: dict[str, str] = {}
    found = mart_peers.measure(settings, problems)
    assert set(found.runs) == {"duckdb", "pandas"}
    assert found.differing == {"pandas": 0}
    assert "No module named 'polars'" in problems["the mart by polars"]
    assert all(run.seconds > 0 and run.peak_bytes > 0 for run in found.runs.values())

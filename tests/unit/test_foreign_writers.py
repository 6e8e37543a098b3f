"""One small bank, written by every program that a bank may use: the same tables land."""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.landing.engine import Window, land
from sources.contract import BY_NAME, DAY, FLAG, MONEY, RATE, REAL, TEXT, WHOLE
from sources.files import DeliveredFiles
from tests.conftest import PROJECT

WINDOW = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31))
ARROW = {
    TEXT: pa.string(),
    DAY: pa.date32(),
    MONEY: pa.decimal128(18, 2),
    RATE: pa.decimal128(9, 6),
    WHOLE: pa.int32(),
    REAL: pa.float64(),
    FLAG: pa.bool_(),
}
Rows = dict[str, list[dict[str, object]]]
Write = Callable[[str, pa.Table, Path], None]


def bank() -> Rows:
    """Unknown values of every type, a leading zero, a comma, a quote, a line break, cents beyond
    FLOAT's digits, a table whose optional columns hold nothing."""
    accounts: list[dict[str, object]] = [
        dict(account_id=f"A{n}", product_id="P1", branch_id=None, currency="EUR")
        | dict(opened_on=date(2023, 1, 1 + n), closed_on=date(2024, 2, 9) if n == 3 else None)
        | dict(interest_rate=Decimal("0.000050") if n % 2 else None, term_months=n or None)
        | dict(credit_limit=Decimal("645662237.11") if n == 1 else None)
        for n in range(6)
    ]
    customers: list[dict[str, object]] = [
        dict(customer_id=f"C{n}", birth_date=date(1980, 1, 1 + n) if n else None)
        | dict(occupation=['a "b", c', "two\nlines", None][n % 3], marketing_consent=n % 2 == 0)
        | dict(monthly_income=Decimal(n) / 4 if n else None)
        for n in range(6)
    ]
    bookings: list[dict[str, object]] = [
        dict(transaction_id=f"T{n}", account_id=f"A{n % 6}", booked_on=date(2024, 1 + n % 3, 5))
        | dict(amount=Decimal(n * 1017) / 100 + 1, kind="deposit", channel=None)
        | dict(counterparty_account="0000500003" if n % 5 else None)
        | dict(balance_after=Decimal(n) if n % 3 == 1 else None)
        for n in range(60)
    ]
    return {
        "product": [dict(product_id="P1", product_line="deposits")],
        "customer": customers,
        "account": accounts,
        "account_holder": [
            dict(account_id=f"A{n}", customer_id=f"C{n}", role="owner") for n in range(6)
        ],
        "transaction": bookings,
    }


def arrow(table: str, rows: list[dict[str, object]]) -> pa.Table:
    fields = [(name, ARROW[BY_NAME[table].column(name).type]) for name in rows[0]]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def landed(delivery: Path, landing: Path) -> dict[str, list[tuple]]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        source = DeliveredFiles(delivery)
        assert [str(problem) for problem in source.problems(connection)] == []
        summary = land(connection, source, WINDOW, landing, b"k" * 32, date(2024, 6, 1))
        assert summary.quarantined == 0, summary.lines()
        return {
            table: connection.execute(f'from landing."{table}" order by all').fetchall()
            for table in bank()
        }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    folder = tmp_path_factory.mktemp("reference")
    for table, rows in bank().items():
        arrow_parquet(table, arrow(table, rows), folder / "delivery")
    return landed(folder / "delivery", folder / "landing")


def below(folder: Path, name: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return folder / name


def arrow_parquet(table: str, rows: pa.Table, folder: Path) -> None:
    pq.write_table(rows, below(folder, f"{table}.parquet"))


def retyped(**types: pa.DataType) -> Write:
    """Columns of one Arrow type written as another."""

    def write(table: str, rows: pa.Table, folder: Path) -> None:
        wanted = {ARROW[kind]: types[name] for name, kind in NAMED.items() if name in types}
        fields = [(field.name, wanted.get(field.type, field.type)) for field in rows.schema]
        pq.write_table(
            rows.cast(pa.schema(fields)), below(folder, f"{table}.parquet"), compression="gzip"
        )

    return write


NAMED = {"text": TEXT, "day": DAY, "money": MONEY, "rate": RATE, "whole": WHOLE, "flag": FLAG}


def arrow_untyped(table: str, rows: pa.Table, folder: Path) -> None:
    """Every type is found out from the values, so that a column of nothing is of type null."""
    pq.write_table(
        pa.Table.from_pylist(rows.to_pylist()),
        below(folder, f"{table}.parquet"),
        row_group_size=7,
        compression="zstd",
    )


def arrow_dictionary(table: str, rows: pa.Table, folder: Path) -> None:
    columns = [
        column.combine_chunks().dictionary_encode() if column.type == pa.string() else column
        for column in rows.columns
    ]
    encoded = pa.Table.from_arrays(columns, names=rows.column_names)
    pq.write_table(encoded, below(folder, f"{table}.parquet"), compression="brotli")


def pandas_objects(table: str, rows: pa.Table, folder: Path) -> None:
    pd.DataFrame(rows.to_pylist(), dtype=object).to_parquet(below(folder, f"{table}.parquet"))


def pandas_nullable(table: str, rows: pa.Table, folder: Path) -> None:
    frame = pd.DataFrame(rows.to_pylist(), dtype=object)
    for column in BY_NAME[table].columns:
        if column.name in frame and column.type in (TEXT, WHOLE, FLAG):
            kind = {TEXT: pd.StringDtype(), WHOLE: pd.Int64Dtype(), FLAG: pd.BooleanDtype()}
            frame = frame.astype({column.name: kind[column.type]})
        elif column.name in frame and column.type == DAY:
            frame[column.name] = pd.to_datetime(frame[column.name]).astype("datetime64[ns]")
    frame.to_parquet(below(folder, f"{table}.parquet"))


def pandas_csv(table: str, rows: pa.Table, folder: Path) -> None:
    """With the index as a nameless column, counts as floats, days as datetime64."""
    frame = pd.DataFrame(rows.to_pylist())
    for column in BY_NAME[table].columns:
        if column.name in frame and column.type == DAY:
            frame[column.name] = pd.to_datetime(frame[column.name])
    frame.to_csv(below(folder, f"{table}.csv"))


def duckdb_parquet(table: str, rows: pa.Table, folder: Path) -> None:
    path = below(folder, f"{table}.parquet")
    duckdb.sql(f"copy (from rows) to '{path}' (format parquet, compression lz4)")


def duckdb_csv_gz(table: str, rows: pa.Table, folder: Path) -> None:
    duckdb.sql(f"copy (from rows) to '{below(folder, f'{table}.csv.gz')}' (header)")


def spark_parquet(table: str, rows: pa.Table, folder: Path) -> None:
    """A folder named like a file, parts with random names, empty ones among them."""
    name = "part-{}-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed-c000.snappy.parquet"
    for number, part in enumerate((rows.slice(0, 0), rows.slice(0, 3), rows.slice(3))):
        path = below(folder, f"{table}.parquet/{name.format(f'{number:05}')}")
        pq.write_table(part, path, compression="snappy", use_deprecated_int96_timestamps=True)
        below(folder, f"{table}.parquet/.{path.name}.crc").write_bytes(b"crc\0")
    (folder / f"{table}.parquet" / "_SUCCESS").touch()


def spark_csv(table: str, rows: pa.Table, folder: Path) -> None:
    """Partitioned by a column, which its folder holds; a part of no bytes."""
    key = {"transaction": "kind", "account": "currency"}.get(table)
    inner = f"{table}/{key}={rows[key][0]}" if key else table
    kept = rows.drop([key]) if key else rows
    written = below(folder, f"{inner}/part-00001-1b9d6bcd-2024-0399-9b5d-ab8dfbbd4bed-c000.csv")
    plain_csv(kept, written)
    below(folder, f"{inner}/part-00000-1b9d6bcd-2024-0399-9b5d-ab8dfbbd4bed-c000.csv").touch()
    below(folder, f"{table}/_SUCCESS").touch()


def plain_csv(rows: pa.Table, path: Path, **options: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, **options)  # type: ignore[arg-type]
        writer.writerow(rows.column_names)
        writer.writerows(row.values() for row in rows.to_pylist())


def csv_quoting_all(table: str, rows: pa.Table, folder: Path) -> None:
    plain_csv(rows, below(folder, f"{table}.csv"), quoting=csv.QUOTE_ALL)


def spreadsheet(table: str, rows: pa.Table, folder: Path) -> None:
    """As LibreOffice Calc 7 writes it: text quoted, zeros at the end of numbers dropped, truth in
    capitals, line ends of one byte; behind a byte order mark and before rows of nothing, as others
    leave them; with its lock file beside."""
    path = below(folder, f"{table}.csv")
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(rows.column_names)
        for row in rows.to_pylist():
            writer.writerow(map(cell, row.values()))
        stream.write("," * (rows.num_columns - 1) + "\n,,,\n")
    for name in (f".~lock.{table}.csv#", f"~${table}.csv", f"{table}.csv~", "Thumbs.db"):
        below(folder, name).write_text("x")


class Number(float):
    """Written without quotes and as the cell shows it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __new__(cls, text: str) -> Number:
        return super().__new__(cls, 0.0)

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


def cell(value: object) -> object:
    if value is None:
        return Number("")
    if isinstance(value, bool):
        return Number(str(value).upper())
    if isinstance(value, Decimal):
        return Number(f"{value.normalize():f}")
    return Number(str(value)) if isinstance(value, date | int) else value


WRITERS: dict[str, Write] = {
    "pandas-objects": pandas_objects,
    "pandas-nullable": pandas_nullable,
    "pandas-csv": pandas_csv,
    "arrow-untyped": arrow_untyped,
    "arrow-dictionary": arrow_dictionary,
    "arrow-large-types": retyped(
        text=pa.large_string(), day=pa.date64(), money=pa.decimal256(30, 4), whole=pa.int64()
    ),
    "arrow-timestamp-ns": retyped(day=pa.timestamp("ns"), rate=pa.float64(), flag=pa.int8()),
    "arrow-midnight-utc": retyped(day=pa.timestamp("us", tz="UTC"), whole=pa.float64()),
    "arrow-views-and-text": retyped(text=pa.string_view(), money=pa.string()),
    "duckdb-parquet": duckdb_parquet,
    "duckdb-csv-gz": duckdb_csv_gz,
    "spark-parquet": spark_parquet,
    "spark-csv": spark_csv,
    "csv-quoting-all": csv_quoting_all,
    "spreadsheet": spreadsheet,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_same_tables_land_from_files_of_any_writer(writer, reference, tmp_path):
    for table, rows in bank().items():
        WRITERS[writer](table, arrow(table, rows), tmp_path / "delivery")
    found = landed(tmp_path / "delivery", tmp_path / "landing")
    for table, rows in reference.items():
        assert found[table] == rows, table


def test_polars_writes_the_same_tables(reference, tmp_path):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    for kind in ("parquet", "csv"):
        for table, rows in bank().items():
            path = below(tmp_path / kind, f"{table}.{kind}")
            getattr(polars.from_arrow(arrow(table, rows)), f"write_{kind}")(path)
        assert landed(tmp_path / kind, tmp_path / f"landing-{kind}") == reference


def delivered(folder: Path, **changed: pa.Table) -> DeliveredFiles:
    for table, rows in bank().items():
        arrow_parquet(table, changed.get(table, arrow(table, rows)), folder)
    return DeliveredFiles(folder)


def with_column(name: str, values: pa.Array) -> pa.Table:
    rows = arrow("transaction", bank()["transaction"])
    return rows.set_column(rows.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("amount", pa.array([1.1] * 60, pa.float32()), "column amount: is of type FLOAT"),
        ("amount", pa.array([1.1] * 60, pa.float64()), "column amount: is of type DOUBLE"),
        (
            "booked_on",
            pa.array([datetime(2024, 1, 5, 16)] * 60, pa.timestamp("us", tz="Asia/Shanghai")),
            "column booked_on: holds instants (a timestamp with time zone): 60 of 60",
        ),
    ],
    ids=["float", "double", "instant"],
)
def test_a_type_that_loses_cents_or_days_is_refused_by_name(name, values, words, tmp_path):
    with duckdb.connect() as connection:
        (problem,) = delivered(tmp_path, transaction=with_column(name, values)).problems(connection)
    assert words in str(problem)


def test_an_empty_required_column_is_judged_row_by_row(tmp_path):
    source = delivered(tmp_path / "d", transaction=with_column("kind", pa.nulls(60)))
    with duckdb.connect() as connection:
        assert source.problems(connection) == []
        summary = land(connection, source, WINDOW, tmp_path / "landing", b"k" * 32)
    (table,) = [table for table in summary.tables if table.table_name == "transaction"]
    assert (table.landed, table.rules) == (0, {"required": 60})


@pytest.mark.parametrize("second", ["amount", "Amount"])
def test_a_parquet_column_delivered_twice_is_refused_by_name(second, tmp_path):
    rows = arrow("transaction", bank()["transaction"])
    twice = rows.append_column(second, rows["amount"])
    with duckdb.connect() as connection:
        (problem,) = delivered(tmp_path, transaction=twice).problems(connection)
    assert str(problem).startswith("transaction.parquet, column amount: is delivered twice")


def test_two_empty_parts_of_an_optional_table_are_passed_over_with_a_note(tmp_path):
    source = delivered(tmp_path)
    below(tmp_path, "card/part-0.csv").write_text("card_id,account_id,issued_on\n")
    below(tmp_path, "card/part-1.csv").touch()
    with duckdb.connect() as connection:
        assert source.problems(connection) == []
        assert "`card/part-0.csv`, `card/part-1.csv`: ignored, no rows" in source.notes(connection)


def test_a_packed_file_that_is_not_read_is_named_and_one_cut_short_too(tmp_path):
    source = delivered(tmp_path)
    (tmp_path / "product.parquet").rename(tmp_path / "product.csv.zip")
    packed = gzip.compress(b"card_id,account_id,issued_on\nK1,A1,2024-01-01\n")
    below(tmp_path, "card.csv.gz").write_bytes(packed[:-9])
    with duckdb.connect() as connection:
        words = [str(problem) for problem in source.problems(connection)]
    assert len(words) == 2
    assert words[0].startswith("card.csv.gz: cannot be unpacked")
    assert words[1].startswith("product.csv.zip: is a .csv.zip file, which is not supported")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_the_days_of_zoned_timestamps_are_those_of_utc_in_every_zone(zone, reference, tmp_path):
    """By the connection that the project opens, in a process of that zone."""
    for table, rows in bank().items():
        WRITERS["arrow-midnight-utc"](table, arrow(table, rows), tmp_path / "delivery")
    program = f"""
from datetime import date
from pathlib import Path
from orchestration.platform.engine import connect
from orchestration.landing.engine import Window, land
from orchestration.platform.settings import read_settings
from sources.files import DeliveredFiles
window = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31))
with connect(read_settings()) as connection:
    source = DeliveredFiles(Path({str(tmp_path / "delivery")!r}))
    assert not source.problems(connection)
    land(connection, source, window, Path({str(tmp_path / "landing")!r}), b"k" * 32)
    print(connection.execute(
        "select list(booked_on::varchar order by transaction_id) from landing.transaction"
    ).fetchall()[0][0])
"""
    completed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**os.environ, "TZ": zone, "JINGXI_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    days = [str(row[2]) for row in sorted(reference["transaction"])]
    assert completed.stdout.strip() == str(days)

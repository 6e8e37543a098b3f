"""Whatever bytes a delivery holds, it is refused with words or every row of it is accounted for.

`TEST_FUZZ=5000` tries as many deliveries of each form; the default tries a few.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestration.landing.engine import Window, land
from sources.files import DeliveredFiles
from sources.interface import DeliveryRefused
from tests.acceptance.conftest import KNOWN

pytestmark = pytest.mark.slow

TRIED = int(os.environ.get("TEST_FUZZ", "25"))
WINDOW = Window(date(2024, 1, 1), date(2024, 1, 1), date(2025, 12, 1), date(2025, 12, 31))
TODAY = date(2026, 6, 15)
FILES = sorted(path.relative_to(KNOWN / "delivery") for path in KNOWN.glob("delivery/**/*.csv"))
# What a program writes by mistake, and what readers stumble over.
PIECES = st.sampled_from(
    [
        *(b'"', b'""', b"'", b",", b";", b"\t", b"|", b"\\", b"\n", b"\r", b"\r\n", b"\n\n"),
        *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\x1a", b"\xe2\x80\xae"),
        *(b"NULL", b"NaN", b"-inf", b"1e400", b"0x1F", b"1_000", b"1,5", b"--1", b"+-0", b"1e-9"),
        *(b"9" * 40, b"0." + b"9" * 60, b"-0", b"99999999999999999.99", b"\xd9\xa1"),
        *(b"2025-02-30", b"0000-00-00", b"31/12/2025", b"20251231", b"infinity", b"epoch"),
        *(b"true", b"=1+1", b"{}", b"[", b"$x", b"%s", b"../x", b"select 1"),
    ]
) | st.binary(max_size=6)
PLACE = st.floats(0, 1, exclude_max=True)
CHANGE = st.one_of(
    st.tuples(st.just("insert"), PLACE, PIECES),
    st.tuples(st.just("replace"), PLACE, PIECES),
    st.tuples(st.just("delete"), PLACE, st.integers(1, 40)),
    st.tuples(st.just("cut"), PLACE, st.none()),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 400)),
    st.tuples(st.just("cell"), PLACE, PIECES),
)


def changed(content: bytes, changes: list[tuple[str, float, object]]) -> bytes:
    for kind, place, what in changes:
        at = int(place * len(content))
        if kind == "insert":
            content = content[:at] + what + content[at:]
        elif kind == "replace":
            content = content[:at] + what + content[at + len(what) :]
        elif kind == "delete":
            content = content[:at] + content[at + what :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "repeat":
            content = content[:at] + content[at : at + what] * 2 + content[at + what :]
        else:
            cells = re.split(rb"([,\n])", content)
            number = 2 * int(place * ((len(cells) + 1) // 2))
            content = b"".join([*cells[:number], what, *cells[number + 1 :]])
    return content


def taken(folder: Path, home: Path) -> duckdb.DuckDBPyConnection | None:
    """The warehouse that a delivery is landed in; None where it is refused, by name."""
    connection = duckdb.connect(config={"memory_limit": "1GB", "threads": 1})
    source = DeliveredFiles(folder)
    try:
        problems = source.problems(connection)
        if problems:
            raise DeliveryRefused(problems)
        land(connection, source, WINDOW, home, b"key", TODAY)
    except DeliveryRefused as refused:
        connection.close()
        assert refused.problems
        for problem in refused.problems:
            assert problem.file and problem.what and problem.cure
        return None
    return connection


def accounted_for(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The rows of each file; each of them is landed, set aside with a reason, or too late or early.
    The tables hold what is landed."""
    rows: dict[str, int] = {}
    landed: Counter[str] = Counter()
    for table, file, read, *parts in connection.execute(
        "select table_name, path, rows, landed, quarantined, after_as_of, before_first_month "
        "from meta.input_file"
    ).fetchall():
        assert read == sum(parts), (table, file, read, parts)
        rows[file] = read
        landed[table] += parts[0]
        aside = connection.execute(
            f'select count(distinct row_number) from quarantine."{table}" where file = ?', [file]
        ).fetchone()
        assert aside == (parts[1],), (table, file)
    for table, count in landed.items():
        held = connection.execute(f'select count(*) from landing."{table}"').fetchone()
        assert held == (count,), table
    return rows


def judged(tmp_path: Path, write: Callable[[Path], None]) -> dict[str, int] | None:
    folder, home = tmp_path / "delivery", tmp_path / "landing"
    for one in (folder, home):
        shutil.rmtree(one, ignore_errors=True)
    shutil.copytree(KNOWN / "delivery", folder)
    write(folder)
    connection = taken(folder, home)
    if connection is None:
        return None
    with connection:
        return accounted_for(connection)


@settings(
    max_examples=TRIED,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(FILES), st.lists(CHANGE, min_size=1, max_size=6))
@example(Path("transaction.csv"), [])
def test_a_csv_file_of_any_bytes_is_refused_or_all_its_rows_are_accounted_for(
    tmp_path, file, changes
):
    content = changed((KNOWN / "delivery" / file).read_bytes(), changes)
    rows = judged(tmp_path, lambda folder: (folder / file).write_bytes(content))
    # Where no quote joins lines, a row is a line.
    if rows is not None and not set(b'"\r\x00\xef') & set(content):
        lines = [line for line in content.split(b"\n")[1:] if line.strip(b", \t")]
        assert rows.get(str(file), 0) == len(lines)


@settings(
    max_examples=TRIED,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(FILES), st.lists(CHANGE, max_size=3))
@example(Path("account_balance.csv"), [])
# Its footer is broken only for a reader of its types.
@example(Path("account_balance.csv"), [("insert", 0.0, b'"')])
def test_a_parquet_file_of_any_bytes_is_refused_or_all_its_rows_are_accounted_for(
    tmp_path, file, changes
):
    def write(folder: Path) -> None:
        # The extracts of one table have one form.
        for path in (folder / file).parent.glob("*.csv") if file.parts[1:] else [folder / file]:
            with duckdb.connect() as connection:
                made = path.with_suffix(".parquet")
                read = f"read_csv('{path}', all_varchar = true)"
                connection.execute(f"copy (from {read}) to '{made}' (format parquet)")
            path.unlink()
        made = (folder / file).with_suffix(".parquet")
        made.write_bytes(changed(made.read_bytes(), changes))

    rows = judged(tmp_path, write)
    assert changes or rows is not None


ODD_TYPES = (
    *("boolean", "tinyint", "hugeint", "double", "decimal(38, 10)", "blob", "timestamptz"),
    *("interval", "varchar[]", "struct(a varchar)", "map(varchar, varchar)", "time", "uuid"),
    *("date", "timestamp_ns", "bit", "json", "float[3]", "ubigint", "varchar"),
)


@settings(
    max_examples=TRIED,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(FILES), PLACE, st.sampled_from(ODD_TYPES))
def test_a_column_of_any_type_is_refused_or_all_its_rows_are_accounted_for(
    tmp_path, file, place, kind
):
    def write(folder: Path) -> None:
        path = folder / file
        with duckdb.connect() as connection:
            read = f"read_csv('{path}')"
            names = [row[0] for row in connection.execute(f"describe from {read}").fetchall()]
            name = names[int(place * len(names))]
            try:
                value = f"coalesce(try_cast({name}::varchar as {kind}), null)"
                connection.execute(
                    f"copy (select * replace ({value} as {name}) from {read}) "
                    f"to '{path.with_suffix('.parquet')}' (format parquet)"
                )
            except duckdb.Error:
                # A type that Parquet has no place for.
                return
        path.unlink()

    judged(tmp_path, write)

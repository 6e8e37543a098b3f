"""`meta.engine`: what built each table of base to features, and a digest of what it built.

Two homes hold the same tables where rows and digests are equal and `doubles` agree to `TOLERANCE`.
A sum or a logarithm has other last digits on another engine, and no rounding brings two of them
together for certain, so doubles are no part of the digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import distributions, version
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.platform import spark
from orchestration.platform.settings import Settings
from orchestration.platform.tables import ensure_table, write_table
from sources.delimited import quoted

TABLE = "meta.engine"
# A discounted amount is a double that is rounded to twelve places.
APPROXIMATE = ("DOUBLE", "DECIMAL(38,12)")
TOLERANCE = 1e-9
# Weights of rows: swapped figures of two rows show.
WEIGHTS = 997


def record(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    layer: str,
    tables: Sequence[str],
    *,
    on_spark: bool,
) -> None:
    """Replace the rows of a layer's tables in `meta.engine`.

    Parameters
    ----------
    layer : the step that built the tables
    tables : names `schema.table`, without views
    """
    ensure_table(connection, TABLE)
    rows = connection.table(TABLE).to_arrow_table().to_pylist()
    by = _spark(settings) if on_spark else _duckdb()
    found = [
        {"layer": layer, "table_name": table, **by, **content(connection, table)}
        for table in tables
    ]
    rows = [*(one for one in rows if one["layer"] != layer), *found]
    write_table(connection, TABLE, pa.Table.from_pylist(rows) if rows else None)


def content(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, Any]:
    """Rows of a table or view, the digest of its exact columns and the mean of its doubles, none of
    which depends on the order of rows or columns.

    The digest is the sum of DuckDB's hashes of the rows with the columns' types, where an
    approximate column counts by whether it is empty. The mean is that of the inverse hyperbolic
    sines: it changes by at most `TOLERANCE` where no double changes by more, relative to itself or,
    below 1, absolutely.
    """
    relation = connection.table(table)
    # By name: Spark keeps the month, which its folders give, as the last column.
    types = {
        quoted(name): str(kind)
        for name, kind in sorted(zip(relation.columns, relation.types, strict=True))
    }
    doubles = [name for name, kind in types.items() if kind in APPROXIMATE]
    hashed = ", ".join(f"{name} is null" if name in doubles else name for name in types)
    shape = ", ".join(f"{name} {kind}" for name, kind in types.items()).replace("'", "''")
    terms = [
        f"coalesce(asinh({name}::double) * (row_digest % {WEIGHTS} + {place}), 0)"
        for place, name in enumerate(doubles, 1)
    ]
    counts = " + ".join(f"count({name})" for name in doubles)
    mean = (
        f"sum({' + '.join(terms)}) / nullif(({counts}) * {WEIGHTS + len(doubles)}, 0)"
        if doubles
        else "null"
    )
    ((rows, digest, of_doubles),) = (
        relation.project(", ".join([f"hash('{shape}', {hashed}) as row_digest", *doubles]))
        .aggregate(f"count(*), coalesce(sum(row_digest::hugeint), 0)::varchar, {mean}")
        .fetchall()
    )
    return {
        **{"rows": rows, "digest": digest, "doubles": of_doubles},
        "digest_version": duckdb.__version__,
    }


def _duckdb() -> dict[str, str | None]:
    return {
        **{"engine": "duckdb", "engine_version": duckdb.__version__, "java_version": None},
        **{"dbt_version": version("dbt-core"), "adapter_version": version("dbt-duckdb")},
    }


def _spark(settings: Settings) -> dict[str, str | None]:
    # Of the environment in which dbt ran, which is another than this one.
    packages = [str(path) for path in spark.ENVIRONMENT.glob("lib/*/site-packages")]
    installed = {one.name: one.version for one in distributions(path=packages)}
    return {
        **{"engine": "spark", **spark.session(settings)},
        **{"dbt_version": installed["dbt-core"], "adapter_version": installed["dbt-spark"]},
    }

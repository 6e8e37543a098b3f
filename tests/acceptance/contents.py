"""Comparing published databases by content: what must be equal, whatever the row order."""

from __future__ import annotations

from pathlib import Path

import duckdb

# Names of runs, files and keys that differ between two homes by their nature.
OWN_TO_A_HOME = {
    "mlflow_run_id",
    "run_id",
    "build_number",
    "path",
    "file",
    "sha256",
    "value",
    "row_number",
}
COMPARED_SCHEMAS = (
    *("base", "value", "scores", "alerts", "contacts", "decisions", "campaigns", "quarantine"),
)


def tables_of(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name in "
        "(select unnest(?)) order by all",
        [[*COMPARED_SCHEMAS, "features"]],
    ).fetchall()


def digest_of_tables(
    database: Path, schemas: tuple[str, ...] = COMPARED_SCHEMAS, where: str = "true"
) -> dict[str, tuple[int, str]]:
    """Table → rows and an order-free digest of its content, columns of a home's own left out.

    `where` is applied to tables with a column `month`.
    """
    digests = {}
    with duckdb.connect(str(database), read_only=True) as connection:
        for schema, table in tables_of(connection):
            if schema not in schemas:
                continue
            columns = [
                name
                for (name,) in connection.execute(
                    "select column_name from duckdb_columns() "
                    "where schema_name = ? and table_name = ? order by column_index",
                    [schema, table],
                ).fetchall()
                if schema != "quarantine" or name not in OWN_TO_A_HOME
            ]
            listed = ", ".join(f'"{name}"' for name in columns)
            condition = where if "month" in columns else "true"
            digests[f"{schema}.{table}"] = connection.execute(
                f"select count(*), coalesce(sum(hash({listed})::hugeint), 0)::varchar "
                f'from "{schema}"."{table}" where {condition}'
            ).fetchall()[0]
    return digests

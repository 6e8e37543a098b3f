"""Queries kept as files: rows by column, with the parameters that a query names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from orchestration.valuation.macros import rendered

Row = dict[str, Any]


def rows(connection: DuckDBPyConnection, path: Path, values: Row, **words: Any) -> list[Row]:
    """The rows of a query: `values` are its parameters, `words` fill its template."""
    query = rendered(path, words)
    used = {name: value for name, value in values.items() if f"${name}" in query}
    result = connection.execute(query, used)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

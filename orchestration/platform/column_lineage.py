"""Which columns of other tables a column of a dbt model is made of, from the compiled SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import dagster as dg
from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

Origins = frozenset[tuple[str, str, str]]


def declared_columns(manifest: Mapping[str, Any]) -> MappingSchema:
    """The columns that the project declares of its models, seeds and sources: what `select *`
    stands for."""
    schema: dict[str, Any] = {}
    for node in (*manifest["nodes"].values(), *manifest["sources"].values()):
        if node.get("columns"):
            name = node.get("alias") or node["identifier"]
            columns = {
                column["name"]: column.get("data_type") or "varchar"
                for column in node["columns"].values()
            }
            schema.setdefault(node["schema"], {})[name] = columns
    return MappingSchema(schema, dialect="duckdb")


def column_origins(sql: str, schema: MappingSchema) -> dict[str, Origins]:
    """Schema, table and column of every table column that a column of the query is computed from.

    Columns that only filter, join or group are not among them. A column without an origin, such as
    a count of rows, has an empty set.

    Raises
    ------
    sqlglot.errors.SqlglotError
        When the query is not understood.
    """
    query = qualify(
        parse_one(sql, dialect="duckdb"),
        schema=schema,
        dialect="duckdb",
        validate_qualify_columns=False,
        identify=False,
    )
    scope = build_scope(query)
    if scope is None:
        return {}
    known: dict[tuple[int, str], Origins] = {}
    return {name: _origins(scope, name, known) for name in _names(scope)}


def _origins(scope: Scope, name: str, known: dict[tuple[int, str], Origins]) -> Origins:
    place = (id(scope), name)
    if place not in known:
        # A recursive query reaches itself again.
        known[place] = frozenset()
        found: list[Origins] = []
        if scope.set_operation_scopes:
            position = _names(scope).index(name)
            for part in scope.set_operation_scopes:
                found.append(_origins(part, _names(part)[position], known))
        else:
            for selected in cast(exp.Query, scope.expression).selects:
                if selected.alias_or_name == name:
                    found.append(_in_expression(scope, selected, known))
        known[place] = frozenset().union(*found)
    return known[place]


def _names(scope: Scope) -> list[str]:
    return cast(exp.Query, scope.expression).named_selects


def _in_expression(
    scope: Scope, expression: exp.Expr, known: dict[tuple[int, str], Origins]
) -> Origins:
    inner = {id(part.expression): part for part in scope.subquery_scopes}
    found: set[tuple[str, str, str]] = set()
    todo: list[exp.Expr] = [expression]
    while todo:
        node = todo.pop()
        if id(node) in inner:
            part = inner[id(node)]
            found.update(*(_origins(part, name, known) for name in _names(part)))
        elif isinstance(node, exp.Column):
            source = scope.sources.get(node.table)
            if not node.table and len(scope.selected_sources) == 1:
                # A table whose columns are not declared: its columns stay without its name.
                ((_, source),) = scope.selected_sources.values()
            if isinstance(source, Scope):
                found |= _origins(source, node.name, known)
            elif isinstance(source, exp.Table):
                found.add((source.db, source.name, node.name))
        else:
            todo.extend(node.iter_expressions())
    return frozenset(found)


def lineage_of(sql: str, schema: MappingSchema) -> dg.TableColumnLineage:
    """`column_origins` as Dagster shows it."""
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey([database, table]), column)
                for database, table, column in sorted(origins)
            ]
            for name, origins in column_origins(sql, schema).items()
            if origins
        }
    )

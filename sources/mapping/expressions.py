"""SQL expressions of a mapping: one scalar over the file's columns, read by DuckDB's own parser.

An expression may neither read anything else (files, settings, tables) nor depend on the day of the
run: everything that is not listed here is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from sources.message import Message, by_commas

FUNCTIONS = frozenset(
    (
        *("+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*", "like_escape"),
        *("abs", "ceil", "concat", "concat_ws", "contains", "date_diff", "date_part", "date_trunc"),
        *("day", "ends_with", "floor", "greatest", "if", "instr", "last_day", "lcase", "least"),
        *("left", "length", "lower", "lpad", "ltrim", "make_date", "month", "nullif", "position"),
        *("regexp_extract", "regexp_full_match", "regexp_matches", "regexp_replace", "replace"),
        *("reverse", "right", "round", "rpad", "rtrim", "sign", "split_part", "starts_with"),
        *("strftime", "strip_accents", "strlen", "strptime", "substr", "substring", "suffix"),
        *("to_days", "to_months", "to_years", "translate", "trim", "trunc", "try_strptime"),
        *("ucase", "upper", "year"),
    )
)
CLASSES = ("BETWEEN", "CASE", "CAST", "COMPARISON", "CONJUNCTION", "CONSTANT", "OPERATOR", "TYPE")
NAMED = {
    "SUBQUERY": Message("a subquery"),
    "WINDOW": Message("a window function"),
    "STAR": Message("a star"),
    "LAMBDA": Message("a lambda"),
    "PARAMETER": Message("a parameter"),
    "COLLATE": Message("a collation"),
}
# Parts of a query besides the one expression.
EMPTY: tuple[Any, ...] = (None, [], {"map": []}, "STANDARD_HANDLING")
CURE = Message("Write one expression over the file's columns, such as substr(AC_NO, 1, 3).")


@dataclass(frozen=True)
class Expression:
    """A checked expression: its SQL as the parser reads it, and the columns that it names."""

    sql: str
    columns: tuple[str, ...]


class ExpressionRefused(ValueError):
    """The text is not one scalar expression of the allowed parts."""

    @property
    def reason(self) -> str:
        return self.args[0]


def parse(connection: duckdb.DuckDBPyConnection, text: str) -> Expression:
    """Check an expression.

    Raises
    ------
    ExpressionRefused
        For a text that is not one scalar expression, or has a part that is not allowed.
    """
    query = f"select {text}"
    ((serial,),) = connection.execute("select json_serialize_sql(?)", [query]).fetchall()
    read = json.loads(serial)
    if read.get("error"):
        raise ExpressionRefused(Message("cannot be parsed: {0}", read.get("error_message", "")))
    nodes = [statement["node"] for statement in read["statements"]]
    if len(nodes) != 1 or not _is_bare(nodes[0]):
        raise ExpressionRefused(Message("is more than one expression"))
    (expression,) = nodes[0]["select_list"]
    faults = list(dict.fromkeys(_faults(expression)))
    if faults:
        raise ExpressionRefused(Message("has {0}, which is not allowed", by_commas(faults)))
    ((canonical,),) = connection.execute("select json_deserialize_sql(?)", [serial]).fetchall()
    columns = dict.fromkeys(_columns(expression))
    return Expression(f"({canonical.removeprefix('SELECT ')})", tuple(columns))


def unknown_columns(expression: Expression, known: Collection[str]) -> list[str]:
    """Names that are none of the known columns (in lower case)."""
    return [name for name in expression.columns if name.lower() not in known]


def _is_bare(node: dict[str, Any]) -> bool:
    rest = {
        name: part
        for name, part in node.items()
        if name not in ("type", "select_list", "from_table")
    }
    return (
        node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and not node["select_list"][0]["alias"]
        and node["from_table"]["type"] == "EMPTY"
        and all(part in EMPTY for part in rest.values())
    )


def _faults(part: Any) -> Iterator[str]:
    for one in _nodes(part):
        kind = one["class"]
        if kind == "FUNCTION":
            name = str(one["function_name"]).lower()
            if name not in FUNCTIONS or one["schema"] or one["catalog"]:
                yield Message("the function {0}", name)
            elif one["distinct"] or one["filter"] or one["order_bys"]["orders"]:
                yield "an aggregate"
        elif kind == "COLUMN_REF":
            if len(one["column_names"]) != 1:
                yield Message("the qualified name {0}", ".".join(one["column_names"]))
        elif kind not in CLASSES:
            yield NAMED.get(kind, Message("a part of kind {0}", kind.lower()))


def _columns(part: Any) -> Iterator[str]:
    for one in _nodes(part):
        if one["class"] == "COLUMN_REF":
            yield one["column_names"][0]


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """The nodes of the parsed expression, the outer ones first."""
    if isinstance(part, dict):
        if "class" in part:
            yield part
        for inner in part.values():
            yield from _nodes(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)

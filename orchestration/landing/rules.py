"""The contract as SQL: casts of delivered values, and the row rules that a row may break."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from orchestration.platform.settings import named
from sources.contract import MONEY, TEXT, WHOLE, Table
from sources.delimited import LONGEST_RECORD, literal, quoted
from sources.grammar import rounds, text_of, typed
from sources.message import Message

KEY_OR_REFERENCE = "key_or_reference"
OTHER = "other"
# A row whose parent is in quarantine: counted under the rule that the parent breaks.
FOLLOWING = "following"
# Stricter than the contract's share for values: an invalid key or reference in a required table
# loses the whole row.
TOLERATED_KEY_SHARE = 0.0005

AS_OF = re.compile(r"\bas_of\b")


@dataclass(frozen=True)
class Calendar:
    """The as-of date, the first day of history and the day of the run."""

    as_of: date
    first_month: date
    today: date


@dataclass(frozen=True)
class Rule:
    """`condition` holds for an offending row of the cast delivery (see `cast_columns`)."""

    name: str
    column: str
    condition: str
    rule_class: str = OTHER


def day(value: date) -> str:
    return f"date '{value.isoformat()}'"


def code(text: str) -> str:
    """SQL for a code: trimmed, in upper case, NULL if empty."""
    return f"nullif(upper(trim({text})), '')"


def cast_columns(table: Table, types: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Two steps of expressions over a relation whose columns have `types` (contract name → type).

    The first gives each contract column in its type and, as `raw_<column>`, in text. The second
    gives `bad_<column>`, true for a value that is not of the type, and `rough_<column>`, true for a
    value that the type would round silently (12.345 as money, 1.5 as a count).

    Other types are cast through text (see `grammar`): a DOUBLE 0.1 becomes '0.1' and then exactly
    0.100000.

    Personal values are replaced by tokens here (`token`): DuckDB neither stores nor spills them.
    """
    first: list[str] = []
    second: list[str] = []
    for column in table.columns:
        name, given = quoted(column.name), types.get(column.name)
        raw = quoted(f"raw_{column.name}")
        if given is None:
            first += [f"null::{column.type} as {name}", f"null::varchar as {raw}"]
        else:
            text = text_of(name, column.type)
            if column.personal:
                text = token(text)
            value = typed(text, column.type) if column.form is None else code(text)
            first += [f"{name if given == column.type != TEXT else value} as {name}"]
            first += [f"{text} as {raw}"]
        if column.type == TEXT:
            continue
        bad = rough = "false"
        if given not in (None, column.type):
            bad = f"{raw} is not null and {name} is null"
            rough = f"{name} is not null and {rounds(raw, column.type)}"
        second.append(f"{bad} as {quoted('bad_' + column.name)}")
        second.append(f"{rough} as {quoted('rough_' + column.name)}")
    return first, second


def row_rules(table: Table, calendar: Calendar, delivered: Collection[str]) -> list[Rule]:
    """Every rule that a single row of the table can break, in the order of the columns.

    `delivered` are the tables that references are checked against. For each such column the cast
    delivery has `seen_<column>`: true if the parent is landed, false if it is dated after the as-of
    date, NULL if it is unknown or in quarantine; and `cause_<column>`: the number of the cause of a
    parent in quarantine.
    """
    rules: list[Rule] = []
    for column in table.columns:
        name = quoted(column.name)
        bad = "false" if column.type == TEXT else quoted(f"bad_{column.name}")
        if column.required:
            identifies = column.name in table.key or column.references is not None
            rules.append(
                Rule(
                    "required",
                    column.name,
                    f"{name} is null and not {bad}",
                    KEY_OR_REFERENCE if identifies else OTHER,
                )
            )
        if column.type == TEXT:
            rules.append(Rule("length", column.name, f"strlen({name}) > {LONGEST_RECORD}"))
        else:
            rules.append(Rule("type", column.name, bad))
        if column.type in (MONEY, WHOLE):
            rules.append(Rule("precision", column.name, quoted(f"rough_{column.name}")))
        if column.values:
            listed = ", ".join(literal(value) for value in column.values)
            rules.append(Rule("allowed_values", column.name, f"{name} not in ({listed})"))
        if column.form is not None:
            fits = f"regexp_full_match({name}, {literal(column.form)})"
            rules.append(Rule("form", column.name, f"not {fits}"))
        if column.other_person_than is not None:
            other = quoted(column.other_person_than)
            rules.append(
                Rule("two_persons", column.name, f"upper(trim({name})) = upper(trim({other}))")
            )
        limits = [
            f"{name} {sign} {AS_OF.sub(day(calendar.as_of), limit)}"
            for sign, limit in (("<", column.low), (">", column.high))
            if limit is not None
        ]
        if limits:
            rules.append(Rule("range", column.name, " or ".join(limits)))
        if column.first_of_month:
            rules.append(Rule("month_start", column.name, f"{name} <> date_trunc('month', {name})"))
        if column.references in delivered:
            seen, cause = (quoted(f"{part}_{column.name}") for part in ("seen", "cause"))
            unknown = f"{name} is not null and {seen} is null and {cause} is null"
            rules.append(Rule("reference", column.name, unknown, KEY_OR_REFERENCE))
            follows = f"{cause} is not null"
            rules.append(Rule("parent_quarantined", column.name, follows, FOLLOWING))
    if table.dated_by is not None:
        dated = quoted(table.dated_by)
        rules.append(Rule("date_in_future", table.dated_by, f"{dated} > {day(calendar.today)}"))
        if table.event and table.required:
            rules.append(
                Rule("before_first_month", table.dated_by, f"{dated} < {day(calendar.first_month)}")
            )
    return rules


def token(text: str) -> str:
    """SQL for the token of a text: the first 16 hex digits of sha256(key || text), where the key is
    the variable `landing_token_key`; NULL for NULL."""
    return f"left(sha256(getvariable('landing_token_key') || encode({text})), 16)"


def shown_value(table: Table, column: str) -> str:
    """SQL for the value in quarantine: as delivered, or a token if the table has personal columns,
    where any column may hold a personal value: a shifted row puts an e-mail in a date."""
    raw = quoted(f"raw_{column}")
    # The raw text of a personal column is already a token.
    return token(raw) if table.personal and not table.column(column).personal else raw


# The cure for each rule.
CURES: dict[str, str] = {
    "malformed_row": Message(
        "quote values that hold the delimiter or a quote, and deliver the complete row in "
        "at most a million bytes; where the value names an expression of the mapping, "
        "correct the row or the expression"
    ),
    "required": Message("fill the column; a row without it cannot be used"),
    "type": Message(
        "write dates as YYYY-MM-DD, numbers with digits and a decimal point only, and true or false"
    ),
    "length": Message("shorten the value to at most a million bytes"),
    "precision": Message("deliver money with two decimals and counts as whole numbers"),
    "allowed_values": Message("map the bank's own code to one of the contract's values"),
    "form": Message("write the three-letter ISO 4217 code of the currency, such as EUR"),
    "range": Message("correct the value"),
    "month_start": Message("write the first day of the month"),
    "two_persons": Message(
        "maker and checker are the same person: an adjustment needs two persons; let "
        "another person check it"
    ),
    "reference": Message("deliver the row it references, or correct the identifier"),
    "parent_quarantined": Message(
        "correct the row it references; quarantine shows what is wrong with it"
    ),
    "date_in_future": Message("correct the date: it lies after today"),
    "before_first_month": Message(
        "set {0} to the first month, or correct the date",
        named("first_month"),
    ),
    "duplicate_row": Message("deliver each row once"),
    "duplicate_key": Message("deliver one row per key; the first by file and row is kept"),
    "shares_above_one": Message(
        "correct the shares, or end the credit of one employee before that of the next "
        "begins; the value is the account, the day and the sum of its shares; all rows of "
        "that day are set aside"
    ),
}

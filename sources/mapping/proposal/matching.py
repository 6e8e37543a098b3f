"""Which file gives which table, and which column which: by names, values, keys and references."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from sources.contract import BY_NAME, DAY, FLAG, RATE, TABLES, TEXT, Column, Table
from sources.delimited import quoted
from sources.mapping.places import matching
from sources.mapping.proposal.keeping import Given
from sources.mapping.proposal.profiles import Profile, with_all_codes
from sources.mapping.proposal.sniffing import Sniffed
from sources.mapping.proposal.synonyms import code_of, nearest, synonyms, words
from sources.message import Message

# A file by its name and its columns; a column by its name and its values.
LEAST_FILE, LEAST_COLUMN = 0.55, 0.5
# Values of a reference that the other table's key must have.
CONTAINED = 0.95
MANY = 20
BOOLEANS = ("true", "false")
# How well more values than `counts` has fit as codes, if each is in ten rows or more.
MANY_CODES, REPEATED = 0.3, 0.1
# Values of a column that may hold the sides of amounts.
MOST_SIDES = 6
# The least of a column whose values are nothing like the contract's.
BY_NAME_ALONE = 0.4


@dataclass
class FileSeen:
    """A file, or a pattern of files by month, with the profiles of its columns.

    `relation` has the rows of some of the files, `whole` makes a query of columns of all of them;
    `paths` are the files below the folder.
    """

    pattern: str
    sniffed: Sniffed | None
    profiles: dict[str, Profile]
    relation: str
    whole: Callable[[Sequence[str]], str]
    paths: Sequence[str] = ()

    @property
    def stem(self) -> str:
        """The part of its path that says what it is."""
        part = re.sub(r"\{[^}]*\}|\*+", " ", self.pattern).rsplit("/", 1)[-1]
        name = part.split(".")[0].strip(" _-")
        return name or self.pattern.split("/")[0]


@dataclass
class Match:
    """A column of the contract and the file's column proposed for it."""

    column: Column
    profile: Profile
    score: float
    reasons: list[str] = field(default_factory=list)


@dataclass
class TableMatch:
    """A table of the contract and the file proposed for it."""

    table: Table
    seen: FileSeen
    score: float
    matches: dict[str, Match] = field(default_factory=dict)


def match(
    connection: duckdb.DuckDBPyConnection, files: list[FileSeen], given: Given | None = None
) -> dict[str, TableMatch]:
    """The proposed file of each table that has one, with its columns; tables and columns that are
    `given` have the files and columns that the bank named."""
    candidates = sorted(
        (
            (_file_score(table, seen), table.name, seen.pattern)
            for table in TABLES
            for seen in files
        ),
        reverse=True,
    )
    by_pattern = {seen.pattern: seen for seen in files}
    found = _given_tables(files, given) if given else {}
    taken = {seen.pattern for seen in files if given and given.covers(seen.paths)}
    for score, name, pattern in candidates:
        if score >= LEAST_FILE and name not in found and pattern not in taken:
            found[name] = TableMatch(BY_NAME[name], by_pattern[pattern], score)
            taken.add(pattern)
    if not given or "account_holder" not in given.feeds:
        _holders_of_accounts(found, files)
    for one in found.values():
        one.matches = _columns(one.table, one.seen) | _given_columns(one, given)
    keys = _keys(found)
    for one in found.values():
        referred = _referred(connection, one, keys)
        one.matches = _columns(one.table, one.seen, referred) | _given_columns(one, given)
    for one in found.values():
        _count_codes(connection, one)
    return found


def _given_tables(files: list[FileSeen], given: Given) -> dict[str, TableMatch]:
    """The tables whose files the bank named, where one of them is there."""
    found = {}
    for name in given.feeds:
        for seen in files:
            if any(matching(pattern, seen.paths) for pattern in given.patterns(name)):
                found[name] = TableMatch(BY_NAME[name], seen, 1.0)
                break
    return found


def _given_columns(one: TableMatch, given: Given | None) -> dict[str, Match]:
    """The columns that the bank named, as they are matched."""
    if given is None or one.table.name not in given.feeds:
        return {}
    found = {}
    for column in one.table.columns:
        value = given.columns(one.table.name).get(column.name)
        name = value.get("column") if isinstance(value, dict) else value
        if name in one.seen.profiles:
            found[column.name] = Match(column, one.seen.profiles[name], 1.0)
    return found


def is_coded(column: Column) -> bool:
    """Whether the contract lists the values, or has a form for them."""
    return bool(column.values) or column.type == FLAG or column.form is not None


def _count_codes(connection: duckdb.DuckDBPyConnection, one: TableMatch) -> None:
    """Take the codes of the matched columns from all rows of the files, and those of products and
    of sides of amounts."""
    names = {
        match.profile.name
        for name, match in one.matches.items()
        if is_coded(match.column) or (one.table.name, name) == ("account", "product_id")
    }
    if one.table.name == "transaction":
        names |= {p.name for p in one.seen.profiles.values() if 0 < len(p.counts) <= MOST_SIDES}
    profiles = [profile for name, profile in one.seen.profiles.items() if name in names]
    if not profiles:
        return
    try:
        whole = one.seen.whole([profile.name for profile in profiles])
        counted = [with_all_codes(connection, whole, profile) for profile in profiles]
    except (OSError, EOFError, duckdb.Error):
        # `check` names a file that cannot be read; the first rows of the others have codes.
        return
    one.seen.profiles |= {profile.name: profile for profile in counted}
    for match in one.matches.values():
        match.profile = one.seen.profiles[match.profile.name]


def others(
    files: Iterable[FileSeen], found: Mapping[str, TableMatch], given: Given | None = None
) -> dict[str, str]:
    """Files without a table → the table that they look most like, if any."""
    used = {one.seen.pattern for one in found.values()}
    near = {}
    for seen in files:
        if seen.pattern not in used and not (given and given.covers(seen.paths)):
            score, name = max((_file_score(table, seen), table.name) for table in TABLES)
            near[seen.pattern] = name if score >= LEAST_FILE else ""
    return near


def _file_score(table: Table, seen: FileSeen) -> float:
    by_name = max(
        nearest(part, table.name, synonyms("tables").get(table.name, ()))
        for part in (seen.stem, seen.pattern.split("/")[0].split(".")[0])
    )
    matches = _columns(table, seen)
    required = table.required_columns
    by_columns = sum(matches[n].score for n in required if n in matches) / max(len(required), 1)
    known = len(matches) / max(len(seen.profiles), 1)
    return 0.45 * by_name + 0.4 * by_columns + 0.15 * min(known, 1.0)


def _holders_of_accounts(found: dict[str, TableMatch], files: list[FileSeen]) -> None:
    """Accounts that name their customer give the holders, too."""
    if "account_holder" not in found and "account" in found:
        table, seen = BY_NAME["account_holder"], found["account"].seen
        if {"account_id", "customer_id"} <= _columns(table, seen).keys():
            found["account_holder"] = TableMatch(table, seen, LEAST_FILE)


def _columns(
    table: Table, seen: FileSeen, referred: Mapping[tuple[str, str], float] | None = None
) -> dict[str, Match]:
    """The best file column of each contract column; each file column once."""
    pairs = []
    for column in table.columns:
        for profile in seen.profiles.values():
            one = _match(table, column, profile, (referred or {}).get((column.name, profile.name)))
            if one.score >= LEAST_COLUMN:
                pairs.append(one)
    found: dict[str, Match] = {}
    used: set[str] = set()
    pairs.sort(key=lambda one: (-one.score, not one.column.required))
    for one in pairs:
        if one.column.name not in found and one.profile.name not in used:
            found[one.column.name] = one
            used.add(one.profile.name)
    return {name: found[name] for name in table.column_names if name in found}


def _match(table: Table, column: Column, profile: Profile, contained: float | None) -> Match:
    known = synonyms("columns").get(column.name, ())
    by_name = nearest(profile.name, column.name, known)
    if table.key == (column.name,) and words(profile.name) == ("id",):
        # The id of a table's own file.
        by_name = max(by_name, 0.9)
    by_values, reason = fit(table, column, profile)
    score = by_name * (BY_NAME_ALONE + (1 - BY_NAME_ALONE) * by_values)
    same = Message("the name is the same") if by_name > 0.9 else Message("the name is alike")
    reasons = [one for one in (same, reason) if one and by_name]
    if contained is not None and column.references:
        if contained >= CONTAINED:
            # Ids that count from 1 are contained in each other: another name decides.
            many = profile.distinct >= MANY
            if by_name or (many and not _is_another(profile.name, column.name)):
                score = min(max(score, 0.45) + 0.15, 0.99)
                reasons.append(Message("its values are keys of {0}", column.references))
        elif contained < 1 - CONTAINED:
            score *= 0.6
            reasons.append(Message("its values are no keys of {0}", column.references))
    return Match(column, profile, round(score, 2), reasons)


def _is_another(name: str, column: str) -> bool:
    """Whether a name is that of another column of the contract."""
    return any(
        nearest(name, other, known) > 0.9
        for other, known in synonyms("columns").items()
        if other != column
    )


def fit(table: Table, column: Column, profile: Profile) -> tuple[float, str]:
    """How well the values fit the contract's column, from 0 to 1, and why."""
    if not profile.values:
        return 0.5, Message("no values")
    if column.values or column.type == FLAG:
        allowed = column.values or BOOLEANS
        named = sum(rows for one, rows in profile.counts.items() if code_of(one, allowed))
        share = named / profile.values
        # A core system may have hundreds of codes of bookings.
        many = MANY_CODES if profile.distinct <= REPEATED * profile.values else 0.0
        few = 0.5 if profile.counts else many
        reason = Message("{0} of the rows have a known code", f"{share:.0%}")
        return max(share, few), reason if profile.counts else ""
    if column.form is not None:
        fits = [one for one in profile.counts if re.fullmatch("[A-Za-z]{3}|[0-9]{3}", one)]
        return (1.0, Message("codes of currencies")) if fits else (0.0, "")
    if column.type == DAY:
        if not profile.dates:
            return 0.0, Message("no days")
        return 1.0, Message("days as {0}", profile.dates[0])
    if column.is_number:
        if profile.number is None:
            return 0.0, Message("no numbers")
        if column.type == RATE and (profile.high or 0.0) > 100:
            return 0.3, Message("too large")
        return 1.0, Message("numbers")
    if table.key == (column.name,):
        return (1.0, Message("unique")) if profile.is_key else (0.3, Message("not unique"))
    is_date = profile.dates and not profile.number
    return (0.2, Message("days")) if column.type == TEXT and is_date else (0.85, "")


def _keys(found: Mapping[str, TableMatch]) -> dict[str, tuple[FileSeen, str]]:
    """Table → the file and column of its key."""
    return {
        name: (one.seen, one.matches[one.table.key[0]].profile.name)
        for name, one in found.items()
        if len(one.table.key) == 1 and one.table.key[0] in one.matches
    }


def _referred(
    connection: duckdb.DuckDBPyConnection,
    one: TableMatch,
    keys: Mapping[str, tuple[FileSeen, str]],
) -> dict[tuple[str, str], float]:
    """The share of a file column's values that are keys of the table that a contract column
    references, where both have several."""
    found = {}
    for column in one.table.columns:
        if column.references is None or column.references not in keys:
            continue
        other, key = keys[column.references]
        for profile in one.seen.profiles.values():
            if profile.distinct < 2 or other.profiles[key].distinct < 2:
                continue
            own = f"trim({quoted(profile.name)}::varchar)"
            ((share,),) = connection.execute(
                f"""select avg((id in (select trim({quoted(key)}::varchar) from ({other.relation})))
                ::integer) from (select distinct {own} as id from ({one.seen.relation})
                where {own} <> '' limit 1000)"""
            ).fetchall()
            if share is not None:
                found[column.name, profile.name] = float(share)
    return found

"""The proposed mapping as text: each column with its confidence, and the questions that remain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from sources import codes
from sources.contract import BY_NAME, DAY, FLAG, MONEY, RATE, TABLES, Column, Table
from sources.mapping.dates import is_two_digit
from sources.mapping.model import DEFAULTS
from sources.mapping.places import matching
from sources.mapping.proposal.keeping import CODES_INDENT, COLUMNS_INDENT, Given
from sources.mapping.proposal.matching import (
    BOOLEANS,
    FileSeen,
    Match,
    TableMatch,
    is_coded,
    others,
)
from sources.mapping.proposal.profiles import EARLIEST_YEAR, Profile, is_ambiguous
from sources.mapping.proposal.sniffing import is_usual
from sources.mapping.proposal.synonyms import code_of, currency_of, nearest, synonyms, words
from sources.message import Message, by_semicolons, listed, sentences

PLAIN = re.compile(r"[A-Za-z_\u4e00-\u9fff][\w\u4e00-\u9fff./-]*( [\w\u4e00-\u9fff]+)*")
SPECIAL = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
DOUBTFUL = 0.7
CONFIDENCE_AT = 56
PRODUCT_ROWS = 50
# The share of a column's rows without a code from which on it is asked what that means.
MANY_EMPTY = 0.05


@dataclass
class Proposal:
    """The text of a mapping, what it proposes, and what is left to a person (messages)."""

    text: str = ""
    tables: dict[str, str] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    # Of an earlier mapping, and files that it names and that are not there.
    kept: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    currency: str | None = None


def write(
    files: list[FileSeen],
    found: Mapping[str, TableMatch],
    unread: Sequence[str] = (),
    worded: Callable[[str], str] = str,
    first: Sequence[str] = (),
    given: Given | None = None,
) -> Proposal:
    """The proposal of the matched tables; `unread` are files without rows and columns, `first` the
    questions that come before those of the columns, `given` an earlier mapping that it adds to."""
    return _Writer(files, found, worded, first, given).proposal(unread)


class _Writer:
    def __init__(
        self,
        files: list[FileSeen],
        found: Mapping[str, TableMatch],
        worded: Callable[[str], str],
        first: Sequence[str],
        given: Given | None,
    ) -> None:
        self.worded = worded
        self.files = files
        self.found = found
        self.given = given
        self.defaults = given.defaults if given else self._usual()
        self.questions = list(first)
        self.vanished: list[str] = []
        # Columns that give the side of an amount.
        self.sides: set[str] = set()

    def proposal(self, unread: Sequence[str]) -> Proposal:
        lines = [
            self._comment(Message("Proposed from the files: read every line.")),
            self._comment(Message("The comment behind a column is how sure it is.")),
            self._comment(
                Message("The questions at the end are open. docs/mapping.md explains the keys.")
            ),
            "defaults:",
            *(f"  {name}: {_yaml(value)}" for name, value in self.defaults.items()),
            "",
            "tables:",
        ]
        if self.given is None:
            self._ask_of_all()
        if not self.defaults:
            lines = [line for line in lines if line != "defaults:"]
        head = len(lines)
        additions: dict[int, list[str]] = {}
        for table in TABLES:
            if self.given and table.name in self.given.feeds:
                for at, added in self._again(self.given, table):
                    additions.setdefault(at, []).extend(added)
            elif table.name in self.found:
                lines += ["", *self._table(self.found[table.name])]
            elif table.name == "product":
                lines += self._products()
            elif table.required:
                self._ask(self._no_file(table))
        for pattern, near in others(self.files, self.found, self.given).items():
            asked = Message("{0}: of no table. Leave it out, or map it?", pattern)
            guess = Message("It looks like {0}, too: a table may have several files.", near)
            self._ask(sentences(asked, guess if near else ""))
        for pattern in unread:
            self._ask(Message("{0}: cannot be read as text of columns.", pattern))
        questions = ["", self._comment(Message("Questions:"))]
        questions += [
            self._comment(f"{number}. {self.worded(text)}")
            for number, text in enumerate(self.questions, 1)
        ]
        tables = {name: one.seen.pattern for name, one in self.found.items()}
        if self.given is None:
            return Proposal("\n".join([*lines, *questions]) + "\n", tables, self.questions)
        additions.setdefault(self.given.end(("tables",), 1), []).extend(lines[head:])
        by_bank = self.worded(Message("given by the bank"))
        kept = list(self.given.feeds)
        tables |= {name: ", ".join(self.given.patterns(name)) for name in kept}
        text = self.given.with_additions(additions, questions, by_bank)
        return Proposal(text, tables, self.questions, kept, self.vanished)

    def _again(self, given: Given, table: Table) -> Iterator[tuple[int, list[str]]]:
        """What a table of the earlier mapping lacks: numbers of lines, and what comes there. The
        bank may have left out an optional column on purpose: it is proposed as a comment."""
        paths = [path for seen in self.files for path in seen.paths]
        gone = [one for one in given.patterns(table.name) if not matching(one, paths)]
        one = self.found.get(table.name)
        for pattern in gone:
            self.vanished.append(pattern)
            self._ask(
                sentences(
                    Message("{0}: {1} is not among the files any more.", table.name, pattern),
                    Message("Is it {0} now?", one.seen.pattern)
                    if one and not given.covers(one.seen.paths)
                    else "",
                )
            )
        if one is None or not given.covers(one.seen.paths) or len(given.feeds[table.name]) > 1:
            return
        answered, used = given.columns(table.name), given.used(table.name)
        place = ("tables", table.name, "columns")
        added: list[str] = []
        for column in table.columns:
            match = one.matches.get(column.name)
            name = f"{table.name}.{column.name}"
            if column.name in answered:
                yield from self._further_codes(given, table, column, match)
            elif match is not None and not any(match.profile.name in text for text in used):
                if column.required:
                    added += self._column(one, match)
                    continue
                line = f"      # {column.name}: {_yaml(match.profile.name)}"
                if not given.mentions(table.name, column.name):
                    added.append(self._remarked(line, match.score, *match.reasons))
                self._ask(
                    Message(
                        "{0}: {1} of {2} looks like it. Remove the sign # before its line, or add "
                        "it, to read it.",
                        *(name, match.profile.name, one.seen.pattern),
                    )
                )
            elif column.required or given.mentions(table.name, column.name):
                missing = self._no_column(name, one.seen.pattern)
                self._ask(sentences(missing, self._without(column)))
        if added and place in given.ends:
            yield given.end(place, COLUMNS_INDENT), added

    def _further_codes(
        self, given: Given, table: Table, column: Column, match: Match | None
    ) -> Iterator[tuple[int, list[str]]]:
        """The codes of an answered column that its map lacks: those with a likely meaning are
        added, the others asked about."""
        answer = given.columns(table.name)[column.name]
        codes_of = answer.get("codes") if isinstance(answer, dict) else None
        if match is None or not is_coded(column):
            return
        allowed = column.values or (BOOLEANS if column.type == FLAG else ())
        profile = match.profile
        personal = any(one.personal for one in table.columns)
        lacking = {
            code: rows
            for code, rows in codes.shareable(
                profile.counts, values=profile.values, personal=personal
            ).items()
            if code not in (codes_of or {})
            and code not in allowed
            and not (column.form and len(code) == 3 and code.isalpha())
        }
        added, unknown = [], []
        for code, rows in lacking.items():
            target = code_of(code, allowed) if allowed else currency_of(code)
            count = f"{rows:,}"
            if target is None:
                unknown.append(code)
                if not given.mentions(table.name, code):
                    remark = Message("{0}: ?  ({1} rows)", _yaml(code), count)
                    added.append(f"          {self._comment(remark)}")
            else:
                remark = Message("new: {0} rows", count)
                added.append(f"          {_yaml(code)}: {_yaml(target)}  {self._comment(remark)}")
        place = ("tables", table.name, "columns", column.name, "codes")
        if added and place in given.ends:
            yield given.end(place, CODES_INDENT), added
        if unknown:
            self._ask_codes(f"{table.name}.{column.name}", unknown, allowed)

    def _ask_codes(self, place: str, unknown: Sequence[str], allowed: Sequence[str]) -> None:
        asked = Message("{0}: what do {1} mean?", place, codes.listed(unknown))
        one_of = Message("Use one of {0}.", codes.listed(allowed))
        self._ask(sentences(asked, one_of if allowed else Message("Use codes such as EUR.")))

    def _ask(self, question: str) -> None:
        self.questions.append(question)

    def _comment(self, text: str) -> str:
        return f"# {self.worded(text)}"

    def _remarked(self, line: str, share: float, *reasons: str) -> str:
        """A line with how sure it is, and why."""
        sure = f"{share:.0%}"
        why = by_semicolons(reasons or ("",))
        remark = Message("{0}: {1}", sure, why) if why else sure
        return f"{line:<{CONFIDENCE_AT}}  {self._comment(remark)}"

    @staticmethod
    def _no_file(table: Table) -> Message:
        return Message(
            "{0}: no file looks like it, and it is required. Which one is it?", table.name
        )

    @staticmethod
    def _no_column(place: str, pattern: str) -> Message:
        return Message("{0}: no column of {1} looks like it.", place, pattern)

    def _usual(self) -> dict[str, Any]:
        """The keys that most of the files share, where they differ from those of a mapping."""
        seen: dict[str, Counter[Any]] = {}
        nulls: dict[str, None] = {}
        for one in self.found.values():
            for name, value in self._layout(one.seen).items():
                seen.setdefault(name, Counter())[value] += 1
            for match in one.matches.values():
                nulls.update(dict.fromkeys(match.profile.nulls))
                if match.column.type == DAY and match.profile.dates:
                    seen.setdefault("dates", Counter())[match.profile.dates[0]] += 1
                if match.column.type == MONEY and match.profile.number:
                    decimal, thousands = match.profile.number
                    seen.setdefault("decimal", Counter())[decimal] += 1
                    seen.setdefault("thousands", Counter())[thousands] += 1
        usual = {name: counted.most_common(1)[0][0] for name, counted in seen.items()}
        if is_two_digit(usual.get("dates", "")):
            usual["earliest_year"] = EARLIEST_YEAR
        if nulls:
            usual["nulls"] = list(nulls)
        if usual.get("dates") == "YYYY-MM-DD":
            del usual["dates"]
        amounts = [one for one in self.found.values() if self._amounts(one)]
        # One unit for all files: round limits do not show that they are in cents.
        if all(map(self._without_decimals, amounts)) and any(map(self._cents, amounts)):
            usual["money"] = "cents"
        return {name: value for name, value in usual.items() if DEFAULTS.get(name) != value}

    @staticmethod
    def _layout(seen: FileSeen) -> dict[str, Any]:
        if seen.sniffed is None:
            return {}
        form = seen.sniffed
        return {"encoding": form.encoding, "delimiter": form.delimiter, "quote": form.quote}

    def _own(self, name: str, value: Any) -> bool:
        """Whether a feed needs the key beside the defaults."""
        return self.defaults.get(name, DEFAULTS.get(name)) != value

    def _table(self, one: TableMatch) -> Iterator[str]:
        seen, table = one.seen, one.table
        yield self._remarked(f"  {table.name}:", one.score)
        yield f"    file: {_yaml(seen.pattern)}"
        for name, value in self._layout(seen).items():
            if self._own(name, value):
                yield f"    {name}: {_yaml(value)}"
        if seen.sniffed is not None and seen.sniffed.header is not None:
            yield f"    header: {_yaml(list(seen.sniffed.header))}"
            self._ask(Message("{0}: has no header line. What are its columns?", seen.pattern))
        if self._cents(one) and self._own("money", "cents"):
            yield self._remarked("    money: cents", 0.6, Message("no amount has decimals"))
        yield "    columns:"
        for column in table.columns:
            match = one.matches.get(column.name)
            if column.name == "amount" and table.name == "transaction":
                yield from self._amount(one, match)
            elif match is not None:
                yield from self._column(one, match)
            elif column.required and (table.name, column.name) == ("account_holder", "role"):
                why = Message("no column looks like it")
                yield self._remarked("      role: {constant: owner}", 0.3, why)
                self._ask(
                    Message("account_holder.role: is every customer of an account its owner?")
                )
            elif column.required or column.without_it:
                yield f"      # {column.name}: ?"
                missing = self._no_column(f"{table.name}.{column.name}", seen.pattern)
                self._ask(sentences(missing, self._without(column)))
        read = {m.profile.name for m in one.matches.values()} | self.sides
        rest = [name for name in seen.profiles if name not in read]
        if rest:
            yield f"      {self._comment(Message('not read: {0}', ', '.join(rest)))}"

    @staticmethod
    def _without(column: Column) -> str:
        """What an optional column is for, and how it is added."""
        if not column.without_it:
            return ""
        return Message(
            "Without it: {0}. If the bank has it, add the line `{1}: <column>`; a constant, an "
            "expression or a column of another file (lookups) will do, too.",
            *(Message(column.without_it), column.name),
        )

    @staticmethod
    def _amounts(one: TableMatch) -> list[Profile]:
        """The table's columns of money."""
        found = [m.profile for m in one.matches.values() if m.column.type == MONEY]
        return [profile for profile in found if profile.values and profile.high]

    def _without_decimals(self, one: TableMatch) -> list[Profile]:
        """The table's columns of money, if none of their values has decimals."""
        found = self._amounts(one)
        return found if all(profile.whole for profile in found) else []

    def _cents(self, one: TableMatch) -> bool:
        amounts = self._without_decimals(one)
        return bool(amounts) and sum(p.odd for p in amounts) / len(amounts) > 0.5

    def _ask_of_all(self) -> None:
        """What is asked of several files at once."""
        guessed: dict[str, list[str]] = {}
        for one in self.found.values():
            form = one.seen.sniffed
            if form is not None and not is_usual(form.encoding):
                guessed.setdefault(form.encoding, []).append(one.seen.pattern)
        for encoding, patterns in guessed.items():
            files = listed(list(dict.fromkeys(patterns)))
            self._ask(Message("Is the encoding {0}? It is not UTF-8: {1}.", encoding, files))
        if any(
            match.column.type == DAY and any(map(is_two_digit, match.profile.dates[:1]))
            for one in self.found.values()
            for match in one.matches.values()
        ):
            self._ask(
                Message(
                    "Are the years {0} to {1} those of two digits (earliest_year)?",
                    *(EARLIEST_YEAR, EARLIEST_YEAR + 99),
                )
            )
        whole = [one for one in self.found.values() if self._without_decimals(one)]
        if whole:
            files = listed([one.seen.pattern for one in whole])
            self._ask(
                Message(
                    "Are amounts in units, or in cents (money: cents)? None has decimals: {0}.",
                    files,
                )
            )

    def _column(self, one: TableMatch, match: Match) -> Iterator[str]:
        keys = self._keys(one, match)
        place = f"{one.table.name}.{match.column.name}"
        if match.score < DOUBTFUL:
            self._ask(
                Message("{0}: is it {1} of {2}?", place, match.profile.name, one.seen.pattern)
            )
        name = f"      {match.column.name}:"
        if "codes" not in keys:
            value = _yaml({"column": match.profile.name, **keys} if keys else match.profile.name)
            yield self._remarked(f"{name} {value}", match.score, *match.reasons)
            return
        yield self._remarked(name, match.score, *match.reasons)
        yield f"        column: {_yaml(match.profile.name)}"
        yield from self._codes(place, match.column, match.profile, one.table.personal)

    def _keys(self, one: TableMatch, match: Match) -> dict[str, Any]:
        """How the column's values are read, beside the defaults."""
        column, profile = match.column, match.profile
        place, keys = f"{one.table.name}.{column.name}", dict[str, Any]()
        if column.type == DAY and profile.dates:
            form = self.defaults.get("dates", "YYYY-MM-DD")
            if form not in profile.dates:
                keys["dates"] = form = profile.dates[0]
            if is_two_digit(form) and "earliest_year" not in self.defaults:
                keys["earliest_year"] = EARLIEST_YEAR
            if is_ambiguous(profile.dates):
                either = reduce(lambda a, b: Message("{0} or {1}", a, b), profile.dates)
                self._ask(Message("{0}: no day is after the 12th. Is it {1}?", place, either))
        elif is_coded(column):
            allowed = column.values or BOOLEANS
            own = [one for one in profile.counts if one not in allowed]
            if own and not (column.form and all(len(one) == 3 and one.isalpha() for one in own)):
                keys["codes"] = True
            self._ask_of_empty(place, column, profile)
        elif column.is_number and profile.number:
            for name, value in zip(("decimal", "thousands"), profile.number, strict=True):
                if self._own(name, value) and (name == "decimal" or profile.number[0] != "."):
                    keys[name] = value
            if column.type == RATE and (profile.high or 0) > 1:
                keys["unit"] = "percent"
                high = f"{profile.high:g}"
                self._ask(Message("{0}: values reach {1}. Are they per cent?", place, high))
        return keys

    def _ask_of_empty(self, place: str, column: Column, profile: Profile) -> None:
        """Empty is missing, unless a person knows better: asked where a row is lost by it, or where
        there are many."""
        if profile.empty and (column.required or profile.empty >= MANY_EMPTY * profile.rows):
            self._ask(
                Message(
                    "{0}: {1} of {2} rows ({3}) have no value, which is read as missing. If empty "
                    'has a meaning, add the line `"": <value>` under codes.',
                    *(place, f"{profile.empty:,}", f"{profile.rows:,}"),
                    f"{profile.empty / profile.rows:.1%}",
                )
            )

    def _codes(self, place: str, column: Column, profile: Profile, personal: bool) -> Iterator[str]:
        """The map of the codes; those without a likely meaning are left to a person. In a table
        with personal columns only values that many rows share are codes."""
        yield "        codes:"
        allowed = column.values or (BOOLEANS if column.type == FLAG else ())
        least = max(codes.LEAST_SHARED, codes.LEAST_SHARE * profile.values) if personal else 1
        shown = {code: n for code, n in profile.counts.items() if n >= least}
        unknown = []
        for code, rows in sorted(shown.items(), key=lambda item: (-item[1], item[0])):
            target = code_of(code, allowed) if allowed else currency_of(code)
            if target is None:
                unknown.append(code)
                remark = Message("{0}: ?  ({1} rows)", _yaml(code), f"{rows:,}")
                yield f"          {self._comment(remark)}"
            else:
                yield f"          {_yaml(code)}: {_yaml(target)}"
        rest = len(profile.counts) - len(shown) + profile.others
        if rest:
            rows_of_rest = profile.values - sum(shown.values())
            remark = Message("{0} other values ({1} rows)", f"{rest:,}", f"{rows_of_rest:,}")
            yield f"          {self._comment(remark)}"
        if unknown:
            self._ask_codes(place, unknown, allowed)

    def _amount(self, one: TableMatch, match: Match | None) -> Iterator[str]:
        """A signed column, a column with a side, or two columns."""
        sides, profiles = synonyms("sides"), one.seen.profiles
        used = {name: m for name, m in one.matches.items() if name != "amount"}
        free = [
            p for p in profiles.values() if p.name not in {m.profile.name for m in used.values()}
        ]
        pair: list[tuple[float, str]] = [
            max(
                ((nearest(p.name, known[0], known), p.name) for p in free if p.number),
                default=(0.0, ""),
            )
            for known in (sides["credit_column"], sides["debit_column"])
        ]
        if min(pair)[0] >= 0.9 and pair[0][1] != pair[1][1]:
            value: dict[str, Any] = {"credit": pair[0][1], "debit": pair[1][1]}
            self.sides |= {pair[0][1], pair[1][1]}
            alike = Message("the names are alike")
            yield self._remarked(f"      amount: {_yaml(value)}", min(pair)[0], alike)
            return
        if match is None:
            yield "      # amount: ?"
            self._ask(self._no_column("transaction.amount", one.seen.pattern))
            return
        known = {side: {words(w) or (w,) for w in sides[side]} for side in ("credit", "debit")}
        chosen = {
            p.name: {
                side: [code for code in p.counts if (words(code) or (code,)) in known[side]]
                for side in known
            }
            for p in profiles.values()
        }
        signed = [
            name
            for name, codes_of in chosen.items()
            if all(codes_of.values())
            and sum(map(len, codes_of.values())) == len(profiles[name].counts)
        ]
        if signed and (match.profile.low or 0) >= 0:
            codes_of = chosen[signed[0]]
            self.sides.add(signed[0])
            value = {"column": match.profile.name, "direction": {"column": signed[0], **codes_of}}
            side = Message("{0} is its side", signed[0])
            yield self._remarked(f"      amount: {_yaml(value)}", match.score, side)
            return
        if (match.profile.low or 0) >= 0:
            self._ask(
                Message("transaction.amount: no amount is negative. Which column has its side?")
            )
        yield from self._column(one, match)

    def _products(self) -> Iterator[str]:
        """Products from the accounts that name them, for a person to complete."""
        account = self.found.get("account")
        match = account.matches.get("product_id") if account else None
        if match is None or not 0 < len(match.profile.counts) <= PRODUCT_ROWS:
            self._ask(self._no_file(BY_NAME["product"]))
            return
        self._ask(Message("product: no file looks like it. Correct the product_line of each row."))
        yield ""
        yield self._remarked("  product:", 0.2, Message("the products of the accounts"))
        yield "    rows:"
        for code in match.profile.counts:
            line = code_of(code, BY_NAME["product"].column("product_line").values)
            yield f"      - {_yaml({'product_id': code, 'product_line': line or 'deposits'})}"


def _yaml(value: Any) -> str:
    """A value on one line; texts quoted where they would be read as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(k)}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    text = str(value)
    if isinstance(value, int):
        return text
    if PLAIN.fullmatch(text) and text.lower() not in SPECIAL:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\t", "\\t").replace("\x01", "\\x01") + '"'

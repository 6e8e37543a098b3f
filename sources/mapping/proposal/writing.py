"""The proposed mapping as text: each column with its confidence, and the questions that remain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sources import codes
from sources.contract import DAY, FLAG, MONEY, RATE, TABLES, Column
from sources.mapping.dates import is_two_digit
from sources.mapping.model import DEFAULTS
from sources.mapping.proposal.matching import BOOLEANS, FileSeen, Match, TableMatch, others
from sources.mapping.proposal.profiles import EARLIEST_YEAR, Profile, is_ambiguous
from sources.mapping.proposal.sniffing import is_usual
from sources.mapping.proposal.synonyms import code_of, currency_of, nearest, synonyms, words

PLAIN = re.compile(r"[A-Za-z_\u4e00-\u9fff][\w\u4e00-\u9fff./-]*( [\w\u4e00-\u9fff]+)*")
SPECIAL = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
DOUBTFUL = 0.7
CONFIDENCE_AT = 56
PRODUCT_ROWS = 50


@dataclass
class Proposal:
    """The text of a mapping, what it proposes, and what is left to a person."""

    text: str = ""
    tables: dict[str, str] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)


def write(files: list[FileSeen], found: Mapping[str, TableMatch]) -> Proposal:
    """The proposal of the matched tables."""
    return _Writer(files, found).proposal()


class _Writer:
    def __init__(self, files: list[FileSeen], found: Mapping[str, TableMatch]) -> None:
        self.files = files
        self.found = found
        self.defaults = self._usual()
        self.questions: list[str] = []
        # Columns that give the side of an amount.
        self.sides: set[str] = set()

    def proposal(self) -> Proposal:
        lines = [
            "# Proposed from the files: read every line. The comment behind a column is how sure",
            "# it is; the questions at the end are open. docs/mapping.md explains the keys.",
            "defaults:",
            *(f"  {name}: {_yaml(value)}" for name, value in self.defaults.items()),
            "",
            "tables:",
        ]
        self._ask_of_all()
        if not self.defaults:
            lines = [line for line in lines if line != "defaults:"]
        for table in TABLES:
            if table.name in self.found:
                lines += ["", *self._table(self.found[table.name])]
            elif table.name == "product":
                lines += self._products()
            elif table.required:
                self._ask(
                    f"{table.name}: no file looks like it, and it is required. Which one is it?"
                )
        for pattern, near in others(self.files, self.found).items():
            guess = f" It looks like {near}, too: a table may have several files." if near else ""
            self._ask(f"{pattern}: of no table. Leave it out, or map it?{guess}")
        lines += ["", "# Questions:"]
        lines += [f"# {number}. {text}" for number, text in enumerate(self.questions, 1)]
        tables = {name: one.seen.pattern for name, one in self.found.items()}
        return Proposal("\n".join(lines) + "\n", tables, self.questions)

    def _ask(self, question: str) -> None:
        self.questions.append(question)

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
        yield _remarked(f"  {table.name}:", f"{one.score:.0%}")
        yield f"    file: {_yaml(seen.pattern)}"
        for name, value in self._layout(seen).items():
            if self._own(name, value):
                yield f"    {name}: {_yaml(value)}"
        if seen.sniffed is not None and seen.sniffed.header is not None:
            yield f"    header: {_yaml(list(seen.sniffed.header))}"
            self._ask(f"{seen.pattern}: has no header line. What are its columns?")
        if self._cents(one) and self._own("money", "cents"):
            yield _remarked("    money: cents", "60%: no amount has decimals")
        yield "    columns:"
        for column in table.columns:
            match = one.matches.get(column.name)
            if column.name == "amount" and table.name == "transaction":
                yield from self._amount(one, match)
            elif match is not None:
                yield from self._column(one, match)
            elif column.required and (table.name, column.name) == ("account_holder", "role"):
                yield _remarked("      role: {constant: owner}", "30%: no column looks like it")
                self._ask("account_holder.role: is every customer of an account its owner?")
            elif column.required:
                yield f"      # {column.name}: ?"
                self._ask(f"{table.name}.{column.name}: no column of {seen.pattern} looks like it.")
        read = {m.profile.name for m in one.matches.values()} | self.sides
        rest = [name for name in seen.profiles if name not in read]
        if rest:
            yield f"      # not read: {', '.join(rest)}"

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
            listed = ", ".join(dict.fromkeys(patterns))
            self._ask(f"Is the encoding {encoding}? It is not UTF-8: {listed}.")
        if any(
            match.column.type == DAY and any(map(is_two_digit, match.profile.dates[:1]))
            for one in self.found.values()
            for match in one.matches.values()
        ):
            self._ask(
                f"Are the years {EARLIEST_YEAR} to {EARLIEST_YEAR + 99} those of two digits "
                "(earliest_year)?"
            )
        whole = [one for one in self.found.values() if self._without_decimals(one)]
        if whole:
            listed = ", ".join(one.seen.pattern for one in whole)
            self._ask(
                f"Are amounts in units, or in cents (money: cents)? None has decimals: {listed}."
            )

    def _column(self, one: TableMatch, match: Match) -> Iterator[str]:
        keys = self._keys(one, match)
        place = f"{one.table.name}.{match.column.name}"
        why = "; ".join(match.reasons)
        confidence = f"{match.score:.0%}: {why}"
        if match.score < DOUBTFUL:
            self._ask(f"{place}: is it {match.profile.name} of {one.seen.pattern}?")
        name = f"      {match.column.name}:"
        if "codes" not in keys:
            value = _yaml({"column": match.profile.name, **keys} if keys else match.profile.name)
            yield _remarked(f"{name} {value}", confidence)
            return
        yield _remarked(name, confidence)
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
                self._ask(f"{place}: no day is after the 12th. Is it {' or '.join(profile.dates)}?")
        elif column.values or column.type == FLAG or column.form is not None:
            allowed = column.values or BOOLEANS
            own = [one for one in profile.counts if one not in allowed]
            if own and not (column.form and all(len(one) == 3 and one.isalpha() for one in own)):
                keys["codes"] = True
        elif column.is_number and profile.number:
            for name, value in zip(("decimal", "thousands"), profile.number, strict=True):
                if self._own(name, value) and (name == "decimal" or profile.number[0] != "."):
                    keys[name] = value
            if column.type == RATE and (profile.high or 0) > 1:
                keys["unit"] = "percent"
                self._ask(f"{place}: values reach {profile.high:g}. Are they per cent?")
        return keys

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
                yield f"          # {_yaml(code)}: ?  ({rows:,} rows)"
            else:
                yield f"          {_yaml(code)}: {_yaml(target)}"
        if len(unknown) == len(shown):
            # A key without a value is no map.
            yield '          "": ""'
        if unknown:
            self._ask(
                f"{place}: what do {', '.join(f'`{code}`' for code in unknown)} mean? "
                + (f"One of {', '.join(allowed)}." if allowed else "Codes such as EUR.")
            )

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
            yield _remarked(
                f"      amount: {_yaml(value)}", f"{min(pair)[0]:.0%}: the names are alike"
            )
            return
        if match is None:
            yield "      # amount: ?"
            self._ask(f"transaction.amount: no column of {one.seen.pattern} looks like it.")
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
            yield _remarked(
                f"      amount: {_yaml(value)}", f"{match.score:.0%}: {signed[0]} is its side"
            )
            return
        if (match.profile.low or 0) >= 0:
            self._ask("transaction.amount: no amount is negative. Which column has its side?")
        yield from self._column(one, match)

    def _products(self) -> Iterator[str]:
        """Products from the accounts that name them, for a person to complete."""
        account = self.found.get("account")
        match = account.matches.get("product_id") if account else None
        if match is None or not 0 < len(match.profile.counts) <= PRODUCT_ROWS:
            self._ask("product: no file looks like it, and it is required. Which one is it?")
            return
        self._ask("product: no file looks like it. Correct the product_line of each row.")
        yield ""
        yield _remarked("  product:", "20%: the products of the accounts")
        yield "    rows:"
        for code in match.profile.counts:
            line = code_of(code, tuple(next(t for t in TABLES if t.name == "product")
                                       .column("product_line").values))  # fmt: skip
            yield f"      - {_yaml({'product_id': code, 'product_line': line or 'deposits'})}"


def _remarked(line: str, remark: str) -> str:
    return f"{line:<{CONFIDENCE_AT}}  # {remark}"


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

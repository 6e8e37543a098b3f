"""The parts of a gate: profiles computed by DuckDB, and rules that check them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import duckdb
    from great_expectations.expectations import Expectation

Severity = Literal["fail", "warn"]

# Why no person may override a rule.
RECONCILED = "it reconciles amounts with the records and the ledger, to the cent"
PERSONAL = "it keeps personal data and the sex out of features and reasons"
AS_OF = "it keeps what happened after the as-of date out"
DECIDED = "it requires the record of who decided"
CONTACTABLE = "it keeps customers who may not be contacted out of the plan"
PRESENT = "without these rows there is nothing to publish"


@dataclass(frozen=True)
class Profile:
    """A small table of figures about the bank's tables; its size does not depend on their rows.

    `sql` is one query, or a function of the connection if the query depends on which tables exist.
    `key` names the columns that identify a row; an optional column `detail` is quoted when the row
    breaks a rule, an optional column `chance` describes how chance is allowed for.
    `about` names the table or model of the figures, as `base.account`, or with the row's columns,
    as `landing.{table_name}`; `place` is what an override is given for, by default the same. A
    missing table of `needs` fails the subject's rules.
    If a capability is off (a table of `off_without` is missing or empty, or the query `off_when`
    returns true), the rules pass with the reason `off_means`.
    """

    sql: str | Callable[[duckdb.DuckDBPyConnection], str]
    key: tuple[str, ...] = ()
    about: str = ""
    place: str = ""
    needs: tuple[str, ...] = ()
    off_without: tuple[str, ...] = ()
    off_when: str = ""
    off_means: str = ""


@dataclass(frozen=True)
class Rule:
    """One expectation about one profile.

    `expectation` is an expectation of Great Expectations, or its type and arguments, which defers
    the import until the gate runs. With `nulls="fail"` an empty figure breaks the rule: Great
    Expectations skips NULLs, so that a rule without figures would pass.
    `meaning` states what holds when the rule passes, `cure` what to do when it does not. `figure`
    is a label for the figure, by default its column; `about` its table or model, by default the
    profile's. `interval` names the columns of the figure's 90 % interval: a rule holds unless the
    whole interval breaks it. `binding` states why no person may override the rule; empty where one
    may.
    """

    subject: str
    expectation: Expectation | tuple[str, Mapping[str, Any]]
    severity: Severity
    meaning: str
    cure: str
    nulls: Literal["fail", "pass"] = "fail"
    figure: str = ""
    about: str = ""
    interval: tuple[str, str] | None = None
    binding: str = ""

    @property
    def name(self) -> str:
        """As reports and overrides name the rule within its gate: profile and column."""
        return f"{self.subject}.{self.type_and_arguments()[1].get('column', 'rows')}"

    def type_and_arguments(self) -> tuple[str, dict[str, Any]]:
        if isinstance(self.expectation, tuple):
            kind, arguments = self.expectation
            return kind, dict(arguments)
        stated = self.expectation.configuration
        return stated.type, {k: v for k, v in stated.kwargs.items() if k != "batch_id"}

    def limits(self) -> tuple[float | None, float | None] | None:
        """The least and greatest figure that a row may have; None if the rule is not about a
        number."""
        kind, arguments = self.type_and_arguments()
        if arguments.get("value_set") == [0] and kind == "expect_column_values_to_be_in_set":
            return 0, 0
        if kind != "expect_column_values_to_be_between":
            return None
        return arguments.get("min_value"), arguments.get("max_value")


@dataclass(frozen=True)
class Suite:
    """Rules that a gate checks together. A gate may have several suites."""

    gate: str
    name: str
    profiles: Mapping[str, Profile | str]
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        unknown = sorted({rule.subject for rule in self.rules} - set(self.profiles))
        if unknown:
            raise ValueError(
                f"suite {self.name} is invalid: expected rules about its profiles, got {unknown}"
            )


@dataclass(frozen=True)
class Breach:
    """Where a rule is broken: a table or model, its figure farthest beyond the limit, the rows.

    `about` is empty if no row identifies the table or model.
    """

    about: str
    seen: str
    where: str = ""
    chance: str = ""


@dataclass(frozen=True)
class Place:
    """What an override covers, a table, model or column, and the range of the figures that break
    the rule there; no range if one of them is no number."""

    name: str
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class GateResult:
    """One rule's outcome. `unexpected` lists where it is broken: months, tables, files.

    `judged` is false if the rule was not checked: its capability is off (the rule holds) or its
    profile cannot be computed (it does not). `breaches` are empty if the rule holds. `places` are
    empty if it holds or was not checked. `overridden` states who accepts that it is broken.
    """

    gate: str
    suite: str
    subject: str
    expectation: str
    severity: Severity
    success: bool
    observed: str
    unexpected: str
    meaning: str
    cure: str
    judged: bool = True
    limit: str = ""
    breaches: tuple[Breach, ...] = ()
    rule: str = ""
    binding: str = ""
    places: tuple[Place, ...] = ()
    overridden: str = ""

    @property
    def stops(self) -> bool:
        """Whether the rule stops the refresh."""
        return not self.success and self.severity == "fail" and not self.overridden

    @property
    def about(self) -> tuple[str, ...]:
        """The tables and models that break the rule, `schema.table` or `models.name`."""
        return tuple(breach.about for breach in self.breaches if breach.about)

    def lines(self) -> tuple[str, ...]:
        """One line per table or model: gate, table, figure, limit, chance, where, what to do."""
        return tuple(self.line(breach) for breach in self.breaches)

    def line(self, breach: Breach) -> str:
        effect = "stops the refresh" if self.stops else "warns"
        return (
            f"{self.gate} {effect}: {named(breach.about) or self.subject}: {breach.seen}"
            + (f", limit {self.limit}" if self.limit else "")
            + (f", beyond chance ({breach.chance})" if breach.chance else "")
            + (f"; {breach.where}" if breach.where else "")
            + (f"; {self.overridden}" if self.overridden else "")
            + f". {self.cure[:1].upper()}{self.cure[1:]}"
        )


def named(about: str) -> str:
    """The name of a table or model in messages: `base.account`, `model clv`."""
    return about.replace("models.", "model ", 1) if about.startswith("models.") else about


@dataclass(frozen=True)
class GateOutcome:
    """The results of a suite. The gate passes when no rule of severity fail is broken that nobody
    overrides."""

    gate: str
    suite: str
    build_number: int
    run_id: str
    results: tuple[GateResult, ...] = field(default_factory=tuple)

    @property
    def failed(self) -> tuple[GateResult, ...]:
        return tuple(r for r in self.results if r.stops)

    @property
    def warned(self) -> tuple[GateResult, ...]:
        return tuple(r for r in self.results if not r.success and not r.stops)

    @property
    def success(self) -> bool:
        return not self.failed

    def message(self) -> str:
        """A paragraph a failed rule: table, rule, what was seen and where, what to do; a line a
        warning."""
        verdict = "passed" if self.success else "stopped the refresh"
        counts = f"{len(self.results)} rules, {len(self.failed)} failed, {len(self.warned)} warned"
        lines = [f"gate {self.gate} ({self.suite}) {verdict}: {counts}"]
        for number, (result, place) in enumerate(
            zip(once(self.failed), self.places(), strict=True), 1
        ):
            lines.append(f"  {number}. {place}")
            lines.append(f"     seen: {result.observed}")
            if result.unexpected:
                lines.append(f"     where: {result.unexpected}")
            lines.append(f"     do: {result.cure}")
            lines.append(f"     rule: {result.gate}/{result.rule}")
        return "\n".join([*lines, *(f"  {line}" for line in self.warnings())])

    def places(self) -> list[str]:
        """Tables and rule of each failed rule, without what was seen: no record is quoted."""
        return [
            f"{', '.join(dict.fromkeys(map(named, result.about))) or result.subject}: "
            f"{result.meaning}"
            for result in once(self.failed)
        ]

    def warnings(self) -> list[str]:
        """One line per table or model with a warning."""
        return [line for result in once(self.warned) for line in result.lines()]


def once(results: Sequence[GateResult]) -> list[GateResult]:
    """Results without repetition: a profile that cannot be computed fails all its rules with one
    message."""
    distinct = {
        (r.subject, r.severity, r.observed, r.unexpected or r.expectation * r.judged): r
        for r in reversed(results)
    }
    return list(reversed(distinct.values()))


def column_between(
    column: str, low: float | None = None, high: float | None = None
) -> tuple[str, dict[str, Any]]:
    """Every row's figure lies within the bounds, inclusive."""
    bounds = {"min_value": low, "max_value": high}
    arguments = {name: value for name, value in bounds.items() if value is not None}
    return "expect_column_values_to_be_between", {"column": column, **arguments}


def column_zero(column: str) -> tuple[str, dict[str, Any]]:
    """Every row's figure is exactly zero."""
    return "expect_column_values_to_be_in_set", {"column": column, "value_set": [0]}


def row_count_at_least(rows: int) -> tuple[str, dict[str, Any]]:
    return "expect_table_row_count_to_be_between", {"min_value": rows}

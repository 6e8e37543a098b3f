"""Reference data proposed from the bank's own records, in files that a refresh takes as they are.

The source is the served release. What it cannot show keeps the rows in force, and the folder's
README.md names each figure's accounts, months and spread. docs/value.md has the formulas.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.platform.engine import connect
from orchestration.platform.files import write_whole
from orchestration.platform.optional_tables import has_column, has_table
from orchestration.platform.reference import (
    column_types,
    default_files,
    digest,
    files_in_force,
    rows_of,
    write_rows,
)
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import ReleaseRefused, served
from orchestration.platform.settings import Settings, named
from orchestration.platform.wording import in_language
from orchestration.valuation import words
from orchestration.valuation.explanation import EFFECTS
from orchestration.valuation.portfolios import proposed as proposed_portfolios
from orchestration.valuation.queries import Row, rows
from orchestration.valuation.reference_files import FILES, SCOPES, seed_words
from reports.words import LANGUAGES
from sources.message import Message, by_semicolons, sentences

FOLDER = Path(__file__).parent / "reference"
README = "README.md"
TITLE = Message("Proposed reference data")
NEEDED = (
    *("value.customer_rate", "value.credit_risk", "value.product_parameter", "value.residual"),
    *("value.transfer_curve", "base.operating_cost", "meta.reference_data"),
)
CURVE, ACTIVITY, MAINTENANCE, RATING, PORTFOLIO, RULE = SEEDS = (
    *("transfer_curve", "activity_unit_cost", "account_maintenance_cost", "risk_rating"),
    *("replicating_portfolio", "transfer_rule"),
)

BEGINNING = date(1900, 1, 1)
# Fewer accounts do not show what a bank pays or charges.
ENOUGH_ACCOUNTS = 10
# A smaller product, such as loans to staff, does not bound the curve.
MATERIAL_SHARE = 0.1
# A year has a curve of its own if half of its months were observed and the level moved by as much.
ENOUGH_MONTHS = 6
MOVED = 0.0025
ENOUGH_LOANS = 100
# Of two points as near, the shorter.
NEAREST_POINT = """
    case when valued.curve_tenor is not null then (
        select point from unnest($tenors) as given (point)
        order by abs(point - valued.curve_tenor), point limit 1
    ) end
"""


class ProposalRefused(Refused):
    """The release or the folder does not allow a proposal."""


@dataclass
class Proposal:
    """Rows by seed, the notes that explain them, and what was not proposed, with the reason; notes
    and reasons are messages."""

    release: str
    seeds: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def propose(settings: Settings, folder: Path | None = None, *, force: bool = False) -> Row:
    """Write the proposal into a new folder; returns what was proposed.

    Raises
    ------
    ProposalRefused
        For a folder that exists, reference data that are not those of the release, or a release
        from which nothing can be proposed.
    ReleaseRefused
        When nothing is published yet, or by an earlier version.
    """
    target = (folder or settings.reference_proposal).expanduser().resolve()
    _check_target(target, force)
    path = served(settings)
    if path is None:
        raise ReleaseRefused(Message("no release is published. Run make refresh."))
    with connect(settings, path, read_only=True) as connection:
        proposal = _proposed(connection, settings, path.stem)
    if not proposal.seeds:
        reasons = by_semicolons(
            Message("{0}: {1}", seed, reason) for seed, reason in proposal.kept.items()
        )
        raise ProposalRefused(
            Message(
                "release {0} is invalid for a proposal: expected rates, costs or defaults of the "
                "bank's own ({1}). Deliver them and run make refresh.",
                *(path.stem, reasons),
            )
        )
    own = _own_files(settings)
    _write(settings, proposal, target, own)
    return {
        "release": proposal.release,
        "folder": str(target),
        "proposed": [{"seed": seed, "rows": len(found)} for seed, found in proposal.seeds.items()],
        "kept": proposal.kept,
        "notes": proposal.notes,
        "observed": proposal.tables,
        "unchanged": [seed for seed in FILES if seed not in (*proposal.seeds, *own)],
    }


def _own_files(settings: Settings) -> list[str]:
    """The seeds that the bank has a file of its own for."""
    defaults = default_files()
    return [seed for seed, path in files_in_force(settings).items() if path != defaults[seed]]


def _check_target(target: Path, force: bool) -> None:
    if not target.exists():
        return
    readme = target / README
    titles = tuple(f"# {in_language(TITLE, language)}" for language in LANGUAGES)
    earlier = readme.is_file() and readme.read_text(encoding="utf-8").startswith(titles)
    if not (force and earlier):
        cure = (
            Message("Set FORCE=1 to replace this proposal, or name another folder.")
            if earlier
            else Message("Name another folder.")
        )
        what = Message("OUT={0} is invalid: expected a new folder.", str(target))
        raise ProposalRefused(sentences(what, cure))


def _proposed(connection: DuckDBPyConnection, settings: Settings, release: str) -> Proposal:
    missing = [table for table in NEEDED if not has_table(connection, table)]
    if not (missing or has_column(connection, "value.transfer_curve", "currency")):
        missing = ["value.transfer_curve with currency"]
    if missing:
        raise ReleaseRefused(
            Message(
                "release {0} is invalid: expected the table(s) {1}, which releases of earlier "
                "versions do not have. Run make refresh.",
                *(release, ", ".join(missing)),
            )
        )
    found = dict(connection.execute("select seed, sha256 from meta.reference_data").fetchall())
    files = files_in_force(settings)
    other = [seed for seed in SEEDS if digest(files[seed]) != found.get(seed)]
    if other:
        raise ProposalRefused(
            Message(
                "{0} is invalid: expected the reference data of release {1}; {2} differ(s). Set it "
                "to the folder of that refresh, or run make refresh with this one.",
                *(named("reference_path"), release, ", ".join(other)),
            )
        )
    proposal = Proposal(release)
    _propose_curves(connection, proposal, rows_of(settings, CURVE))
    _propose_costs(
        connection, proposal, rows_of(settings, ACTIVITY), rows_of(settings, MAINTENANCE)
    )
    _propose_rating(connection, proposal, rows_of(settings, RATING))
    _propose_portfolios(connection, proposal, rows_of(settings, PORTFOLIO), rows_of(settings, RULE))
    return proposal


@dataclass(frozen=True)
class Side:
    """One side of the curve: what is paid on deposits, or charged on loans after expected loss."""

    is_paid: bool
    has_term: bool
    products: tuple[str, ...]

    def sees(self, row: Row) -> bool:
        return (
            row["is_paid"] == self.is_paid
            and row["has_term"] == self.has_term
            and row["accounts"] >= ENOUGH_ACCOUNTS
        )


def margin(row: Row) -> float:
    """What is paid or charged, less the loss expected of it, above the transfer price in force."""
    return float(row["rate"] - row["loss_rate"] - row["transfer_price"])


def sides(by_product: Sequence[Row]) -> list[Side]:
    """The sides that the release shows: balances with a term, if there are enough of them.

    All deposits count together. Of loans only the product counts that is charged least above the
    curve, of those with a tenth of the balances: in the others market power and the price of risk
    outweigh the cost of funds.
    """
    found = []
    for is_paid in (True, False):
        for has_term in (True, False):
            of_side = [
                row
                for row in by_product
                if row["is_paid"] == is_paid and row["has_term"] == has_term and row["rate"] > 0
            ]
            total = sum(row["balance"] for row in of_side)
            enough = [
                row
                for row in of_side
                if row["accounts"] >= ENOUGH_ACCOUNTS and row["balance"] >= MATERIAL_SHARE * total
            ]
            if enough:
                chosen = of_side if is_paid else [min(enough, key=margin)]
                products = tuple(sorted({row["product_id"] for row in chosen}))
                found.append(Side(is_paid, has_term, products))
                break
    return found


def shift(paid: float | None, charged: float | None, half_spread: float) -> float | None:
    """By how much the curve moves: to the middle of both sides, or half a spread from one."""
    if paid is not None and charged is not None:
        return (paid + charged) / 2
    if paid is not None:
        return paid + half_spread
    if charged is not None:
        return charged - half_spread
    return None


def periods(by_year: Sequence[Row]) -> list[date]:
    """The first days from which a curve of its own is proposed: where the level of a year moved
    away from that of the year that began the period before."""
    starts = [BEGINNING]
    level: float | None = None
    for row in sorted(by_year, key=lambda row: row["starts_on"]):
        if row["months"] < ENOUGH_MONTHS:
            continue
        if level is not None and abs(margin(row) - level) >= MOVED:
            starts.append(row["starts_on"])
            level = None
        level = margin(row) if level is None else level
    return starts


@dataclass(frozen=True)
class Curve:
    """The proposed rows of a currency, with their notes and the groups of accounts behind them."""

    rows: list[dict[str, str]]
    notes: list[str]
    observed: list[Row]


def _propose_curves(
    connection: DuckDBPyConnection, proposal: Proposal, curve: list[dict[str, str]]
) -> None:
    in_force: dict[str, list[dict[str, str]]] = {"": []}
    for row in curve:
        in_force.setdefault(row["currency"], []).append(row)
    foreign = [
        currency
        for (currency,) in connection.execute(
            "select distinct currency from base.account_month where currency <> '' order by 1"
        ).fetchall()
    ]
    none = Message(
        "no side has {0} accounts with interest, neither deposits nor loans", ENOUGH_ACCOUNTS
    )
    found = {
        currency: _moved_curve(connection, currency, in_force.get(currency) or in_force[""])
        or Curve(in_force.get(currency, []), [Message("{0}: keeps the curve in force", none)], [])
        for currency in ("", *foreign)
    }
    if not any(proposed.observed for proposed in found.values()):
        proposal.kept[CURVE] = none
        return
    proposal.seeds[CURVE] = [
        row
        for currency in dict.fromkeys((*in_force, *found))
        for row in (found[currency].rows if currency in found else in_force[currency])
    ]
    proposal.notes[CURVE], proposal.tables[CURVE] = [], []
    for currency, proposed in found.items():
        own = currency or Message("the bank's currency")
        name = {"currency": own} if foreign else {}
        proposal.notes[CURVE] += [
            Message("{0}: {1}", own, note) if foreign else note for note in proposed.notes
        ]
        proposal.tables[CURVE] += [{**name, **row} for row in proposed.observed]


def _moved_curve(
    connection: DuckDBPyConnection, currency: str, curve: list[dict[str, str]]
) -> Curve | None:
    """The curve that the accounts in a currency allow; `curve` is the one that prices them now."""
    tenors = sorted({int(row["tenor_months"]) for row in curve})

    def observe(
        chosen: Sequence[Side], starts: Sequence[date], point: str = "null", product: str = "null"
    ) -> list[Row]:
        products = [name for side in chosen for name in side.products] or None
        values = {
            **{"periods": list(starts), "tenors": tenors, "products": products},
            "currency": currency,
        }
        found = rows(connection, FOLDER / "rates.sql", values, point=point, product=product)
        return [row for row in found if not chosen or any(side.sees(row) for side in chosen)]

    chosen = sides(observe((), [BEGINNING], product="valued.product_id"))
    if not chosen:
        return None
    ((last_year,),) = connection.execute(
        "select year(max(month)) from base.account_month"
    ).fetchall()
    first = chosen[0]
    years = [BEGINNING, *(date(year, 1, 1) for year in range(1901, last_year + 1))]
    starts = periods(observe([first], years))
    pooled = {row["is_paid"]: margin(row) for row in observe(chosen, [BEGINNING])}
    both = len(pooled) == 2
    half_spread = (pooled[False] - pooled[True]) / 2 if both else 0.0
    levels = observe(chosen, starts)
    cells = [row for row in observe(chosen, starts, NEAREST_POINT) if row["tenor_months"]]

    def shift_of(start: date, tenor: int | None) -> float | None:
        found = {
            row["is_paid"]: margin(row)
            for row in (levels if tenor is None else cells)
            if row["starts_on"] == start and row["tenor_months"] == tenor
        }
        return shift(found.get(True), found.get(False), half_spread)

    versions = sorted({date.fromisoformat(row["effective_from"]) for row in curve})
    proposed = []
    for effective in sorted({*versions, *starts}):
        version = max(day for day in versions if day <= effective)
        start = max(day for day in starts if day <= effective)
        level = shift_of(start, None) or 0.0
        for row in curve:
            if row["effective_from"] != version.isoformat():
                continue
            own = shift_of(start, int(row["tenor_months"]))
            moved = level if own is None else own
            proposed.append(
                {
                    "currency": currency,
                    "effective_from": effective.isoformat(),
                    "tenor_months": row["tenor_months"],
                    "annual_rate": _text(Decimal(row["annual_rate"]) + _rounded(moved, 4), 6),
                }
            )
    notes = _curve_notes(chosen, starts, half_spread)
    return Curve(proposed, notes, [_shown(row) for row in (*levels, *cells)])


def _curve_notes(chosen: Sequence[Side], starts: Sequence[date], half_spread: float) -> list[str]:
    notes: list[str] = []
    for side in chosen:
        kind = Message("deposits") if side.is_paid else Message("loans")
        of_kind = Message("{0} with a term", kind)
        if not side.has_term:
            of_kind = Message("{0} without a term", kind)
        notes.append(Message("{0}: {1}", of_kind, ", ".join(side.products)))
    if len(chosen) == 2:
        notes.append(
            Message(
                "the curve lies in the middle of the rate paid and the rate charged less expected "
                "loss; half the spread between them is {0} percentage points",
                f"{100 * half_spread:.2f}",
            )
        )
        if half_spread < 0:
            notes.append(
                Message("depositors are paid more than these borrowers are charged: check both")
            )
    elif chosen[0].is_paid:
        notes.append(
            Message(
                "only one side is known: this is the lowest curve that the bank's rates allow, not "
                "the middle. The market's curve is the better source"
            )
        )
    else:
        notes.append(
            Message(
                "only one side is known: this is the highest curve that the bank's rates allow, "
                "not the middle. The market's curve is the better source"
            )
        )
    if any(not side.has_term for side in chosen):
        notes.append(
            Message(
                "rates of balances without a term follow the market late; they move the level only"
            )
        )
    if len(starts) > 1:
        days = ", ".join(map(str, starts[1:]))
        notes.append(Message("the level moved: own curves from {0}", days))
    notes.append(
        Message(
            "points without accounts of their own follow the level of their period and keep the "
            "slope of the curve in force"
        )
    )
    return notes


def _propose_costs(
    connection: DuckDBPyConnection,
    proposal: Proposal,
    activity: list[dict[str, str]],
    maintenance: list[dict[str, str]],
) -> None:
    items = [
        item
        for (item, measure), effect in EFFECTS.items()
        if measure == "direct_cost" and effect == "adds"
    ]
    lines = rows(connection, FOLDER / "cost.sql", {"items": items})
    charged = sum(row["direct_cost"] for row in lines)
    left = sum(row["operating_cost"] - row["pools"] for row in lines)
    if not lines or charged <= 0 or left <= 0:
        reason = (
            Message("the ledger has no operating_cost")
            if not lines
            else Message(
                "of the ledger's operating_cost the pools leave {0}, rates charge {1}",
                *(str(left), str(charged)),
            )
        )
        proposal.kept |= {ACTIVITY: reason, MAINTENANCE: reason}
        return
    factor = left / charged
    factors = line_factors(lines, factor)
    proposal.seeds[ACTIVITY] = [
        {**row, "unit_cost": _text(Decimal(row["unit_cost"]) * factor, 4)} for row in activity
    ]
    own = {row["product_line"] for row in maintenance}
    spread = [
        {**row, "product_line": line}
        for row in maintenance
        if row["product_line"] == "*"
        for line in sorted(factors.keys() - own)
    ]
    proposal.seeds[MAINTENANCE] = [
        {
            **row,
            "monthly_cost": _text(
                Decimal(row["monthly_cost"]) * factors.get(row["product_line"], factor), 4
            ),
        }
        for row in (*maintenance, *spread)
    ]
    note = Message(
        "ledger of {0} to {1}: (operating_cost - pools - adjustments) / cost charged by rates = "
        "{2} / {3} = {4}, so that nothing remains as unused capacity; lower the rates by the share "
        "of the capacity that is idle",
        *(f"{lines[0]['first_month']:%Y-%m}", f"{lines[0]['last_month']:%Y-%m}"),
        *(str(left), str(charged), f"{factor:.4f}"),
    )
    proposal.notes[ACTIVITY] = [note]
    proposal.notes[MAINTENANCE] = [
        note,
        Message("a factor of each line, so that the line's cost is its ledger's")
        if factors
        else Message(
            "one factor for all lines: by line, one would be below zero or has no accounts"
        ),
    ]
    proposal.tables[MAINTENANCE] = [
        {
            **{name: value for name, value in row.items() if not name.endswith("month")},
            "factor": round(factors.get(row["product_line"], factor), 4),
        }
        for row in lines
    ]


def line_factors(lines: Sequence[Row], factor: Decimal) -> dict[str, Decimal]:
    """The factor of each line's maintenance cost that leaves the line what its ledger has after
    pools and bookings at the bank's factor; none where a line does not allow one."""
    found = {}
    for row in lines:
        bookings = factor * (row["direct_cost"] - row["maintenance"])
        left = row["operating_cost"] - row["pools"] - bookings
        if row["maintenance"] == 0:
            if abs(left) >= Decimal("0.005"):
                return {}
            continue
        if left < 0:
            return {}
        found[row["product_line"]] = left / row["maintenance"]
    return found


def _propose_rating(
    connection: DuckDBPyConnection, proposal: Proposal, rating: list[dict[str, str]]
) -> None:
    version = max(row["effective_from"] for row in rating)
    bands = [row for row in rating if row["effective_from"] == version]
    starts = [int(row["days_past_due_from"]) for row in bands]
    found = {
        row["days_past_due_from"]: row
        for row in rows(connection, FOLDER / "default_frequency.sql", {"bands": starts})
    }
    enough = {start: row for start, row in found.items() if row["accounts"] >= ENOUGH_LOANS}
    if not enough:
        proposal.kept[RATING] = Message(
            "no band has {0} accounts with a loan_status twelve months before the end of the "
            "history",
            ENOUGH_LOANS,
        )
        return
    proposal.seeds[RATING] = [
        {**row, "pd_annual": _text(default_probability(seen), 6)}
        if row["effective_from"] == version and (seen := enough.get(int(row["days_past_due_from"])))
        else row
        for row in rating
    ]
    proposal.tables[RATING] = list(found.values())
    proposal.notes[RATING] = [
        Message(
            "(defaults + 0.5) / (accounts + 1), the mean of Jeffreys' posterior; bands with fewer "
            "than {0} accounts keep the probability in force",
            ENOUGH_LOANS,
        )
    ]


def default_probability(seen: Row) -> Decimal:
    return (Decimal(seen["defaults"]) + Decimal("0.5")) / (seen["accounts"] + 1)


def _propose_portfolios(
    connection: DuckDBPyConnection,
    proposal: Proposal,
    portfolios: list[dict[str, str]],
    rules: list[dict[str, str]],
) -> None:
    products = rows(connection, FOLDER / "deposit_behaviour.sql", {})
    shown, found, ruled = proposed_portfolios(products, portfolios, rules)
    if shown:
        proposal.tables[PORTFOLIO] = shown
    own = [row["product_id"] for row in shown if row["proposed"]]
    missing = [
        Message("{0}: {1}", row["product_id"], row["not_estimated"])
        for row in shown
        if not row["proposed"]
    ]
    if not own:
        proposal.kept[PORTFOLIO] = (
            by_semicolons(missing)
            if missing
            else Message("no deposits without a term have a balance")
        )
        return
    proposal.seeds |= {PORTFOLIO: found, RULE: ruled}
    proposal.notes[PORTFOLIO] = [
        Message(
            "core = stable share x (1 - deposit beta), at most the cap of BCBS 368 for the "
            "segment; it lies at the tenor 2 x average life - 1, the rest at 1 month"
        ),
        Message(
            "intervals are at 95 %; that of the run-off is between accounts and leaves out what "
            "moves all of them together, such as a change of rates that the history does not have"
        ),
        Message(
            "the market rate is the curve in force at 1 month; of several currencies that of most "
            "of the product's balances counts"
        ),
        *(Message("keeps the portfolio in force: {0}", reason) for reason in missing),
    ]
    proposal.notes[RULE] = [
        Message(
            "rows of their own for {0} name these portfolios; the rest of each row is that of the "
            "rule in force",
            ", ".join(own),
        )
    ]


def _rounded(value: float | Decimal, places: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _text(value: Decimal, places: int) -> str:
    return f"{_rounded(value, places):f}"


def _shown(row: Row) -> Row:
    """A group of accounts as people read it: rates in per cent."""
    return {
        "effective_from": row["starts_on"],
        "side": "paid" if row["is_paid"] else "charged",
        "tenor_months": row["tenor_months"],
        "accounts": row["accounts"],
        "account_months": row["account_months"],
        "months": row["months"],
        "average_balance": _rounded(row["balance"] / row["months"], 2),
        **{
            name: None if row[name] is None else _rounded(100 * row[name], 2)
            for name in (
                *("rate", "standard_error", "lower_quartile", "upper_quartile"),
                *("loss_rate", "transfer_price"),
            )
        },
    }


def _write(settings: Settings, proposal: Proposal, target: Path, own: Sequence[str]) -> None:
    """The folder, whole or not at all. What is not proposed is there as it is in force, so that a
    person sees all that there is to change; a default that is not changed counts as none."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    draft.mkdir(parents=True)
    try:
        for seed, path in files_in_force(settings).items():
            if seed not in proposal.seeds:
                shutil.copyfile(path, draft / f"{seed}.csv")
        for seed, found in proposal.seeds.items():
            write_rows(
                draft / f"{seed}.csv",
                list(column_types()[seed]),
                [[*row.values()] for row in found],
            )
        write_whole(draft / README, _readme(proposal, own, settings.language))
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _readme(proposal: Proposal, own: Sequence[str], language: str) -> str:
    def text(message: str) -> str:
        return in_language(message, language)

    def notes(found: Sequence[str]) -> list[str]:
        return [f"- {text(one)}" for one in (Message("{0}.", note) for note in found)]

    names = Message("File"), Message("Contents"), Message("Steers"), Message("Columns and units")
    files = [
        (
            *(f"`{seed}.csv`", _origin(seed, proposal, own)),
            *(Message("{0}: {1}", one.title, one.steers), one.units),
        )
        for seed, one in FILES.items()
    ]
    first = (
        Message(
            "From release {0}. Review each file, then run `make refresh REFERENCE_PATH=<this "
            "folder>`. `docs/value.md` has the formulas.",
            proposal.release,
        ),
        Message(
            "Change any row; a file that is removed, or left as the default, counts with its "
            "defaults."
        ),
        SCOPES,
    )
    lines = [f"# {text(TITLE)}"]
    for paragraph in first:
        lines += ["", text(paragraph)]
    lines += [
        "",
        *_table([dict(zip(map(text, names), map(text, row), strict=True)) for row in files]),
    ]
    for seed, found in proposal.notes.items():
        lines += ["", f"## {text(seed_words(seed))}", "", *notes(found)]
        if table := proposal.tables.get(seed):
            lines += ["", *_table([words.worded(row, language) for row in table])]
    kept = {seed: why for seed, why in proposal.kept.items() if seed not in proposal.seeds}
    if kept:
        not_proposed = text(Message("Not proposed"))
        lines += ["", f"## {not_proposed}", ""]
        lines += notes([Message("{0}: {1}", seed_words(seed), why) for seed, why in kept.items()])
        for seed in kept:
            if table := proposal.tables.get(seed):
                lines += ["", *_table([words.worded(row, language) for row in table])]
    return "\n".join([*lines, ""])


def _origin(seed: str, proposal: Proposal, own: Sequence[str]) -> Message:
    if seed in proposal.seeds:
        return Message("proposal from the bank's records")
    if seed in own:
        return Message("the bank's own file, copied")
    return Message("unchanged default")


def _table(found: Sequence[Row]) -> list[str]:
    names = list(found[0])
    shown = [["" if row[name] is None else str(row[name]) for name in names] for row in found]
    head = [" | ".join(names), " | ".join("---" for _ in names)]
    return [f"| {line} |" for line in (*head, *(" | ".join(row) for row in shown))]

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
    digest,
    files_in_force,
    rows_of,
    write_rows,
)
from orchestration.platform.refusal import Refused
from orchestration.platform.releases import ReleaseRefused, served
from orchestration.platform.settings import Settings, named
from orchestration.valuation.explanation import EFFECTS
from orchestration.valuation.portfolios import proposed as proposed_portfolios
from orchestration.valuation.queries import Row, rows

FOLDER = Path(__file__).parent / "reference"
README = "README.md"
TITLE = "# Proposed reference data"
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
    """Rows by seed, the notes that explain them, and what was not proposed, with the reason."""

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
        raise ReleaseRefused("no release is published. Run make refresh.")
    with connect(settings, path, read_only=True) as connection:
        proposal = _proposed(connection, settings, path.stem)
    if not proposal.seeds:
        reasons = "; ".join(f"{seed}: {reason}" for seed, reason in proposal.kept.items())
        raise ProposalRefused(
            f"release {path.stem} is invalid for a proposal: expected rates, costs or defaults of "
            f"the bank's own ({reasons}). Deliver them and run make refresh."
        )
    _write(settings, proposal, target)
    return {
        "release": proposal.release,
        "folder": str(target),
        "proposed": [{"seed": seed, "rows": len(found)} for seed, found in proposal.seeds.items()],
        "kept": proposal.kept,
        "notes": proposal.notes,
        "observed": proposal.tables,
    }


def _check_target(target: Path, force: bool) -> None:
    if not target.exists():
        return
    readme = target / README
    earlier = readme.is_file() and readme.read_text(encoding="utf-8").startswith(TITLE)
    if not (force and earlier):
        cure = (
            "Set FORCE=1 to replace this proposal, or name another folder."
            if earlier
            else "Name another folder."
        )
        raise ProposalRefused(f"OUT={target} is invalid: expected a new folder. {cure}")


def _proposed(connection: DuckDBPyConnection, settings: Settings, release: str) -> Proposal:
    missing = [table for table in NEEDED if not has_table(connection, table)]
    if not (missing or has_column(connection, "value.transfer_curve", "currency")):
        missing = ["value.transfer_curve with currency"]
    if missing:
        raise ReleaseRefused(
            f"release {release} is invalid: expected the table(s) {', '.join(missing)}, which "
            "releases of earlier versions do not have. Run make refresh."
        )
    found = dict(connection.execute("select seed, sha256 from meta.reference_data").fetchall())
    files = files_in_force(settings)
    other = [seed for seed in SEEDS if digest(files[seed]) != found.get(seed)]
    if other:
        raise ProposalRefused(
            f"{named('reference_path')} is invalid: expected the reference data of release "
            f"{release}; {', '.join(other)} differ(s). Set it to the folder of that refresh, or "
            "run make refresh with this one."
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
    none = f"no side has {ENOUGH_ACCOUNTS} accounts with interest, neither deposits nor loans"
    found = {
        currency: _moved_curve(connection, currency, in_force.get(currency) or in_force[""])
        or Curve(in_force.get(currency, []), [f"{none}: keeps the curve in force"], [])
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
        name = {"currency": currency or "the bank's currency"} if foreign else {}
        proposal.notes[CURVE] += [": ".join((*name.values(), note)) for note in proposed.notes]
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
    notes = []
    for side in chosen:
        kind = "deposits" if side.is_paid else "loans"
        term = "with" if side.has_term else "without"
        notes.append(f"{kind} {term} a term: {', '.join(side.products)}")
    if len(chosen) == 2:
        notes.append(
            "the curve lies in the middle of the rate paid and the rate charged less expected "
            f"loss; half the spread between them is {100 * half_spread:.2f} percentage points"
        )
        if half_spread < 0:
            notes.append("depositors are paid more than these borrowers are charged: check both")
    else:
        bound = "lowest" if chosen[0].is_paid else "highest"
        notes.append(
            f"only one side is known: this is the {bound} curve that the bank's rates allow, not "
            "the middle. The market's curve is the better source"
        )
    if any(not side.has_term for side in chosen):
        notes.append(
            "rates of balances without a term follow the market late; they move the level only"
        )
    if len(starts) > 1:
        notes.append(f"the level moved: own curves from {', '.join(map(str, starts[1:]))}")
    notes.append(
        "points without accounts of their own follow the level of their period and keep the slope "
        "of the curve in force"
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
            "the ledger has no operating_cost"
            if not lines
            else f"of the ledger's operating_cost the pools leave {left}, rates charge {charged}"
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
    months = f"{lines[0]['first_month']:%Y-%m} to {lines[0]['last_month']:%Y-%m}"
    note = (
        f"ledger of {months}: (operating_cost - pools - adjustments) / cost charged by rates = "
        f"{left} / {charged} = {factor:.4f}, so that nothing remains as unused capacity; lower "
        "the rates by the share of the capacity that is idle"
    )
    proposal.notes[ACTIVITY] = [note]
    proposal.notes[MAINTENANCE] = [
        note,
        "a factor of each line, so that the line's cost is its ledger's"
        if factors
        else "one factor for all lines: by line, one would be below zero or has no accounts",
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
        proposal.kept[RATING] = (
            f"no band has {ENOUGH_LOANS} accounts with a loan_status twelve months before the end "
            "of the history"
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
        "(defaults + 0.5) / (accounts + 1), the mean of Jeffreys' posterior; bands with fewer than "
        f"{ENOUGH_LOANS} accounts keep the probability in force"
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
        f"{row['product_id']}: {row['not_estimated']}" for row in shown if not row["proposed"]
    ]
    if not own:
        proposal.kept[PORTFOLIO] = (
            " / ".join(missing) or "no deposits without a term have a balance"
        )
        return
    proposal.seeds |= {PORTFOLIO: found, RULE: ruled}
    proposal.notes[PORTFOLIO] = [
        "core = stable share x (1 - deposit beta), at most the cap of BCBS 368 for the segment; it "
        "lies at the tenor 2 x average life - 1, the rest at 1 month",
        "intervals are at 95 %; that of the run-off is between accounts and leaves out what moves "
        "all of them together, such as a change of rates that the history does not have",
        "the market rate is the curve in force at 1 month; of several currencies that of most of "
        "the product's balances counts",
        *(f"keeps the portfolio in force: {reason}" for reason in missing),
    ]
    proposal.notes[RULE] = [
        f"rows of their own for {', '.join(own)} name these portfolios; the rest of each row is "
        "that of the rule in force"
    ]


def _rounded(value: float | Decimal, places: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _text(value: Decimal, places: int) -> str:
    return f"{_rounded(value, places):f}"


def _shown(row: Row) -> Row:
    """A group of accounts as people read it: rates in per cent."""
    return {
        "from": row["starts_on"],
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


def _write(settings: Settings, proposal: Proposal, target: Path) -> None:
    """The folder, whole or not at all; the bank's other own files go with it."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    draft.mkdir(parents=True)
    try:
        own = settings.reference_path
        copied = sorted(own.glob("*.csv")) if own else []
        for path in copied:
            if path.stem not in proposal.seeds:
                shutil.copyfile(path, draft / path.name)
        for seed, found in proposal.seeds.items():
            write_rows(
                draft / f"{seed}.csv",
                list(column_types()[seed]),
                [[*row.values()] for row in found],
            )
        write_whole(draft / README, _readme(proposal, [path.stem for path in copied]))
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _readme(proposal: Proposal, own: Sequence[str]) -> str:
    lines = [
        TITLE,
        "",
        f"From release {proposal.release}. Review each file, then run "
        "`make refresh REFERENCE_PATH=<this folder>`. `docs/value.md` has the formulas.",
    ]
    for seed, notes in proposal.notes.items():
        lines += ["", f"## {seed}.csv", "", *(f"- {note}." for note in notes)]
        if table := proposal.tables.get(seed):
            lines += ["", *_table(table)]
    kept = {**{seed: "the bank's own file, copied" for seed in own}, **proposal.kept}
    kept = {seed: reason for seed, reason in kept.items() if seed not in proposal.seeds}
    if kept:
        lines += ["", "## Not proposed", ""]
        lines += [f"- `{seed}`: {reason}." for seed, reason in kept.items()]
        for seed in kept:
            if table := proposal.tables.get(seed):
                lines += ["", *_table(table)]
    return "\n".join([*lines, ""])


def _table(found: Sequence[Row]) -> list[str]:
    names = list(found[0])
    shown = [["" if row[name] is None else str(row[name]) for name in names] for row in found]
    head = [" | ".join(names), " | ".join("---" for _ in names)]
    return [f"| {line} |" for line in (*head, *(" | ".join(row) for row in shown))]

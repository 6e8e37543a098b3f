"""Explanations and prices on a terminal, as tables; in a file or pipe, as lines. An explanation as
a page, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import reports
from orchestration.platform import terminal
from orchestration.platform.files import write_whole
from orchestration.platform.wording import in_language
from orchestration.valuation.reference_files import seed_words
from orchestration.valuation.words import named, shown, worded
from reports.formats import (
    ENGLISH,
    LARGEST_SHOWN_RETURN,
    NOTHING,
    columns_of,
    exact,
    padded,
    return_on_capital,
    whole,
)
from sources.message import Message, by_commas

Row = dict[str, Any]


def show_explanation(found: Row, language: str = ENGLISH) -> None:
    """Print the account, each measure with its parts, and the delivered records."""
    account = found["account"]
    month = f"{account['month']:%Y-%m}"
    of_release = account["account_id"], month, found["release"]
    say(Message("account {0} in {1}, release {2}", *of_release), language)
    if found["balance_note"]:
        print(reports.worded(found["balance_note"], language))
    for name, value in account.items():
        if name not in ("account_id", "month") and value is not None:
            print(f"  {named(name, language)} {terminal.cell(shown(name, value, language))}")
    for measure in found["measures"]:
        title = f"{named(measure['measure'], language)} {terminal.cell(measure['published'])}"
        if measure["published"] is None:
            title += f" ({reports.worded('unknown', language)})"
        elif measure.get("is_incomplete"):
            title += f" ({reports.worded('without what is not known', language)})"
        formula = reports.worded(measure["formula"], language)
        show_rows(f"{title} = {formula}", measure["parts"], language)
        if measure["difference"]:
            recomputed = terminal.cell(measure["recomputed"])
            differs = Message(
                "DIFFERENCE: expected {0} from the parts, found {1} in the release",
                *(recomputed, title),
            )
            say(differs, language, "  ")
    for table in dict.fromkeys(row["table"] for row in found["records"]):
        show_rows(
            in_language(Message("delivered records: {0}", table), language),
            [row for row in found["records"] if row["table"] == table],
            language,
        )
    if found["records_note"]:
        print(reports.worded(found["records_note"], language))
    if found["differences"]:
        terminal.problem(
            in_language(
                Message(
                    "{0} amount(s) do not follow from their parts: expected none. Run make "
                    "refresh; if the difference stays, report the account and month.",
                    found["differences"],
                ),
                language,
            )
        )


def write_explanation(found: Row, path: Path, language: str = ENGLISH) -> None:
    """Write the explanation as a page that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, reports.render("explanation.html", found, language))


PRICE = (
    *("tier", "basis", "account_months", "transfer_price", "funding_rate", "cost_rate"),
    *("loss_rate", "capital_rate", "rate_floor"),
)


def show_price(found: Row, language: str = ENGLISH) -> None:
    """Print the transfer price by part, the floor by tier, and a year of the deal."""
    asked = found["product_id"], terminal.cell(found["amount"])
    if found["term_months"]:
        head = Message("{0}, {1} for {2} months", *asked, found["term_months"])
    else:
        head = Message("{0}, {1}", *asked)
    say(Message("{0}, release {1}", head, found["release"]), language)
    floor = found["tiers"][0]["floor_kind"]
    show_rows(
        in_language(Message("transfer price, a year"), language), found["transfer_price"], language
    )
    show_rows(
        in_language(Message("{0}, a year", Message(floor)), language),
        [{name: row[name] for name in PRICE} for row in found["tiers"]],
        language,
    )
    rate = found["rate"]
    at = Message("the floor") if rate is None else Message("{0} a year", str(rate))
    show_rows(
        in_language(Message("a year of the deal at {0}", at), language),
        [
            {"tier": row["tier"]}
            | {name: row[name] for name in row if name not in (*PRICE, "floor_kind")}
            for row in found["tiers"]
        ],
        language,
    )
    if found["customer"]:
        last = Message("the customer's last twelve months")
        show_rows(in_language(last, language), [found["customer"]], language)


def show_proposal(found: Row, language: str = ENGLISH) -> None:
    """Print what is proposed, from what, and what is not."""
    say(Message("reference data proposed from release {0}", found["release"]), language)
    for proposed in found["proposed"]:
        seed = proposed["seed"]
        head = Message("{0}: {1} rows", seed_words(seed), f"{proposed['rows']:,}")
        show_rows(in_language(head, language), found["observed"].get(seed, []), language)
        for note in found["notes"].get(seed, []):
            say(note, language, "  ")
    for seed, reason in found["kept"].items():
        say(Message("{0}: not proposed, {1}", seed_words(seed), reason), language)
    if found["unchanged"]:
        say(
            Message(
                "{0} further files hold the values in force, for the bank to change; README.md "
                "describes each",
                len(found["unchanged"]),
            ),
            language,
        )
    folder = found["folder"]
    say(
        Message("review {0}, then refresh as before with REFERENCE_PATH={1}", folder, folder),
        language,
    )


DIMENSIONS = ("line", "product", "branch", "tier")
MEASURES = ("contribution_margin", "economic_profit", "raroc")
SIDES = {
    "release": Message("before"),
    "scenario": Message("after"),
    "difference": Message("difference"),
}
OF_DIMENSIONS = {
    "line": Message("by product line"),
    "product": Message("by product"),
    "branch": Message("by branch"),
    "tier": Message("by tier"),
}


def show_scenario(found: Row, language: str = ENGLISH, by: str = "line") -> None:
    """Print the twelve months of a dimension's keys in one table, the total first."""
    release = found["name"], found["release"], found["as_of"]
    say(Message("scenario {0} beside release {1}, as of {2}", *release), language)
    changed = by_commas(map(seed_words, found["changed"])) if found["changed"] else Message("none")
    say(Message("reference data that differ: {0}", changed), language, "  ")
    if not found["same_code"]:
        other = Message(
            "the release is of another version of jingxi, which may be part of the difference"
        )
        say(other, language, "  ")
    head = Message("The last twelve months {0}", OF_DIMENSIONS[by])
    units = Message("RAROC in per cent, its difference in percentage points")
    if found["currency"]:
        units = Message("amounts in {0}; {1}", found["currency"], units)
    say(Message("{0} ({1})", head, units), language)
    rows = [
        row
        for row in found["differences"]
        if row["period"] == "twelve months" and row["dimension"] in ("all", by)
    ]
    for line in _side_by_side(rows, by, language):
        print(f"  {line}")
    moved = found["customers_of_another_tier"]
    say(Message("customers of another tier: {0}", f"{moved:,}"), language)
    say(
        Message(
            "all figures, by line, product, branch and tier, of the month and of twelve months: "
            "{0}; nothing is published",
            found["file"],
        ),
        language,
    )


def _side_by_side(rows: Sequence[Row], by: str, language: str) -> list[str]:
    """A line for each key: every measure of the release, of the scenario, and their difference."""

    def name(row: Row) -> str:
        if row["dimension"] == "all":
            return in_language(Message("Total of the bank"), language)
        key = row["dimension_key"] or "–"
        # In English too, since keys are titles on every page.
        return reports.titled(key, language) if by in ("line", "tier") else key

    amounts = [row[f"{one}_{side}"] for row in rows for one in MEASURES[:2] for side in SIDES]
    # All with the same places, since they stand below each other.
    shown_amount = exact if all(abs(one or 0) < 1000 for one in amounts) else whole

    def figure(row: Row, measure: str, side: str) -> str:
        value = row[f"{measure}_{side}"]
        if measure != "raroc":
            return shown_amount(value, language)
        if side != "difference":
            return return_on_capital(value, language)
        # Beyond the largest return that is shown, there is hardly any capital to compare with.
        ends = (row["raroc_release"], row["raroc_scenario"])
        if any(end is None or abs(end) > LARGEST_SHOWN_RETURN for end in ends):
            return NOTHING
        return f"{round(100 * float(value), 1) + 0.0:,.1f}"

    sides = [in_language(side, language) for side in SIDES.values()]
    table = [["", *sides * len(MEASURES)]]
    table += [
        [name(row)] + [figure(row, measure, side) for measure in MEASURES for side in SIDES]
        for row in rows
    ]
    widths = [max(map(columns_of, column)) for column in zip(*table, strict=True)]
    groups = [reports.titled(measure, language) for measure in MEASURES]
    above = padded("", widths[0])
    for number, group in enumerate(groups):
        three = widths[1 + 3 * number : 4 + 3 * number]
        above += "  " + padded(group, -(sum(three) + 4))
    lines = [
        padded(first, widths[0])
        + "".join("  " + padded(one, -width) for one, width in zip(rest, widths[1:], strict=True))
        for first, *rest in table
    ]
    return [above, *lines]


TITLES = {
    "input_file": Message("delivered files"),
    "reference_data": Message("reference data"),
    "model": Message("models"),
    "account_month": Message("profit of account-months, by cause and line"),
    "customer": Message("lifetime values of customers, by cause"),
    "tier_move": Message("customers of another tier"),
    "contact": Message("planned contacts"),
    "table": Message("tables whose rows differ"),
}


def show_differences(found: Row, language: str = ENGLISH) -> None:
    """Print what differs between two releases, the causes first."""
    for side, name in (("before", Message("before")), ("after", Message("after"))):
        release = found[side]
        of_release = release["source"], str(release["as_of"]), release["code_version"]
        described = Message("{0} as of {1} (code {2})", *of_release)
        head = f"{padded(in_language(name, language), 7)}{release['release_id']}"
        print(f"{head}: {in_language(described, language)}")
    for section, title in TITLES.items():
        if found[section] is None:
            why = Message("not compared, for one of the releases does not have the tables")
            say(Message("{0}: {1}", title, why), language)
        elif found[section]:
            # The kind of a model is none of a booking.
            kinds = {"kind": "model_kind"} if section == "model" else {}
            rows = [
                {kinds.get(name, name): value for name, value in row.items()}
                for row in found[section]
            ]
            show_rows(in_language(title, language), rows, language)
        else:
            say(Message("{0}: {1}", title, Message("no difference")), language)


def show_rows(title: str, rows: Sequence[Row], language: str = ENGLISH) -> None:
    """A table of rows that may have different columns."""
    print(title)
    rows = [worded(row, language) for row in rows]
    if rows and terminal.is_terminal():
        names = list(dict.fromkeys(name for row in rows for name in row))
        # A title would be wrapped at the width of the table.
        terminal.table("", [{name: row.get(name) for name in names} for row in rows])
        return
    for row in rows:
        parts = (
            f"{name} {terminal.cell(value)}" for name, value in row.items() if value is not None
        )
        print(f"  {', '.join(parts)}")


def say(message: str, language: str, indent: str = "") -> None:
    print(f"{indent}{in_language(message, language)}")

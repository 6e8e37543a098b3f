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
from reports.formats import ENGLISH
from sources.message import Message

Row = dict[str, Any]


# Values that are words of the catalogue, by column.
TITLED = ("part", "product_line", "probability_from")
WORDED = ("kind", "channel", "item", "driver", "effect")


def show_explanation(found: Row, language: str = ENGLISH) -> None:
    """Print the account, each measure with its parts, and the delivered records."""

    def named(key: str) -> str:
        """A measure or column; one of several scopes is named "measure, scope"."""
        if language == ENGLISH:
            return key
        first, *rest = key.split(", ", 1)
        return ", ".join((reports.titled(first, language), *rest))

    def worded(row: Row) -> Row:
        return {named(name): shown(name, value) for name, value in row.items()}

    def shown(name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return reports.worded(terminal.cell(value), language)
        if language == ENGLISH or not isinstance(value, str):
            return value
        if name in TITLED:
            return reports.titled(value, language)
        return reports.worded(value, language) if name in WORDED else value

    def text(message: str) -> str:
        return in_language(message, language)

    account = found["account"]
    month = f"{account['month']:%Y-%m}"
    of_release = account["account_id"], month, found["release"]
    print(text(Message("account {0} in {1}, release {2}", *of_release)))
    if found["balance_note"]:
        print(reports.worded(found["balance_note"], language))
    for name, value in account.items():
        if name not in ("account_id", "month") and value is not None:
            print(f"  {named(name)} {terminal.cell(shown(name, value))}")
    for measure in found["measures"]:
        title = f"{named(measure['measure'])} {terminal.cell(measure['published'])}"
        if measure["published"] is None:
            title += f" ({reports.worded('unknown', language)})"
        elif measure.get("is_incomplete"):
            title += f" ({reports.worded('without what is not known', language)})"
        formula = reports.worded(measure["formula"], language)
        show_rows(f"{title} = {formula}", [worded(row) for row in measure["parts"]])
        if measure["difference"]:
            recomputed = terminal.cell(measure["recomputed"])
            differs = Message(
                "DIFFERENCE: expected {0} from the parts, found {1} in the release",
                *(recomputed, title),
            )
            print(f"  {text(differs)}")
    for table in dict.fromkeys(row["table"] for row in found["records"]):
        show_rows(
            text(Message("delivered records: {0}", table)),
            [worded(row) for row in found["records"] if row["table"] == table],
        )
    if found["records_note"]:
        print(reports.worded(found["records_note"], language))
    if found["differences"]:
        terminal.problem(
            text(
                Message(
                    "{0} amount(s) do not follow from their parts: expected none. Run make "
                    "refresh; if the difference stays, report the account and month.",
                    found["differences"],
                )
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


def show_price(found: Row) -> None:
    """Print the transfer price by part, the floor by tier, and a year of the deal."""
    term = f" for {found['term_months']} months" if found["term_months"] else ""
    amount = terminal.cell(found["amount"])
    print(f"{found['product_id']}, {amount}{term}, release {found['release']}")
    show_rows("transfer price, a year", found["transfer_price"])
    show_rows(
        f"{found['tiers'][0]['floor_kind']}, a year",
        [{name: row[name] for name in PRICE} for row in found["tiers"]],
    )
    at = "the floor" if found["rate"] is None else f"{found['rate']} a year"
    show_rows(
        f"a year of the deal at {at}",
        [
            {"tier": row["tier"]}
            | {name: row[name] for name in row if name not in (*PRICE, "floor_kind")}
            for row in found["tiers"]
        ],
    )
    if found["customer"]:
        show_rows("the customer's last twelve months", [found["customer"]])


def show_proposal(found: Row) -> None:
    """Print what is proposed, from what, and what is not."""
    print(f"reference data proposed from release {found['release']}")
    for proposed in found["proposed"]:
        seed = proposed["seed"]
        show_rows(f"{seed}: {proposed['rows']} rows", found["observed"].get(seed, []))
        for note in found["notes"].get(seed, []):
            print(f"  {note}")
    for seed, reason in found["kept"].items():
        print(f"{seed}: not proposed, {reason}")
    print(f"review {found['folder']}, then refresh as before with REFERENCE_PATH={found['folder']}")


def show_scenario(found: Row) -> None:
    """Print the differences of twelve months by dimension, and those of the month in total."""
    print(f"scenario {found['name']} beside release {found['release']}, as of {found['as_of']}")
    print(f"  reference data that differ: {', '.join(found['changed']) or 'none'}")
    if not found["same_code"]:
        print("  the release is of another version of jingxi, which may be part of the difference")
    for period, dimension in (
        *(("month", "all"), ("twelve months", "all"), ("twelve months", "line")),
        *(("twelve months", name) for name in ("product", "branch", "tier")),
    ):
        show_rows(
            f"{dimension}, {period}",
            [
                {dimension: row["dimension_key"], "measure": measure}
                | {side: row[f"{measure}_{side}"] for side in ("release", "scenario", "difference")}
                for row in found["differences"]
                if (row["period"], row["dimension"]) == (period, dimension)
                for measure in ("contribution_margin", "economic_profit", "raroc")
            ],
        )
    print(f"customers of another tier: {found['customers_of_another_tier']}")
    print(f"kept in {found['folder']}; nothing is published")


TITLES = {
    "input_file": "delivered files",
    "reference_data": "reference data",
    "model": "models",
    "account_month": "profit of account-months, by cause and line",
    "customer": "lifetime values of customers, by cause",
    "tier_move": "customers of another tier",
    "contact": "planned contacts",
    "table": "tables whose rows differ",
}


def show_differences(found: Row) -> None:
    """Print what differs between two releases, the causes first."""
    for side in ("before", "after"):
        release = found[side]
        print(
            f"{side:<7}{release['release_id']}: {release['source']} as of {release['as_of']} "
            f"(code {release['code_version']})"
        )
    for section, title in TITLES.items():
        if found[section] is None:
            print(f"{title}: not compared, for one of the releases does not have the tables")
        elif found[section]:
            show_rows(title, found[section])
        else:
            print(f"{title}: no difference")


def show_rows(title: str, rows: Sequence[Row]) -> None:
    """A table of rows that may have different columns."""
    print(title)
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

"""The catalogue of words: English stands in the templates and the code, others in `locale/*.po`.

The words of the tables (features, segments, kinds, roles) are those of the stages that write them:
`python -m orchestration.operations.page_words` takes all words in use into every catalogue and
lists those that have no translation. A catalogue is compiled when a page is made, so no compiled
file can be out of date.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import cache, reduce
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from reports.formats import ENGLISH, plain

FOLDER = Path(__file__).parent
CATALOGUES = {path.stem: path for path in sorted((FOLDER / "locale").glob("*.po"))}
TEMPLATES = ("templates/**.html", "templates/**.txt")
LANGUAGES = (ENGLISH, *CATALOGUES)
# Keys of the tables as titles: no template names them.
KEYS = (
    *("(new)", "(left)", "(not priced)"),
    *("Line", "Product", "Branch", "Manager", "Seller", "Customer", "Household", "District"),
    *("Tier", "Decile", "Ledger", "Treasury", "Source", "Overhead pools"),
    *("Unallocated overhead", "Unallocated overhead: head office"),
    *("Unallocated overhead: premises", "Unallocated overhead: collections"),
    "Unallocated overhead: information technology",
    *("Economic profit", "Contribution margin", "Fee income", "Average balance"),
    *("Highest deposit rate", "Lowest loan rate", "Lowest monthly fee"),
    *("Raises", "Lowers"),
    *("Growth", "Coverage", "Conversion", "Complaints", "Early defaults", "Total"),
    *("Person", "Sole trader", "Small business", "Corporate", "Micro", "Small", "Medium", "Large"),
)

# An explanation's columns, measures, parts and formulas: they come from its queries.
EXPLAINED = (
    *("Product id", "Product name", "Branch id", "Opened on", "Closed on", "Interest rate"),
    *("Credit limit", "Term months", "Priced on", "Matures on", "Days in month", "Days open"),
    *("Opening balance", "Booked amount", "Closing balance", "Balance day sum"),
    *("Overdrawn day sum", "Days past due", "Is in default", "Stage", "Probability from"),
    "Is balance known",
    *("Default model version", "The account is in default", "Default model", "Rating table"),
    *("Part", "Day sum", "Days", "Kind", "Unit cost", "Amount", "Effect", "Replaces", "Adds"),
    *("Driver", "Pool amount", "Units", "All units", "Allocated", "Capital weight", "Hurdle rate"),
    *("Probability", "Loss given default", "Undrawn", "Credit conversion factor", "Day count"),
    *("Annual rate", "Curve currency", "Curve month", "Tenor months", "Tenor below", "Rate below"),
    *(
        "Tenor above",
        "Rate above",
        "Portfolio",
        "Weight",
        "Price",
        "Days of year",
        "Employee id",
        "Customer id",
    ),
    *("Valid from", "Valid to", "File", "Row", "Transaction id", "Booked on", "Balance after"),
    *("Item", "Transaction", "Account balance", "Account result", "Mean rate", "Overdrawn price"),
    *("Interest income", "Interest expense", "Interest income booked", "Interest expense booked"),
    *("Accrued interest", "Funded by capital", "Transfer result", "Transfer liquidity"),
    *("Transfer option", "Transfer policy", "Exposure", "Provision", "Provision change"),
    *("Realised loss", "Loss allowance", "Economic capital", "Credited share", "Credited profit"),
    *("Day sum of the balance", "Account maintenance"),
    *("A twelfth of the year's loss before a default", "Change of the provision"),
    *("Loss at the default", "Provision of the month", "Provision of the month before"),
    *("Owed on the closed account, less the month before", "Written off less recovered"),
    "Loans of the month before that are gone after a default, less what was repaid",
    *("Allowance of the stage", "Owed at the end of the month", "Loans beside the balance"),
    *("Undrawn limit", "Accrued by the rate", "Booked; the accrual ends", "Booked"),
    *("Taken back: accrued before and not booked", "Bookings of the month"),
    *("At the end of the month before", "Accrued in the month", "Booked in the month"),
    *("Accrued before the history", "Nothing accrues", "12 x contribution margin", "12 x overhead"),
    *("Curve of the month of the agreement", "Liquidity premium", "Option premium", "Policy rate"),
    *("Curve of the tranche", "Liquidity premium of the tranche", "Option premium of the tranche"),
    *("Policy rate of the tranche", "Days above zero", "All days", "Days below zero"),
    *("Economic capital, at most what is owed", "Head office", "Premises", "Collections"),
    *("Information technology", "Delivered: accrued interest income"),
    *("Delivered: accrued interest expense", "Delivered: interchange", "Delivered: commission"),
    *("Delivered: asset fee", "Delivered: tax", "Delivered: provision", "Delivered: realised loss"),
    *("Owner", "Manager of the customer", "Not covered by the owners", "Nothing"),
    *("Part of the economic profit", "day sum of the balance / days of the month"),
    "mean of the curve's rates in the months in which the slices were renewed",
    "a term's: the curve between two points, rate_below + (rate_above - rate_below) x (tenor "
    "- tenor_below) / (tenor_above - tenor_below); without a term: sum of the tranches' "
    "weight x mean rate; + liquidity premium + option premium + policy rate",
    "sum of the tranches' weight x mean rate, by part",
    "interest_rate x day sum / day_count where it accrues, or booked",
    *("bookings of kind interest_charged", "bookings of kind interest_paid"),
    "of the month before + accrued - booked",
    "economic capital, at most what is owed; no transfer price",
    "day sum x price / 365, each side of zero at its own price, less what capital funds",
    *("the part of it from liquidity premiums", "the part of it from option premiums"),
    *("the part of it from policy rates", "interest income - interest expense + transfer result"),
    "bookings of kind fee and penalty, income positive",
    "bookings x unit cost + account maintenance",
    "each pool's amount x the account's units / all units",
    "owed + loans beside the balance + conversion factor x undrawn limit",
    *("in default: exposure x loss given default", "provision - provision of the month before"),
    "owed at the closing + written off - recovered",
    "exposure x probability of default x loss given default / 12 where not in default + "
    "change of the provision + realised loss",
    "exposure x probability of loss x loss given default; not charged",
    "net interest margin + fee income - direct cost - expected loss",
    *("exposure x capital weight", "exposure x capital weight x hurdle rate / 12"),
    "contribution margin - overhead - capital charge",
    "12 x (contribution margin - overhead) / economic capital",
    "shares of the owners at the end of the month; without an owner, 1 / customers for the "
    "manager of each",
    "net interest margin + fee income - direct cost - expected loss - overhead - capital "
    "charge, of each the share; remaining cents to the largest remainders",
    *("rows of the delivery", "sum of their amounts"),
)


class Phrase(str):
    """English text of a pattern of the catalogue and what stands in its places: figures, days, and
    words that have their own entry.

    `Phrase("balance on {0}", "investments")` is "balance on investments".
    """

    pattern: str
    parts: tuple[str | Decimal | int | date, ...]

    def __new__(cls, pattern: str, *parts: str | Decimal | int | date) -> Phrase:
        figures = (plain(part) if isinstance(part, Decimal) else part for part in parts)
        made = super().__new__(cls, pattern.format(*figures))
        made.pattern, made.parts = pattern, parts
        return made


class Code(str):
    """A key or name, the same in every language even where it is a word of the catalogue."""


def joined(pattern: str, parts: Iterable[str]) -> str:
    """Parts in the pattern of two, such as `{0}; {1}`."""
    return reduce(lambda before, part: Phrase(pattern, before, part), parts)


def entries(text: str) -> Iterator[str]:
    """The entries of the catalogue that a text needs; text without a letter has none."""
    if isinstance(text, Code):
        return
    if not isinstance(text, Phrase):
        if any(map(str.isalpha, text)):
            yield text
        return
    yield text.pattern
    for part in text.parts:
        if isinstance(part, str):
            yield from entries(part)


@cache
def translations(language: str) -> NullTranslations:
    """The words of a language.

    Raises
    ------
    ValueError
        For a language that has no catalogue.
    """
    if language == ENGLISH:
        return NullTranslations()
    if language not in CATALOGUES:
        raise ValueError(
            f"language {language!r} is invalid: expected one of {', '.join(LANGUAGES)}"
        )
    compiled = io.BytesIO()
    write_mo(compiled, read(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def read(language: str) -> Catalog:
    with CATALOGUES[language].open("rb") as file:
        return read_po(file, locale=language)


def used(words: Iterable[str]) -> Catalog:
    """The words of the templates and of the code, and those given."""
    found = Catalog(project="jingxi", header_comment="# Words of the pages.")
    options = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
    # A sign of percent is doubled, as in the pages.
    options["newstyle_gettext"] = "true"
    for file, _, message, comments, context in extract_from_dir(
        FOLDER,
        [(name, "jinja2.ext:babel_extract") for name in TEMPLATES] + [("*.py", "python")],
        dict.fromkeys(TEMPLATES, options),
        {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)},
    ):
        found.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    for word in (*KEYS, *EXPLAINED, *words):
        found.add(word, locations=[("words.py", 0)])
    return found


def untranslated(catalogue: Catalog) -> list[str]:
    return [
        str(message.id)
        for message in catalogue
        if message.id and not (message.string and all(message.string))
    ]


def update(language: str, words: Iterable[str]) -> Catalog:
    """A catalogue with exactly the words in use, among them those given."""
    catalogue = read(language)
    catalogue.update(used(words), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue

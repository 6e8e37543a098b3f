"""The catalogue of words: English stands in the templates and the code, others in `locale/*.po`.

`python -m reports` takes the words in use into every catalogue and lists those that have no
translation. A catalogue is compiled when a page is made, so no compiled file can be out of date.
"""

from __future__ import annotations

import io
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from reports.formats import ENGLISH

FOLDER = Path(__file__).parent
CATALOGUES = {path.stem: path for path in sorted((FOLDER / "locale").glob("*.po"))}
LANGUAGES = (ENGLISH, *CATALOGUES)
# Keys of the tables as titles: no template names them.
KEYS = (
    *("Deposits", "Lending", "Cards", "Wealth", "Agency", "Payments"),
    *("Top", "High", "Middle", "Base", "Unprofitable", "(new)", "(left)"),
    *("Line", "Product", "Branch", "Manager", "Seller", "Customer", "Household", "District"),
    *("Tier", "Decile", "Ledger", "Treasury", "Source", "Overhead pools"),
    *("Unallocated overhead", "Unallocated overhead: head office"),
    *("Unallocated overhead: premises", "Unallocated overhead: collections"),
    "Unallocated overhead: information technology",
    *("Economic profit", "Contribution margin", "Fee income", "Average balance"),
    *("Highest deposit rate", "Lowest loan rate", "Lowest monthly fee"),
    *("Mobile", "Telephone", "Online", "Raises", "Lowers"),
    *("Attrition", "Lifetime value", "Default", "High value to come"),
    "Segment: what puts the customer there",
    *("Lifetime value, 12 months", "Lifetime value, 36 months", "Probability of leaving"),
    *("Value at risk", "Probability of default", "Probability of high value"),
)


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


def used() -> Catalog:
    """The words of the templates and of the code."""
    found = Catalog(project="jingxi", header_comment="# Words of the pages.")
    options = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
    for file, _, message, comments, context in extract_from_dir(
        FOLDER,
        [("templates/*.html", "jinja2.ext:babel_extract"), ("*.py", "python")],
        {"templates/*.html": options},
        {"_": None, "gettext": None, "ngettext": (1, 2)},
    ):
        found.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    for title in KEYS:
        found.add(title, locations=[("words.py", 0)])
    return found


def untranslated(catalogue: Catalog) -> list[str]:
    return [
        str(message.id)
        for message in catalogue
        if message.id and not (message.string and all(message.string))
    ]


def update(language: str) -> Catalog:
    """A catalogue with exactly the words in use."""
    catalogue = read(language)
    catalogue.update(used(), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue

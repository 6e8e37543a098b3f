"""Words that the pages take from tables and the contract. As a command, it brings the catalogues up
to date."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import yaml  # type: ignore[import-untyped]
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from expectations.suites.base import COUNT
from ml.segments.dimensions import DIMENSIONS
from ml.segments.model import RULE_STAGES, RULE_VALUES
from ml.segments.naming import AVERAGE, LOSING
from ml.serving import TIER
from orchestration.alerts.reason_words import reason_examples
from orchestration.customer_page.content import STANDINGS
from orchestration.decisions.feature_sentences import BOOKED_BY, LINES, sentence_examples
from orchestration.decisions.occasion_sentences import occasion_examples
from orchestration.decisions.reason_words import (
    BY_LINE,
    STEMS,
    feature_words,
    reason_in_words,
    segment_words,
)
from orchestration.decisions.roles import ROLES
from orchestration.home.parts import parts_of
from orchestration.home.status import STATES
from orchestration.landing.contract_page import contract_words
from orchestration.models.like_customers import OTHERS, SAME_BUSINESS, SAME_TIER
from orchestration.models.reason_words import METRICS, verdict_examples
from orchestration.models.studies import OF_CUSTOMERS, STUDIES
from orchestration.platform.environment import DBT_PROJECT, PROJECT
from orchestration.platform.gate_words import (
    CURED,
    gate_examples,
    label_words,
    rule_words,
    unjudged_words,
)
from orchestration.platform.identity import EVERY_ROLE
from orchestration.platform.settings import Settings
from orchestration.portal.note_words import NOTES
from orchestration.release.gate_overrides import rules
from orchestration.release.value_report import ADJUSTMENT
from orchestration.valuation.bookings import ABSENT, NOT_HERE, OTHER_FILES, OTHER_MAPPING
from orchestration.valuation.explanation import BALANCE_NOT_KNOWN
from orchestration.valuation.words import COLUMNS, PART_TITLES
from orchestration.valuation.words import WORDS as SHOWN_WORDS
from reports.formats import titled
from reports.words import CATALOGUES, Phrase, entries, untranslated, update
from sources import contract, vocabulary

# Keys of a row, which no model takes for a feature.
ROW_KEYS = ("customer_id", "month", "product_id")
DRIVERS = (
    *("open_account", "opened_account", "booking", "branch_booking", "average_balance"),
    *("amount_owed", "past_due_account"),
)
# What the reconciliation compares, beside the titles of the value report.
COMPARED = (
    *("accrual", "credited", "group", "operating cost", "pro_forma_branch", "pro_forma_manager"),
    "vintage",
)
REASONS = (
    "7 days past due; another loan of the borrower is in default; probability of default 0.1",
    "net_flow_3m 5; days_past_due none (usual 1)",
    "a contact adds 1 points to the probability of taking 1 (1 % when contacted); taken, it brings "
    "1 in a year, less an expected loss of 1; the contact costs 1, a response 1",
    "the contact costs 1",
    "1 days past due",
    "taken, it brings 1 in a year, less an expected loss of 0.00",
)


def vocabularies() -> dict[str, tuple[str, ...]]:
    """Vocabulary → its words and phrases, as the pages find them."""
    dimensions = [
        word
        for one in DIMENSIONS
        for word in (one.very_low, one.low, one.high, one.very_high)
        if word
    ]
    names = ("rather older, single", "single (2)", "low value · 62+")
    return {
        "features": tuple(map(feature_words, features())),
        "sentences": tuple(sentence_examples((*features(), TIER))),
        "like customers": (OTHERS, SAME_TIER, SAME_BUSINESS),
        "categories": tuple(
            value.replace("_", " ")
            for column in ("customer_kind", "company_size")
            for value in _values("customer", column)
        ),
        "reasons": tuple(filter(None, map(reason_in_words, REASONS))),
        "occasions": tuple(occasion_examples()),
        "abnormal bookings": tuple(reason_examples()),
        "measures of models": tuple(METRICS.values()),
        "verdicts on models": tuple(verdict_examples()),
        "purposes of models": tuple(Phrase(one.purpose, 12) for one in STUDIES.values()),
        "limits of models": tuple(limit for one in STUDIES.values() for limit in one.limits),
        "segments": (
            *(*dimensions, AVERAGE, LOSING, *RULE_VALUES, *RULE_STAGES),
            *map(segment_words, names),
        ),
        "standings": STANDINGS,
        "tiers": _seed("value/tier_scheme.csv", "tier"),
        "without it": tuple(
            contract.loss_of(name) for together in contract.GAINS for name in together
        ),
        "units": (Phrase("branch {0}", 1), "head office"),
        "of a home without roles": (EVERY_ROLE,),
        "of the closing summary": (CURED,),
        "account roles": contract.ROLES,
        "roles": tuple(ROLES),
        "sexes": _values("customer", "sex"),
        "severities": ("alarm", "warning", "watch"),
        "channels": tuple(one.channel for one in vocabulary.CHANNELS),
        "kinds": tuple(one.kind for one in vocabulary.BOOKING_KINDS),
        "items": tuple(one.result_item for one in vocabulary.RESULT_ITEMS),
        "effects": vocabulary.EFFECTS,
        "drivers": DRIVERS,
        "records": (
            *(Phrase(ABSENT, Phrase(why, 1)) for why in (NOT_HERE, OTHER_FILES)),
            Phrase(ABSENT, Phrase(OTHER_MAPPING)),
            BALANCE_NOT_KNOWN,
        ),
        "values of commands": SHOWN_WORDS,
        "parts of a home": (*parts_of(Settings(home=PROJECT / "data")), "total", *STATES),
        "notes": tuple(Phrase(note, *range(4)) for note in NOTES),
        "gates": tuple(dict.fromkeys((*_gates(), *gate_examples()))),
        "scores": (
            *(one.label for one in OF_CUSTOMERS),
            *(column.label for one in OF_CUSTOMERS for column in one.columns if column.label),
        ),
    }


def titles() -> dict[str, tuple[str, ...]]:
    """Vocabulary → its keys, which the pages show as titles."""
    return {
        "lines": tuple(one.product_line for one in vocabulary.PRODUCT_LINES),
        "tiers": _seed("value/tier_scheme.csv", "tier"),
        "pools": _seed("value/overhead_pool.csv", "pool"),
        "residuals": (
            *(f"{ADJUSTMENT}{account}" for account in contract.LEDGER_ACCOUNTS),
            "unused capacity",
        ),
        "compared": COMPARED,
        "to deliver": tuple(
            name.rpartition(".")[2] for together in contract.GAINS for name in together
        ),
        "kinds of customers": _values("customer", "customer_kind"),
        "sizes": _values("customer", "company_size"),
        "columns of commands": (*COLUMNS, *PART_TITLES),
    }


def messages() -> dict[str, str]:
    """Pattern of a message for the terminal → the file that has it; of columns and tables, too."""
    found = {
        str(message): file
        for folder in ("sources", "orchestration", "ml")
        for file, _, message, *_ in extract_from_dir(
            PROJECT / folder,
            [("**.py", "python")],
            keywords={"Message": None, "NotEstimated": None},
        )
        # A notice is a class of the same name.
        if "notices" not in file
    }
    losses = [table.without_it for table in contract.TABLES]
    losses += [column.without_it for table in contract.TABLES for column in table.columns]
    return found | dict.fromkeys(filter(None, losses), "contract.py")


def page_words() -> Iterator[str]:
    """The entries of the catalogue that these need."""
    for words in vocabularies().values():
        for word in words:
            yield from entries(word)
    for keys in titles().values():
        yield from map(titled, keys)
    yield from contract_words()
    yield from messages()


def features() -> Iterator[str]:
    """The features of the models, and the parts by which models explain themselves."""
    for path in ("customer_month", "offer"):
        file = DBT_PROJECT / "models" / "features" / f"features_{path}.yml"
        (model,) = yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
        yield from (name for one in model["columns"] if (name := one["name"]) not in ROW_KEYS)
    yield from (f"{part}_{line}" for part in BY_LINE for line in LINES)
    yield from (f"bookings_{by}" for by in BOOKED_BY)
    yield from STEMS
    yield from (one.name for one in DIMENSIONS)


def _gates() -> Iterator[str]:
    """What rules state, the labels of their figures, and why they are not judged."""
    for profile, rule in rules().values():
        yield from (rule_words(rule.meaning), rule_words(rule.cure))
        yield label_words(rule.type_and_arguments()[1].get("column", "rows"))
        yield from (rule_words(rule.figure), unjudged_words(profile.off_means))
    yield from re.findall(r"select\s+'(.+)'", COUNT)


def _seed(path: str, column: str) -> tuple[str, ...]:
    with (DBT_PROJECT / "seeds" / path).open(encoding="utf-8", newline="") as file:
        return tuple(dict.fromkeys(row[column] for row in csv.DictReader(file)))


def _values(table: str, column: str) -> tuple[str, ...]:
    (found,) = (one for one in contract.BY_NAME[table].columns if one.name == column)
    return found.values


def main() -> None:
    """Take the words in use into every catalogue; list those without a translation."""
    words = list(page_words())
    for language, path in CATALOGUES.items():
        catalogue = update(language, words)
        with path.open("wb") as file:
            write_po(file, catalogue, width=100, no_location=True)
        missing = untranslated(catalogue)
        print(f"{language}: {len(missing)} of {len(catalogue)} words have no translation")
        print(*(f"  {words}\n" for words in missing), sep="", end="")


if __name__ == "__main__":
    main()

"""The columns and values of explanations, prices, proposals and differences in words."""

from __future__ import annotations

from typing import Any

import reports
from orchestration.platform import terminal
from orchestration.platform.wording import in_language
from orchestration.valuation.queries import Row
from reports.formats import ENGLISH
from sources.message import Message

# Values that are words of the catalogue, by column.
TITLED = ("part", "product_line", "probability_from", *("tier", "tier_before", "tier_after"))
WORDED = (
    *("kind", "channel", "item", "driver", "effect", "side", "cause", "change", "basis"),
    *("segment", "model_kind"),
)
# Where reference data come from; the catalogue's default is that of a loan.
ORIGINS = {"default": Message("the default"), "delivered": Message("the bank's file")}
# Columns whose words in the catalogue are of something else.
OTHER_COLUMNS = {"months": "number_of_months"}
# Columns and values of prices, proposals and differences, which come from their queries.
COLUMNS = (
    *("tier", "basis", "account_months", "transfer_price", "funding_rate", "cost_rate"),
    *("loss_rate", "capital_rate", "rate_floor", "capital_funded_share", "annual_rate"),
    *("contribution_with_it", "economic_profit_with_it", "probability_of_default", "months"),
    *(
        "tenor_months",
        "weight",
        "product_line",
        "months",
        "accounts",
        "currency",
        "effective_from",
        "side",
    ),
    *("average_balance", "rate", "standard_error", "lower_quartile", "upper_quartile"),
    *("operating_cost", "maintenance", "pools", "factor", "days_past_due_from", "defaults"),
    *("first_cutoff", "last_cutoff", "run_off_a_month", "average_life_months", "stable_share"),
    *("deposit_beta", "segment", "core", "proposed", "in_force", "not_estimated"),
    *("table_name", "files_added", "files_gone", "files_changed", "rows_difference", "seed"),
    *("origin_before", "origin_after", "model_name", "version_before", "version_after"),
    *("model_kind", *OTHER_COLUMNS.values()),
    *("trained_as_of", "cause", "contribution_before", "contribution_after", "change"),
    *("contribution_difference", "economic_profit_difference", "customers", "clv_12m_before"),
    *("clv_12m_after", "clv_12m_difference", "tier_before", "tier_after", "contacts"),
    *("expected_profit_before", "expected_profit_after", "table", "rows_before", "rows_after"),
    *("only_before", "only_after"),
)
WORDS = (
    *("charged", "paid", "tier", "product", "retail, other", "retail, transactional", "wholesale"),
    *("new month", "month gone", "records", "model", "reference data or code", "reference data"),
    *("code", "other accounts", "new customer", "customer gone", "model and features", "features"),
    *("training data or code", "added", "dropped", "other arm or channel", "kept"),
    *("not estimated", "lowest loan rate", "highest deposit rate"),
)
PART_TITLES = (
    "(none)",
    "curve of the as-of month",
    "liquidity premium",
    "option premium",
    "policy rate",
)
TRANCHE = "tranche of the portfolio "


def named(column: str, language: str) -> str:
    """A measure or column; one of several scopes is named "measure, scope"."""
    if language == ENGLISH:
        return column
    first, *rest = column.split(", ", 1)
    first = OTHER_COLUMNS.get(first, first)
    return ", ".join((reports.titled(first, language), *rest))


def worded(row: Row, language: str) -> Row:
    """A row with the words of a language for its columns, and for values that are words."""
    return {
        named(column, language): shown(column, value, language) for column, value in row.items()
    }


def shown(column: str, value: Any, language: str) -> Any:
    if isinstance(value, bool):
        return reports.worded(terminal.cell(value), language)
    if language == ENGLISH or not isinstance(value, str | Message):
        return value
    if isinstance(value, Message):
        return in_language(value, language)
    if column == "part" and value.startswith(TRANCHE):
        return in_language(
            Message("tranche of the portfolio {0}", value.removeprefix(TRANCHE)), language
        )
    if column.startswith("origin_"):
        return in_language(ORIGINS[value], language)
    if column in TITLED:
        return reports.titled(value, language)
    return reports.worded(value, language) if column in WORDED else value

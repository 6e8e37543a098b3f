"""The bank's data on one customer, limited to what a role may read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from duckdb import DuckDBPyConnection

from orchestration.decisions.feature_sentences import (
    group_sentence,
    offer_sentence,
)
from orchestration.decisions.reason_words import (
    is_withheld,
    reason_in_words,
    row_in_words,
    segment_words,
)
from orchestration.decisions.roles import BUSINESS, COMPLIANCE, MANAGER, WITHHELD, withheld_from
from orchestration.landing.switched_off import undelivered
from orchestration.models.studies import OF_CUSTOMERS, STUDIES
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.branch_names import branch_names
from orchestration.platform.optional_tables import has_column, has_table
from reports.words import Code, Phrase

Row = dict[str, Any]

HISTORY_MONTHS = 36
YEAR = 12
SHOWN_REASONS = 4
SHOWN_CONTACTS = 24

# What the contact policy rules out is an offer; what the bank's own list `do_not_contact` names is
# any contact at all.
BY_POLICY = {
    "no_consent": "there is no consent to marketing",
    "complaint": "a complaint came in a short while ago",
    "cool_off": "a contact was made a short while ago",
    "over_cap": "there were as many contacts as the policy allows",
    "household_cap": "the household has had as many contacts as the policy allows",
    "early_warning": "a loan shows an early warning",
    "defaulted": "a loan is in default",
    "minor": "the customer is a minor",
    "no_account": "there is no open account",
}
BARRED = {
    "erased": "the customer asked to be erased",
    "objection": "the customer objected to being contacted",
    "deceased": "the customer has died",
    "legal": "there are legal reasons",
}
SUPPRESSIONS = BY_POLICY | BARRED
CONSENT = "customer.marketing_consent"
CONSENT_NOT_DELIVERED = "consent to marketing was not delivered: it counts as not given"
NO_RECORD = "no record states that the customer may be contacted"
UNIVERSAL_CONTROL = "belongs to the customers whom no campaign contacts, for comparison"
CAMPAIGN_CONTROL = "was drawn by lot into this month's comparison"
OTHERS_BRING_MORE = "other contacts bring more within this month's capacity and budget"
NOTHING_PAYS = "no suitable offer brings more than it costs"
CONTROL = "was drawn by lot for comparison in this campaign"
FOR_PROFIT = "chosen for its expected profit"
STANDINGS = (
    *SUPPRESSIONS.values(),
    *(
        NO_RECORD,
        CONSENT_NOT_DELIVERED,
        UNIVERSAL_CONTROL,
        CAMPAIGN_CONTROL,
        OTHERS_BRING_MORE,
        NOTHING_PAYS,
        CONTROL,
    ),
    FOR_PROFIT,
)
BRANCH = "branch "


class CustomerUnknown(ValueError):
    """The release has no such customer, or the role may not read the customer's data."""


def customer_facts(connection: DuckDBPyConnection, customer_id: str, *, role: str = MANAGER) -> Row:
    """Everything the page of a customer shows, by section.

    A section is None where the release, perhaps an older one, has no table for it. Money is
    DECIMAL. Personal columns that the role may not read are not in it at all, nor are reasons that
    reveal them; names, phones, e-mail addresses and national ids are in no release.

    Parameters
    ----------
    connection : a release, opened read-only
    role : one of `orchestration.decisions.roles.ROLES`

    Raises
    ------
    CustomerUnknown
        When the release has no such customer, or he was erased and the role is not compliance.
    orchestration.decisions.roles.RoleUnknown
        For an unknown role.
    """
    withheld = withheld_from(role)
    release = _release(connection)
    found = _rows(connection, "base.customer", "where customer_id = $1", customer_id) or []
    if not found:
        raise CustomerUnknown(
            f"release {release['release_id']} knows no customer {customer_id!r}; "
            "ids are written as the bank delivers them"
        )
    customer = {name: value for name, value in found[0].items() if name not in withheld}
    contactability = _first(
        _rows(connection, "contacts.contactability", "where customer_id = $1", customer_id)
    )
    if contactability and contactability["suppression"] == "erased" and role != COMPLIANCE:
        raise CustomerUnknown(
            f"release {release['release_id']} shows no customer {customer_id!r}: "
            "erased on request; compliance alone may read what has to be kept"
        )
    month = release["month"]
    history = _history(connection, customer_id, month)
    scores = _scores(connection, customer_id)
    return {
        "release": release,
        "role": role,
        "customer": customer,
        "business": {name: customer[name] for name in BUSINESS if customer.get(name) is not None},
        "personal": {name: customer[name] for name in WITHHELD if name in customer},
        "tier": _first(
            _rows(
                connection,
                "value.customer_tier",
                "where customer_id = $1 and month = $2",
                customer_id,
                month,
            )
        ),
        "holdings": _holdings(connection, customer_id),
        "history": history,
        "years": _years(history),
        "scores": scores,
        "horizon": _horizon(connection),
        "shown_scores": [
            (column.label, column.shown, (scores or {}).get(column.name))
            for study in OF_CUSTOMERS
            for column in study.columns
            if column.label
        ],
        "product_attrition": _rows(
            connection,
            "scores.product_attrition",
            "where customer_id = $1 order by product_line",
            customer_id,
        ),
        "reasons": _reasons(connection, customer_id, withheld),
        "credit_alerts": _alerts(connection, customer_id, withheld),
        "contacts": _contacts(connection, customer_id),
        "offers": _offers(connection, customer_id, withheld),
        "plan": _plan(connection, customer_id, contactability, withheld),
        "worklist": _worklist(connection, customer_id),
        "branch_names": branch_names(connection),
        "currency": bank_currency(connection),
        "household": _household(connection, customer, role),
    }


def _rows(
    connection: DuckDBPyConnection, table: str, query: str = "", *values: Any
) -> list[Row] | None:
    """The rows of a query that goes on after `from table`; None where there is no such table."""
    if not has_table(connection, table):
        return None
    found = connection.execute(f"from {table} {query}", list(values))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _first(rows: list[Row] | None) -> Row | None:
    return rows[0] if rows else None


def _release(connection: DuckDBPyConnection) -> Row:
    """Release id, source and as-of month; the build warehouse has no id."""
    published = _first(
        _rows(
            connection,
            "meta.release",
            "select release_id, source, strptime(as_of, '%Y-%m')::date as month",
        )
    )
    building = _first(
        _rows(
            connection,
            "landing.refresh_window",
            "select 'not published' as release_id, source,"
            " date_trunc('month', as_of)::date as month",
        )
        if published is None
        else None
    )
    release = published or building
    if release is None:
        raise ValueError("this database is no release: it has no meta.release")
    return release


def _holdings(connection: DuckDBPyConnection, customer_id: str) -> Row | None:
    """Open accounts with the customer's role in each, and how many are closed."""
    if not has_table(connection, "base.account"):
        return None
    accounts = _rows(
        connection,
        "base.account_holder",
        "as holder inner join base.account as account on account.account_id = holder.account_id"
        " select account.*, holder.role where holder.customer_id = $1"
        " order by account.product_line, account.opened_on, account.account_id",
        customer_id,
    )
    if accounts is None:
        return None
    return {
        "open": [
            account | {"product": account["product_name"] or account["product_id"]}
            for account in accounts
            if account["is_open"]
        ],
        "closed": sum(not account["is_open"] for account in accounts),
    }


def _history(connection: DuckDBPyConnection, customer_id: str, month: date) -> list[Row] | None:
    """Contribution and economic profit by month, at most 36 up to the as-of month; gaps are 0."""
    rows = _rows(
        connection,
        "value.profit_by_customer",
        "select month, contribution_margin, economic_profit"
        " where customer_id = $1 and month <= $2 order by month",
        customer_id,
        month,
    )
    if not rows:
        return rows
    by_month = {row["month"]: row for row in rows}
    nothing = {"contribution_margin": Decimal(0), "economic_profit": Decimal(0)}
    history, at = [], rows[0]["month"]
    while at <= month:
        history.append(by_month.get(at, nothing | {"month": at}))
        at = (at + timedelta(days=31)).replace(day=1)
    return history[-HISTORY_MONTHS:]


def _years(history: list[Row] | None) -> list[Row]:
    """Sums of twelve months each, the latest first; what is left over at the beginning is not a
    year and left out, unless it is all there is."""
    history = history or []
    years: list[Row] = []
    for end in range(len(history), 0, -YEAR):
        months = history[max(end - YEAR, 0) : end]
        if len(months) == YEAR or not years:
            years.append(
                {
                    "first": months[0]["month"],
                    "last": months[-1]["month"],
                    "months": len(months),
                    "contribution_margin": sum(
                        (row["contribution_margin"] for row in months), Decimal(0)
                    ),
                    "economic_profit": sum((row["economic_profit"] for row in months), Decimal(0)),
                }
            )
    return years


def _scores(connection: DuckDBPyConnection, customer_id: str) -> Row | None:
    """The scores; empty where the customer was not scored (a closed relationship)."""
    rows = _rows(connection, "scores.customer", "where customer_id = $1", customer_id)
    if not rows:
        return None if rows is None else {}
    name = rows[0].get("segment_name")
    return rows[0] | {"segment_name": segment_words(name) if name else None}


def _horizon(connection: DuckDBPyConnection) -> int:
    """Months that `clv_12m` covers: fewer than twelve where the history is short."""
    if not has_column(connection, "scores.customer", "clv_horizon_months"):
        return YEAR
    [(months,)] = connection.table("scores.customer").max("clv_horizon_months").fetchall()
    return months or YEAR


def _reasons(
    connection: DuckDBPyConnection, customer_id: str, withheld: frozenset[str]
) -> dict[str, list[Row]] | None:
    """What moved each score most, as sentences, by model."""
    rows = _rows(
        connection,
        "scores.reason",
        "where customer_id = $1 order by model_name, rank",
        customer_id,
    )
    if rows is None:
        return None
    reasons: dict[str, list[Row]] = {}
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        model = str(row["model_name"])
        if is_withheld(row["feature"], withheld):
            continue
        study = STUDIES.get(model)
        label = study.label if study else model
        shown = reasons.setdefault(label, [])
        if study is not None and study.is_grouping:
            grouped.setdefault(label, []).append(row)
        elif len(shown) < SHOWN_REASONS and (words := row_in_words(row)):
            shown.append({"words": words, "direction": row["direction"]})
    for label, found in grouped.items():
        if words := _grouped(connection, customer_id, found):
            reasons[label] = [{"words": words, "direction": None}]
    return {model: shown for model, shown in reasons.items() if shown}


def _grouped(connection: DuckDBPyConnection, customer_id: str, rows: list[Row]) -> str | None:
    """What sets the customer's segment apart from all customers, and where the customer stands."""
    profile = _rows(
        connection,
        "scores.segment_profile",
        "as profile semi join scores.customer as score"
        " on profile.segment = score.segment and score.customer_id = $1",
        customer_id,
    )
    medians = {row["dimension"]: row for row in profile or []}
    for row in rows:
        if row["direction"] != "raises" or row["feature"] not in medians:
            continue
        median = medians[row["feature"]]
        # In older releases the values are on a scale of the model's own.
        value = row["value"] if "usual_of" in row else None
        found = group_sentence(row["feature"], value, median["median"], median["population_median"])
        if found:
            return found
    return next(filter(None, map(row_in_words, rows if "usual_of" in rows[0] else [])), None)


def _alerts(
    connection: DuckDBPyConnection, customer_id: str, withheld: frozenset[str]
) -> list[Row] | None:
    rows = _rows(
        connection,
        "alerts.credit",
        "where customer_id = $1 order by p_default desc, account_id",
        customer_id,
    )
    if rows is None:
        return None
    return [row | {"reason": reason_in_words(row["reason"], withheld)} for row in rows]


def _contacts(connection: DuckDBPyConnection, customer_id: str) -> list[Row] | None:
    return _rows(
        connection,
        "base.campaign_contact",
        "select *, coalesce(campaign_name, campaign_id) as campaign"
        f" where customer_id = $1 order by contacted_on desc, contact_id limit {SHOWN_CONTACTS}",
        customer_id,
    )


def _product_names(connection: DuckDBPyConnection) -> dict[str, str]:
    names: dict[str, str] = {}
    for table in ("base.account", "value.offer"):
        rows = _rows(connection, table, "select distinct product_id, product_name") or []
        names |= {row["product_id"]: row["product_name"] for row in rows if row["product_name"]}
    return names


def _offers(
    connection: DuckDBPyConnection, customer_id: str, withheld: frozenset[str]
) -> list[Row] | None:
    """Offers by expected incremental profit, else by probability of response; with the channel
    where the customer is a candidate for it."""
    offers = _rows(connection, "scores.offer", "where customer_id = $1", customer_id)
    if offers is None:
        return None
    names = _product_names(connection)
    candidates: dict[str, Row] = {}
    for row in (
        _rows(
            connection,
            "contacts.candidate",
            "where customer_id = $1 order by expected_incremental_profit, channel desc",
            customer_id,
        )
        or []
    ):
        candidates[row["product_id"]] = row
    shown = []
    for offer in offers:
        candidate = candidates.get(offer["product_id"], {})
        profit = candidate.get("expected_incremental_profit")
        expected = offer.get("expected_incremental_profit")
        shown.append(
            {
                "product_id": offer["product_id"],
                "product_name": names.get(offer["product_id"], offer["product_id"]),
                "p_response": offer["p_response"],
                "uplift": offer.get("uplift"),
                "product_value": offer.get("product_value"),
                "expected_incremental_profit": expected if profit is None else profit,
                "channel": candidate.get("channel"),
                "reason": reason_in_words(offer.get("reason"), withheld)
                or offer_sentence(offer["p_response"], expected, profit),
            }
        )
    worst = Decimal("-Infinity")

    def place(offer: Row) -> tuple[Decimal, float, str]:
        profit = offer["expected_incremental_profit"]
        return (
            -(worst if profit is None else profit),
            -(offer["p_response"] or 0.0),
            offer["product_id"],
        )

    return sorted(shown, key=place)


def _plan(
    connection: DuckDBPyConnection,
    customer_id: str,
    contactability: Row | None,
    withheld: frozenset[str],
) -> Row | None:
    """Whether the customer is to be contacted, and the reason either way; None without a plan."""
    planned = _rows(
        connection,
        "decisions.contact_plan",
        "where customer_id = $1 order by arm desc",
        customer_id,
    )
    if planned is None:
        return None
    candidates = _rows(
        connection, "contacts.candidate", "where customer_id = $1 limit 1", customer_id
    )
    contact = _first(planned)
    if contact:
        contact = {name: value for name, value in contact.items() if name not in withheld}
        contact["reason"] = reason_in_words(contact["reason"], withheld)
        product_id = contact["product_id"]
        contact["product_name"] = _product_names(connection).get(product_id, product_id)
    standing, why = _standing(
        contact, contactability, bool(candidates), suppressions_of(connection)
    )
    return {
        "standing": standing,
        "why": why,
        "contact": contact if standing == "planned" else None,
        "is_barred": standing == "suppressed"
        and contactability is not None
        and contactability["suppression"] not in BY_POLICY,
        "contactability": contactability,
    }


def suppressions_of(connection: DuckDBPyConnection) -> dict[str, str]:
    """Why a customer may not be contacted, by cause: what the bank did not deliver is not the
    customer's."""
    found = {"no_consent": CONSENT_NOT_DELIVERED} if CONSENT in undelivered(connection) else {}
    return SUPPRESSIONS | found


def _standing(
    contact: Row | None,
    contactability: Row | None,
    is_candidate: bool,
    suppressions: Mapping[str, str],
) -> tuple[str, str]:
    if contactability is None:
        return "suppressed", NO_RECORD
    if contactability["suppression"] is not None:
        suppression = contactability["suppression"]
        return "suppressed", suppressions.get(suppression, suppression.replace("_", " "))
    if contactability.get("is_universal_control"):
        return "held out", UNIVERSAL_CONTROL
    if contactability.get("is_campaign_control"):
        return "held out", CAMPAIGN_CONTROL
    if contact is None:
        return "not chosen", OTHERS_BRING_MORE if is_candidate else NOTHING_PAYS
    if contact["arm"] == "control":
        return "held out", CONTROL
    return "planned", contact["reason"] or FOR_PROFIT


def _worklist(connection: DuckDBPyConnection, customer_id: str) -> Row | None:
    found = _first(
        _rows(
            connection,
            "decisions.worklist",
            "where customer_id = $1 order by unit_rank",
            customer_id,
        )
    )
    if found:
        found["unit"] = unit_words(found["unit"], branch_names(connection))
    return found


def unit_words(unit: str, branches: Mapping[str, str]) -> str:
    """The unit responsible for a customer: a manager's id, a branch, or head office; `branches`
    has the names of branches by id."""
    if not unit.startswith(BRANCH):
        return unit
    branch = unit.removeprefix(BRANCH)
    named = Phrase("{0} ({1})", Code(branches[branch]), branch) if branch in branches else branch
    return Phrase("branch {0}", named)


def _household(connection: DuckDBPyConnection, customer: Row, role: str) -> Row | None:
    """The household's totals; only compliance reads its other members."""
    household_id = customer.get("household_id")
    totals = _rows(connection, "base.household", "where household_id = $1", household_id)
    if totals is None:
        return None
    if not totals:
        return {}
    profit = _first(
        _rows(
            connection,
            "value.profit_by_household",
            "select sum(contribution_margin) as contribution_margin_12m where household_id = $1"
            " and month > (select max(month) from value.profit_by_household) - interval 12 month",
            household_id,
        )
    )
    members = None
    if role == COMPLIANCE:
        members = _rows(
            connection,
            "base.customer",
            "select customer_id where household_id = $1 order by customer_id",
            household_id,
        )
    household = totals[0]
    household.pop("eldest_birth_date", None)
    return (
        household | (profit or {}) | {"member_ids": [row["customer_id"] for row in members or []]}
    )

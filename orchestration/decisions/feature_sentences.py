"""A reason as a sentence that can be said aloud: a customer's value beside that of like customers,
or beside the customer's own past."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import product

from reports.words import Phrase
from sources.vocabulary import BOOKING_GROUPS, CHANNELS, PRODUCT_LINES

WINDOW = re.compile(r"^(?P<stem>.+?)_(?P<months>\d+)m$")
# A code such as `07` is no figure.
FIGURE = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?")
OTHERS = "other customers"
# From this change on, a customer's own past shows more than what others have.
CHANGED = Decimal("0.25")
STEADY = Decimal("0.05")
# From this on a share above is said as a multiple.
MULTIPLE = 2
YES = ("1", "True")

# Kinds of measures. Of amounts, debts, numbers and arrears, nothing is "no …"; of the others, a
# missing value is one that no record holds.
MONEY, DEBT, COUNT, LATE = "money", "debt", "count", "late"
DAYS, MONTHS, YEARS, SHARE, RATE, NUMBER = "days", "months", "years", "share", "rate", "number"
TREND, CHANGE, FLAG, CATEGORY, TONE = "trend", "change", "flag", "category", "tone"
OF_NOTHING = (MONEY, DEBT, COUNT, LATE)


@dataclass(frozen=True)
class Measure:
    """What a feature measures: its kind, its name in a sentence, and what is missing without it."""

    kind: str
    name: str
    missing: str = ""

    @property
    def without(self) -> str:
        return self.missing or self.name


# By stem, without the months.
MEASURES = {
    "age": Measure(YEARS, "age"),
    "tenure_months": Measure(MONTHS, "time with the bank"),
    "months_observed": Measure(MONTHS, "time on record"),
    "customer_kind": Measure(CATEGORY, "kind of customer"),
    "company_size": Measure(CATEGORY, "size of the business"),
    "occupation": Measure(CATEGORY, "occupation"),
    "education": Measure(CATEGORY, "education"),
    "marital_status": Measure(CATEGORY, "marital status"),
    "monthly_income": Measure(MONEY, "declared monthly income"),
    "household_size": Measure(NUMBER, "size of the household", "household"),
    "accounts": Measure(COUNT, "accounts"),
    "joint_accounts": Measure(COUNT, "joint accounts"),
    "authorised_accounts": Measure(COUNT, "accounts of others that the customer may use"),
    "wealth_accounts": Measure(COUNT, "investment accounts"),
    "overdraft": Measure(DEBT, "overdraft"),
    "overdraft_deepest": Measure(DEBT, "deepest overdraft", "overdraft"),
    "credit_limit": Measure(MONEY, "credit limit"),
    "limit_used_share": Measure(SHARE, "share of the limit used", "credit limit"),
    "months_to_maturity": Measure(MONTHS, "time until the next term ends", "agreed term"),
    "credit_rate": Measure(RATE, "interest rate on balances", "interest-bearing balance"),
    "debit_rate": Measure(RATE, "interest rate on debt", "debt with interest"),
    "loans": Measure(COUNT, "running loans"),
    "loan_principal": Measure(MONEY, "amount borrowed", "running loan"),
    "loan_instalment": Measure(MONEY, "monthly loan instalment"),
    "loan_remaining_months": Measure(MONTHS, "remaining term of the loans", "running loan"),
    "loan_outstanding_share": Measure(SHARE, "share of the loan still owed", "running loan"),
    "days_past_due": Measure(LATE, "delay of the loan payments", "delayed loan payment"),
    "days_past_due_max": Measure(LATE, "longest delay of loan payments", "delayed loan payment"),
    "is_defaulted": Measure(FLAG, "a loan is in default", "no loan is in default"),
    "cards": Measure(COUNT, "bank cards"),
    "days_since_booking": Measure(DAYS, "time since the last booking", "booking of any kind"),
    "days_since_active": Measure(
        DAYS, "time since the customer's own last booking", "booking of the customer's own"
    ),
    "months_since_income": Measure(
        MONTHS, "time since the last salary or pension", "salary or pension"
    ),
    "income": Measure(MONEY, "salary and pension received", "salary or pension"),
    "income_max": Measure(MONEY, "largest monthly salary or pension", "salary or pension"),
    "inflow": Measure(MONEY, "money coming in"),
    "outflow": Measure(MONEY, "money going out"),
    "net_flow": Measure(MONEY, "money in less money out", "difference of money in and out"),
    "card_payments": Measure(MONEY, "spending by card"),
    "cash_withdrawals": Measure(MONEY, "cash withdrawn", "cash withdrawal"),
    "loan_repayments": Measure(MONEY, "loan repayment"),
    "wealth_invested": Measure(MONEY, "net investment"),
    "contribution_margin": Measure(MONEY, "contribution"),
    "last_period_contribution": Measure(MONEY, "contribution of the period before"),
    "pace_of_contribution": Measure(MONEY, "contribution at the present pace"),
    "new_business": Measure(MONEY, "contribution expected from new business"),
    "net_interest_margin": Measure(MONEY, "net interest income"),
    "fee_income": Measure(MONEY, "fee income", "fees"),
    "direct_cost": Measure(MONEY, "cost of service"),
    "expected_loss": Measure(MONEY, "expected credit loss"),
    "trend_income": Measure(TREND, "salary and pension received", "salary or pension"),
    "trend_inflow": Measure(TREND, "money coming in"),
    "trend_bookings": Measure(TREND, "activity on the accounts", "booking of any kind"),
    "trend_contribution_margin": Measure(CHANGE, "contribution"),
    "sentiment": Measure(TONE, "tone of the conversations", "conversation with the bank"),
    "bookings": Measure(COUNT, "bookings"),
    "accounts_opened": Measure(COUNT, "accounts opened"),
    "accounts_closed": Measure(COUNT, "accounts closed"),
    "contacts": Measure(COUNT, "contacts by campaigns"),
    "responses": Measure(COUNT, "responses to campaigns"),
    "interactions": Measure(COUNT, "conversations with the bank"),
    "complaints": Measure(COUNT, "complaints"),
    "months_with_income": Measure(COUNT, "months with a salary or pension"),
    "tier_number": Measure(NUMBER, "value tier, counted from the top,", "value tier"),
    # Of an offer and the market of its day.
    "offer": Measure(CATEGORY, "product"),
    "offer_line": Measure(CATEGORY, "product line"),
    "product_line": Measure(CATEGORY, "product line"),
    "is_offered": Measure(FLAG, "campaigns have offered it", "no campaign has offered it"),
    "lagged_rate_offer": Measure(RATE, "response rate of the product", "campaign of the product"),
    "lagged_rate_line": Measure(RATE, "response rate of the product line", "campaign of the line"),
    "lagged_rate_all": Measure(RATE, "response rate of all products", "campaign"),
    "lagged_contacts_offer": Measure(COUNT, "earlier contacts about the product"),
    "market_rate_short": Measure(RATE, "market rate of three months"),
    "market_rate_long": Measure(RATE, "market rate of long terms"),
}
# The dimensions of the segments, flows a year.
DIMENSIONS = {
    "value": Measure(MONEY, "contribution a year"),
    "bookings": Measure(COUNT, "bookings a year"),
    "digital_share": Measure(SHARE, "share of bookings online and by mobile", "booking in person"),
    "card_payments": Measure(COUNT, "card payments a year"),
    "cash": Measure(COUNT, "cash bookings a year"),
    "income": Measure(MONEY, "salary and pension a year", "salary or pension"),
    "deposits": Measure(MONEY, "balance on deposits"),
    "lending": Measure(MONEY, "debt on loans"),
    "wealth": Measure(MONEY, "balance on investments"),
    "tenure": Measure(MONTHS, "time with the bank"),
    "household": Measure(NUMBER, "size of the household", "household"),
    "loan_term": Measure(MONTHS, "remaining term of the loans", "running loan"),
}
LINES = {line.product_line: line.label for line in PRODUCT_LINES}
LOANS = {line.product_line for line in PRODUCT_LINES if line.is_credit or line.holds_loans}
# By product line. Loans and cards are debts: their balances are below zero.
BY_LINE = {
    "accounts": (COUNT, "accounts for {0}"),
    "opened": (COUNT, "new accounts for {0}"),
    "balance": (MONEY, "balance on {0}"),
    "average": (MONEY, "average balance on {0}"),
    "trend": (TREND, "balance on {0}"),
    "contribution": (MONEY, "contribution from {0}"),
    "pace": (MONEY, "contribution a year from {0} at the present pace"),
    "change": (MONEY, "expected change of the contribution from {0}"),
    "run_off": (DEBT, "contribution that ends as {0} are repaid"),
    "attrition": (DEBT, "contribution at risk should the customer leave {0}"),
}
OWED = {
    "balance": (DEBT, "debt on {0}"),
    "average": (DEBT, "average debt on {0}"),
    "trend": (TREND, "debt on {0}"),
}
BOOKED_BY = {
    **{one.channel: one.label for one in CHANNELS},
    "no_channel": "bookings without a channel",
    **{one.booking_group: one.label for one in BOOKING_GROUPS},
}
# The labels of groups are made for lists.
IN_LISTS = ", number"
COUNTED = {
    "cash paid in": "payments of cash into an account",
    "cash withdrawals": "withdrawals of cash",
    "card payments": "payments by card",
}


def measure_of(feature: str, values: str = "") -> Measure:
    """What a feature measures. One that nobody has described, as a bank's own attribute, is an
    amount or a category by its values, with the words of its name."""
    if feature in DIMENSIONS:
        return DIMENSIONS[feature]
    stem, _ = _windowed(feature)
    if stem in MEASURES:
        return MEASURES[stem]
    if (by := stem.removeprefix("bookings_")) in BOOKED_BY and by != stem:
        label = BOOKED_BY[by].removesuffix(IN_LISTS)
        return Measure(COUNT, COUNTED.get(label, label))
    beginning, _, line = stem.rpartition("_")
    if beginning in BY_LINE and line in LINES:
        forms = BY_LINE | OWED if line in LOANS else BY_LINE
        kind, pattern = forms[beginning]
        without = forms["balance"][1] if beginning in ("average", "trend") else pattern
        return Measure(kind, Phrase(pattern, LINES[line]), Phrase(without, LINES[line]))
    return Measure(NUMBER if FIGURE.fullmatch(values) else CATEGORY, stem.replace("_", " "))


def _windowed(feature: str) -> tuple[str, int]:
    """The feature without its months, and the months; 0 where it covers none."""
    window = WINDOW.match(feature)
    return (window["stem"], int(window["months"])) if window else (feature, 0)


def feature_sentence(
    feature: str, value: str, usual: str, peers: str | None = None, before: str | None = None
) -> str | None:
    """A reason of a score as a sentence, without a capital and a full stop.

    Parameters
    ----------
    feature : as the models name it
    value, usual : texts of `scores.reason`, empty where missing
    peers : whose value the usual one is, such as "customers of the same tier"
    before : the customer's own value of twelve months for as many months as the feature covers

    Returns
    -------
    str or None
        A phrase of the catalogue. Where the customer's own past differs by a quarter or more, in
        the same direction as like customers, it is compared with that, otherwise with like
        customers. None where people would say that the value is the usual one.
    """
    measure = measure_of(feature, value or usual)
    whose = peers or OTHERS
    if measure.kind == FLAG:
        return None if value == usual else (measure.name if value in YES else measure.missing)
    if measure.kind == CATEGORY:
        return _category(measure, value, usual, whose)
    own, typical, past = (_figure(text) for text in (value, usual, before or ""))
    if measure.kind == DEBT:
        own, typical, past = (None if one is None else -one for one in (own, typical, past))
    if measure.kind in OF_NOTHING:
        own, typical = own or Decimal(0), typical or Decimal(0)
    if own is None:
        return None if typical is None else Phrase("no {0} is on record", measure.without)
    if measure.kind == TREND:
        return _trend(measure, own, typical, whose)
    if measure.kind == CHANGE:
        return _change(measure, own, typical)
    stem, months = _windowed(feature)
    if months:
        found = None
        if past is not None and typical is not None and measure.kind in OF_NOTHING:
            found = _past(measure, stem, months, own, typical, past)
        if found is not None:
            return found
        measure = Measure(measure.kind, _over(measure.name, months), _over(measure.without, months))
    shown = SHOWN[measure.kind]
    if typical is not None and shown(own) == shown(typical):
        return None
    if measure.kind == TONE:
        better = typical is None or own > typical
        side = "better" if better else "worse"
        return Phrase(f"the tone of the conversations is {side} than with {{0}}", whose)
    return _beside_others(measure, own, typical, whose)


def _over(name: str, months: int) -> str:
    if months == 1:
        return Phrase("{0} in the last month", name)
    return Phrase("{0} over the last {1} months", name, months)


def _beside_others(measure: Measure, own: Decimal, typical: Decimal | None, whose: str) -> str:
    shown, is_count = SHOWN[measure.kind], measure.kind == COUNT
    if measure.kind in OF_NOTHING and not own:
        return Phrase("no {0}, while {1} have {2}", measure.without, whose, shown(typical or own))
    if typical is None or (measure.kind in OF_NOTHING and not typical):
        pattern = "{0} is {1}, while {2} usually have none"
        if is_count:
            pattern = "the number of {0} is {1}, while {2} usually have none"
        return Phrase(pattern, measure.name, shown(own), whose)
    side = "more" if own > typical else "less"
    pattern = f"{{0}} is {{1}}, {side} than the {{2}} of {{3}}"
    if is_count:
        side = "more" if own > typical else "fewer"
        pattern = f"the number of {{0}} is {{1}}, {side} than the {{2}} of {{3}}"
    return Phrase(pattern, measure.name, shown(own), shown(typical), whose)


def _past(
    measure: Measure, stem: str, months: int, own: Decimal, typical: Decimal, past: Decimal
) -> str | None:
    """Beside the customer's own past; None where it differs little or in another direction."""
    moved = own - past
    if abs(moved) < CHANGED * max(abs(own), abs(past)) or (moved > 0) != (own > typical):
        return None
    verb = "rose" if moved > 0 else "fell"
    shown, name = SHOWN[measure.kind], measure.name
    if not stem.startswith("average_") and measure.kind != COUNT:
        own, past = own / months, past / months
    if shown(own) == shown(past) or (measure.kind == COUNT and not shown(past)):
        return None
    if measure.kind == COUNT:
        to = f"the number of {{0}} {verb} to {{1}} in the last"
        if months == 1:
            pattern = f"{to} month, from an average of {{2}} a month over the year"
            return Phrase(pattern, name, shown(own), shown(past))
        pattern = f"{to} {{2}} months, from an average of {{3}} per {{2}} months over the year"
        return Phrase(pattern, name, shown(own), months, shown(past))
    if stem.startswith("average_"):
        pattern = f"{{0}} {verb} to {{1}} in the last {{2}} months, from {{3}} over the last twelve"
        return Phrase(pattern, name, shown(own), months, shown(past))
    if months == 1:
        pattern = (
            f"{{0}} {verb} to {{1}} in the last month, from {{2}} a month over the last twelve"
        )
        return Phrase(pattern, name, shown(own), shown(past))
    pattern = (
        f"{{0}} {verb} to {{1}} a month in the last {{2}} months, from {{3}} over the last twelve"
    )
    return Phrase(pattern, name, shown(own), months, shown(past))


def _trend(measure: Measure, ratio: Decimal, typical: Decimal | None, whose: str) -> str | None:
    """The last three months over twelve, of which the customer's own past is a part."""
    if abs(ratio - 1) < STEADY:
        if typical is None or abs(typical - 1) < STEADY:
            return None
        side = "rose" if typical > 1 else "fell"
        return Phrase(f"{{0}} is steady, while that of {{1}} {side} lately", measure.name, whose)
    if not ratio:
        return Phrase(
            "no {0} in the last three months, unlike earlier in the year", measure.without
        )
    if ratio < 0:
        return Phrase("{0} has crossed zero in the last three months", measure.name)
    if ratio >= MULTIPLE:
        pattern = "{0} of the last three months is {1} times its average of twelve months"
        return Phrase(pattern, measure.name, _rounded(ratio, 1))
    side = "above" if ratio > 1 else "below"
    pattern = f"{{0}} of the last three months is {{1}} {side} its average of twelve months"
    return Phrase(pattern, measure.name, percent(abs(ratio - 1), 0))


def _change(measure: Measure, change: Decimal, typical: Decimal | None) -> str | None:
    if not change or _money(change) == _money(typical or Decimal(0)):
        return None
    side = "above" if change > 0 else "below"
    pattern = f"{{0}} of the last three months is {{1}} a month {side} its average of twelve months"
    return Phrase(pattern, measure.name, _money(abs(change)))


def _category(measure: Measure, value: str, usual: str, whose: str) -> str | None:
    if value == usual:
        return None
    if not value:
        return Phrase("no {0} is on record", measure.without)
    own = value.replace("_", " ")
    if not usual:
        return Phrase("the {0} is {1}", measure.name, own)
    pattern = "the {0} is {1}, while {2} is the most frequent among {3}"
    return Phrase(pattern, measure.name, own, usual.replace("_", " "), whose)


def group_sentence(
    dimension: str, value: str | None, of_group: float | None, of_all: float | None
) -> str | None:
    """What sets a segment apart, and where the customer stands in it.

    Parameters
    ----------
    dimension : of the segments
    value : the customer's, as `scores.reason` holds it; None where it is not known
    of_group, of_all : medians of the segment and of all customers

    Returns
    -------
    str or None
        None where people would say that the two medians are the same.
    """
    measure = measure_of(dimension, value or "")
    if of_group is None or of_all is None or measure.kind not in SHOWN:
        return None
    apart = [_or_none(measure, Decimal(str(median))) for median in (of_group, of_all)]
    if apart[0] == apart[1]:
        return None
    name = Phrase("number of {0}", measure.name) if measure.kind == COUNT else measure.name
    own = _figure(value or "")
    if own is None:
        pattern = "the {0} sets the segment apart: {1} is usual in it, {2} among all customers"
        return Phrase(pattern, name, *apart)
    pattern = (
        "the {0} sets the segment apart: {1} is usual in it, {2} among all customers, and this "
        "customer has {3}"
    )
    return Phrase(pattern, name, *apart, _or_none(measure, own))


def _or_none(measure: Measure, value: Decimal) -> str | Decimal:
    return SHOWN[measure.kind](value) if value else "none"


def offer_sentence(
    p_response: float | None, expected: Decimal | None, profit: Decimal | None
) -> str | None:
    """Why an offer stands where it does, when no feature explains it: the money, or else how many
    take it.

    Parameters
    ----------
    p_response : probability of a response to a contact
    expected : expected incremental profit before the cost of a contact, currency units
    profit : the same after that cost; None where the offer may not be made
    """
    if profit is not None:
        side = "bring {0} after its cost" if profit >= 0 else "cost {0} more than it brings"
        return Phrase(f"a contact is expected to {side}", _rounded(abs(profit), 2))
    if expected is not None:
        side = "bring" if expected >= 0 else "lose"
        pattern = f"the offer is expected to {side} {{0}}, before the cost of a contact"
        return Phrase(pattern, _rounded(abs(expected), 2))
    if p_response is None:
        return None
    share = percent(Decimal(str(p_response)), 1)
    return Phrase("{0} of such customers take it when contacted", share)


def sentence_examples(features: Iterable[str]) -> Iterator[str]:
    """Every sentence of these features once, for the catalogue and for the tests."""
    figures = ("2", "1", "1.5", "0", "", "0.5", "-2", "100")
    for feature in features:
        kind = measure_of(feature).kind
        values = ("person", "sole_trader", "") if kind == CATEGORY else figures
        for value, usual, before in product(values, values, ("", "1", "4")):
            if found := feature_sentence(feature, value, usual, OTHERS, before):
                yield found
        if feature in DIMENSIONS:
            grouped = (group_sentence(feature, value, 3.0, 1.0) for value in (None, "2"))
            yield from filter(None, grouped)
    amounts = (None, Decimal(1), Decimal(-1))
    for p_response, expected, profit in product((None, 0.5), amounts, amounts):
        if offered := offer_sentence(p_response, expected, profit):
            yield offered


# Figures. Each gives what stands in the sentence.


def _figure(text: str) -> Decimal | None:
    return Decimal(text) if FIGURE.fullmatch(text) else None


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) + 0


def _money(value: Decimal) -> Decimal:
    """To the cent; the reasons hold four digits, so without the cents from a thousand on."""
    whole = abs(value) >= 1000 or not _rounded(value, 2)
    return _rounded(value, 0 if whole else 2)


def _count(value: Decimal) -> Decimal:
    return _rounded(value, 0)


def percent(share: Decimal, places: int) -> Phrase:
    """A share as a page shows it in its language."""
    return Phrase("{0} %", _rounded(100 * share, places))


def _with_unit(one: str, several: str) -> Callable[[Decimal], str]:
    def shown(value: Decimal) -> str:
        number = _count(value)
        return one if number == 1 else Phrase(several, number)

    return shown


SHOWN: dict[str, Callable[[Decimal], str | Decimal]] = {
    MONEY: _money,
    DEBT: _money,
    COUNT: _count,
    LATE: _with_unit("one day", "{0} days"),
    DAYS: _with_unit("one day", "{0} days"),
    MONTHS: _with_unit("one month", "{0} months"),
    YEARS: _with_unit("one year", "{0} years"),
    SHARE: lambda share: percent(share, 0),
    RATE: lambda share: percent(share, 2),
    NUMBER: lambda value: _rounded(value, 0) if value == int(value) else _rounded(value, 2),
    TONE: lambda value: _rounded(value, 1),
}

"""What each file of reference data is called, what it steers, and the units of its columns."""

from __future__ import annotations

from dataclasses import dataclass

from sources.message import Message


@dataclass(frozen=True)
class ReferenceFile:
    """One file in words, as messages."""

    title: Message
    steers: Message
    units: Message


# What `*` means, in every file that has it.
SCOPES = Message(
    "product_line, product_id and branch_id name what a row is for; * is all without a row of "
    "their own. effective_from is the first day of a month; the first row of a key begins on "
    "1900-01-01. Rates, shares and weights are fractions (0.035 is 3.5 %), true or false stands "
    "for yes or no, and amounts are in the bank's currency."
)

FILES = {
    "transfer_curve": ReferenceFile(
        Message("funds transfer curve"),
        Message("the rates at which treasury pays for deposits and charges for loans, by tenor"),
        Message(
            "currency: ISO 4217, empty for the bank's; tenor_months: months; annual_rate: fraction "
            "a year"
        ),
    ),
    "interest_rule": ReferenceFile(
        Message("interest rules"),
        Message("whether interest accrues daily or counts when it is booked"),
        Message("is_accrued: true or false; day_count: days of a year, 360 or 365"),
    ),
    "replicating_portfolio": ReferenceFile(
        Message("replicating portfolios"),
        Message("the maturity at which balances without a term are priced"),
        Message("tenor_months: months; weight: share, those of a portfolio sum to 1"),
    ),
    "transfer_rule": ReferenceFile(
        Message("transfer rules"),
        Message("which portfolio and tenor price a product"),
        Message(
            "portfolio: as in replicating_portfolio, (none) for no price; repricing_months: "
            "months, empty if fixed to maturity; tenor_basis: term or average_life; "
            "is_capital_funded: true or false"
        ),
    ),
    "transfer_premium": ReferenceFile(
        Message("transfer premiums"),
        Message("liquidity, options and policy on top of the curve, by tenor"),
        Message(
            "tenor_months: months; liquidity_premium, option_premium, policy_rate: fraction a year"
        ),
    ),
    "activity_unit_cost": ReferenceFile(
        Message("unit costs of bookings"),
        Message("direct cost, by channel and kind of booking"),
        Message("unit_cost: amount for one booking"),
    ),
    "account_maintenance_cost": ReferenceFile(
        Message("account maintenance costs"),
        Message("direct cost of an open account"),
        Message("monthly_cost: amount for an account and month"),
    ),
    "overhead_pool": ReferenceFile(
        Message("overhead pools"),
        Message("overhead, and the driver by which accounts bear it"),
        Message(
            "driver: as in docs/value.md; monthly_amount: amount a month; amount_per_open_account: "
            "amount added for each open account and month"
        ),
    ),
    "risk_rating": ReferenceFile(
        Message("rating table"),
        Message("expected loss: the probability of default by days past due"),
        Message(
            "days_past_due_from, days_past_due_to: days, the last empty; pd_annual: probability "
            "within a year"
        ),
    ),
    "loss_staging": ReferenceFile(
        Message("loss staging"),
        Message("when an account is in stage 2 or in default, and what is allowed for"),
        Message(
            "stage_2_days, default_days: days past due; stage_2_pd_ratio: multiple of the first "
            "probability; lifetime_loss: true or false"
        ),
    ),
    "risk_parameter": ReferenceFile(
        Message("risk parameters"),
        Message("expected loss and economic capital"),
        Message(
            "loss_given_default: share of the exposure; credit_conversion_factor: share of the "
            "undrawn limit; capital_weight: capital for one unit of exposure"
        ),
    ),
    "hurdle_rate": ReferenceFile(
        Message("hurdle rate"),
        Message("the capital charge, and the discount rate of lifetime values"),
        Message("annual_rate: fraction a year"),
    ),
    "tier_scheme": ReferenceFile(
        Message("tier scheme"),
        Message("how customers are divided into tiers by contribution"),
        Message(
            "tier_number: 1 is the best; customer_share: share of the profitable customers, sums "
            "to 1, empty for the unprofitable"
        ),
    ),
    "target": ReferenceFile(
        Message("business plan"),
        Message("the plan beside actual figures; empty: no plan"),
        Message(
            "dimension: branch, line, product or manager; month: first day of the month; measure: "
            "such as economic_profit; amount: amount or number of customers a month"
        ),
    ),
    "offer_rule": ReferenceFile(
        Message("offer rules"),
        Message("which products are offered, and to whom"),
        Message(
            "is_offered, is_credit: true or false; ages: full years; minimum_months: months as a "
            "customer; minimum_inflow: amount a month; incentive_cost: amount for a response; "
            "excludes: products, with blanks between them"
        ),
    ),
    "manager_kpi": ReferenceFile(
        Message("targets of managers"),
        Message("the scorecard: measures, weights and targets"),
        Message(
            "employee_id: * for all; weight: share, sums to 1; floor_value, target_value: in the "
            "unit of the measure; attainment_cap: multiple, 1.5 is 150 %"
        ),
    ),
    "ledger_tolerance": ReferenceFile(
        Message("ledger tolerances"),
        Message("how far the ledger may differ before gate G2 stops the refresh"),
        Message("tolerance: amount for a line and month"),
    ),
    "contact_policy": ReferenceFile(
        Message("contact policy"),
        Message("how often customers are contacted, control groups, capacities and the budget"),
        Message(
            "shares: fractions; names with days: days; caps and capacities: contacts (capacities a "
            "month); budget_per_1000_customers: amount a month; assignment_seed: text of the draw"
        ),
    ),
    "contact_channel": ReferenceFile(
        Message("contact channels"),
        Message("cost and capacity of the channels of contacts"),
        Message(
            "cost_per_contact: amount; capacity_per_1000_customers: contacts a month; "
            "needs_person, needs_use: true or false"
        ),
    ),
    "do_not_contact": ReferenceFile(
        Message("customers not to contact"),
        Message("customers who are on no plan, list and export; empty: none"),
        Message("reason: erased, objection, deceased, legal or another"),
    ),
    "talking_point": ReferenceFile(
        Message("talking points"),
        Message("what managers say about an offer"),
        Message(
            "audience: word of a segment's name, a tier, or * for all others; language: en or zh"
        ),
    ),
}


def seed_words(seed: str) -> Message:
    """A file of reference data in words, with its name."""
    return Message("{0} ({1})", FILES[seed].title, seed)

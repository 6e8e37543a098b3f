"""GV: profit against the ledger, the overhead pools and itself, to the cent."""

from __future__ import annotations

from expectations.rules import Profile, Rule, Suite, column_between, column_zero, row_count_at_least

LEDGER = "ledger or source"
# The statements that value.reconciliation compares in every month, besides the ledger or the
# bookings, and the table to which a difference points.
COMPARED = {
    "treasury": "residual",
    "accrual": "accrued_interest",
    "overhead pools": "overhead",
    "customer": "profit_by_customer",
    "household": "profit_by_household",
    "product": "profit_by_product",
    "branch": "profit_by_branch",
    "line": "profit_by_line",
    "district": "profit_by_district",
    "manager": "profit_by_employee",
    "seller": "profit_by_employee",
    "tier": "profit_by_tier",
    "decile": "profit_by_decile",
}
WANTED = ", ".join(
    f"('{statement}', 'value.{table}')"
    for statement, table in {LEDGER: "account_month", **COMPARED}.items()
)

RECONCILIATION = f"""
    with
    line as (
        select *, row_number() over (
            partition by month, dimension order by abs(difference) desc, dimension_key, measure
        ) as place
        from value.reconciliation
    ),
    reconciled as (
        select
            month,
            case when dimension in ('ledger', 'source') then '{LEDGER}' else dimension end
                as statement,
            count(*) as lines,
            count(*) filter (difference is null or difference <> 0) as lines_differing,
            max(
                'largest: ' || dimension || ' (' || dimension_key || '), ' || measure
                || ': expected ' || coalesce(expected::varchar, 'none')
                || ', found ' || coalesce(actual::varchar, 'none')
                || ', difference ' || coalesce(difference::varchar, 'none')
                || '; the rows: from value.reconciliation where difference <> 0 and month = '''
                || month || ''' and dimension = ''' || dimension || ''''
            ) filter (place = 1 and (difference is null or difference <> 0)) as detail
        from line
        group by all
    ),
    wanted as (
        select month, statement, about
        from (select distinct month from base.account_month)
        cross join (values {WANTED}) as listed (statement, about)
    )
    select
        wanted.month,
        wanted.statement,
        wanted.about,
        coalesce(reconciled.lines, 0) as lines,
        coalesce(reconciled.lines_differing, 0) as lines_differing,
        reconciled.detail
    from wanted
    left join reconciled
        on reconciled.month = wanted.month and reconciled.statement = wanted.statement
    order by all
"""

MEASURES = (
    "net_interest_margin",
    "fee_income",
    "direct_cost",
    "overhead",
    "expected_loss",
    "contribution_margin",
    "capital_charge",
    "economic_profit",
)

VALUE_MONTH = f"""
    with
    valued as (
        select
            month,
            count(*) as account_months,
            sum(closing_balance) as closing_balance,
            count(*) filter (
                net_interest_margin is distinct from
                    interest_income - interest_expense + transfer_result
                or contribution_margin is distinct from
                    net_interest_margin + fee_income - direct_cost - expected_loss
                or economic_profit is distinct from
                    contribution_margin - overhead - capital_charge
            ) as unbalanced,
            {", ".join(f"sum({name}) as {name}" for name in MEASURES)}
        from value.account_month group by month
    ),
    built as (
        select month, count(*) as account_months, sum(closing_balance) as closing_balance
        from base.account_month group by month
    )
    select
        coalesce(built.month, valued.month) as month,
        coalesce(valued.account_months, 0) as account_months,
        coalesce(valued.account_months, 0) - coalesce(built.account_months, 0)
            as account_months_difference,
        coalesce(valued.closing_balance, 0) - coalesce(built.closing_balance, 0)
            as balance_difference,
        coalesce(valued.unbalanced, 0) as unbalanced,
        {", ".join(f"valued.{name}" for name in MEASURES)}
    from built
    full join valued on valued.month = built.month
    order by month
"""

# A month refreshed alone moves the trailing twelve months of the eleven after it.
TIER = """
    with
    earned as (
        select
            tier.month,
            sum(profit.contribution_margin) as contribution_margin
        from value.customer_tier as tier
        join value.profit_by_customer as profit
            on profit.customer_id = tier.customer_id
            and profit.month <= tier.month
            and profit.month > tier.month - interval 12 month
        group by tier.month
    ),
    tiered as (
        select month, count(*) as customers, sum(contribution_margin_12m) as contribution_margin
        from value.customer_tier group by month
    ),
    owned as (
        select month, count(*) as customers from value.profit_by_customer
        where customer_id <> '(none)' group by month
    )
    select
        owned.month,
        owned.customers,
        owned.customers - coalesce(tiered.customers, 0) as customers_difference,
        coalesce(earned.contribution_margin, 0) - coalesce(tiered.contribution_margin, 0)
            as contribution_difference
    from owned
    left join tiered on tiered.month = owned.month
    left join earned on earned.month = owned.month
    order by owned.month
"""

UNALLOCATED = """
    select
        month,
        sum(amount) filter (starts_with(residual, 'unallocated overhead')) as unallocated,
        string_agg(distinct residual, ', ') filter (
            starts_with(residual, 'unallocated overhead') and amount <> 0
        ) as detail
    from value.residual
    group by month
    order by month
"""


def value_suite() -> Suite:
    """GV. Reads `value.*` and `base.account_month`."""
    profiles: dict[str, Profile | str] = {
        "value_reconciliation": Profile(
            RECONCILIATION,
            key=("month", "statement"),
            about="{about}",
            needs=("value.reconciliation", "base.account_month"),
        ),
        "value_month": Profile(
            VALUE_MONTH,
            key=("month",),
            about="value.account_month",
            needs=("value.account_month", "base.account_month"),
        ),
        "value_customer_tier": Profile(
            TIER,
            key=("month",),
            about="value.customer_tier",
            needs=("value.customer_tier", "value.profit_by_customer"),
        ),
        "value_unallocated": Profile(
            UNALLOCATED, key=("month",), about="value.residual", needs=("value.residual",)
        ),
    }
    rebuild = (
        "refresh the whole history (make refresh); if the difference remains, the model named is"
        " wrong"
    )
    rules = (
        Rule(
            "value_reconciliation",
            column_between("lines", low=1),
            "fail",
            "every month is reconciled in every dimension",
            rebuild,
        ),
        Rule(
            "value_reconciliation",
            column_zero("lines_differing"),
            "fail",
            "profit agrees with the ledger, the pools and every roll-up, to the cent",
            "run the query named on the build warehouse for the keys and amounts. Ledger or source:"
            " check for a ledger of another closing, or bookings in quarantine. Roll-up: refresh"
            " the whole history, since a month changed after the roll-up was built",
        ),
        Rule(
            "value_month",
            row_count_at_least(1),
            "fail",
            "value is computed",
            "check the log of step value",
        ),
        Rule(
            "value_month",
            column_zero("account_months_difference"),
            "fail",
            "every account-month of the base has its value, and no other",
            "refresh value for the months named; if the difference remains, a product has no"
            " reference data: see the test reference_data_cover_every_case_once",
        ),
        Rule(
            "value_month",
            column_zero("balance_difference"),
            "fail",
            "the valued balances equal those of the base, to the cent",
            rebuild,
        ),
        Rule(
            "value_month",
            column_zero("unbalanced"),
            "fail",
            "margin, contribution and economic profit are the sums of their parts, to the cent",
            "refresh value for the months named: a component is empty or changed",
        ),
        Rule(
            "value_customer_tier",
            column_zero("customers_difference"),
            "fail",
            "every customer of a month has a value tier",
            "correct the seed tier_scheme: its shares must cover every customer",
        ),
        Rule(
            "value_customer_tier",
            column_zero("contribution_difference"),
            "fail",
            "tiers agree with the current figures of their twelve months",
            "refresh the eleven months after the one that was refreshed alone",
        ),
        Rule(
            "value_unallocated",
            column_zero("unallocated"),
            "warn",
            "every overhead pool is allocated",
            "choose another driver for the pools named, or end a pool with amounts of 0: no account"
            " has the driver in these months",
        ),
    )
    return Suite("GV", "value", profiles, rules)

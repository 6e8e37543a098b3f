"""GV: profit against the ledger, the overhead pools and itself, to the cent."""

from __future__ import annotations

from expectations.rules import (
    PRESENT,
    RECONCILED,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)

LEDGER = "ledger or source"
# The statements that value.reconciliation compares in every month, besides the ledger or the
# bookings, and the table to which a difference points.
COMPARED = {
    "treasury": "residual",
    "accrual": "accrued_interest",
    "overhead pools": "overhead",
    "customer": "profit_by_customer",
    "household": "profit_by_household",
    "group": "profit_by_group",
    "kind": "profit_by_kind",
    "product": "profit_by_product",
    "branch": "profit_by_branch",
    "line": "profit_by_line",
    "channel": "profit_by_channel",
    "district": "profit_by_district",
    "vintage": "profit_by_vintage",
    "pro_forma_branch": "profit_pro_forma",
    "pro_forma_manager": "profit_pro_forma",
    "credited": "profit_by_employee",
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
        select *, abs(difference) <= tolerance as holds, row_number() over (
            partition by month, dimension
            order by holds, abs(difference) desc, dimension_key, measure
        ) as place
        from value.reconciliation
    ),
    reconciled as (
        select
            month, if(dimension in ('ledger', 'source'), '{LEDGER}', dimension) as statement,
            count(*) as lines,
            count(*) filter (holds is not true) as lines_differing,
            count(*) filter (holds and difference <> 0) as lines_tolerated,
            max(
                'largest: ' || dimension || ' (' || dimension_key || '), ' || measure
                || ': expected ' || coalesce(expected::varchar, 'none')
                || ', found ' || coalesce(actual::varchar, 'none')
                || ', difference ' || coalesce(difference::varchar, 'none')
                || if(tolerance <> 0, ', tolerance ' || tolerance, '')
                || '; the rows: from value.reconciliation where difference <> 0 and month = '''
                || month || ''' and dimension = ''' || dimension || ''''
            ) filter (place = 1 and (difference is null or difference <> 0)) as detail
        from line group by all
    ),
    wanted as (
        select month, statement, about
        from (select distinct month from base.account_month)
        cross join (values {WANTED}) as listed (statement, about)
        union
        select month, statement, 'value.residual' from reconciled where statement = 'operating cost'
    )
    select
        month, statement, about, coalesce(lines, 0) as lines,
        coalesce(lines_differing, 0) as lines_differing,
        coalesce(lines_tolerated, 0) as lines_tolerated,
        detail
    from wanted left join reconciled using (month, statement)
    -- Roll-ups, which follow from the others, come last.
    order by month, starts_with(about, 'value.profit_'), statement
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
    full join valued on valued.month = built.month order by month
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
    select month,
        sum(amount) filter (starts_with(residual, 'unallocated overhead')) as unallocated,
        greatest(-sum(amount) filter (residual = 'unused capacity'), 0) as overcharged,
        string_agg(distinct residual, ', ') filter (
            starts_with(residual, 'unallocated overhead') and amount <> 0
        ) as detail
    from value.residual group by month order by month
"""

LOANS_BESIDE = """
    with as_of as (select max(month) as month from value.account_month)
    select
        as_of.month,
        count(beside.account_id) as accounts,
        sum(beside.loans) || ' loans owe ' || sum(beside.not_in_balance) as detail
    from as_of left join base.loan_exposure as beside on beside.month = as_of.month
    group by as_of.month
"""

# What one month charges is what its end has more than the month before had at its.
PROVISION = """
    with
    moved as (
        select
            *,
            provision - coalesce(lag(provision) over (
                partition by account_id order by month
            ), 0) as change
        from value.credit_risk
        where account_id in (select account_id from value.credit_risk where provision <> 0)
    )
    select
        months.month,
        count(moved.account_id) filter (moved.provision_change <> moved.change) as unexplained
    from (select distinct month from value.credit_risk) as months
    left join moved on moved.month = months.month
    group by months.month order by months.month
"""

# Twelve months by line and year of opening. Bernstein's inequality: independent losses of at most
# `largest` with the sum's variance depart from their mean by more than the limit with a
# probability of 5 % at most, in any cell; the allowance holds on either side.
BACKTEST = """
    with
    as_of as (select max(month) as month from value.loss_backtest),
    summed as (
        select
            product_line,
            cohort,
            sum(expected_loss) as expected,
            sum(realised_loss) as realised,
            sum(variance)::double as variance,
            max(largest_loss_at_risk)::double as largest
        from value.loss_backtest, as_of
        where value.loss_backtest.month > as_of.month - interval 12 month
        group by all
    ),
    weighed as (select *, ln(40.0 * count(*) over ()) as evidence from summed),
    limited as (
        select
            *,
            largest * evidence / 3
            + sqrt((largest * evidence / 3) ** 2 + 2 * variance * evidence) as allowed
        from weighed
    )
    select
        product_line,
        cohort,
        round(greatest(abs(realised - expected)::double - allowed, 0), 2) as beyond_chance,
        'within ' || round(allowed, 2) || ' of what was expected' as chance,
        'expected ' || expected || ', realised ' || realised as detail
    from limited
    order by product_line, cohort
"""

# Half a percentage point: below it, prices for good customers and rates that follow the market late
# explain a margin below zero. Fewer account-months do not show what a bank pays or charges.
RATE_TOLERANCE = 0.5
ENOUGH_ACCOUNT_MONTHS = 120

# Twelve months: deposits earn the transfer price, loans pay it. Without any interest, none was
# delivered.
CUSTOMER_RATES = f"""
    with
    summed as (
        select product_line, curve_currency, has_term, is_paid,
            1200 * sum(interest)::double / sum(balance) as rate,
            1200 * sum(transferred)::double / sum(balance) as price
        from value.customer_rate
        where month > (select max(month) from value.customer_rate) - interval 12 month
        group by all
        having sum(accounts) >= {ENOUGH_ACCOUNT_MONTHS} and sum(interest) <> 0
    )
    select
        product_line,
        if(has_term, 'with a term', 'without a term')
        || if(curve_currency = '*', '', ', ' || curve_currency) as balances,
        round(if(is_paid, price - rate, rate - price), 2) as margin,
        printf('%s %.2f %%, transfer price %.2f %%', if(is_paid, 'paid', 'charged'), rate, price)
            as detail
    from summed order by all
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
        "value_provision": Profile(
            PROVISION, key=("month",), about="value.credit_risk", needs=("value.credit_risk",)
        ),
        "value_loss_backtest": Profile(
            BACKTEST,
            key=("product_line", "cohort"),
            about="value.loss_backtest",
            needs=("value.loss_backtest",),
        ),
        "value_customer_rate": Profile(
            CUSTOMER_RATES,
            key=("product_line", "balances"),
            about="value.customer_rate",
            needs=("value.customer_rate",),
        ),
        "value_loans_beside": Profile(
            LOANS_BESIDE,
            key=("month",),
            about="value.credit_risk",
            needs=("base.loan_exposure", "value.account_month"),
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
            binding=RECONCILED,
        ),
        Rule(
            "value_reconciliation",
            column_zero("lines_differing"),
            "fail",
            "profit agrees with the ledger, the pools and every roll-up, to the cent or within the"
            " ledger's tolerance",
            "run the query named on the build warehouse for the keys and amounts. Ledger or source:"
            " check for a ledger of another closing, or bookings in quarantine. Roll-up: refresh"
            " the whole history, since a month changed after the roll-up was built",
            binding=RECONCILED,
        ),
        Rule(
            "value_reconciliation",
            column_zero("lines_tolerated"),
            "warn",
            "no line of the ledger needs its tolerance",
            "correct the bookings or the ledger, or deliver an adjustment: see value.reconciliation"
            " where difference <> 0",
            figure="ledger lines within their tolerance",
        ),
        Rule(
            "value_month",
            row_count_at_least(1),
            "fail",
            "value is computed",
            "check the log of step value",
            binding=PRESENT,
        ),
        Rule(
            "value_month",
            column_zero("account_months_difference"),
            "fail",
            "every account-month of the base has its value, and no other",
            "refresh value for the months named; if the difference remains, a product has no"
            " reference data: see the test reference_data_cover_every_case_once",
            binding=RECONCILED,
        ),
        Rule(
            "value_month",
            column_zero("balance_difference"),
            "fail",
            "the valued balances equal those of the base, to the cent",
            rebuild,
            binding=RECONCILED,
        ),
        Rule(
            "value_month",
            column_zero("unbalanced"),
            "fail",
            "margin, contribution and economic profit are the sums of their parts, to the cent",
            "refresh value for the months named: a component is empty or changed",
            binding=RECONCILED,
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
            "no account has the driver of the pools named in these months. Deliver what the driver"
            " counts: loan_status for past_due_account, the channel of bookings for branch_booking,"
            " account_balance for average_balance and amount_owed. Where it is delivered, choose"
            " another driver in overhead_pool, or end the pool with amounts of 0",
        ),
        Rule(
            "value_unallocated",
            column_zero("overcharged"),
            "warn",
            "no more cost is charged than the ledger has",
            "lower the rates of activity_unit_cost and account_maintenance_cost or the amounts of"
            " overhead_pool: together they exceed the ledger's operating_cost of the months named",
            figure="cost charged beyond the ledger",
        ),
        Rule(
            "value_provision",
            column_zero("unexplained"),
            "fail",
            "every charge for a provision is its change since the account's month before",
            "refresh the months after the one that was refreshed alone",
            binding=RECONCILED,
        ),
        Rule(
            "value_loss_backtest",
            column_zero("beyond_chance"),
            "warn",
            "losses of twelve months are within chance of what was expected of them",
            "check first what the expectation rests on: without a known balance (account_balance)"
            " no exposure is known and no loss expected, without loan_status no default is known in"
            " time. Where both are delivered, correct risk_rating or loss_given_default, or the"
            " default model, for the lines and years of opening named: see value.loss_backtest",
        ),
        Rule(
            "value_customer_rate",
            column_between("margin", low=-RATE_TOLERANCE),
            "warn",
            "over twelve months the transfer price lies between what depositors are paid and what"
            " borrowers are charged",
            "replace transfer_curve, or the product's spread in transfer_rule: make reference"
            " writes a proposal from the bank's own rates, make refresh REFERENCE_PATH=… applies"
            " it; see value.customer_rate",
            figure="margin against the transfer price, in percentage points",
        ),
        Rule(
            "value_loans_beside",
            column_zero("accounts"),
            "warn",
            "the balance of every loan's account carries the loan",
            "deliver an account for each loan, with its bookings: the exposure counts the loans,"
            " while their interest and funding are not in the margin; see base.loan_exposure",
        ),
    )
    return Suite("GV", "value", profiles, rules)

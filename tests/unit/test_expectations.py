"""Each gate passes a sound bank and stops a planted fault, naming where and what to do.

The bank is made by hand: 60 accounts with three bookings a month for eight months, small enough
that every figure can be checked, large enough that no rule excuses itself for want of bookings.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

import expectations.gate
import expectations.suites
from expectations.gate import MOST_PROFILE_ROWS
from expectations.rules import (
    GateOutcome,
    GateResult,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)
from expectations.suites import (
    base_suite,
    decisions_suite,
    landing_suite,
    models_suite,
    value_suite,
)
from expectations.suites.value import COMPARED
from orchestration.models.studies import STUDIES
from orchestration.platform.gate_report import render_report
from orchestration.platform.gate_words import found_words
from orchestration.platform.gates import GATE_RESULT
from orchestration.platform.tables import declared, ensure_table
from sources.contract import SIGNS

ROOT = Path(__file__).parents[2]

LANDED = """
create schema landing; create schema quarantine; create schema meta; create schema base;
create schema value; create schema features; create schema scores; create schema alerts;
create schema outcomes;
create table outcomes.cutoff_month as
select date '2025-06-01' - to_months(3 * number) as cutoff, 6 as horizon
from range(4) as step(number);

create table landing.refresh_window as
select date '2024-01-01' as month_from, date '2024-08-01' as month_to, date '2024-08-31' as as_of,
       date '2024-01-01' as first_month, 'files' as source;

create table landing.product as
select 'current' as product_id, 'deposits' as product_line, date '1900-01-01' as extract_month;

create table landing.customer as
select 'c' || i as customer_id, date '1980-05-05' + (i * 30)::integer as birth_date,
       date '1900-01-01' as extract_month
from range(60) t(i);

-- Every second account was opened before the history: its first balance is brought.
create table landing.account as
select 'a' || i as account_id, 'current' as product_id, 'b1' as branch_id,
       case when i % 2 = 0 then date '2020-06-01' else date '2024-01-03' end as opened_on,
       null::date as closed_on, date '1900-01-01' as extract_month
from range(60) t(i);

create table landing.account_holder as
select 'a' || i as account_id, 'c' || i as customer_id, 'owner' as role,
       date '1900-01-01' as extract_month
from range(60) t(i);

create table landing.transaction as
with booking as (
    select
        'a' || i as account_id,
        (date '2024-01-05' + to_months(m::integer))::date + (n * 10)::integer as booked_on,
        ((i + 1) * (n + 1) * case when n = 1 then -1 else 1 end)::decimal(18, 2) as amount,
        case when i % 2 = 0 then 1000 else 0 end as brought,
        m * 3 + n as place
    from range(60) a(i), range(8) b(m), range(3) c(n)
)
select
    account_id || '-' || place as transaction_id,
    account_id,
    booked_on,
    amount,
    case when amount < 0 then 'withdrawal' else 'deposit' end as kind,
    'online' as channel,
    null::varchar as counterparty_bank,
    null::varchar as counterparty_account,
    (brought + sum(amount) over (partition by account_id order by place))::decimal(18, 2)
        as balance_after,
    date_trunc('month', booked_on)::date as month
from booking;

create table landing.ledger as
select month, 'b1' as branch_id, 'deposits' as product_line, 'fee_income' as ledger_account,
       0::decimal(18, 2) as amount
from (select distinct month from landing.transaction);

create table quarantine.transaction (
    file varchar, row_number bigint, rule varchar, column_name varchar, value varchar, month date
);
insert into quarantine.transaction values
    ('/in/transaction.csv', 17, 'reference', 'account_id', '8f3a', date '2024-03-01');
create table meta.quarantine_share as
select 'transaction' as table_name, 'key_or_reference' as rule_class, 10000 as rows,
       1 as quarantined_rows, 0.0005 as tolerated_share;
create table meta.bad_code (
    table_name varchar, column_name varchar, rows bigint, detail varchar, allowed varchar
);
create table meta.quarantine_following (
    table_name varchar, rows bigint, quarantined_rows bigint, tolerated_share double,
    cause_table varchar, cause_class varchar, cause_rule varchar, cause_column varchar,
    following_rows bigint
);
create table meta.input_file as
select 'transaction' as table_name, '/in/transaction.csv' as path, null::date as extract_month,
       10000 as rows, 9999 as landed, 1 as quarantined, 0 as after_as_of, 
       0 as before_first_month, 'ab12' as sha256;
"""

BUILT = f"""
create table base.account as
select
    account_id,
    any_value(opened_on) as opened_on,
    any_value(closed_on) as closed_on,
    max(case when opened_on < date '2024-01-01' then 1000 else 0 end)::decimal(18, 2)
        as opening_balance,
    (opening_balance + sum(amount))::decimal(18, 2) as closing_balance,
    sum(amount) as booked_amount,
    count(*) as transaction_count
from landing.account join landing.transaction using (account_id)
group by account_id;

create table base.account_month as
with moved as (
    select account_id, month, sum(amount) as amount, count(*) as bookings
    from landing.transaction group by account_id, month
)
select
    account_id,
    month,
    (account.opening_balance + sum(amount) over so_far - amount)::decimal(18, 2)
        as opening_balance,
    (account.opening_balance + sum(amount) over so_far)::decimal(18, 2) as closing_balance,
    true as is_balance_known,
    amount as booked_amount,
    0.00::decimal(18, 2) as revaluation,
    null::decimal(18, 2) as foreign_booked_amount,
    null::decimal(18, 2) as foreign_closing_balance,
    bookings
from moved join base.account as account using (account_id)
window so_far as (partition by account_id order by month);

-- Of sixty customers six have closed their accounts since June; fifty have a loan, of which three
-- are in default since May; one is in the top tier.
create table base.customer as
select customer_id, date '1980-01-01' as birth_date, date '2024-08-25' as last_booked_on,
       substr(customer_id, 2)::integer as number,
       case when number < 6 then 0 else 1 end as accounts,
       case when number < 10 then 0 else 1 end as loans,
       number in (20, 21, 22) as is_defaulted
from landing.customer;
create table base.customer_history as
select customer_id, date '1900-01-01' as valid_from, null::date as valid_to
from landing.customer;
create table base.customer_month as
select customer_id, month,
       case when number < 6 and month >= date '2024-06-01' then 0 else 1 end as accounts, loans,
       is_defaulted and month >= date '2024-05-01' as is_defaulted
from base.customer, (select distinct month from landing.transaction);
create table base.ledger_reconciliation as
select month, branch_id, product_line, ledger_account, amount as booked,
       0::decimal(18, 2) as adjustment, amount as ledger, 0::decimal(18, 2) as difference,
       0::decimal(18, 2) as tolerance
from landing.ledger;

create table value.account_month as
select account_id, month, closing_balance, 4.00::decimal(18, 2) as interest_income,
       1.00::decimal(18, 2) as interest_expense, 2.00::decimal(18, 2) as transfer_result,
       5.00::decimal(18, 2) as net_interest_margin,
       2.00::decimal(18, 2) as fee_income, 1.50::decimal(18, 2) as direct_cost,
       1.00::decimal(18, 2) as overhead,
       0.25::decimal(18, 2) as expected_loss, 5.25::decimal(18, 2) as contribution_margin,
       0.50::decimal(18, 2) as capital_charge, 3.75::decimal(18, 2) as economic_profit
from base.account_month;
create table value.profit_by_customer as
select replace(account_id, 'a', 'c') as customer_id, * exclude (account_id)
from value.account_month;
create table value.customer_tier as
select customer_id, month,
       sum(contribution_margin) over (partition by customer_id order by month)
           as contribution_margin_12m,
       case when customer_id = 'c59' then 1 else 3 end as tier_number
from value.profit_by_customer;
create table base.loan_exposure (
    account_id varchar, month date, loans integer, not_in_balance decimal(18, 2)
);
create table value.credit_risk as
select account_id, month, 0.00::decimal(18, 2) as provision,
       0.00::decimal(18, 2) as provision_change
from base.account_month;
create table value.loss_backtest as
select month, line as product_line, 2023 as cohort, 10.00::decimal(18, 2) as largest_loss_at_risk,
       1.00::decimal(18, 2) as expected_loss, 1.00::decimal(18, 2) as realised_loss,
       9.0000::decimal(38, 4) as variance
from (select distinct month from base.account_month), (values ('lending'), ('cards')) t(line);
create table value.customer_rate as
select month, line as product_line, currency as curve_currency, has_term, is_paid, accounts,
       1200.00::decimal(18, 2) as balance, interest::decimal(18, 2) as interest,
       3.00::decimal(18, 2) as transferred
from (select distinct month from base.account_month),
     -- Within the tolerance, too few accounts, no interest delivered: none is a contradiction.
     (values ('deposits', '*', false, true, 20, 1.00), ('deposits', '*', true, true, 20, 3.50),
             ('deposits', 'USD', true, true, 20, 3.50), ('lending', '*', true, false, 20, 5.00),
             ('lending', '*', false, false, 14, 0.10), ('mortgages', '*', true, false, 20, 0.00))
     t(line, currency, has_term, is_paid, accounts, interest);
create table value.residual as
select month, residual, amount::decimal(18, 2) as amount
from (select distinct month from base.account_month),
     (values ('treasury: rate', -120.00), ('interest not booked', 3.00),
             ('unallocated overhead: premises', 0.00)) t(residual, amount);
create table value.reconciliation as
select month, dimension, 'all' as dimension_key, 'fee_income' as measure,
       120.00::decimal(18, 2) as expected, 120.00::decimal(18, 2) as actual,
       0.00::decimal(18, 2) as difference, 0.00::decimal(18, 2) as tolerance
from (select distinct month from base.account_month),
     (select unnest([{", ".join(repr(name) for name in ("ledger", *COMPARED))}]) as dimension);
create table features.customer_month as
select customer_id, month, (hash(customer_id, month) % 100)::double as balance,
       (hash(month, customer_id) % 7)::integer as bookings, null::double as never_filled
from base.customer_month;
create table features.spine as select customer_id, month from features.customer_month;

create table meta.model_evaluation as
select * replace (value::double as value) from (values
    ('clv', '3', 'spearman', 0.61, 0.58, 0.64, 0.55, 0.04, 0.08, 'higher', true, 12,
     date '2024-02-29', ''),
    ('clv', '3', 'total_bias', 0.05, null, null, null, null, null, 'zero', true, 12,
     date '2024-02-29', ''),
    ('clv', '2', 'spearman', 0.10, 0.05, 0.15, 0.55, -0.5, -0.4, 'higher', false, 12,
     date '2024-02-29', ''),
    ('response', '1', 'calibration_error', 0.02, null, null, null, null, null, 'zero', true, 2,
     date '2024-02-29', ''),
    ('response', '1', 'auc', 0.70, 0.66, 0.74, 0.69, -0.01, 0.03, 'higher', true, 2,
     date '2024-02-29', ''),
    ('attrition', '1', 'log_score', 0.20, 0.18, 0.22, 0.25, -0.06, -0.04, 'lower', true, 6,
     date '2024-02-29', ''),
    ('attrition', '1', 'total_bias', -0.1, null, null, null, null, null, 'zero', true, 6,
     date '2024-02-29', ''),
    ('default', '1', 'log_score', 0.10, 0.08, 0.12, 0.12, -0.03, 0.00, 'lower', true, 6,
     date '2024-02-29', ''),
    ('high_value', '1', 'log_score', 0.05, 0.04, 0.06, 0.06, -0.02, 0.00, 'lower', true, 6,
     date '2024-02-29', ''),
    ('segment', '1', 'explained_share', 0.20, 0.18, 0.22, 0.15, 0.04, 0.06, 'higher', true, null,
     date '2024-02-29', '')
) t(model_name, version, metric, value, low, high, rule_value, difference_low, difference_high,
    better, champion, horizon_months, trained_as_of, note);

create table meta.model_version as
select distinct model_name, version, horizon_months, 'policy' as promoted_by
from meta.model_evaluation where champion;
create table meta.model_drift as
select model_name, version, 'feature' as subject, 'feature_' || i as feature, i / 100 as psi,
       0.02 as noise
from meta.model_version, range(1, 21) t(i) where model_name in ('clv', 'attrition')
union all
select model_name, version, 'score', null, 0.05, 0.02
from meta.model_version where model_name in ('clv', 'attrition');
-- Figures beyond the bounds, but by chance: the intervals reach within.
create table meta.model_kind as
select model_name, version, t.*
from meta.model_version, (values
    ('person', 500, 60, 0.30, 0.10, 0.50, 'auc', 0.70, 0.65, 0.75,
     '500 customers with 60 outcomes'),
    ('corporate', 12, 1, null, null, null, null, null, null, null, 'not judged: 12 customers')
) t(customer_kind, customers, outcomes, bias, bias_low, bias_high, metric, value, low, high, note)
where model_name in ('clv', 'attrition');
create table meta.model_monitoring as
select model_name, version, 'model' as judged, date '2024-02-01' as cutoff, metric, value, low,
       high, 60 as rows
from meta.model_version, (values
    ('total_bias', 0.30, 0.10, 0.50), ('calibration_error', 0.12, 0.04, 0.20)
) t(metric, value, low, high)
where model_name in ('attrition', 'default');

create table scores.customer as
select customer_id, 60.0::double as clv_12m, 150.0::double as clv_36m, 40.0::double as clv_low,
       90.0::double as clv_high, 12 as clv_horizon_months, '3' as clv_model_version,
       case when accounts > 0 then 0.1::double end as p_attrition,
       case when accounts > 0 then 6.0::double end as value_at_risk,
       case when accounts > 0 then '1' end as attrition_model_version,
       case when loans > 0 then case when is_defaulted then 1.0 else 0.06 end end::double
           as p_default,
       case when loans > 0 then '1' end as default_model_version,
       case when accounts > 0 and number < 59 then 0.02::double end as p_high_value,
       case when accounts > 0 and number < 59 then '1' end as high_value_model_version,
       case when accounts > 0 then 's' || number % 3 end as segment,
       case when accounts > 0 then 'savers ' || number % 3 end as segment_name,
       case when accounts > 0 then '1' end as segment_model_version
from base.customer;
create table scores.product_attrition as
select customer_id, product_line, p_attrition + 0.05 as p_attrition
from scores.customer, (values ('deposits'), ('lending')) t(product_line)
where p_attrition is not null;
create table scores.reason as
select customer_id, model_name, rank, 'balance_' || rank as feature
from scores.customer, (values ('attrition'), ('default')) t(model_name), range(1, 4) r(rank);
create table scores.account_default as
select replace(customer_id, 'c', 'a') as account_id, month as scored_month, p_default
from scores.customer, (values (date '2024-07-01'), (date '2024-08-01')) t(month)
where p_default is not null;
create table alerts.credit as
select *, 'x' || account_id as customer_id from (values
    ('a20', 'alarm', 1.0::double, 0.4::double, 450.0::double), ('a30', 'watch', 0.06, null, 27.0)
) t(account_id, severity, p_default, p_default_before, expected_loss_12m);
create table alerts.transaction as
select * from (values
    ('t1', 'a20', 'alarm', date '2024-08-01', 'amount is 9 times the usual'),
    ('t2', 'a30', 'watch', date '2024-08-01', 'new counterparty')
) t(transaction_id, account_id, severity, month, reason);
create table value.offer as
select * from (values ('card', 5.00), ('loan', 0.00)) t(product_id, incentive_cost);
create table scores.offer as
select customer_id, product_id, 0.1::double as p_response, '1' as response_model_version,
       0.05::double as uplift, '1' as uplift_model_version,
       300.00::decimal(18, 2) as product_value, '1' as product_value_model_version,
       20.00::decimal(18, 2) as expected_loss,
       (0.05 * 280 - 0.1 * case product_id when 'card' then 5 else 0 end)::decimal(18, 2)
           as expected_incremental_profit
from base.customer, (values ('card'), ('loan')) t(product_id);
"""

# Fifty customers who may be contacted, six of them held out, one a household of two, and the plan.
DECIDED = """
create schema contacts; create schema decisions; create schema campaigns;
alter table base.customer add column marketing_consent boolean default true;
create table contacts.policy as
select 0.04 as universal_control_share, 0.08 as campaign_control_share, 100.00 as budget,
       30 as manager_capacity, 10 as branch_capacity;
create table contacts.channel as
select * from (values ('mobile', 20, false), ('telephone', 5, true))
    t(channel, capacity, needs_person);
create table contacts.contactability as
select customer_id, case when number < 10 then 'no_account' end as suppression,
       case when number < 10 then 0 else 1 end as customer_room,
       number in (12, 13) as is_universal_control, number between 14 and 17 as is_campaign_control,
       'e' || number % 3 as unit, 'e' || number % 3 as employee_id,
       case when number >= 50 then 2 end as household_room
from base.customer;
create table contacts.candidate as
select customer_id, product_id, channel, p_response, uplift, product_value, expected_loss,
       case product_id when 'card' then 5.00 else 0.00 end::decimal(18, 2) as incentive_cost,
       cost::decimal(18, 2) as contact_cost,
       (expected_incremental_profit - cost)::decimal(18, 2) as expected_incremental_profit
from scores.offer
inner join contacts.contactability using (customer_id),
    (values ('mobile', 0.15), ('telephone', 6.00)) t(channel, cost)
where suppression is null;
create table decisions.contact_plan as
select candidate.customer_id, candidate.product_id, candidate.channel, candidate.contact_cost,
       candidate.expected_incremental_profit, customer.unit,
       case when number >= 50 then 'h' || number // 2 end as household_id,
       case when is_universal_control or is_campaign_control then 'control' else 'treatment' end
           as arm
from contacts.candidate
inner join contacts.contactability as customer on customer.customer_id = candidate.customer_id
inner join base.customer as base on base.customer_id = candidate.customer_id
where candidate.product_id = 'loan'
    and candidate.channel = case when number % 10 = 1 then 'telephone' else 'mobile' end
    and number between 12 and 29 or number in (50, 51) and candidate.product_id = 'loan'
    and candidate.channel = 'mobile';
create table decisions.plan_comparison as
select * from (values ('contact_plan', 0.001, true), ('random', null, false))
    t(policy, gap, is_chosen);
create table decisions.worklist as
select customer_id, product_id from decisions.contact_plan
where arm = 'treatment' and channel = 'telephone';
create table campaigns.measurement as
select * from (values ('k1', 0.02, 0.01, 0.03, false), ('k2', null, null, null, false))
    t(campaign_id, effect, effect_low, effect_high, is_sample_ratio_mismatch);
"""

MODELS = ("attrition", "clv", "default", "high_value", "response", "segment")
SCORED = (*MODELS, "product_value", "uplift")


def scores_suite(models: Collection[str]) -> Suite:
    """G4 with the judges that the studies name."""
    return expectations.suites.scores_suite(
        [judge for one in STUDIES.values() for judge in one.gate], models
    )


def without(*models: str) -> tuple[str, ...]:
    return tuple(name for name in SCORED if name not in models)


SUITES: dict[str, Callable[[], Suite]] = {
    "G1": lambda: landing_suite(SIGNS),
    "G2": base_suite,
    "GV": value_suite,
    "G3": lambda: models_suite(MODELS),
    "G4": lambda: scores_suite(SCORED),
    "G5": decisions_suite,
}


def judge(
    connection: duckdb.DuckDBPyConnection, suite: Suite, build_number: int, run_id: str
) -> GateOutcome:
    """As a gate does it: the table of the results is made before."""
    ensure_table(connection, GATE_RESULT)
    return expectations.gate.judge(connection, suite, build_number, run_id)


def test_the_results_are_declared_as_they_are_kept() -> None:
    columns = {one.name: one.data_type.upper() for one in declared(GATE_RESULT).columns}
    assert columns == expectations.gate.RESULT_COLUMNS


@pytest.fixture
def bank() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(LANDED)
        connection.execute(BUILT)
        connection.execute(DECIDED)
        yield connection


def judged(connection: duckdb.DuckDBPyConnection, gate: str) -> GateOutcome:
    return judge(connection, SUITES[gate](), build_number=7, run_id="run")


def judged_about(connection: duckdb.DuckDBPyConnection, gate: str, subject: str) -> GateOutcome:
    """The gate's rules about one profile only: enough for one fault, and four times as fast."""
    suite = SUITES[gate]()
    # The chain over the whole history is summed from the chain by month.
    wanted = {subject, subject.removesuffix("_total")}
    few = Suite(
        suite.gate,
        suite.name,
        {name: profile for name, profile in suite.profiles.items() if name in wanted},
        tuple(rule for rule in suite.rules if rule.subject in wanted),
    )
    return judge(connection, few, build_number=7, run_id="run")


def broken(outcome: GateOutcome) -> dict[tuple[str, str], GateResult]:
    """Broken rules by subject and judged column."""
    found = {}
    for result in outcome.failed + outcome.warned:
        column = re.search(r"column=(\w+)", result.expectation)
        found[result.subject, column.group(1) if column else "rows"] = result
    return found


@pytest.mark.parametrize("gate", SUITES)
def test_a_sound_bank_passes_every_rule(bank: duckdb.DuckDBPyConnection, gate: str) -> None:
    outcome = judged(bank, gate)
    assert outcome.success
    assert broken(outcome) == {}, outcome.message()
    assert all(result.cure and result.meaning for result in outcome.results)


def test_columns_without_a_value_are_recorded_beside_their_table(bank) -> None:
    bank.execute("update landing.account set branch_id = null")
    # An older extract has what the latest lacks.
    bank.execute(
        "insert into landing.account select * replace ('b1' as branch_id, date '1899-12-01' "
        "as extract_month) from landing.account"
    )
    optional = {"account": ("branch_id", "opened_on", "closed_on"), "card": ("card_type",)}
    judge(bank, landing_suite(SIGNS, optional=optional), build_number=7, run_id="run")
    found = bank.table("profile.landing_table").select("table_name, lacking").fetchall()
    assert dict(found)["account"] == "branch_id,closed_on"
    assert {lacking for name, lacking in found if name != "account"} == {None}


# Gate, fault, subject and column of the rule it must break, severity, what the message must name.
FAULTS = [
    ("G1", "delete from landing.product", "landing_table", "absent", "fail", "product"),
    (
        "G1",
        "create table meta.previous_release_count as select 'customer' as table_name, 100 as rows",
        "landing_table",
        "required_change",
        "fail",
        "customer (required_change -0.4)",
    ),
    (
        "G1",
        "create table meta.previous_release_count as select 'ledger' as table_name, 100 as rows",
        "landing_table",
        "optional_change",
        "warn",
        "ledger",
    ),
    (
        "G1",
        "insert into meta.input_file select * replace ('/in/again.csv' as path)"
        " from meta.input_file",
        "landing_input_file",
        "repeated",
        "fail",
        "/in/again.csv",
    ),
    (
        "G1",
        "insert into meta.input_file select * replace ('/in/e.csv' as path, 0 as rows, 'x' as"
        " sha256) from meta.input_file",
        "landing_input_file",
        "empty_file",
        "warn",
        "/in/e.csv",
    ),
    (
        "G1",
        "update meta.quarantine_share set quarantined_rows = 60",
        "landing_quarantine",
        "above_tolerance",
        "fail",
        "reference: 1 row(s) in /in/transaction.csv (first: row 17)",
    ),
    (
        "G1",
        "delete from landing.transaction where month = date '2024-05-01'",
        "landing_booking_month",
        "bookings",
        "fail",
        "2024-05 (bookings 0)",
    ),
    (
        "G1",
        "delete from landing.transaction where month = date '2024-01-01'",
        "landing_booking_month",
        "bookings",
        "fail",
        "2024-01 (bookings 0)",
    ),
    (
        "G1",
        "delete from landing.transaction where month = date '2024-08-01'"
        " and account_id < 'a4' and account_id > 'a1'",
        "landing_booking_month",
        "bookings_ratio",
        "fail",
        "2024-08",
    ),
    (
        "G1",
        "delete from landing.transaction where booked_on > date '2024-08-20'",
        "landing_booking_month",
        "silent_days_at_end",
        "fail",
        "2024-08 (silent_days_at_end 16)",
    ),
    (
        "G1",
        "update landing.transaction set amount = amount * 100 where month = date '2024-06-01'",
        "landing_booking_month",
        "amount_ratio",
        "fail",
        "2024-06",
    ),
    (
        "G1",
        "update landing.transaction set amount = amount * 100 where month = date '2024-06-01'",
        "landing_balance_chain",
        "judged_share",
        "fail",
        "2024-06",
    ),
    (
        "G1",
        "update landing.transaction set amount = amount * 100",
        "landing_balance_chain_total",
        "share",
        "fail",
        "",
    ),
    (
        "G1",
        "update landing.transaction set amount = -amount",
        "landing_balance_chain_total",
        "share",
        "fail",
        "",
    ),
    (
        "G1",
        "update landing.transaction set amount = balance_after, balance_after = amount",
        "landing_balance_chain_total",
        "share",
        "fail",
        "",
    ),
    (
        "G1",
        "update landing.transaction set amount = abs(amount), balance_after = null",
        "landing_booking_sign",
        "is_turned",
        "fail",
        "withdrawal on accounts of deposits (is_turned 1): 480 of 480 bookings",
    ),
    (
        "G1",
        "update landing.transaction set amount = abs(amount) where month = date '2024-06-01'",
        "landing_booking_sign",
        "is_turned",
        "fail",
        "2024-06 (is_turned 1): 60 of 180 bookings",
    ),
    (
        "G1",
        "delete from landing.account_holder where account_id in ('a1', 'a2')",
        "landing_account",
        "without_holder_share",
        "fail",
        "",
    ),
    (
        "G1",
        "update landing.account_holder set role = 'authorised' where account_id = 'a1'",
        "landing_account",
        "without_owner_share",
        "warn",
        "",
    ),
    (
        "G1",
        "delete from landing.transaction where account_id < 'a3'",
        "landing_account",
        "without_booking_share",
        "fail",
        "",
    ),
    (
        "G1",
        "update landing.customer set birth_date = birth_date + interval 40 year",
        "landing_customer",
        "median_age",
        "warn",
        "",
    ),
    (
        "G1",
        "update landing.transaction set channel = null where month = date '2024-07-01'",
        "landing_null_share",
        "jump",
        "warn",
        "channel, 2024-07",
    ),
    (
        "G2",
        "delete from base.customer where customer_id = 'c7'",
        "base_count",
        "difference",
        "fail",
        "customers (difference -1)",
    ),
    (
        "G2",
        "update base.account set closing_balance = closing_balance + 0.01 where account_id = 'a3'",
        "base_count",
        "difference",
        "fail",
        "closing balance as of the date (difference 0.01)",
    ),
    (
        "G2",
        "update base.account_month set opening_balance = opening_balance + 0.01,"
        " closing_balance = closing_balance + 0.01"
        " where account_id = 'a3' and month = date '2024-04-01'",
        "base_account_month",
        "balance_breaks",
        "fail",
        "2024-04 (balance_breaks 1); 2024-05 (balance_breaks 1)",
    ),
    (
        "G2",
        "delete from base.account_month where account_id = 'a3' and month = date '2024-04-01'",
        "base_account_month",
        "month_gaps",
        "fail",
        "2024-05",
    ),
    (
        "G2",
        "update base.account_month set is_balance_known = false"
        " where account_id = 'a3' and month = date '2024-04-01'",
        "base_account_month",
        "balances_unknown",
        "warn",
        "2024-04 (balances_unknown 1)",
    ),
    (
        "G2",
        "update base.account_month"
        " set booked_amount = booked_amount + case account_id when 'a3' then 1 else -1 end"
        " where account_id in ('a3', 'a4') and month = date '2024-04-01'",
        "base_account_month",
        "balances_not_booked",
        "warn",
        "2024-04 (balances_not_booked 2)",
    ),
    (
        "G2",
        "update base.account_month set bookings = bookings + 1"
        " where account_id = 'a3' and month = date '2024-04-01'",
        "base_account_month",
        "bookings_difference",
        "fail",
        "2024-04",
    ),
    (
        "G2",
        "delete from base.account_month",
        "base_account_month",
        "bookings_difference",
        "fail",
        "2024-01",
    ),
    (
        "G2",
        "delete from base.customer_month where customer_id = 'c7'",
        "base_customer_month",
        "customers_without_months",
        "fail",
        "",
    ),
    (
        "G2",
        "insert into base.customer_month (customer_id, month) values ('nobody', date '2024-08-01')",
        "base_customer_month",
        "unknown_customers",
        "fail",
        "",
    ),
    (
        "G2",
        "delete from base.customer_month where customer_id = 'c7' and month = date '2024-08-01'",
        "base_customer_month",
        "ended_early",
        "fail",
        "",
    ),
    (
        "G2",
        "delete from base.customer_month where customer_id = 'c7' and month = date '2024-05-01'",
        "base_customer_month",
        "with_gaps",
        "fail",
        "",
    ),
    ("G2", "delete from base.customer_history", "base_key", "rows", "fail", "customer_history"),
    (
        "G2",
        "insert into base.customer_history values (null, date '2024-01-01', null)",
        "base_key",
        "null_keys",
        "fail",
        "customer_history",
    ),
    (
        "G2",
        "insert into base.customer_month select * from base.customer_month limit 1",
        "base_key",
        "duplicate_keys",
        "fail",
        "customer_month",
    ),
    (
        "G2",
        "update base.customer set last_booked_on = date '2024-09-02' where customer_id = 'c1'",
        "base_latest_date",
        "days_after_as_of",
        "fail",
        "customer.last_booked_on (days_after_as_of 2)",
    ),
    (
        "G2",
        "update base.ledger_reconciliation set ledger = 0.01, difference = -0.01"
        " where month = date '2024-03-01'",
        "base_ledger",
        "lines_differing",
        "fail",
        "2024-03 (lines_differing 1): largest: branch b1, deposits, fee_income: ledger 0.01",
    ),
    (
        "G2",
        "update base.ledger_reconciliation set ledger = 0.02, difference = -0.02, tolerance = 0.01,"
        " adjustment = 0.50 where month = date '2024-03-01'",
        "base_ledger",
        "lines_differing",
        "fail",
        "ledger 0.02, booked 0.00, adjustment 0.50, tolerance 0.01",
    ),
    (
        "G2",
        "update base.ledger_reconciliation set ledger = 0.01, difference = -0.01, tolerance = 0.01"
        " where month = date '2024-03-01'",
        "base_ledger",
        "lines_tolerated",
        "warn",
        "2024-03 (lines_tolerated 1): in all 0.01; largest: branch b1",
    ),
    (
        "G2",
        "insert into landing.ledger values (date '2024-03-01', 'b2', 'cards', 'fee_income', 1.00)",
        "base_ledger",
        "lines_missing",
        "fail",
        "2024-03 (lines_missing 1)",
    ),
    (
        "G2",
        "delete from landing.ledger where month = date '2024-03-01';"
        "delete from base.ledger_reconciliation where month = date '2024-03-01'",
        "base_ledger",
        "lines",
        "warn",
        "2024-03",
    ),
    (
        "GV",
        "update value.reconciliation set actual = 120.01, difference = 0.01"
        " where month = date '2024-04-01' and dimension = 'branch'",
        "value_reconciliation",
        "lines_differing",
        "fail",
        "2024-04, branch (lines_differing 1): largest: branch (all), fee_income: expected 120.00,"
        " found 120.01, difference 0.01; the rows: from value.reconciliation where difference <> 0"
        " and month = '2024-04-01' and dimension = 'branch'",
    ),
    (
        "GV",
        "insert into value.residual values (date '2024-04-01', 'unused capacity', -7.00),"
        " (date '2024-05-01', 'unused capacity', 7.00)",
        "value_unallocated",
        "overcharged",
        "warn",
        "2024-04 (overcharged 7)",
    ),
    (
        "GV",
        "insert into value.reconciliation select * replace ('operating cost' as dimension,"
        " 0.01 as difference) from value.reconciliation where dimension = 'branch' and"
        " month = date '2024-04-01'",
        "value_reconciliation",
        "lines_differing",
        "fail",
        "2024-04, operating cost (lines_differing 1)",
    ),
    (
        "GV",
        "update value.reconciliation set actual = 120.01, difference = 0.01, tolerance = 0.01"
        " where month = date '2024-04-01' and dimension = 'ledger'",
        "value_reconciliation",
        "lines_tolerated",
        "warn",
        "found 120.01, difference 0.01, tolerance 0.01",
    ),
    (
        "GV",
        "delete from value.reconciliation"
        " where month = date '2024-04-01' and dimension = 'household'",
        "value_reconciliation",
        "lines",
        "fail",
        "2024-04, household",
    ),
    (
        "GV",
        "update value.customer_tier set contribution_margin_12m = contribution_margin_12m - 0.01"
        " where month = date '2024-04-01' and customer_id = 'c3'",
        "value_customer_tier",
        "contribution_difference",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "delete from value.customer_tier where month = date '2024-04-01' and customer_id = 'c3'",
        "value_customer_tier",
        "customers_difference",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "update value.residual set amount = 7.00"
        " where month = date '2024-04-01' and residual = 'unallocated overhead: premises'",
        "value_unallocated",
        "unallocated",
        "warn",
        "unallocated overhead: premises",
    ),
    (
        "GV",
        "update value.credit_risk set provision = 5.00, provision_change = 4.99"
        " where month = date '2024-04-01' and account_id = 'a3'",
        "value_provision",
        "unexplained",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "update value.loss_backtest set realised_loss = 90.00"
        " where month = date '2024-04-01' and product_line = 'cards'",
        "value_loss_backtest",
        "beyond_chance",
        "warn",
        "cards",
    ),
    (
        "GV",
        "update value.customer_rate set interest = 3.60 where is_paid and not has_term",
        "value_customer_rate",
        "margin",
        "warn",
        "deposits, without a term (margin -0.6): paid 3.60 %, transfer price 3.00 %",
    ),
    (
        "GV",
        "update value.customer_rate set interest = 2.40"
        " where product_line = 'lending' and has_term",
        "value_customer_rate",
        "margin",
        "warn",
        "lending, with a term (margin -0.6): charged 2.40 %, transfer price 3.00 %",
    ),
    (
        "GV",
        "update value.customer_rate set interest = 3.60 where curve_currency = 'USD'",
        "value_customer_rate",
        "margin",
        "warn",
        "deposits, with a term, USD (margin -0.6): paid 3.60 %, transfer price 3.00 %",
    ),
    (
        "GV",
        "insert into base.loan_exposure select 'a3', max(month), 2, 950.00"
        " from value.account_month",
        "value_loans_beside",
        "accounts",
        "warn",
        "2 loans owe 950.00",
    ),
    (
        "GV",
        "update value.account_month set closing_balance = closing_balance + 0.01"
        " where month = date '2024-04-01' and account_id = 'a3'",
        "value_month",
        "balance_difference",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "update value.account_month set overhead = 1.01"
        " where month = date '2024-04-01' and account_id = 'a3'",
        "value_month",
        "unbalanced",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "delete from value.account_month where account_id = 'a3' and month = date '2024-04-01'",
        "value_month",
        "account_months_difference",
        "fail",
        "2024-04",
    ),
    (
        "GV",
        "update value.account_month set fee_income = 2.01 where month = date '2024-04-01'"
        " and account_id = 'a3'",
        "value_month",
        "unbalanced",
        "fail",
        "2024-04",
    ),
    (
        "G3",
        "delete from features.customer_month where month = date '2024-04-01'",
        "feature_month",
        "difference",
        "fail",
        "2024-04",
    ),
    (
        "G3",
        "update features.customer_month set customer_id = 'c3' where customer_id = 'c4'",
        "feature_month",
        "duplicate_customers",
        "fail",
        "2024-01",
    ),
    (
        "G3",
        "update features.customer_month set month = date '2024-09-01'"
        " where month = date '2024-08-01'",
        "feature_month",
        "after_as_of",
        "fail",
        "2024-09",
    ),
    (
        "G3",
        # Training then sees three months at one cut-off and none at the other.
        "update outcomes.cutoff_month set cutoff = cutoff - to_months(9)",
        "feature_window",
        "window_coverage",
        "warn",
        "training",
    ),
    (
        "G3",
        "update features.customer_month set balance = 'inf'::double where customer_id = 'c3'",
        "feature_column",
        "infinite_values",
        "fail",
        "balance",
    ),
    (
        "G3",
        "alter table features.customer_month add column sex varchar",
        "feature_column",
        "column_name",
        "fail",
        "sex",
    ),
    (
        "G3",
        "update features.customer_month set balance = null where month = date '2024-08-01'",
        "feature_column",
        "emptied",
        "warn",
        "balance",
    ),
    (
        "G3",
        "update meta.model_evaluation set champion = false where model_name = 'clv'",
        "model_champion",
        "champions",
        "fail",
        "clv (champions 0)",
    ),
    (
        "G3",
        "update meta.model_evaluation set value = 'nan'::double where metric = 'auc'",
        "model_champion",
        "not_finite",
        "fail",
        "response",
    ),
    (
        "G3",
        "update meta.model_evaluation set rule_value = null where metric = 'auc'",
        "model_champion",
        "compared_with_rule",
        "warn",
        "response",
    ),
    (
        "G3",
        "update meta.model_version set promoted_by = ' ' where model_name = 'segment'",
        "model_champion",
        "without_promoter",
        "fail",
        "segment (without_promoter 1)",
    ),
    (
        "G3",
        "delete from meta.model_version where model_name = 'segment'",
        "model_champion",
        "without_promoter",
        "fail",
        "segment (without_promoter 1)",
    ),
    (
        "G3",
        "update meta.model_evaluation set difference_high = -0.01 where metric = 'spearman'",
        "model_comparison",
        "best_case_ahead_of_rule",
        "fail",
        "clv, spearman",
    ),
    ("G3", "delete from meta.model_evaluation", "model_comparison", "rows", "warn", ""),
    (
        "G3",
        "update meta.model_evaluation set value = 0.2 where metric = 'calibration_error'",
        "model_calibration",
        "calibration_error",
        "warn",
        "response",
    ),
    (
        "G3",
        "update meta.model_evaluation set value = -0.5 where metric = 'total_bias'",
        "model_calibration",
        "bias",
        "warn",
        "clv",
    ),
    (
        "G3",
        "update meta.model_evaluation set difference_high = -0.01 where metric = 'explained_share'",
        "model_comparison",
        "best_case_ahead_of_rule",
        "fail",
        "segment, explained_share",
    ),
    (
        "G3",
        "update meta.model_kind set bias_low = 0.26 where model_name = 'attrition'"
        " and customer_kind = 'person'",
        "model_kind",
        "bias",
        "warn",
        "attrition, person (bias 0.3): 500 customers with 60 outcomes",
    ),
    (
        "G3",
        "update meta.model_kind set bias = -0.5, bias_low = -0.6, bias_high = -0.3"
        " where model_name = 'clv' and customer_kind = 'person'",
        "model_kind",
        "bias",
        "warn",
        "clv, person (bias -0.5)",
    ),
    (
        "G3",
        "update meta.model_drift set psi = 0.3 where subject = 'score'"
        " and model_name = 'attrition'",
        "model_drift",
        "score_psi",
        "warn",
        "attrition (score_psi 0.3)",
    ),
    (
        "G3",
        "update meta.model_drift set psi = 'nan'::double where subject = 'score'"
        " and model_name = 'attrition'",
        "model_drift",
        "score_psi",
        "warn",
        "attrition (score_psi inf)",
    ),
    (
        "G3",
        "update meta.model_drift set psi = psi + 0.08 where subject = 'feature'"
        " and model_name = 'clv'",
        "model_drift",
        "drifting_share",
        "warn",
        "clv (drifting_share 0.15): 3 of 20 features above 0.25; largest 0.28: feature_20",
    ),
    (
        "G3",
        "update meta.model_monitoring set low = 0.26 where metric = 'total_bias'"
        " and model_name = 'attrition'",
        "model_monitoring",
        "bias",
        "warn",
        "attrition, model, total_bias (bias 0.3): on 60 rows of 2024-02",
    ),
    (
        "G3",
        "update meta.model_monitoring set value = -0.4, low = -0.5, high = -0.3"
        " where metric = 'total_bias' and model_name = 'attrition'",
        "model_monitoring",
        "bias",
        "warn",
        "attrition, model, total_bias (bias -0.4)",
    ),
    (
        "G3",
        "update meta.model_monitoring set low = null, high = null"
        " where metric = 'calibration_error' and model_name = 'default'",
        "model_monitoring",
        "calibration_error",
        "warn",
        "default, model, calibration_error",
    ),
    ("G4", "delete from scores.customer", "score_population", "scored", "fail", ""),
    (
        "G4",
        "delete from scores.customer where customer_id = 'c7'",
        "score_population",
        "without_score",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set customer_id = 'x' where customer_id = 'c7'",
        "score_population",
        "unknown_customers",
        "fail",
        "",
    ),
    (
        "G4",
        "insert into scores.customer select * from scores.customer where customer_id = 'c7'",
        "score_population",
        "duplicate_customers",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_12m = 'nan'::double where customer_id = 'c7'",
        "score_clv",
        "not_finite",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_low = 61 where customer_id = 'c7'",
        "score_clv",
        "outside_interval",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_model_version = null where customer_id = 'c7'",
        "score_clv",
        "without_version",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_model_version = '2' where customer_id = 'c7'",
        "score_clv",
        "versions",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_horizon_months = 0 where customer_id = 'c7'",
        "score_clv",
        "without_horizon",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_12m = 6000, clv_36m = 9000, clv_high = 9000",
        "score_clv",
        "clv_ratio",
        "warn",
        "",
    ),
    ("G4", "delete from scores.offer", "score_offer", "rows", "fail", ""),
    (
        "G4",
        "update scores.offer set p_response = 1.5 where customer_id = 'c7' and product_id = 'loan'",
        "score_offer",
        "outside_probability",
        "fail",
        "loan (outside_probability 1)",
    ),
    (
        "G4",
        "insert into scores.offer select * from scores.offer where customer_id = 'c7'",
        "score_offer",
        "duplicate_customers",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set customer_id = 'x' where customer_id = 'c7'",
        "score_offer",
        "unknown_customers",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set response_model_version = null where customer_id = 'c7'",
        "score_offer",
        "without_version",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set uplift = 1.5, p_response = 2 where customer_id = 'c7'",
        "score_uplift",
        "outside_range",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set uplift = 0.11 where customer_id = 'c7'",
        "score_uplift",
        "above_response",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set uplift_model_version = null where customer_id = 'c7'",
        "score_uplift",
        "without_version",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set product_value = null where customer_id = 'c7'",
        "score_product_value",
        "without_value",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set product_value_model_version = null where customer_id = 'c7'",
        "score_product_value",
        "without_version",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set expected_loss = -1 where customer_id = 'c7'",
        "score_product_value",
        "without_loss",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set expected_incremental_profit = null where customer_id = 'c7'",
        "score_product_value",
        "without_profit",
        "fail",
        "card",
    ),
    (
        "G4",
        "update scores.offer set product_value = 2000000 where product_id = 'loan'",
        "score_product_value",
        "mean_value",
        "warn",
        "loan",
    ),
    (
        "G4",
        "update alerts.transaction set severity = 'panic' where account_id = 'a20'",
        "alert_transaction",
        "severity",
        "fail",
        "panic",
    ),
    (
        "G4",
        "update alerts.transaction set account_id = 'x' where account_id = 'a20'",
        "alert_transaction",
        "unknown_accounts",
        "fail",
        "alarm",
    ),
    (
        "G4",
        "update alerts.transaction set reason = '' where account_id = 'a20'",
        "alert_transaction",
        "without_reason",
        "fail",
        "alarm",
    ),
    (
        "G4",
        "update alerts.transaction set month = date '2024-07-01' where account_id = 'a20'",
        "alert_transaction",
        "of_other_months",
        "fail",
        "alarm",
    ),
    (
        "G5",
        "update contacts.contactability set suppression = 'complaint' where customer_id = 'c20'",
        "plan",
        "not_contactable",
        "fail",
        "c20",
    ),
    (
        "G5",
        "update base.customer set marketing_consent = null where customer_id = 'c20'",
        "plan",
        "without_consent",
        "fail",
        "c20",
    ),
    (
        "G5",
        "update alerts.credit set customer_id = 'c20'",
        "plan",
        "in_early_warning",
        "fail",
        "",
    ),
    (
        "G5",
        "delete from contacts.candidate where customer_id = 'c20'",
        "plan",
        "no_candidate",
        "fail",
        "c20",
    ),
    (
        "G5",
        "update decisions.contact_plan set expected_incremental_profit = 99 "
        "where customer_id = 'c20'",
        "plan",
        "otherwise_valued",
        "fail",
        "",
    ),
    (
        "G5",
        "update decisions.contact_plan set arm = 'treatment' where customer_id = 'c12'",
        "plan",
        "treated_control",
        "fail",
        "",
    ),
    (
        "G5",
        "update decisions.contact_plan set arm = 'control' where customer_id = 'c20'",
        "plan",
        "control_not_drawn",
        "fail",
        "",
    ),
    (
        "G5",
        "update decisions.contact_plan set arm = null where customer_id = 'c20'",
        "plan",
        "without_arm",
        "fail",
        "",
    ),
    (
        "G5",
        "insert into decisions.contact_plan select * from decisions.contact_plan "
        "where customer_id = 'c20'",
        "plan",
        "customers_twice",
        "fail",
        "",
    ),
    (
        "G5",
        "update decisions.contact_plan set expected_incremental_profit = 0 "
        "where customer_id = 'c20'; update contacts.candidate "
        "set expected_incremental_profit = 0 where customer_id = 'c20'",
        "plan",
        "unprofitable",
        "fail",
        "",
    ),
    (
        "G5",
        "update contacts.contactability set household_room = 1",
        "plan",
        "over_household_room",
        "fail",
        "",
    ),
    (
        "G5",
        "update contacts.channel set capacity = 1 where channel = 'mobile'",
        "limit",
        "broken",
        "fail",
        "channel",
    ),
    (
        "G5",
        "update contacts.contactability set suppression = 'complaint' where customer_id = 'c40'",
        "candidate",
        "suppressed",
        "fail",
        "",
    ),
    (
        "G5",
        "update contacts.candidate set contact_cost = 1 where customer_id = 'c40'",
        "candidate",
        "miscalculated",
        "fail",
        "",
    ),
    (
        "G5",
        "update contacts.candidate set expected_loss = -1, product_value = 279 "
        "where customer_id = 'c40'",
        "candidate",
        "out_of_range",
        "fail",
        "",
    ),
    (
        "G5",
        "update contacts.contactability set is_universal_control = true",
        "control_group",
        "deviations",
        "fail",
        "universal",
    ),
    (
        "G5",
        "update decisions.plan_comparison set gap = 0.02 where is_chosen",
        "optimality",
        "gap",
        "warn",
        "",
    ),
    (
        "G5",
        "insert into decisions.worklist values ('c12', 'loan')",
        "worklist",
        "not_planned",
        "fail",
        "",
    ),
    (
        "G5",
        "delete from decisions.worklist where customer_id = 'c21'",
        "worklist",
        "missing",
        "fail",
        "",
    ),
    (
        "G5",
        "update campaigns.measurement set effect = 0.04 where campaign_id = 'k1'",
        "measurement",
        "outside_interval",
        "fail",
        "",
    ),
    (
        "G5",
        "update campaigns.measurement set is_sample_ratio_mismatch = true",
        "measurement",
        "sample_ratio_mismatches",
        "warn",
        "k1",
    ),
    (
        "G4",
        "update scores.customer set clv_36m = null where customer_id = 'c7'",
        "score_clv",
        "clv_36m_not_finite",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_36m = 59",
        "score_clv",
        "clv_36m_ratio",
        "warn",
        "",
    ),
    (
        "G4",
        "update scores.customer set clv_36m = 300",
        "score_clv",
        "clv_36m_pace",
        "warn",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_attrition = null where customer_id = 'c7'",
        "score_attrition",
        "missing",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_attrition = 0.1, value_at_risk = 0,"
        " attrition_model_version = '1' where customer_id = 'c3'",
        "score_attrition",
        "not_due",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_attrition = -0.001 where customer_id = 'c7'",
        "score_attrition",
        "outside_probability",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_attrition = 'nan'::double where customer_id = 'c7'",
        "score_attrition",
        "outside_probability",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set attrition_model_version = null where customer_id = 'c7'",
        "score_attrition",
        "without_version",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set attrition_model_version = '2' where customer_id = 'c7'",
        "score_attrition",
        "versions",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set value_at_risk = -0.01 where customer_id = 'c7'",
        "score_attrition",
        "without_value_at_risk",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set value_at_risk = null where customer_id = 'c7'",
        "score_attrition",
        "without_value_at_risk",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_attrition = 0.9 where p_attrition is not null",
        "score_attrition",
        "level_ratio",
        "warn",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_default = null where customer_id = 'c30'",
        "score_default",
        "missing",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_default = 0.1, default_model_version = '1'"
        " where customer_id = 'c7'",
        "score_default",
        "not_due",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_default = 1.001 where customer_id = 'c30'",
        "score_default",
        "outside_probability",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set default_model_version = null where customer_id = 'c30'",
        "score_default",
        "without_version",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set default_model_version = '2' where customer_id = 'c30'",
        "score_default",
        "versions",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_default = 0.06 where customer_id = 'c20'",
        "score_default",
        "default_below_one",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_default = 0.9 where p_default < 1",
        "score_default",
        "level_ratio",
        "warn",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_high_value = null where customer_id = 'c7'",
        "score_high_value",
        "missing",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_high_value = 0.1, high_value_model_version = '1'"
        " where customer_id = 'c3'",
        "score_high_value",
        "not_due",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_high_value = 0.1, high_value_model_version = '1'"
        " where customer_id = 'c59'",
        "score_high_value",
        "not_due",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set p_high_value = 1.001 where customer_id = 'c7'",
        "score_high_value",
        "outside_probability",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set high_value_model_version = null where customer_id = 'c7'",
        "score_high_value",
        "without_version",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set high_value_model_version = '2' where customer_id = 'c7'",
        "score_high_value",
        "versions",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment = null where customer_id = 'c7'",
        "score_segment",
        "missing",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment = 's1', segment_model_version = '1'"
        " where customer_id = 'c3'",
        "score_segment",
        "not_due",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment_model_version = null where customer_id = 'c7'",
        "score_segment",
        "without_version",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment_model_version = '2' where customer_id = 'c7'",
        "score_segment",
        "versions",
        "fail",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment = 'c' || customer_id where segment is not null",
        "score_segment",
        "segments",
        "warn",
        "",
    ),
    (
        "G4",
        "update scores.customer set segment = 's0'"
        " where segment is not null and customer_id <> 'c7' and customer_id <> 'c8'",
        "score_segment",
        "largest_share",
        "warn",
        "largest: savers",
    ),
    ("G4", "delete from scores.product_attrition", "score_product_attrition", "rows", "warn", ""),
    (
        "G4",
        "insert into scores.product_attrition select * from scores.product_attrition"
        " where customer_id = 'c7' and product_line = 'lending'",
        "score_product_attrition",
        "duplicate_customers",
        "fail",
        "lending (duplicate_customers 1)",
    ),
    (
        "G4",
        "update scores.product_attrition set p_attrition = 1.01"
        " where customer_id = 'c7' and product_line = 'lending'",
        "score_product_attrition",
        "outside_probability",
        "fail",
        "lending (outside_probability 1)",
    ),
    (
        "G4",
        "update scores.product_attrition set customer_id = 'c3'"
        " where customer_id = 'c7' and product_line = 'lending'",
        "score_product_attrition",
        "unscored_customers",
        "fail",
        "lending (unscored_customers 1)",
    ),
    (
        "G4",
        "update scores.product_attrition set p_attrition = 0.0999"
        " where customer_id = 'c7' and product_line = 'lending'",
        "score_product_attrition",
        "below_customer",
        "fail",
        "lending (below_customer 1)",
    ),
    (
        "G4",
        "delete from scores.account_default where scored_month = date '2024-08-01'",
        "score_account_default",
        "unscored",
        "fail",
        "2024-08",
    ),
    (
        "G4",
        "update scores.account_default set p_default = 1.01"
        " where account_id = 'a30' and scored_month = date '2024-08-01'",
        "score_account_default",
        "outside_probability",
        "fail",
        "2024-08 (outside_probability 1)",
    ),
    (
        "G4",
        "update alerts.credit set severity = 'panic' where account_id = 'a20'",
        "alert_credit",
        "severity",
        "fail",
        "panic",
    ),
    (
        "G4",
        "update alerts.credit set account_id = 'x' where account_id = 'a20'",
        "alert_credit",
        "unknown_accounts",
        "fail",
        "alarm (unknown_accounts 1)",
    ),
    (
        "G4",
        "update alerts.credit set p_default = null where account_id = 'a20'",
        "alert_credit",
        "outside_probability",
        "fail",
        "alarm",
    ),
    (
        "G4",
        "update alerts.credit set p_default_before = 1.5 where account_id = 'a20'",
        "alert_credit",
        "outside_probability",
        "fail",
        "alarm",
    ),
    (
        "G4",
        "update alerts.credit set expected_loss_12m = -1 where account_id = 'a20'",
        "alert_credit",
        "without_loss",
        "fail",
        "alarm (without_loss 1)",
    ),
    (
        "G4",
        "update scores.reason set rank = 4"
        " where customer_id = 'c7' and rank = 3 and model_name = 'attrition'",
        "score_reason",
        "outside_rank",
        "fail",
        "attrition (outside_rank 1)",
    ),
    (
        "G4",
        "update scores.reason set customer_id = 'x' where customer_id = 'c7'",
        "score_reason",
        "unknown_customers",
        "fail",
        "default (unknown_customers 3)",
    ),
    (
        "G4",
        "update scores.reason set feature = 'Sex=f' where customer_id = 'c7' and rank = 1",
        "score_reason",
        "barred_features",
        "fail",
        "attrition (barred_features 1)",
    ),
]


# What a fault cannot break alone: a month without bookings is also one with too few.
ALONGSIDE = {
    ("landing_booking_month", "bookings"): ("bookings_ratio",),
    ("landing_account", "without_holder_share"): ("without_owner_share",),
    ("base_account_month", "month_gaps"): ("balance_breaks", "bookings_difference"),
    ("value_month", "account_months_difference"): ("balance_difference",),
    ("feature_month", "after_as_of"): ("difference",),
    ("model_champion", "champions"): ("figures", "compared_with_rule"),
    ("score_population", "scored"): ("without_score",),
    ("score_population", "unknown_customers"): ("without_score",),
    ("score_clv", "not_finite"): ("outside_interval",),
}


@pytest.mark.parametrize(
    ("gate", "fault", "subject", "column", "severity", "named"),
    [
        pytest.param(
            *fault,
            id=f"{fault[0]}-{fault[2]}-{fault[3]}-{place}",
            # Every day one of each gate.
            marks=[pytest.mark.slow] if fault[0] in {f[0] for f in FAULTS[:place]} else [],
        )
        for place, fault in enumerate(FAULTS)
    ],
)
def test_a_planted_fault_is_named(
    bank: duckdb.DuckDBPyConnection,
    gate: str,
    fault: str,
    subject: str,
    column: str,
    severity: str,
    named: str,
) -> None:
    bank.execute(fault)
    outcome = judged_about(bank, gate, subject)
    found = broken(outcome)
    assert (subject, column) in found, outcome.message()
    also = {(subject, other) for other in ALONGSIDE.get((subject, column), ())}
    if subject == "landing_balance_chain_total":
        also = {("landing_balance_chain", "judged_share")}
    assert set(found) - also == {(subject, column)}, outcome.message()
    result = found[subject, column]
    assert result.judged
    assert result.severity == severity
    assert named in result.unexpected, result.unexpected
    # What an override would have to name.
    # A warning needs no override, and so no place of one.
    named = severity == "warn" or all(place.name for place in result.places)
    assert result.places and named
    assert outcome.success == (not outcome.failed)
    message = outcome.message().splitlines()
    # The line names the table or model, how far beyond which limit, and what to do.
    assert result.breaches and all(re.fullmatch(r"\w+\.\w+", about) for about in result.about)
    for line, breach in zip(result.lines(), result.breaches, strict=True):
        assert line.startswith(f"{gate} "), line
        assert breach.seen in line and f"limit {result.limit}" in line and "\n" not in line
        assert line.lower().endswith(result.cure.lower()), line
    if severity == "warn":
        assert {f"  {line}" for line in result.lines()} <= set(message)
    else:
        assert f"     seen: {result.observed}" in message
        assert f"     do: {result.cure}" in message


LINES = [
    (
        "G2",
        "update base.account_month set is_balance_known = false"
        " where month = date '2024-04-01' and account_id in ('a3', 'a4')"
        " or month = date '2024-05-01' and account_id = 'a3'",
        "base_account_month",
        [
            "G2 warns: base.account_month: accounts without a known balance in the worst month 2,"
            " limit 0; 2024-04 to 2024-05. Deliver account_balance"
        ],
    ),
    (
        "GV",
        "update value.residual set amount = 12.5 where residual = 'unallocated overhead: premises'"
        " and month <> '2024-03-01'",
        "value_unallocated",
        [
            "GV warns: value.residual: unallocated 12.5, limit 0; 2024-01 to 2024-02; 2024-04 to"
            " 2024-08: unallocated overhead: premises. No account has the driver"
        ],
    ),
    (
        "G3",
        "update meta.model_evaluation set value = -0.5, low = -0.6, high = -0.3"
        " where metric = 'total_bias'",
        "model_calibration",
        [
            f"G3 warns: model {name}: predicted total over actual total, less 1, -0.5, limit ±0.25,"
            " beyond chance (90 % interval -0.6 to -0.3); total_bias. The level moved"
            for name in ("attrition", "clv")
        ],
    ),
    (
        "G3",
        "update meta.model_drift set psi = 0.3 where subject = 'score' and model_name = 'clv'",
        "model_drift",
        [
            "G3 warns: model clv: stability index of the scores 0.3, limit at most 0.25, beyond"
            " chance (chance alone stays below 0.02 in 95 of 100 samples)"
        ],
    ),
    (
        "G2",
        "update base.account set closing_balance = closing_balance + 1;"
        "delete from base.customer where customer_id = 'c7'",
        "base_count",
        [
            "G2 stops the refresh: base.customer: difference -1, limit 0; customers. Rebuild base",
            "G2 stops the refresh: base.account: difference 60, limit 0; movement by account and 1"
            " more. Rebuild base",
        ],
    ),
]


@pytest.mark.parametrize(("gate", "fault", "subject", "lines"), LINES)
def test_a_broken_rule_is_one_line_a_table_or_model(
    bank: duckdb.DuckDBPyConnection, gate: str, fault: str, subject: str, lines: list[str]
) -> None:
    bank.execute(fault)
    outcome = judged_about(bank, gate, subject)
    found = [line for result in outcome.failed + outcome.warned for line in result.lines()]
    assert len(found) == len(lines), found
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(wanted), line


@pytest.mark.parametrize(
    ("gate", "within", "subject", "beyond"),
    [
        (
            "G3",
            "update meta.model_evaluation set value = 0.4, low = 0.24, high = 0.6"
            " where metric = 'total_bias'",
            "model_calibration",
            "update meta.model_evaluation set low = 0.26 where metric = 'total_bias'",
        ),
        (
            "G3",
            "update meta.model_evaluation set value = 0.2, low = 0.09, high = 0.3"
            " where metric = 'calibration_error'",
            "model_calibration",
            "update meta.model_evaluation set low = null where metric = 'calibration_error'",
        ),
        # Sixty customers: an index of 0.5 is what chance gives.
        (
            "G3",
            "update meta.model_drift set psi = 0.5, noise = 0.56",
            "model_drift",
            "update meta.model_drift set noise = 0.49",
        ),
        # The whole bank's margin came from one customer: three times as much may come again.
        (
            "G4",
            "update value.profit_by_customer set contribution_margin = 0 where customer_id <> 'c1';"
            "update value.profit_by_customer set contribution_margin = 100"
            " where customer_id = 'c1'",
            "score_clv",
            "update scores.customer set clv_12m = 300, clv_high = 300, clv_36m = 300",
        ),
    ],
)
def test_differences_within_chance_do_not_warn(
    bank: duckdb.DuckDBPyConnection, gate: str, within: str, subject: str, beyond: str
) -> None:
    bank.execute(within)
    assert broken(judged_about(bank, gate, subject)) == {}
    bank.execute(beyond)
    assert broken(judged_about(bank, gate, subject))


def test_every_rule_is_broken_by_a_planted_fault() -> None:
    covered = {(gate, subject, column) for gate, _, subject, column, *_ in FAULTS}
    # An empty table breaks these together with the rule listed above for it.
    covered |= {
        ("G1", "landing_booking_month", "rows"),
        ("G2", "base_account_month", "rows"),
        ("GV", "value_month", "rows"),
        ("G3", "feature_month", "rows"),
        ("G3", "model_champion", "figures"),
    }
    declared = set()
    for gate, suite in SUITES.items():
        for rule in suite().rules:
            _, arguments = rule.expectation
            declared.add((gate, rule.subject, arguments.get("column", "rows")))
    assert declared == covered


@pytest.mark.parametrize(
    ("gate", "fault", "subject", "column"),
    [
        (
            "G1",
            "delete from landing.transaction; delete from landing.refresh_window",
            "landing_booking_month",
            "rows",
        ),
        (
            "G2",
            "delete from base.account_month; delete from landing.transaction",
            "base_account_month",
            "rows",
        ),
        (
            "G2",
            "delete from base.ledger_reconciliation",
            "base_ledger",
            "lines_missing",
        ),
        (
            "GV",
            "delete from base.account_month; delete from value.account_month;"
            "delete from value.profit_by_customer",
            "value_month",
            "rows",
        ),
        (
            "G3",
            "delete from features.customer_month; delete from features.spine",
            "feature_month",
            "rows",
        ),
        ("G3", "delete from meta.model_evaluation", "model_champion", "figures"),
    ],
)
def test_rules_without_rows_to_judge_fail(
    bank: duckdb.DuckDBPyConnection, gate: str, fault: str, subject: str, column: str
) -> None:
    bank.execute(fault)
    outcome = judged_about(bank, gate, subject)
    assert not outcome.success
    assert (subject, column) in broken(outcome)


def test_a_growing_bank_passes(bank: duckdb.DuckDBPyConnection) -> None:
    # Bookings a month of Berka's first fifteen months (1993-01 to 1994-03) and their mean size.
    months = [
        *[(177, 3967), (395, 6904), (676, 6998), (913, 8081), (1306, 8944), (1880, 9730)],
        *[(2399, 7512), (2938, 7157), (3441, 6812), (3989, 6912), (4422, 6451), (5669, 7093)],
        *[(9139, 4660), (5601, 5585), (4052, 8994)],
    ]
    bank.execute("delete from landing.transaction")
    bank.execute(
        "update landing.refresh_window set first_month = '1993-01-01', as_of = '1994-03-31'"
    )
    for place, (bookings, size) in enumerate(months):
        month = date(1993 + place // 12, place % 12 + 1, 1)
        bank.execute(
            "insert into landing.transaction (account_id, month, booked_on, amount)"
            " select 'a1', $1, $1::date + 27, $2 from range($3)",
            [month, size, bookings],
        )
    found = broken(judged(bank, "G1"))
    assert not [key for key in found if key[0] == "landing_booking_month"]


def test_rounded_balances_and_quarantined_bookings_do_not_break_the_chain(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute("update landing.transaction set balance_after = round(balance_after, 0)")
    # One booking in a thousand may be in quarantine: its account-month breaks, no other.
    bank.execute("delete from landing.transaction where transaction_id = 'a9-10'")
    assert judged(bank, "G1").success
    links = bank.execute(
        "select sum(links - links_holding) from profile.landing_balance_chain"
    ).fetchall()
    assert links == [(1,)]


def test_bookings_of_one_day_may_come_in_any_order(bank: duckdb.DuckDBPyConnection) -> None:
    bank.execute("update landing.transaction set booked_on = last_day(month)")
    assert judged(bank, "G1").success


def test_a_booking_dated_far_ahead_names_the_months_as_a_range(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute("update landing.refresh_window set as_of = date '2031-03-31'")
    found = broken(judged(bank, "G1"))
    assert found["landing_booking_month", "bookings"].unexpected == "2024-09 to 2031-03"


def test_a_balance_brought_in_and_a_booking_after_closing_are_no_breaks(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    # Account a0 is known from its first booking on; a1 is closed and fined two months later.
    bank.execute("""
        update base.account_month set opening_balance = 0, closing_balance = 0
        where account_id = 'a0' and month < date '2024-03-01';
        delete from landing.transaction where account_id = 'a0' and month < date '2024-03-01';
        update base.account_month set bookings = 0
        where account_id = 'a0' and month < date '2024-03-01';
        update base.account set closed_on = date '2024-05-20' where account_id = 'a1';
        delete from base.account_month
        where account_id = 'a1' and month in ('2024-06-01', '2024-07-01');
        update base.account_month set opening_balance = (
            select closing_balance from base.account_month
            where account_id = 'a1' and month = '2024-05-01'
        ) where account_id = 'a1' and month = '2024-08-01';
    """)
    found = broken(judged(bank, "G2"))
    assert ("base_account_month", "balance_breaks") not in found
    assert ("base_account_month", "month_gaps") not in found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "suite", "off", "subjects", "reason"),
    [
        (
            "G1",
            SUITES["G1"],
            "update landing.transaction set balance_after = null",
            {"landing_balance_chain", "landing_balance_chain_total"},
            "balances",
        ),
        (
            "G1",
            SUITES["G1"],
            "update landing.customer set birth_date = null",
            {"landing_customer"},
            "birth dates are not delivered",
        ),
        ("G2", base_suite, "delete from landing.ledger", {"base_ledger"}, "no ledger"),
        (
            "G4",
            lambda: scores_suite(without("response", "uplift", "product_value")),
            "drop table scores.offer",
            {"score_offer", "score_uplift", "score_product_value"},
            "no campaigns",
        ),
        (
            "G4",
            lambda: scores_suite(without("attrition")),
            "drop table scores.product_attrition; update scores.customer set p_attrition = null",
            {"score_attrition", "score_product_attrition"},
            "the attrition model is off",
        ),
        (
            "G4",
            lambda: scores_suite(without("default")),
            "drop table scores.account_default; drop table alerts.credit;"
            "update scores.customer set p_default = null",
            {"score_default", "score_account_default", "alert_credit"},
            "the default model is off",
        ),
        (
            "G4",
            lambda: scores_suite(without("high_value")),
            "update scores.customer set p_high_value = null",
            {"score_high_value"},
            "the high_value model is off",
        ),
        (
            "G4",
            lambda: scores_suite(without("segment")),
            "update scores.customer set segment = null",
            {"score_segment"},
            "the segment model is off",
        ),
        (
            "G4",
            lambda: scores_suite(without("clv")),
            "update scores.customer set clv_12m = null, clv_36m = null, value_at_risk = null",
            {"score_clv"},
            "the clv model is off",
        ),
        (
            "G4",
            lambda: scores_suite(()),
            "drop table scores.customer; drop table scores.reason",
            # Abnormal transactions need no model.
            set(scores_suite(()).profiles) - {"alert_transaction"},
            "no model is on",
        ),
        (
            "G3",
            lambda: models_suite(()),
            "drop table meta.model_evaluation; drop table meta.model_drift;"
            "drop table meta.model_monitoring; drop table meta.model_kind",
            {name for name in models_suite(()).profiles if name.startswith("model_")},
            "no model is on",
        ),
    ],
)
def test_a_capability_that_is_off_passes_as_not_judged(
    bank: duckdb.DuckDBPyConnection,
    gate: str,
    suite: Callable[[], Suite],
    off: str,
    subjects: set[str],
    reason: str,
) -> None:
    bank.execute(off)
    outcome = judge(bank, suite(), 7, "run")
    assert outcome.success, outcome.message()
    unjudged = [r for r in outcome.results if r.observed.startswith("not judged: ")]
    assert {r.subject for r in unjudged} == subjects
    assert all(r.success for r in unjudged)
    assert any(reason in r.observed for r in unjudged)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_passes_alone(bank: duckdb.DuckDBPyConnection, model: str) -> None:
    # Some models have neither drift nor monitoring; segments have one figure only.
    for table in ("evaluation", "version", "kind", "drift", "monitoring"):
        bank.execute(f"delete from meta.model_{table} where model_name <> ?", [model])
    outcome = judge(bank, models_suite((model,)), 7, "run")
    assert broken(outcome) == {}, outcome.message()
    assert all(result.judged for result in outcome.results)


def test_a_model_without_drift_or_monitoring_is_not_one_that_drifts(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute("delete from meta.model_drift; delete from meta.model_monitoring")
    bank.execute("delete from meta.model_kind")
    assert broken(judged(bank, "G3")) == {}


@pytest.mark.parametrize("other", ["'9', date '2024-02-01'", "version, date '2023-11-01'"])
def test_only_the_champion_on_the_newest_cohort_is_monitored(
    bank: duckdb.DuckDBPyConnection, other: str
) -> None:
    bank.execute(f"""
        insert into meta.model_monitoring
            (model_name, version, cutoff, judged, metric, value, low, high, rows)
        select model_name, {other}, judged, metric, 3.0, 2.0, 4.0, rows
        from meta.model_monitoring
    """)
    assert broken(judged_about(bank, "G3", "model_monitoring")) == {}


def test_few_events_may_be_many_times_those_before(bank: duckdb.DuckDBPyConnection) -> None:
    # Nobody left, 8 of 54 are expected to: chance makes nothing of so few.
    bank.execute("update base.customer_month set accounts = 1")
    bank.execute("update scores.customer set p_attrition = 8 / 54 where p_attrition is not null")
    assert broken(judged_about(bank, "G4", "score_attrition")) == {}
    bank.execute("update scores.customer set p_attrition = 11 / 54 where p_attrition is not null")
    assert set(broken(judged_about(bank, "G4", "score_attrition"))) == {
        ("score_attrition", "level_ratio")
    }


def test_a_history_shorter_than_the_horizon_has_no_level_to_compare_with(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute("update meta.model_version set horizon_months = 12")
    bank.execute("update scores.customer set p_attrition = 0.9 where p_attrition is not null")
    assert broken(judged_about(bank, "G4", "score_attrition")) == {}


def test_account_probabilities_of_earlier_refreshes_are_not_judged_again(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute(
        "update scores.account_default set p_default = 2 where scored_month < '2024-08-01'"
    )
    assert broken(judged_about(bank, "G4", "score_account_default")) == {}


def test_a_bank_without_borrowers_has_no_account_to_score(
    bank: duckdb.DuckDBPyConnection,
) -> None:
    bank.execute("""
        update base.customer set loans = 0, is_defaulted = false;
        update base.customer_month set loans = 0, is_defaulted = false;
        update scores.customer set p_default = null, default_model_version = null;
        delete from scores.account_default; delete from alerts.credit;
    """)
    assert broken(judged(bank, "G4")) == {}


@pytest.mark.parametrize("gate", SUITES)
def test_a_layer_that_was_not_built_stops_the_gate(gate: str) -> None:
    with duckdb.connect() as connection:
        outcome = judged(connection, gate)
    assert not outcome.success
    assert "build the previous layer" in outcome.message()


def one_rule(sql: str, rule: Rule) -> Suite:
    return Suite("G9", "trial", {"trial": Profile(sql, key=("name",))}, (rule,))


def test_a_rule_that_judges_only_empty_figures_fails() -> None:
    sql = "select 'x' as name, null::double as figure"
    with duckdb.connect() as connection:
        strict = Rule("trial", column_between("figure", low=0), "fail", "m", "c")
        lenient = Rule("trial", column_between("figure", low=0), "fail", "m", "c", nulls="pass")
        assert not judge(connection, one_rule(sql, strict), 1, "run").success
        assert judge(connection, one_rule(sql, lenient), 1, "run").success


def test_a_rule_that_cannot_be_judged_fails() -> None:
    with duckdb.connect() as connection:
        absent = Rule("trial", column_zero("no_such_column"), "fail", "m", "c")
        outcome = judge(connection, one_rule("select 'x' as name", absent), 1, "run")
        assert not outcome.success
        assert "cannot be checked" in outcome.results[0].observed
        present = Rule("trial", row_count_at_least(1), "fail", "m", "c")
        outcome = judge(connection, one_rule("select nothing from nowhere", present), 1, "run")
        assert not outcome.success
        assert "cannot be computed" in outcome.results[0].observed


def test_a_warning_opens_the_gate() -> None:
    rule = Rule("trial", column_zero("figure"), "warn", "m", "c")
    with duckdb.connect() as connection:
        outcome = judge(connection, one_rule("select 'x' as name, 1 as figure", rule), 1, "run")
    assert outcome.success
    assert [r.unexpected for r in outcome.warned] == ["x (figure 1)"]


def test_a_table_as_large_as_the_bank_is_no_profile() -> None:
    rule = Rule("trial", row_count_at_least(1), "fail", "m", "c")
    sql = f"select range as name from range({MOST_PROFILE_ROWS + 1})"
    with duckdb.connect() as connection:
        outcome = judge(connection, one_rule(sql, rule), 1, "run")
        kept = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'profile'"
        ).fetchall()
    assert not outcome.success
    assert kept == [(0,)]


def test_an_expectation_object_is_judged_like_its_type_and_arguments() -> None:
    import great_expectations as gx

    by_object = gx.expectations.ExpectColumnValuesToBeBetween(column="figure", max_value=1)
    with duckdb.connect() as connection:
        for figure, success in ((1, True), (2, False)):
            rule = Rule("trial", by_object, "fail", "m", "c")
            sql = f"select 'x' as name, {figure} as figure"
            assert judge(connection, one_rule(sql, rule), 1, "run").success is success


def test_a_rule_about_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Suite("G9", "trial", {}, (Rule("nowhere", column_zero("x"), "fail", "m", "c"),))


def test_results_replace_those_of_the_build_before(bank: duckdb.DuckDBPyConnection) -> None:
    bank.execute(
        # As an older release may have left it: fewer columns, another suite's rows.
        "create table meta.gate_result (gate varchar, suite varchar, expectation varchar,"
        " severity varchar, success boolean, observed varchar, build_number bigint,"
        " run_id varchar, subject varchar, cure varchar);"
        "insert into meta.gate_result values"
        " ('G1', 'abandoned', 'e', 'fail', false, '', 3, 'old', 's', 'c'),"
        " ('G2', 'base', 'e', 'fail', true, '', 3, 'old', 's', 'c')"
    )
    outcome = judged(bank, "G1")
    judged(bank, "G1")
    kept = bank.execute(
        "select gate, suite, build_number, run_id, count(*) from meta.gate_result"
        " group by all order by all"
    ).fetchall()
    assert kept == [
        ("G1", "landing", 7, "run", len(outcome.results)),
        ("G2", "base", 3, "old", 1),
    ]


@pytest.mark.slow
def test_judging_twice_gives_the_same_small_profiles_without_a_connection_or_a_file(
    bank: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a gate reached for the network")

    def profiles() -> dict[str, list[tuple]]:
        for gate in SUITES:
            judged(bank, gate)
        names = bank.execute(
            "select table_name from information_schema.tables where table_schema = 'profile'"
        ).fetchall()
        return {name: bank.execute(f"select * from profile.{name}").fetchall() for (name,) in names}

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.chdir(tmp_path)
    first = profiles()
    assert first == profiles()
    # Eight months: the largest has a row a month and statement.
    assert max(len(rows) for rows in first.values()) < 200
    assert list(tmp_path.iterdir()) == []


def test_the_suites_are_declared_without_importing_great_expectations() -> None:
    code = (
        "import sys; from expectations.suites import *; import expectations.gate,"
        " reports; landing_suite([]); base_suite(); models_suite(); scores_suite();"
        " assert not {'great_expectations', 'pandas', 'dagster', 'altair'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_report_opens_without_a_network_and_shows_broken_rules(
    bank: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bank.execute("delete from landing.transaction where month = date '2024-05-01'")
    # A file's name comes from outside: it must not become markup.
    bank.execute("update meta.input_file set path = '/in/<img onerror=alert(1)>.csv'")
    outcome = judged(bank, "G1")
    path = render_report(bank, tmp_path / "reports" / "gates.html")
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|url\(|@import|https?://""", page)
    assert "<script" not in page
    assert "<img" not in page and "&lt;img onerror=alert(1)&gt;.csv" in page
    for result in outcome.failed:
        assert found_words(result.unexpected) in page
    # Broken rules stand before those that hold.
    assert page.index("Broken rules") < page.index("2024-05 (bookings 0)")
    assert page.index("2024-05 (bookings 0)") < page.index("Rules that hold")
    assert re.search(r'class="mark stopped">stopped', page)
    assert page.count('class="mark not judged"') == len(SUITES) - 1
    # Eight months, one of them missing.
    missing = re.findall(r'fill="var\(--bad\)"><title>([^<]*)</title>', page)
    assert missing and set(missing) <= {"2024-05: 0", "2024-05: –"}
    assert len(missing) == len(re.findall(r"<title>2024-05: (?:0|–)</title>", page))
    assert ".draft" not in {p.suffix for p in path.parent.iterdir()}


@pytest.mark.slow
def test_the_report_shows_no_quarantined_value(
    bank: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    bank.execute("update quarantine.transaction set value = 'Novakova Jana'")
    # An earlier row of a later file is not the first.
    bank.execute(
        "insert into quarantine.transaction values"
        " ('/in/z.csv', 3, 'reference', 'account_id', 'Novakova Jana', null)"
    )
    for gate in SUITES:
        judged(bank, gate)
    page = render_report(bank, tmp_path / "gates.html").read_text(encoding="utf-8")
    assert re.search(r"<td>reference</td>.*/in/transaction.csv and 1 more.*>17</td>", page)
    assert "Novakova" not in page
    everything = bank.execute("select string_agg(columns(*)::varchar, ' ') from meta.gate_result")
    assert "Novakova" not in str(everything.fetchall())


def test_an_empty_warehouse_still_gives_a_report(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        page = render_report(connection, tmp_path / "gates.html").read_text(encoding="utf-8")
    assert "Nothing was judged yet" in page

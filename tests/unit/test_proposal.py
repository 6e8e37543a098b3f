"""Reference data proposed from a release whose figures are worked by hand; what is refused."""

from __future__ import annotations

import csv
import os
import re
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.platform.reference import (
    column_types,
    digest,
    digest_of,
    files_in_force,
    prepare_reference,
    rows_of,
)
from orchestration.platform.releases import ReleaseRefused
from orchestration.platform.settings import Settings
from orchestration.valuation.portfolios import product_rules
from orchestration.valuation.proposal import (
    README,
    ProposalRefused,
    line_factors,
    periods,
    propose,
)

# Twelve accounts each: product, line, tenor, balance, interest, loss, transfer result of a month.
# A year is 12 x a month: TERM06 is paid 1.8 %, TERM12 2.4 %; MORTGAGE is charged 4.8 % less a loss
# of 0.6 %, CONSUMER 9 % less 0.6 %; the transfer price of all is 3 %. STAFF holds a hundredth.
ACCOUNTS = """
    select product_id || number as account_id, *, month + interval 0 day as on_day
    from (values
        ('TERM06', 'deposits', 6, 1000.00, 1.50, 0, 2.50),
        ('TERM12', 'deposits', 12, 1000.00, 2.00, 0, 2.50),
        ('CURRENT', 'deposits', null, 90.00, 0, 0, 0.225),
        ('MORTGAGE', 'lending', 60, -10000.00, 40.00, 5.00, -25.00),
        ('CONSUMER', 'lending', 24, -4000.00, 30.00, 2.00, -10.00),
        ('STAFF', 'lending', 24, -100.00, 0.10, 0, -0.25)
    ) as product(product_id, product_line, curve_tenor, balance, interest, loss, transfer),
    range(12) as account(number), (values (date '2024-12-01')) as calendar(month)
"""
RELEASE = f"""
create schema meta; create schema base; create schema value;
create table meta.release as select 'r1' as release_id, '2024-12' as as_of;
create table accounts as {ACCOUNTS};
create table value.account_month as
select account_id, month, product_id, product_line, curve_tenor,
    '*' as curve_currency, if(curve_tenor is null, null, month) as curve_month,
    balance::decimal(18, 2) as average_balance,
    interest::decimal(18, 2) as interest_expense, interest::decimal(18, 2) as interest_income,
    transfer::decimal(18, 3) as transfer_result, 0.00::decimal(18, 2) as funded_by_capital,
    null::decimal(9, 6) as overdrawn_price,
    1 as stage, loss::decimal(18, 2) as expected_loss, 0::decimal(18, 2) as provision_change,
    0::decimal(18, 2) as realised_loss, 0::decimal(18, 2) as direct_cost,
    0::decimal(18, 2) as overhead
from accounts;
create table value.customer_rate as
select * from (values ('deposits', true), ('lending', false)) as line(product_line, is_paid);
create table value.product_parameter as
select distinct product_id, month, true as is_funded, 0::decimal(9, 4) as maintenance_cost,
    365 as day_count
from accounts;
create table value.transfer_curve (
    currency varchar, month date, tenor_months integer, annual_rate decimal(9, 6)
);
create table base.account as select account_id, date '2020-06-30' as opened_on from accounts;
create table base.account_holder (account_id varchar, customer_id varchar, role varchar);
create table base.customer (customer_id varchar, customer_kind varchar);
create table base.account_month as
select account_id, month, 31 as days_open, null::integer as days_past_due,
    null::varchar as currency, null::decimal(18, 8) as average_rate
from accounts;
create table value.credit_risk (
    account_id varchar, month date, is_in_default boolean, exposure decimal(18, 2)
);
create table value.residual (
    month date, residual varchar, product_line varchar, amount decimal(18, 2)
);
create table base.operating_cost (month date, product_line varchar, amount decimal(18, 2));
create table base.account_result (
    account_id varchar, month date, item varchar, amount decimal(18, 2)
);
create table meta.reference_data (seed varchar, sha256 varchar);
"""
COSTS = """
insert into base.operating_cost values
    ('2024-12-01', 'deposits', 310.00), ('2024-12-01', 'lending', 200.00);
insert into value.residual values
    ('2024-12-01', 'adjustment: operating_cost', 'deposits', 10.00),
    ('2024-12-01', 'unused capacity', 'deposits', 99.00);
insert into base.account_result values ('TERM060', '2024-12-01', 'tax', 7.00);
update value.account_month set direct_cost = 107.00, overhead = 100.00
where account_id = 'TERM060';
update value.account_month set direct_cost = 50.00, overhead = 60.00
where account_id = 'MORTGAGE0';
update value.product_parameter set maintenance_cost = 40.0000 / 12 where product_id = 'TERM06';
update value.product_parameter set maintenance_cost = 2.5 where product_id = 'MORTGAGE';
"""
# At the end of 2023: 400 accounts without days past due, 6 of them in default in 2024; 50 with 10.
DEFAULTS = """
insert into value.credit_risk
select 'L' || number, month, number < 6 and month = '2024-05-01', 100.00
from range(450) as loan(number),
    (values (date '2023-12-01'), (date '2024-05-01'), (date '2024-12-01')) as calendar(month);
insert into base.account_month (account_id, month, days_open, days_past_due)
select account_id, month, 31, if(substr(account_id, 2)::integer < 400, 0, 10)
from value.credit_risk;
"""
# A hundred accounts over 36 months: of 1,000,000.00, 2 % leave in a month. The curve at one month
# moves by 0.25 points in six months of each year, and half of each move is paid at once. The curve
# of another currency is level.
BEHAVIOUR = """
create table calendar as
select row_number() over (order by month) - 1 as number, month::date as month,
    0.03 + 0.0025 * (number % 12 % 4 = 1)::integer + 0.0025 * (number % 12 = 6)::integer as market
from range(timestamp '2022-01-01', timestamp '2025-01-01', interval 1 month) as given(month);
insert into value.transfer_curve
select '*', month, unnest([1, 24]), market from calendar;
insert into value.transfer_curve select 'XAU', month, 1, 0.05 from calendar;
insert into value.product_parameter
select 'SAVINGS', month, true, 0, 365 from calendar;
insert into base.account select 'S' || number, '2020-06-30' from range(100) as held(number);
insert into value.account_month
    (account_id, month, product_id, product_line, curve_currency, average_balance,
     interest_expense, stage, funded_by_capital, transfer_result, expected_loss,
     provision_change, realised_loss, direct_cost, overhead)
select account_id, month, 'SAVINGS', 'deposits', '*', balance, round(
    balance * (0.01 + (market - 0.03) / 2) * day(last_day(month)) / 365, 2
), 1, 0, round(balance * 0.03 / 12, 3), 0, 0, 0, 0, 0
from base.account, (select *, round(1000000 * 0.98 ** number, 2) as balance from calendar)
where account_id[1] = 'S' and account_id not like 'STAFF%';
insert into base.account_month (account_id, month)
select account_id, month from value.account_month where product_id = 'SAVINGS';
"""
# The same accounts in dollars, at a rate that rises by 3 % a month, and one beside them in the
# bank's currency; the dollar curve moves, that of the bank's currency does not.
ABROAD = """
update value.transfer_curve
set currency = case currency when '*' then 'USD' else '*' end;
update base.account_month
set currency = 'USD',
    average_rate = round(0.9 * 1.03 ** datediff('month', date '2022-01-01', month), 8)
where account_id[1] = 'S' and account_id not like 'STAFF%';
update value.account_month as valued
set curve_currency = 'USD', average_balance = round(average_balance * held.average_rate, 2),
    interest_expense = round(interest_expense * held.average_rate, 2)
from base.account_month as held
where valued.account_id = held.account_id and valued.month = held.month
    and held.currency = 'USD';
insert into base.account values ('ALONE', '2020-06-30');
insert into base.account_month (account_id, month) select 'ALONE', month from calendar;
insert into value.account_month
select * replace ('ALONE' as account_id, '*' as curve_currency, 7.00 as average_balance)
from value.account_month where account_id = 'S0';
"""


def empty_home(folder: Path) -> Settings:
    settings = Settings(home=folder / "home")
    (settings.published / "releases").mkdir(parents=True)
    settings.scratch.mkdir(parents=True)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return empty_home(tmp_path)


def publish(settings: Settings, *statements: str) -> None:
    with duckdb.connect(str(settings.published / "current.duckdb")) as connection:
        for statement in (RELEASE, *statements):
            connection.execute(statement)
        for seed, path in files_in_force(settings).items():
            connection.execute(
                "insert into meta.reference_data values (?, ?)", [seed, digest(path)]
            )


def read(found: dict, seed: str) -> list[dict[str, str]]:
    with Path(found["folder"], f"{seed}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_curve_lies_in_the_middle_of_deposits_and_the_tightest_loans(settings):
    """Above the price of 3 %: TERM06 -1.2, TERM12 -0.6, deposits with a term together -0.9;
    MORTGAGE 4.8 - 0.6 - 3 = 1.2, CONSUMER 5.4, STAFF -1.8 and too small. Half the spread:
    (1.2 + 0.9) / 2 = 1.05.

    6 months: -1.2 + 1.05 = -0.15; 12: -0.6 + 1.05 = 0.45; 60: 1.2 - 1.05 = 0.15; the other points:
    the middle of -0.9 and 1.2 = 0.15.
    """
    publish(settings)
    found = propose(settings)
    moved = {6: "0.028500", 12: "0.035500", 60: "0.035500", 1: "0.029500", 120: "0.036500"}
    curve = {int(row["tenor_months"]): row["annual_rate"] for row in read(found, "transfer_curve")}
    assert {tenor: curve[tenor] for tenor in moved} == moved and len(curve) == 8
    assert {row["effective_from"] for row in read(found, "transfer_curve")} == {"1900-01-01"}
    readme = Path(found["folder"], README).read_text()
    assert "loans with a term: MORTGAGE" in readme and "1.05 percentage points" in readme
    assert "| 1900-01-01 | paid | 6 | 12 | 12 | 1 | 12000.00 | 1.80 | 0.00 |" in readme
    assert found["kept"].keys() == {
        *("activity_unit_cost", "account_maintenance_cost", "risk_rating"),
        "replicating_portfolio",
    }
    assert "CURRENT: run-off: 0 accounts" in found["kept"]["replicating_portfolio"]
    assert "| CURRENT | 0 | 0 | not estimated |" in readme


def test_a_currency_with_enough_accounts_has_a_curve_of_its_own(settings, tmp_path):
    """TERM06 is in dollars and TERM12 in yen, of which there are nine. In dollars one side alone,
    paid 1.8 % at a price of 3 %: the curve falls by 1.2, from that of dollars, 4 %, to 2.8 %. In
    the bank's currency no deposit has a term, those without one have no interest: MORTGAGE alone,
    1.2 above. Pounds have no accounts: their curve stays."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "transfer_curve.csv").write_text(
        "currency,effective_from,tenor_months,annual_rate\n"
        ",1900-01-01,1,0.03\nUSD,1900-01-01,6,0.04\nGBP,1900-01-01,1,0.050000\n"
    )
    given = settings.model_copy(update={"reference_path": own})
    publish(
        given,
        "update base.account_month set currency = 'USD' where account_id like 'TERM06%'",
        "update base.account_month set currency = 'JPY' where account_id like 'TERM12%'",
        "delete from value.account_month where account_id in ('TERM129', 'TERM1210', 'TERM1211')",
    )
    found = propose(given)
    assert [list(row.values()) for row in read(found, "transfer_curve")] == [
        ["", "1900-01-01", "1", "0.042000"],
        ["USD", "1900-01-01", "6", "0.028000"],
        ["GBP", "1900-01-01", "1", "0.050000"],
    ]
    readme = Path(found["folder"], README).read_text()
    assert "- USD: only one side is known: this is the lowest curve" in readme
    assert "- the bank's currency: only one side is known: this is the highest curve" in readme
    assert "- JPY: no side has 10 accounts" in readme
    assert "| USD | 1900-01-01 | paid | 6 | 12 | 12 | 1 | 12000.00 | 1.80 |" in readme


def test_one_side_alone_bounds_the_curve(settings):
    """Deposits without a term: 12 x 0.21 / 90 = 2.8 % paid, 3 % earned: the curve falls by 0.2."""
    publish(
        settings,
        "delete from value.account_month where product_id <> 'CURRENT'",
        "update value.account_month set interest_expense = 0.21",
    )
    found = propose(settings)
    curve = {int(row["tenor_months"]): row["annual_rate"] for row in read(found, "transfer_curve")}
    assert curve[1] == "0.026000" and curve[120] == "0.033000"
    assert len(found["observed"]["transfer_curve"]) == 1
    assert "this is the lowest curve" in Path(found["folder"], README).read_text()


def test_a_period_begins_where_the_level_moved():
    def year(number: int, rate: float, months: int = 12) -> dict:
        return {
            **{"starts_on": date(number, 1, 1), "rate": rate, "loss_rate": 0.0, "months": months},
            "transfer_price": 0.03,
        }

    years = [
        *(year(2020, 0.010), year(2021, 0.012), year(2022, 0.0126), year(2023, 0.030)),
        *(year(2024, 0.031), year(2025, 0.010, months=5)),
    ]
    assert periods(years) == [date(1900, 1, 1), date(2022, 1, 1), date(2023, 1, 1)]


def test_proposed_costs_absorb_the_ledgers_costs_in_full(settings):
    """Left of 510: less pools 160 and the adjustment 10: 340; charged by rates 100 (107 less the
    tax) + 50: factor 340 / 150 = 2.266667.

    Deposits: bookings 60 x 2.266667 = 136; 310 - 110 - 136 = 64 for maintenance 40: 1.6. Lending:
    20 x 2.266667 = 45.33; 200 - 60 - 45.33 = 94.67 for 30: 3.155556.
    """
    publish(settings, COSTS)
    found = propose(settings)
    unit = {(r["channel"], r["kind"]): r["unit_cost"] for r in read(found, "activity_unit_cost")}
    assert unit["branch", "*"] == "4.5333" and unit["system", "*"] == "0.0227"
    monthly = {
        r["product_line"]: r["monthly_cost"] for r in read(found, "account_maintenance_cost")
    }
    assert monthly["deposits"] == "0.6400" and monthly["lending"] == "4.7333"
    assert monthly["cards"] == "1.3600" and monthly["*"] == "0.9067"


def test_a_line_below_zero_takes_the_factor_of_the_bank():
    line = {"operating_cost": Decimal(90), "pools": Decimal(50), "direct_cost": Decimal(30)}
    lines = [
        {**line, "product_line": "deposits", "maintenance": Decimal(10)},
        {**line, "product_line": "lending", "maintenance": Decimal(5)},
    ]
    # 90 - 50 - 1 x 20 = 20 for 10, and 90 - 50 - 1 x 25 = 15 for 5.
    assert line_factors(lines, Decimal(1)) == {"deposits": Decimal(2), "lending": Decimal(3)}
    assert line_factors(lines, Decimal(2)) == {}
    # A cost without accounts to charge it to.
    assert line_factors([{**lines[0], "maintenance": Decimal(0)}], Decimal(1)) == {}


def test_defaults_within_a_year_make_the_rating(settings):
    """(6 + 0.5) / (400 + 1) = 0.016209; 50 accounts do not show the band of 1 to 29 days."""
    publish(settings, DEFAULTS)
    found = propose(settings)
    assert [row["pd_annual"] for row in read(found, "risk_rating")] == [
        *("0.016209", "0.050000", "0.200000", "0.450000", "1.000000"),
    ]


@pytest.mark.parametrize(
    ("companies", "tenor", "currency"),
    [
        # 2 x 50 - 1: an average unit stays 1 / 0.02 months.
        (49, "99", ""),
        # With the cap of 48 months for wholesale deposits.
        (51, "95", ""),
        # In dollars, whatever the exchange rate does.
        (49, "99", ABROAD),
    ],
)
def test_a_planted_decay_and_beta_make_the_portfolio(settings, companies, tenor, currency):
    """No month departs from the trend: all is stable, and half of it does not follow the market.
    Half lies at twice the average life, less one."""
    holders = f"""
    insert into base.customer values ('C', 'corporate');
    insert into base.account_holder
    select account_id, 'C', 'owner' from base.account
    where account_id in (select 'S' || number from range({companies}) as held(number))
    """
    publish(settings, BEHAVIOUR, currency, holders)
    found = propose(settings)
    portfolios = [list(row.values()) for row in read(found, "replicating_portfolio")]
    assert portfolios == [
        *(["deposit", "1900-01-01", "1", "0.500000"], ["deposit", "1900-01-01", "24", "0.500000"]),
        ["revolving", "1900-01-01", "6", "1.000000"],
        ["deposit_SAVINGS", "1900-01-01", "1", "0.500000"],
        ["deposit_SAVINGS", "1900-01-01", tenor, "0.500000"],
    ]
    rules = read(found, "transfer_rule")
    assert [row["product_id"] for row in rules].count("*") == 7
    assert list(rules[-1].values()) == [
        *("deposits", "SAVINGS", "1900-01-01", "deposit_SAVINGS", "revolving", "", "term", "true")
    ]
    readme = Path(found["folder"], README).read_text()
    assert "| SAVINGS | 100 | 36 | 2.00 % (2.00 to 2.00) | 50.00 (50.00 to 50.00) |" in readme
    assert "deposit: 0.5000 at 1, 0.5000 at 24 (average life 6.8)" in readme
    assert "keeps the portfolio in force: CURRENT: run-off: 0 accounts" in readme
    # The form, as a refresh checks it.
    own = settings.model_copy(update={"reference_path": Path(found["folder"])})
    assert rows_of(own, "transfer_rule") == rules


def test_a_products_rule_follows_those_that_price_it():
    """Its line's from 2023 on, and the time in which it funds nothing stays without a portfolio."""

    def rule(line: str, product: str, day: str, portfolio: str, repricing: str) -> dict[str, str]:
        return {
            **{"product_line": line, "product_id": product, "effective_from": day},
            **{"portfolio": portfolio, "repricing_months": repricing},
        }

    given = [
        rule("*", "*", "1900-01-01", "deposit", ""),
        rule("deposits", "*", "2023-01-01", "deposit", "60"),
        rule("deposits", "A", "2024-01-01", "(none)", "12"),
        rule("lending", "*", "1900-01-01", "revolving", ""),
    ]
    assert product_rules(given, "deposits", "A", "own") == [
        *(given[0], given[1], given[3]),
        rule("deposits", "A", "1900-01-01", "own", ""),
        rule("deposits", "A", "2023-01-01", "own", "60"),
        rule("deposits", "A", "2024-01-01", "(none)", "12"),
    ]


def test_the_proposal_includes_the_banks_other_files_and_overwrites_no_folder(settings, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.12\n")
    publish(settings)
    given = settings.model_copy(update={"reference_path": own})
    target = tmp_path / "proposal"
    found = propose(given, target)
    assert (target / "hurdle_rate.csv").read_bytes() == (own / "hurdle_rate.csv").read_bytes()
    assert "hurdle_rate" in (target / README).read_text()
    with pytest.raises(ProposalRefused, match="FORCE=1"):
        propose(given, target)
    (target / "risk_rating.csv").write_text("of an earlier proposal")
    (target / "note.txt").write_text("of an earlier proposal")
    chinese = given.model_copy(update={"language": "zh"})
    assert propose(chinese, target, force=True) == found
    assert (target / README).read_text().startswith("# 参考数据建议")
    assert propose(given, target, force=True) == found
    assert not (target / "note.txt").exists()
    assert "of an earlier" not in (target / "risk_rating.csv").read_text()
    with pytest.raises(ProposalRefused, match="Name another folder"):
        propose(given, own, force=True)


def test_what_is_not_proposed_is_there_as_it_is_in_force(settings, tmp_path, monkeypatch):
    """A bank sees every file that it may change. Unchanged ones count as the defaults that they
    are, so that a refresh on the folder differs by the proposals alone."""
    publish(settings)
    target = tmp_path / "new" / "folder"
    found = propose(settings, target)
    proposed = {one["seed"] for one in found["proposed"]}
    assert proposed == {"transfer_curve"}
    assert {path.stem for path in target.glob("*.csv")} == column_types().keys()
    assert set(found["unchanged"]) == column_types().keys() - proposed
    own = settings.model_copy(update={"reference_path": target})
    in_force, defaults = files_in_force(own), files_in_force(settings)
    assert {seed for seed in in_force if in_force[seed] != defaults[seed]} == proposed
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(target / "transfer_curve.csv", alone)
    assert digest_of(own) == digest_of(settings.model_copy(update={"reference_path": alone}))
    (target / "transfer_curve.csv").unlink()
    assert digest_of(own) == digest_of(settings)
    # The variables are set anew, and as they were after the test.
    for name in ("DBT_REFERENCE", "DBT_REFERENCE_SEEDS"):
        monkeypatch.setenv(name, "of another test")
    prepare_reference(own)
    assert os.environ["DBT_REFERENCE_SEEDS"] == ""
    (target / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.12\n")
    assert rows_of(own, "hurdle_rate")[0]["annual_rate"] == "0.12"
    assert digest_of(own) != digest_of(settings)


@pytest.mark.parametrize(
    ("language", "proposal", "default", "own"),
    [
        ("en", "proposal from the bank's records", "unchanged default", "the bank's own file"),
        ("zh", "根据本行记录推算的建议", "系统默认值，未改", "本行原有文件"),
    ],
)
def test_the_readme_marks_what_is_proposed_in_the_language(
    settings, tmp_path, language, proposal, default, own
):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,0.12\n")
    publish(settings)
    given = settings.model_copy(update={"reference_path": folder, "language": language})
    readme = Path(propose(given)["folder"], README).read_text()
    marked = {line.split("`")[1]: line for line in readme.splitlines() if line.startswith("| `")}
    assert len(marked) == len(column_types())
    assert proposal in marked["transfer_curve.csv"] and own in marked["hurdle_rate.csv"]
    assert sum(default in line for line in marked.values()) == len(marked) - 2
    if language == "zh":
        assert not re.search("[a-z] [a-z]+ [a-z]", re.sub("`.*?`", "", readme))


def test_a_proposal_without_the_needed_data_is_refused(settings, tmp_path):
    with pytest.raises(ReleaseRefused, match="no release"):
        propose(settings)
    publish(settings, "delete from value.account_month")
    with pytest.raises(ProposalRefused, match="neither deposits nor loans"):
        propose(settings)
    own = tmp_path / "own"
    own.mkdir()
    (own / "transfer_curve.csv").write_text(
        "currency,effective_from,tenor_months,annual_rate\n,1900-01-01,1,0.02\n"
    )
    with pytest.raises(ProposalRefused, match="REFERENCE_PATH .* transfer_curve differ"):
        propose(settings.model_copy(update={"reference_path": own}))
    assert not settings.reference_proposal.exists()

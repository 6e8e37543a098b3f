"""Reference data proposed from a release whose figures are worked by hand; what is refused."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.platform.reference import digest, files_in_force
from orchestration.platform.releases import ReleaseRefused
from orchestration.platform.settings import Settings
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
    if(curve_tenor is null, null, month) as curve_month, balance::decimal(18, 2) as average_balance,
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
select distinct product_id, month, true as is_funded, 0::decimal(9, 4) as maintenance_cost
from accounts;
create table base.account_month as
select account_id, month, 31 as days_open, null::integer as days_past_due from accounts;
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
insert into base.account_month
select account_id, month, 31, if(substr(account_id, 2)::integer < 400, 0, 10)
from value.credit_risk;
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    (settings.published / "releases").mkdir(parents=True)
    settings.scratch.mkdir(parents=True)
    return settings


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
    }


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
    assert propose(given, target, force=True) == found
    assert not (target / "risk_rating.csv").exists()
    with pytest.raises(ProposalRefused, match="Name another folder"):
        propose(given, own, force=True)


def test_a_proposal_without_the_needed_data_is_refused(settings, tmp_path):
    with pytest.raises(ReleaseRefused, match="no release"):
        propose(settings)
    publish(settings, "delete from value.account_month")
    with pytest.raises(ProposalRefused, match="neither deposits nor loans"):
        propose(settings)
    own = tmp_path / "own"
    own.mkdir()
    (own / "transfer_curve.csv").write_text(
        "effective_from,tenor_months,annual_rate\n1900-01-01,1,0.02\n"
    )
    with pytest.raises(ProposalRefused, match="REFERENCE_PATH .* transfer_curve differ"):
        propose(settings.model_copy(update={"reference_path": own}))
    assert not settings.reference_proposal.exists()

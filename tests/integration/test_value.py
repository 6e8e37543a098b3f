"""The value layer against a recomputation in plain Python, against itself, and with faults planted.

Every account month is recomputed from the bank's rows and the seeds, every roll-up from the account
months. Then single cents and wrong reference data are planted: each must be found where it is.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.valuation.proposal import propose
from orchestration.valuation.reference_files import FILES
from sources.contract import RESULT_ITEMS
from tests.integration.bank import (
    CENT,
    COST_ALONE,
    FIRST,
    LAST,
    LEDGER_MONTHS,
    MONTHS,
    REFERENCE,
    Bank,
    compiled,
    content,
    dbt,
    figures,
    lay_reference,
    month_end,
    run_dbt,
)
from tests.integration.recomputed import (
    ADDITIVE,
    MEASURES,
    NOBODY,
    Reference,
    Row,
    Valuation,
    beneficiaries,
    by_channel,
    credited_shares,
    customer_attribute,
    held_shares,
    months_later,
    movements,
    rounded,
    sales,
    summed,
    tiers,
    valued,
)
from tests.unit.test_proposal import BEHAVIOUR, empty_home, publish

ROLL_UPS = (
    "customer",
    "household",
    "group",
    "kind",
    "product",
    "branch",
    "line",
    "channel",
    "district",
    "vintage",
    "pro_forma_branch",
    "pro_forma_manager",
    "credited",
    "manager",
    "seller",
    "tier",
    "decile",
)
LEDGER_ACCOUNTS = ("interest_income", "interest_expense", "fee_income", "customer_balance")
MONTH = date(2023, 9, 1)
TREASURY = ("treasury", "net_interest_margin")
ACCRUAL = "accrual", "net_interest"
COST = "operating cost", "operating_cost"
COST_MONTHS = (*LEDGER_MONTHS[:2], COST_ALONE)


def rows_of(path: Path, table: str, where: str = "true") -> list[Row]:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(f"select * from {table} where {where} order by all")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def differences(built: dict[Any, Any], expected: dict[Any, Any]) -> list[Any]:
    """What differs, one figure each: key, column, built, expected."""
    wrong: list[Any] = [(key, "missing") for key in sorted(set(expected) - set(built), key=str)]
    wrong += [(key, "too many") for key in sorted(set(built) - set(expected), key=str)]
    for key in built.keys() & expected.keys():
        if isinstance(built[key], dict):
            assert built[key].keys() == expected[key].keys()
            wrong += [
                (key, name, figure, expected[key][name])
                for name, figure in built[key].items()
                if figure != expected[key][name]
            ]
        elif built[key] != expected[key]:
            wrong.append((key, built[key], expected[key]))
    return wrong


@pytest.fixture(scope="module")
def seeds(reference: Path) -> Reference:
    return Reference(reference)


@pytest.fixture(scope="module")
def valuation(bank: Bank, seeds: Reference) -> Valuation:
    return valued(bank, seeds)


@pytest.fixture(scope="module")
def atoms(whole: Path) -> list[Row]:
    return rows_of(whole, "value.account_month")


@pytest.fixture(scope="module")
def customer_profit(bank: Bank, atoms: list[Row]) -> dict[tuple[str, date], Row]:
    shares = held_shares(bank, atoms, ADDITIVE)
    return summed(shares, lambda row: (row["customer_id"], row["month"]))


def scored_before(bank: Bank, account: str, month: date) -> date | None:
    return max((when for key, when in bank.scored if key == account and when < month), default=None)


def test_the_test_bank_holds_every_case_of_the_recomputation(bank, valuation):
    """What the recomputation compares must be there: a case that never occurs tests nothing."""
    atoms = list(valuation.account_month.values())
    assert len(atoms) > 900
    for column in ("interest_income", "interest_expense", "fee_income", "overhead", "exposure"):
        assert sum(row[column] > 0 for row in atoms) > 50, column
    assert {row["transfer_price"] for row in atoms if row["product_line"] == "agency"} >= {0}
    assert len({row["transfer_price"] for row in atoms}) > 80
    assert sum(row["average_balance"] is None for row in atoms) > 10
    assert sum(bool(row["accrued_interest"]) for row in atoms) > 100
    assert sum(key[1] == "interest not booked" for key in valuation.residual) > 50
    assert {row["item"] for row in bank.rows["account_result"]} == set(RESULT_ITEMS)
    assert sum(row["overdrawn_price"] is not None for row in atoms) > 50
    assert sum(row["transfer_result"] < 0 for row in atoms) > 50
    owners = {row["account_id"] for row in bank.rows["account_holder"] if row["role"] == "owner"}
    assert any(row["account_id"] not in owners for row in atoms)
    assert any(row["branch_id"] is None for row in atoms)
    unallocated = {key[1] for key, amount in valuation.residual.items() if amount > 0}
    assert "unallocated overhead: night_desk" in unallocated
    modelled = [row for row in atoms if row["default_model_version"] and row["exposure"] > 0]
    assert len(modelled) > 100
    # Those of 2021 were old before the first month.
    assert {row["default_model_version"] for row in modelled} == {"2022", "2023", "2024"}
    assert sum(row["expected_loss"] > 0 for row in atoms if not row["default_model_version"]) > 50
    built = valuation.account_month
    newest = {key: scored for key in built if (scored := scored_before(bank, *key))}
    by_table = {key for key in newest if not built[key]["default_model_version"]}
    too_old = {key for key in by_table if key[1] > months_later(newest[key], 12)}
    in_default = by_table - too_old
    assert sum(built[key]["expected_loss"] > 0 for key in too_old) > 5
    assert len(in_default) > 5
    assert sum(key in bank.scored and built[key]["expected_loss"] > 0 for key in built) > 50
    credit = list(valuation.credit_risk.values())
    for column in ("provision", "provision_change", "realised_loss"):
        assert sum(row[column] != 0 for row in credit) > 10, column
    assert {row["stage"] for row in credit} == {1, 2, 3, None}
    assert sum(row["realised_loss"] < 0 for row in credit) > 5
    sold = sales(bank)
    assert len({employee for _, employee in sold.values()}) == 3
    assert sold["A011"] == (date(2024, 3, 1), "E2")


@pytest.mark.parametrize("given", ["awkward", pytest.param("bare", marks=pytest.mark.slow)])
def test_every_account_month_equals_its_recomputation(given, request):
    if given == "awkward":
        path, expected = request.getfixturevalue("whole"), request.getfixturevalue("valuation")
    else:
        path = request.getfixturevalue("bare")
        expected = valued(request.getfixturevalue("bare_bank"), Reference())
    built = {(r["account_id"], r["month"]): r for r in rows_of(path, "value.account_month")}
    assert differences(built, expected.account_month) == []
    risk = {(r.pop("account_id"), r.pop("month")): r for r in rows_of(path, "value.credit_risk")}
    assert differences(risk, expected.credit_risk) == []
    pools = {
        (r["pool"], r["product_line"], r["branch_id"], r["month"]): (r["driver_units"], r["amount"])
        for r in rows_of(path, "value.overhead_pool")
    }
    assert differences(pools, expected.overhead_pool) == []
    residual = {
        (r["month"], r["residual"], r["branch_id"], r["product_line"]): r["amount"]
        for r in rows_of(path, "value.residual")
    }
    assert differences(residual, expected.residual) == []


def test_every_roll_up_equals_the_account_months(bank, seeds, whole, atoms, customer_profit):
    """By ownership, attributes at the end of the month, sales and standing in the year."""
    customers = [
        {**row, "customer_id": customer, "month": month}
        for (customer, month), row in customer_profit.items()
    ]
    held = beneficiaries(bank)
    unpriced = {
        (customer, atom["month"])
        for atom in atoms
        if atom["closing_balance"] is None
        for customer in held.get(atom["account_id"], [])
    }
    assert unpriced
    sold, standing = sales(bank), tiers(customer_profit, seeds, MONTHS, unpriced)
    attribute = {
        name: customer_attribute(bank, name)
        for name in (*("household_id", "group_id", "customer_kind", "district_id", "employee_id"),)
    }

    def by(name):
        return lambda row: (attribute[name](row["customer_id"], row["month"]), row["month"])

    def seller(row):
        month, employee = sold.get(row["account_id"], (LAST, NOBODY))
        return employee if row["month"] >= month else NOBODY, row["month"]

    def place(position, nowhere):
        return lambda row: (
            standing.get((row["customer_id"], row["month"]), {position: nowhere})[position]
            or nowhere,
            row["month"],
        )

    opened = {row["account_id"]: row["opened_on"] for row in bank.rows["account"]}

    def vintage(row):
        begun, month = opened[row["account_id"]], row["month"]
        is_new = month < months_later(begun.replace(day=1), 12)
        return "new" if is_new else "existing", begun.year, month

    def of_today(row):
        return attribute["employee_id"](row["customer_id"], LAST), row["month"]

    def own(name):
        return lambda row: (row[name] or NOBODY, row["month"])

    expected = {
        "profit_by_customer": (("customer_id",), customer_profit),
        "profit_by_household": (("household_id",), summed(customers, by("household_id"))),
        "profit_by_group": (("group_id",), summed(customers, by("group_id"))),
        "profit_by_kind": (("customer_kind",), summed(customers, by("customer_kind"))),
        "profit_by_district": (("district_id",), summed(customers, by("district_id"))),
        "profit_by_tier": (("tier",), summed(customers, place(0, NOBODY))),
        "profit_by_decile": (("decile",), summed(customers, place(5, 0))),
        "profit_by_product": (("product_id",), summed(atoms, own("product_id"))),
        "profit_by_branch": (("branch_id",), summed(atoms, own("branch_id"))),
        "profit_by_line": (("product_line",), summed(atoms, own("product_line"))),
        "profit_by_vintage": (("business", "opened_year"), summed(atoms, vintage)),
        "profit_pro_forma": (
            ("dimension", "dimension_key"),
            {
                (dimension, *key): row
                for dimension, rows in (
                    # The bank delivers its accounts once: none moves.
                    ("branch", summed(atoms, own("branch_id"))),
                    ("manager", summed(customers, of_today)),
                )
                for key, row in rows.items()
            },
        ),
        "profit_by_channel": (("channel",), by_channel(bank, seeds, atoms)),
        "profit_by_employee": (
            ("role", "employee_id"),
            {
                (role, *key): row
                for role, rows in (
                    (
                        "credited",
                        summed(
                            credited_shares(bank, atoms),
                            lambda row: (row["employee_id"], row["month"]),
                        ),
                    ),
                    ("manager", summed(customers, by("employee_id"))),
                    ("seller", summed(atoms, seller)),
                )
                for key, row in rows.items()
            },
        ),
    }
    wrong = {}
    for table, (keys, rows) in expected.items():
        built = {
            tuple(row.pop(name) for name in (*keys, "month")): row
            for row in rows_of(whole, f"value.{table}")
        }
        assert len(built) >= len(MONTHS)
        wrong[table] = differences(built, rows)
    assert wrong == dict.fromkeys(expected, [])
    placed = {
        (row["customer_id"], row["month"]): (
            row["tier"],
            row["tier_number"],
            row["contribution_margin_12m"],
            row["economic_profit_12m"],
            row["percentile"],
            row["decile"],
        )
        for row in rows_of(whole, "value.customer_tier")
    }
    assert differences(placed, standing) == []


def test_what_unpriced_accounts_carry_is_their_part_of_each_roll_up(bank, whole, atoms):
    unpriced = [atom for atom in atoms if atom["closing_balance"] is None]
    assert unpriced and len(unpriced) < len(atoms)
    attribute = {name: customer_attribute(bank, name) for name in ("employee_id", "group_id")}
    parts = held_shares(bank, unpriced, ADDITIVE)

    def by(name):
        return lambda row: (attribute[name](row["customer_id"], row["month"]), row["month"])

    def own(name):
        return lambda row: (row[name] or NOBODY, row["month"])

    recomputed = {
        "line": summed(unpriced, own("product_line")),
        "product": summed(unpriced, own("product_id")),
        # The bank delivers its accounts once: none moves.
        "branch": summed(unpriced, own("branch_id")),
        "customer": summed(parts, own("customer_id")),
        "manager": summed(parts, by("employee_id")),
        "group": summed(parts, by("group_id")),
        "credited": summed(credited_shares(bank, unpriced), own("employee_id")),
    }
    built = {
        (row.pop("dimension"), row.pop("dimension_key"), row.pop("month")): row
        for row in rows_of(whole, "value.profit_unpriced")
    }
    names = set(next(iter(built.values()))) - {"accounts"}
    assert {"contribution_margin", "economic_profit", "economic_capital"} < names
    expected = {
        (dimension, *key): {name: row[name] for name in names}
        for dimension, rows in recomputed.items()
        for key, row in rows.items()
    }
    found = {key: {name: row[name] for name in names} for key, row in built.items()}
    assert differences(found, expected) == []
    counted = defaultdict(int)
    for atom in unpriced:
        counted[atom["product_line"], atom["month"]] += 1
    assert counted == {key[1:]: row["accounts"] for key, row in built.items() if key[0] == "line"}


def test_the_distribution_and_the_migration_count_every_customer_once(whole):
    standing = defaultdict(dict)
    for row in rows_of(whole, "value.customer_tier"):
        standing[row["month"]][row["customer_id"]] = row
    curve = defaultdict(list)
    for row in rows_of(whole, "value.profit_distribution"):
        curve[row["month"]].append(row)
    assert curve.keys() == standing.keys() == set(MONTHS)
    for month, rows in curve.items():
        customers = [one for one in standing[month].values() if one["percentile"] is not None]
        for row in rows:
            best = [c for c in customers if c["percentile"] <= row["percentile"]]
            profit = sum(c["economic_profit_12m"] for c in best)
            assert row["cumulative_customers"] == len(best)
            assert row["cumulative_economic_profit_12m"] == profit
        assert rows[-1]["cumulative_customers"] == len(customers)
        assert rows[-1]["cumulative_customer_share"] == 1
        assert rows[-1]["cumulative_profit_share"] in (1, None)
    expected = defaultdict(int)
    for month in MONTHS:
        before = standing.get(months_later(month, -1), {})
        for customer in before.keys() | standing[month].keys():
            tier_before = before.get(customer, {}).get("tier", "(new)")
            tier = standing[month].get(customer, {}).get("tier", "(left)")
            expected[month, tier_before, tier] += 1
    built = {
        (row["month"], row["tier_before"], row["tier"]): row["customers"]
        for row in rows_of(whole, "value.tier_migration")
    }
    assert differences(built, expected) == []


def test_everything_reconciles_to_the_cent_in_every_month_and_dimension(
    bank, whole, atoms, valuation
):
    rows = rows_of(whole, "value.reconciliation")
    assert [row for row in rows if row["difference"] != 0] == []
    cells, cell_of = defaultdict(set), {}
    for row in atoms:
        cell = f"{row['branch_id'] or NOBODY} / {row['product_line']}"
        cells[row["month"]].add(cell)
        cell_of[row["account_id"], row["month"]] = cell
    expected = set()
    for month in MONTHS:
        control = "ledger" if month in LEDGER_MONTHS else "source"
        expected |= {(month, name, "all", measure) for name in ROLL_UPS for measure in MEASURES}
        expected |= {(month, "overhead pools", "all", "overhead")}
        expected |= {(month, *TREASURY[:1], cell, TREASURY[1]) for cell in cells[month]}
        expected |= {(month, *ACCRUAL[:1], cell, ACCRUAL[1]) for cell in cells[month]}
        if month in COST_MONTHS:
            borne = {
                f"{branch} / {line}"
                for (when, name, branch, line) in valuation.residual
                if when == month and name == "unused capacity"
            }
            expected |= {(month, *COST[:1], cell, COST[1]) for cell in borne}
            assert cells[month] <= borne
        expected |= {
            (month, control, cell, account) for cell in cells[month] for account in LEDGER_ACCOUNTS
        }
        delivered = {
            (row["month"], cell_of[row["account_id"], row["month"]], row["item"])
            for row in bank.rows["account_result"]
            if row["month"] == month
        }
        named = {row["ledger_account"] for row in bank.rows["ledger"] if row["month"] == month}
        expected |= {
            (month, "ledger" if item in named else "source", cell, item)
            for _, cell, item in delivered
        }
    assert cells.keys() == set(MONTHS)
    built = [(r["month"], r["dimension"], r["dimension_key"], r["measure"]) for r in rows]
    assert sorted(set(built) ^ expected) == []
    assert len(built) == len(expected)


def test_the_backtest_sums_the_accounts_of_a_month_before(bank, whole, valuation):
    opened = {row["account_id"]: row["opened_on"].year for row in bank.rows["account"]}
    expected = defaultdict(lambda: [0, Decimal(0), Decimal(0), 0, *[Decimal(0)] * 3])
    for (account, month), row in valuation.credit_risk.items():
        if (risk := row["at_risk_before"]) is None:
            continue
        cell = expected[month, row["product_line"], opened[account]]
        was, loss = row["was_in_default"], row["expected_before"]
        cell[0] += risk > 0 and not was
        cell[1] += Decimal(0) if was else risk
        cell[2] = max(cell[2], risk)
        cell[3] += row["is_in_default"] and not was
        cell[4] += loss
        cell[5] += row["provision_change"] + row["realised_loss"]
        cell[6] += loss * (risk - loss)
    built = {tuple(row[:3]): list(row[3:]) for row in content(whole, "value.loss_backtest")}
    # Cells in which nothing was at risk and nothing was lost have no row.
    assert differences(built, {key: cell for key, cell in expected.items() if key in built}) == []
    assert not any(any(cell) for key, cell in expected.items() if key not in built)
    assert len(built) > 50


def test_rates_are_those_of_the_accounts_on_the_lines_side_of_zero(whole, atoms, seeds):
    expected = defaultdict(lambda: [0, *[Decimal(0)] * 3])
    for row in atoms:
        line, balance = row["product_line"], row["average_balance"] or Decimal(0)
        is_paid = line == "deposits"
        priced = abs(balance) - row["funded_by_capital"]
        rule = seeds.of_product("transfer_rule", row["month"], line, row["product_id"])
        if (
            line not in ("deposits", "lending")
            or row["stage"] == 3
            or row["overdrawn_price"] is not None
            or rule["portfolio"] == NOBODY
            or (balance if is_paid else -balance) <= 0
            or priced <= 0
        ):
            continue
        has_term = row["curve_tenor"] is not None
        cell = expected[row["month"], line, row["curve_currency"], has_term, is_paid]
        cell[0] += 1
        cell[1] += abs(balance)
        cell[2] += row["interest_expense" if is_paid else "interest_income"]
        whole_price = (
            Fraction(abs(row["transfer_result"])) * Fraction(abs(balance)) / Fraction(priced)
        )
        cell[3] += rounded(whole_price)
    built = {tuple(row[:5]): list(row[5:]) for row in content(whole, "value.customer_rate")}
    assert differences(built, expected) == []
    assert len({key[1:] for key in built}) > 2


def test_the_profit_drivers_add_up_to_the_change(bank, whole, atoms):
    now = {months_later(date(2024, 6, 1), -back) for back in range(3)}
    before = {months_later(month, -3) for month in now}
    manager = customer_attribute(bank, "employee_id")
    # An account whose balance is not known in one of the months is left out of all.
    recent = [atom for atom in atoms if atom["month"] in before | now]
    unpriced = {atom["account_id"] for atom in recent if atom["closing_balance"] is None}
    priced = [atom for atom in recent if atom["account_id"] not in unpriced]
    assert unpriced and len(priced) > len(unpriced)
    profit = defaultdict(lambda: [Decimal(0), Decimal(0)])
    earned = summed(
        held_shares(bank, priced, ADDITIVE), lambda row: (row["customer_id"], row["month"])
    )
    for (customer, month), row in earned.items():
        profit["customer", customer][month in now] += row["economic_profit"]
        profit["manager", manager(customer, LAST)][month in now] += row["economic_profit"]
    effects = defaultdict(lambda: [Decimal(0)] * 5)
    for part, moved in movements(bank, priced, before, now):
        for dimension, key in (
            ("customer", part["customer_id"]),
            ("manager", manager(part["customer_id"], LAST)),
            ("product", part["product_id"]),
            ("branch", part["branch_id"] or NOBODY),
            ("line", part["product_line"]),
        ):
            total = zip(effects[dimension, key], moved, strict=True)
            effects[dimension, key] = [sum(pair, Decimal(0)) for pair in total]

    movers = {
        (row["dimension"], row["dimension_key"]): row for row in rows_of(whole, "value.mover")
    }
    names = ("volume", "rate", "fee", "cost", "risk")
    built = {key: [row[f"{name}_effect"] for name in names] for key, row in movers.items()}
    expected = {key: moved for key, moved in effects.items() if sum(moved) != 0}
    assert differences(built, expected) == []
    for key, row in movers.items():
        assert row["change"] == row["economic_profit"] - row["economic_profit_before"]
        assert row["change"] == sum(built[key])
        side = 1 if row["change"] > 0 else -1
        assert row["direction"] == ("gain" if side > 0 else "loss")
        assert side * row[f"{row['reason']}_effect"] == max(side * moved for moved in built[key])
        if key in profit:
            assert [row["economic_profit_before"], row["economic_profit"]] == profit[key]
    assert sum(key in profit for key in movers) > 40
    places = defaultdict(list)
    for row in movers.values():
        places[row["dimension"], row["direction"]].append((row["place"], -abs(row["change"])))
    for ranked in places.values():
        ranked.sort()
        assert [place for place, _ in ranked] == list(range(1, len(ranked) + 1))
        assert [size for _, size in ranked] == sorted(size for _, size in ranked)


def test_cost_to_income_and_plan_follow_the_roll_ups(bank, whole):
    profit = {
        (dimension, row[key], row["month"]): row
        for dimension, table, key in (
            ("branch", "value.profit_by_branch", "branch_id"),
            ("line", "value.profit_by_line", "product_line"),
        )
        for row in rows_of(whole, table)
    }
    measured = {
        (row["dimension"], row["dimension_key"], row["month"]): row
        for row in rows_of(whole, "value.cost_to_income")
    }
    assert measured.keys() == profit.keys()
    for key, row in measured.items():
        assert row["income"] == profit[key]["net_interest_margin"] + profit[key]["fee_income"]
        assert row["operating_cost"] == profit[key]["direct_cost"] + profit[key]["overhead"]
        if row["income"] > 0:
            ratio = Fraction(row["operating_cost"]) / Fraction(row["income"])
            assert abs(Fraction(row["cost_to_income"]) - ratio) <= Fraction(1, 10**6)
        else:
            assert row["cost_to_income"] is None
    planned = {
        row["month"]: row for row in rows_of(whole, "value.plan_actual", "dimension_key = 'B0'")
    }
    february, april, january, may = (
        planned[date(*month, 1)] for month in ((2023, 2), (2023, 4), (2024, 1), (2024, 5))
    )
    assert [row["target"] for row in (february, april, january, may)] == [100, -50, 10, 10]
    assert [row["target_year_to_date"] for row in (february, april, january, may)] == [
        *(100, 50, 10, 20)
    ]
    for month, row in planned.items():
        assert row["actual"] == profit["branch", "B0", month]["economic_profit"]
    for month, row in ((april["month"], april), (may["month"], may)):
        year = [month.replace(month=number) for number in range(1, month.month + 1)]
        assert row["actual_year_to_date"] == sum(
            profit["branch", "B0", one]["economic_profit"]
            for one in year
            if ("branch", "B0", one) in profit
        )
    assert may["difference_year_to_date"] == may["actual_year_to_date"] - 20
    assert april["attainment"] is None
    assert figures(whole, "select actual from value.plan_actual where dimension_key = 'E9'") == [
        (Decimal(0),)
    ]
    month = date(2024, 3, 1)
    manager = customer_attribute(bank, "employee_id")
    owners = defaultdict(set)
    for row in bank.rows["account_holder"]:
        if row["role"] in ("owner", "joint"):
            owners[row["account_id"]].add(row["customer_id"])
    customers = defaultdict(set)
    for row in bank.rows["account"]:
        if row["opened_on"] <= month_end(month) and (row["closed_on"] or LAST) >= month:
            for customer in owners[row["account_id"]]:
                customers[row["product_id"]].add(customer)
                customers[manager(customer, month)].add(customer)
    built = figures(
        whole, "select dimension_key, actual from value.plan_actual where measure = 'customers'"
    )
    assert dict(built) == {key: len(customers[key]) for key in ("TERM", "E1")}
    assert min(len(customers[key]) for key in ("TERM", "E1")) > 3


# One cent too much, and the statement that finds it.


@pytest.fixture(scope="module")
def copied(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "warehouse.duckdb"
    shutil.copy(whole, path)
    return path


@pytest.fixture
def planted(copied: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the warehouse; what a test plants in it is taken back."""
    with duckdb.connect(str(copied)) as connection:
        connection.execute("begin")
        yield connection
        connection.execute("rollback")


def add_a_cent(connection: duckdb.DuckDBPyConnection, table: str, column: str, where: str) -> None:
    changed = connection.execute(f"update {table} set {column} = {column} + 0.01 where {where}")
    assert changed.fetchall() == [(1,)]


def found(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The statements that do not agree, by the reconciliation: a view of all tables."""
    return connection.execute(
        "select month, dimension, dimension_key, measure, difference "
        "from value.reconciliation where difference <> 0 order by all"
    ).fetchall()


def an_account_month(connection: duckdb.DuckDBPyConnection, month: date) -> tuple[str, str]:
    """An account of a month, and its cell: branch and line."""
    row = connection.execute(
        "select account_id, branch_id || ' / ' || product_line from value.account_month "
        "where month = ? and branch_id is not null order by account_id limit 1",
        [month],
    ).fetchone()
    assert row
    return row[0], row[1]


def test_no_residual_is_found_where_none_was_planted(planted):
    assert found(planted) == []


@pytest.mark.parametrize("account", LEDGER_ACCOUNTS)
def test_a_cent_in_a_ledger_line_is_found(account, planted, whole):
    month = LEDGER_MONTHS[2]
    branch, line = planted.execute(
        "select branch_id, product_line from landing.ledger "
        "where month = ? and ledger_account = ? order by all limit 1",
        [month, account],
    ).fetchone()
    add_a_cent(
        planted,
        "landing.ledger",
        "amount",
        f"month = '{month}' and branch_id = '{branch}' and product_line = '{line}' "
        f"and ledger_account = '{account}'",
    )
    planted.execute("delete from base.ledger_reconciliation")
    planted.execute(
        f"insert into base.ledger_reconciliation {compiled(whole, 'base_ledger_reconciliation')}"
    )
    assert found(planted) == [(month, "ledger", f"{branch} / {line}", account, -CENT)]


# Column of the atom → what a cent more in it breaks besides the roll-ups, and which way.
BROKEN = {
    "interest_income": ((ACCRUAL, CENT),),
    "interest_expense": ((ACCRUAL, -CENT),),
    "interest_income_booked": (
        (("control", "interest_income"), CENT),
        (TREASURY, -CENT),
        (ACCRUAL, -CENT),
    ),
    "interest_expense_booked": (
        (("control", "interest_expense"), CENT),
        (TREASURY, CENT),
        (ACCRUAL, CENT),
    ),
    "net_interest_margin": ((TREASURY, CENT),),
    "fee_income": ((("control", "fee_income"), CENT),),
    "closing_balance": ((("control", "customer_balance"), CENT),),
    "overhead": ((("overhead pools", "overhead"), CENT), (COST, CENT)),
    "direct_cost": ((COST, CENT),),
    "expected_loss": (),
    "capital_charge": (),
    "economic_profit": (),
}


@pytest.mark.parametrize("month", [MONTH, LEDGER_MONTHS[0]])
@pytest.mark.parametrize("measure", BROKEN)
def test_a_cent_in_an_account_month_is_found(measure, month, planted):
    account, cell = an_account_month(planted, month)
    where = f"account_id = '{account}' and month = '{month}'"
    add_a_cent(planted, "value.account_month", measure, where)
    control = "ledger" if month in LEDGER_MONTHS else "source"
    expected = [
        (
            month,
            control if dimension == "control" else dimension,
            "all" if dimension == "overhead pools" else cell,
            statement,
            difference,
        )
        for (dimension, statement), difference in BROKEN[measure]
        if (dimension, statement) != COST or month in COST_MONTHS
    ]
    if measure in MEASURES:
        expected += [(month, name, "all", measure, -CENT) for name in ROLL_UPS]
    assert found(planted) == sorted(expected)


@pytest.mark.parametrize("measure", ["net_interest_margin", "economic_profit"])
@pytest.mark.parametrize("name", ROLL_UPS)
def test_a_cent_in_a_roll_up_is_found(name, measure, planted):
    table = f"value.profit_by_{name}"
    where = f"month = '{MONTH}'"
    if name in ("credited", "manager", "seller"):
        table, where = "value.profit_by_employee", f"{where} and role = '{name}'"
    if name.startswith("pro_forma_"):
        dimension = name.removeprefix("pro_forma_")
        table, where = "value.profit_pro_forma", f"{where} and dimension = '{dimension}'"
    (row,) = planted.execute(f"select min(rowid) from {table} where {where}").fetchone()
    add_a_cent(planted, table, measure, f"rowid = {row}")
    assert found(planted) == [(MONTH, name, "all", measure, CENT)]


def test_a_cent_of_treasury_is_found(planted):
    branch, line = "B1", "deposits"
    add_a_cent(
        planted,
        "value.residual",
        "amount",
        f"month = '{MONTH}' and residual = 'treasury: rate' and branch_id = '{branch}' "
        f"and product_line = '{line}'",
    )
    assert found(planted) == [
        (MONTH, "treasury", f"{branch} / {line}", "net_interest_margin", CENT)
    ]


def test_a_cent_of_unallocated_overhead_is_found(planted):
    add_a_cent(
        planted,
        "value.residual",
        "amount",
        f"month = '{MONTH}' and residual = 'unallocated overhead: night_desk'",
    )
    assert found(planted) == [(MONTH, "overhead pools", "all", "overhead", CENT)]


def test_a_row_lost_from_a_roll_up_is_found(planted):
    planted.execute(f"delete from value.profit_by_line where month = '{MONTH}'")
    lost = found(planted)
    assert {row[:3] for row in lost} == {(MONTH, "line", "all")}
    assert len(lost) == len(MEASURES)


def test_an_account_that_changed_its_branch_and_product_since_still_reconciles(planted):
    """Months built before keep the branch and product of their time."""
    account, _ = an_account_month(planted, MONTH)
    planted.execute(
        "update base.account set branch_id = 'B2', product_id = 'CARDS', product_line = 'cards' "
        "where account_id = ?",
        [account],
    )
    assert found(planted) == []


@pytest.mark.slow
def test_tables_rebuilt_by_dbt_hold_the_planted_differences(whole, reference, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(whole, path)
    month = LEDGER_MONTHS[1]
    with duckdb.connect(str(path)) as connection:
        (branch,) = connection.execute(
            "select min(branch_id) from landing.ledger where month = ? "
            "and product_line = 'deposits' and ledger_account = 'interest_expense'",
            [month],
        ).fetchone()
        add_a_cent(
            connection,
            "landing.ledger",
            "amount",
            f"month = '{month}' and branch_id = '{branch}' and product_line = 'deposits' "
            "and ledger_account = 'interest_expense'",
        )
        add_a_cent(
            connection,
            "value.residual",
            "amount",
            f"month = '{FIRST}' and residual = 'treasury: rate' and branch_id = 'B0' "
            "and product_line = 'deposits'",
        )
    dbt(path, "run", "--select", "base_ledger_reconciliation", "value_reconciliation")
    assert figures(
        path,
        "select month, dimension, dimension_key, measure, difference "
        "from value.reconciliation where difference <> 0 order by month",
    ) == [
        (FIRST, "treasury", "B0 / deposits", "net_interest_margin", CENT),
        (month, "ledger", f"{branch} / deposits", "interest_expense", -CENT),
    ]


# Seed, what is written in its place (nothing: the row is left out), and the finding.
FAULTS = (
    (
        "transfer_curve",
        {",1900-01-01,": None},
        "transfer_curve has no row from the beginning (effective_from 1900-01-01)",
    ),
    (
        "transfer_curve",
        {"USD,1900-01-01,": None},
        "transfer_curve has no row from the beginning for the currency USD",
    ),
    (
        "replicating_portfolio",
        {"revolving,1900-01-01,6,1.000000": "revolving,1900-01-01,6,0.900000"},
        "replicating_portfolio: the weights of revolving from 1900-01-01 sum to 0.900000, not 1",
    ),
    (
        "transfer_rule",
        {"agency,*,1900-01-01,(none)": "agency,*,1900-01-01,core"},
        "transfer_rule names a portfolio that is not there from the beginning: core",
    ),
    (
        "activity_unit_cost",
        {"telephone,": None},
        "activity_unit_cost has no row from the beginning for all kinds: telephone",
    ),
    (
        "activity_unit_cost",
        {"system,*,1900-01-01,": "system,*,1900-01-01,-"},
        "activity_unit_cost is below zero: unit_cost -0.0125",
    ),
    (
        "account_maintenance_cost",
        {"cards,*,": "card,*,"},
        "account_maintenance_cost names an unknown product line: card",
    ),
    (
        "account_maintenance_cost",
        {},
        "account_maintenance_cost has no row from the beginning for the line cards",
    ),
    (
        "overhead_pool",
        {"sales,*,*,2023-03-01,opened_account": "sales,*,*,2023-03-01,floor_space"},
        "overhead_pool sales has an unknown driver: floor_space",
    ),
    (
        "risk_rating",
        {"1900-01-01,30,59,": None},
        "risk_rating from 1900-01-01 leaves a gap or overlaps",
    ),
    (
        "risk_parameter",
        {"lending,*,2023-10-01,0.478300": "lending,*,2023-10-01,1.478300"},
        "risk_parameter is a share above one: loss_given_default 1.478300",
    ),
    (
        "hurdle_rate",
        {"2023-07-01,": "2023-07-15,"},
        "hurdle_rate holds from a day that is not the first of a month: 2023-07-15",
    ),
    (
        "tier_scheme",
        {"base,1900-01-01,4,0.500000": "base,1900-01-01,4,0.400000"},
        "tier_scheme from 1900-01-01: the shares sum to 0.900000, not 1, "
        "or 1 tiers have none (one must)",
    ),
    (
        "target",
        {"line,deposits,2024-02-01,fee_income": "region,DEPOSITS,2024-02-01,fee_income"},
        "target plans by an unknown dimension or measure: region, fee_income",
    ),
    (
        "target",
        {"manager,E9,2024-03-01,": "manager,E1,2024-03-01,"},
        "target holds twice: manager, E1, 2024-03-01, contribution_margin",
    ),
    (
        "manager_kpi",
        {"*,1900-01-01,growth,0.400000": "*,1900-01-01,growth,0.300000"},
        "manager_kpi: the weights of * from 1900-01-01 sum to 0.900000, not 1",
    ),
    (
        "manager_kpi",
        {"E1,2023-06-01,credited_profit,1.000000,0": "E1,2023-06-01,sales,1.000000,0"},
        "manager_kpi has an unknown measure: sales",
    ),
    (
        "ledger_tolerance",
        {"lending,fee_income,": "lending,suspense,"},
        "ledger_tolerance names an unknown ledger account: suspense",
    ),
)


@pytest.mark.slow
def test_wrong_reference_data_are_refused_by_the_name_of_the_seed(whole, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(whole, path)
    changed = {seed: "\n".join(_rows(REFERENCE[seed])) for seed, _, _ in FAULTS}
    for seed, replacements, _ in FAULTS:
        for start, instead in replacements.items():
            rows = changed[seed].splitlines()
            assert any(row.startswith(start) for row in rows), (seed, start)
            changed[seed] = "\n".join(
                instead + row.removeprefix(start) if row.startswith(start) else row
                for row in rows
                if instead is not None or not row.startswith(start)
            )
    wrong = lay_reference(tmp_path / "reference", **changed)
    test = "reference_data_cover_every_case_once"
    process = run_dbt(path, "build", "--select", "resource_type:seed", test, reference=wrong)
    assert process.returncode == 1
    assert f"Got {len(FAULTS)} results" in process.stdout, process.stdout
    findings = figures(path, compiled(path, test))
    assert sorted(what for (what,) in findings) == sorted(what for _, _, what in FAULTS)


# What would be misread in silence: a row that never holds, a price of nothing, no tier to be in.
MISREAD = {
    "an empty driver": (
        "overhead_pool",
        "update reference.overhead_pool set driver = null where pool = 'sales'",
    ),
    "an empty tenor": (
        "replicating_portfolio",
        "update reference.replicating_portfolio set tenor_months = null where tenor_months = 18",
    ),
    "an empty tenor of the curve": (
        "transfer_curve",
        "update reference.transfer_curve set tenor_months = null where tenor_months = 36",
    ),
    "a currency whose curve begins late": (
        "transfer_curve",
        "delete from reference.transfer_curve where currency = 'USD' "
        "and effective_from = date '1900-01-01'",
    ),
    "a point of a currency twice": (
        "transfer_curve",
        "insert into reference.transfer_curve "
        "select * from reference.transfer_curve where currency = 'USD' and tenor_months = 9",
    ),
    "an empty portfolio": (
        "transfer_rule",
        "update reference.transfer_rule set portfolio = null where product_line = 'payments'",
    ),
    "an empty product": (
        "transfer_rule",
        "update reference.transfer_rule set product_id = null where product_id = 'TERM'",
    ),
    "an empty date": (
        "risk_parameter",
        "update reference.risk_parameter set effective_from = null where product_id = 'TERM'",
    ),
    "an unknown kind": (
        "activity_unit_cost",
        "update reference.activity_unit_cost set kind = 'withdrawl' where kind = 'withdrawal'",
    ),
    "a share below zero": (
        "tier_scheme",
        "update reference.tier_scheme set customer_share = customer_share "
        "+ case tier when 'top' then 1 when 'high' then -1 else 0 end where tier <> 'other'",
    ),
    "no tier for the profitable": (
        "tier_scheme",
        "delete from reference.tier_scheme where tier in ('gold', 'silver')",
    ),
    "an empty tier number": (
        "tier_scheme",
        "update reference.tier_scheme set tier_number = null where tier = 'high'",
    ),
    "a plan from the middle of a month": (
        "target",
        "update reference.target set month = month + 14 where dimension = 'line'",
    ),
    "no targets for everybody": (
        "manager_kpi",
        "delete from reference.manager_kpi where employee_id = '*'",
    ),
    "a floor at the target": (
        "manager_kpi",
        "update reference.manager_kpi set floor_value = target_value where employee_id = 'E1'",
    ),
    "an empty planned amount": (
        "target",
        "update reference.target set amount = null where dimension = 'line'",
    ),
}


@pytest.mark.parametrize("fault", MISREAD)
def test_reference_data_that_would_be_misread_are_refused(fault, planted, whole):
    seed, statement = MISREAD[fault]
    planted.execute(statement)
    findings = planted.execute(compiled(whole, "reference_data_cover_every_case_once")).fetchall()
    assert any(what.startswith(seed) for (what,) in findings), findings


def test_proposed_reference_data_pass_their_check(planted, whole, tmp_path):
    settings = empty_home(tmp_path)
    publish(settings, BEHAVIOUR)
    found = propose(settings)
    proposed = sorted(Path(found["folder"]).glob("*.csv"))
    # Beside the proposals every file that the bank may change, as it is.
    assert [path.stem for path in proposed if path.stem not in found["unchanged"]] == [
        *("replicating_portfolio", "transfer_curve", "transfer_rule"),
    ]
    assert {path.stem for path in proposed} == set(FILES)
    for path in proposed:
        planted.execute(f"delete from reference.{path.stem}")
        planted.execute(
            f"insert into reference.{path.stem} by name "
            f"select * from read_csv('{path}', header = true, all_varchar = true)"
        )
    check = compiled(whole, "reference_data_cover_every_case_once")
    assert planted.execute(check).fetchall() == []
    # The check sees them: without its portfolio the product's rule is refused.
    planted.execute(
        "delete from reference.replicating_portfolio where portfolio = 'deposit_SAVINGS'"
    )
    assert planted.execute(check).fetchall() == [
        ("transfer_rule names a portfolio that is not there from the beginning: deposit_SAVINGS",)
    ]


def _rows(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]

"""Replicating portfolios of deposits without a term, from how the bank's own balances and rates
behave: estimates by product, and the rows that price it by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from ml.behaviour import (
    SEGMENTS,
    NotEstimated,
    PairSums,
    Replication,
    average_life,
    pass_through,
    replication,
    run_off,
    stable_share,
)
from ml.evaluation.metrics import Estimate
from orchestration.valuation.queries import Row
from sources.message import Message, by_commas, by_semicolons

Rows = list[dict[str, str]]
BEGINNING = "1900-01-01"
SHORT_TENOR = 1
UNFUNDED = "(none)"
ESTIMATES = (Message("run-off"), Message("stable share"), Message("deposit beta"))


def proposed(products: Sequence[Row], portfolios: Rows, rules: Rows) -> tuple[Rows, Rows, Rows]:
    """What is shown of each product, and the rows in force of `replicating_portfolio` and
    `transfer_rule` with those of the products that have all estimates."""
    shown: Rows = []
    for product in products:
        line, product_id = product["product_line"], product["product_id"]
        estimates, reasons = _estimated(product)
        segment = _segment(product)
        in_force = in_force_rule(rules, line, product_id, "9999-12-31")["portfolio"]
        row = {
            "product_id": product_id,
            "accounts": str(product["accounts"]),
            "months": str(len(product["months"])),
            "run_off_a_month": _interval(estimates.get("run-off"), percent=True),
            "average_life_months": _interval(_life(estimates.get("run-off"))),
            "stable_share": _interval(estimates.get("stable share"), percent=True),
            "deposit_beta": _interval(estimates.get("deposit beta")),
            "segment": segment,
            "core": "",
            "proposed": "",
            "in_force": Message(
                "{0}: {1}", in_force, tranches_shown(tranches(portfolios, in_force))
            ),
            "not_estimated": by_semicolons(
                Message("{0}: {1}", name, reason) for name, reason in reasons.items()
            )
            if reasons
            else "",
        }
        shown.append(row)
        if reasons:
            continue
        decay, stable, beta = (estimates[name].value for name in ESTIMATES)
        found = replication(decay, stable, beta, SEGMENTS[segment])
        name = f"deposit_{product_id}"
        weights = _weights(found)
        row["core"] = Message("{0} for {1} months", f"{found.core:.2f}", f"{found.life_months:.1f}")
        row["proposed"] = tranches_shown(weights)
        portfolios = [kept for kept in portfolios if kept["portfolio"] != name] + [
            {
                "portfolio": name,
                "effective_from": BEGINNING,
                "tenor_months": str(tenor),
                "weight": f"{weight:f}",
            }
            for tenor, weight in weights.items()
        ]
        rules = product_rules(rules, line, product_id, name)
    return shown, portfolios, rules


def _estimated(product: Row) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The estimates by name, and the reasons why others are missing."""

    def growth() -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.diff(np.log([product["earlier"], product["later"]]), axis=0)[0]

    def unbroken(months: Sequence[date]) -> None:
        numbers = [12 * month.year + month.month for month in months]
        if numbers and numbers[-1] - numbers[0] >= len(numbers):
            raise NotEstimated("the balance is zero in some months")

    def stable() -> Estimate:
        unbroken(product["growth_months"])
        return stable_share(growth())

    def beta() -> Estimate:
        unbroken(product["months"])
        return pass_through(np.array(product["paid"]), np.array(product["market"]))

    def decay() -> Estimate:
        moments = (product[name] or 0.0 for name in ("x", "y", "xx", "xy", "yy"))
        return run_off(PairSums(product["accounts"], *moments))

    estimates: dict[str, Estimate] = {}
    reasons: dict[str, str] = {}
    figures: Sequence[Callable[[], Estimate]] = (decay, stable, beta)
    for name, figure in zip(ESTIMATES, figures, strict=True):
        try:
            estimates[name] = figure()
        except NotEstimated as reason:
            reasons[name] = Message(reason.pattern, *reason.parts)
    return estimates, reasons


def _segment(product: Row) -> str:
    """The segment of BCBS 368. Deposits without interest are transactional; others with regular
    payments are too, but take the lower caps here."""
    if product["company_share"] > 0.5:
        return "wholesale"
    return "retail, other" if any(product["paid"]) else "retail, transactional"


def _weights(found: Replication) -> dict[int, Decimal]:
    """Weights by tenor, in the order of the tenors, that sum to one."""
    long = Decimal(found.core).quantize(Decimal("0.0001")).quantize(Decimal("0.000001"))
    if found.tenor_months == SHORT_TENOR:
        return {SHORT_TENOR: Decimal("1.000000")}
    weights = {SHORT_TENOR: 1 - long, found.tenor_months: long}
    return {tenor: weight for tenor, weight in weights.items() if weight}


def in_force_rule(rules: Rows, line: str, product_id: str, day: str) -> dict[str, str]:
    """The rule that prices a product on a day, by the precedence of the seed."""
    latest: dict[tuple[bool, bool], dict[str, str]] = {}
    for rule in sorted(rules, key=lambda rule: rule["effective_from"]):
        if (
            rule["product_line"] in ("*", line)
            and rule["product_id"] in ("*", product_id)
            and rule["effective_from"] <= day
        ):
            latest[rule["product_id"] == "*", rule["product_line"] == "*"] = rule
    return latest[min(latest)]


def product_rules(rules: Rows, line: str, product_id: str, portfolio: str) -> Rows:
    """The rules with those of the product naming the portfolio, from each day on which one of the
    rules that price it begins; a time in which it funds nothing stays."""
    days = {
        rule["effective_from"]
        for rule in rules
        if rule["product_line"] in ("*", line) and rule["product_id"] in ("*", product_id)
    }
    own = []
    for day in sorted(days):
        rule = in_force_rule(rules, line, product_id, day)
        named = {"product_line": line, "product_id": product_id, "effective_from": day}
        if rule["portfolio"] != UNFUNDED:
            named["portfolio"] = portfolio
        own.append({**rule, **named})
    key = (line, product_id)
    others = [rule for rule in rules if (rule["product_line"], rule["product_id"]) != key]
    return others + own


def tranches(portfolios: Rows, name: str) -> dict[int, Decimal]:
    """The weights by tenor of a portfolio's latest version."""
    own = [row for row in portfolios if row["portfolio"] == name]
    latest = max((row["effective_from"] for row in own), default="")
    return {
        int(row["tenor_months"]): Decimal(row["weight"])
        for row in sorted(own, key=lambda row: int(row["tenor_months"]))
        if row["effective_from"] == latest
    }


def tranches_shown(weights: dict[int, Decimal]) -> str:
    """Weights and tenors, and the average remaining life of the portfolio."""
    if not weights:
        return Message("none")
    life = sum(weight * (tenor + 1) / 2 for tenor, weight in weights.items())
    parts = (Message("{0} at {1}", f"{weight:.4f}", tenor) for tenor, weight in weights.items())
    return Message("{0} (average life {1})", by_commas(parts), f"{life:.1f}")


def _life(estimate: Estimate | None) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(*map(average_life, (estimate.value, estimate.high, estimate.low)))


def _interval(estimate: Estimate | None, *, percent: bool = False) -> str:
    if estimate is None:
        return Message("not estimated")
    scale, unit = (100, " %") if percent else (1, "")
    value, low, high = (
        Message("unbounded") if np.isinf(bound) else f"{scale * bound:.2f}"
        for bound in (estimate.value, estimate.low, estimate.high)
    )
    return Message("{0}{1} ({2} to {3})", value, unit, low, high)

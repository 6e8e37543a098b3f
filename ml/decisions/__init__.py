"""Whom to contact with what, within limits."""

from ml.decisions.arbitration import choose_at_prices, solve
from ml.decisions.problem import Plan, Problem

__all__ = ["Plan", "Problem", "choose_at_prices", "solve"]

"""Choose contacts and offers within limits."""

from ml.decisions.arbitration import choose_at_prices, solve
from ml.decisions.problem import Plan, Problem

__all__ = ["Plan", "Problem", "choose_at_prices", "solve"]

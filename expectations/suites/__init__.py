"""The suites, one module a layer; each function returns the rules of one gate."""

from expectations.suites.base import base_suite
from expectations.suites.decisions import decisions_suite
from expectations.suites.features import features_suite
from expectations.suites.landing import landing_suite
from expectations.suites.models import models_suite
from expectations.suites.scores import scores_suite
from expectations.suites.value import value_suite

__all__ = [
    "base_suite",
    "features_suite",
    "decisions_suite",
    "landing_suite",
    "models_suite",
    "scores_suite",
    "value_suite",
]

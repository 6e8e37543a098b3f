"""The bank's records for the studies; each cut-off is read once and shared between them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd

from ml.clv.retention_margin import LineOutcomes
from ml.registry import listed
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import (
    LONG_HORIZON,
    TOO_SHORT,
    CutoffPlan,
    Origin,
    plan_cutoffs,
)
from orchestration.models.datasets import (
    EVERYBODY,
    MOST_CUSTOMERS,
    CohortReader,
    Cohorts,
    Population,
    customers_sampled,
    discount_rate,
    feature_columns,
)
from orchestration.models.line_outcomes import line_outcomes
from orchestration.models.study import Material, Sample, Split

Outcome = Callable[[Cohorts], np.ndarray]
Further = Callable[[tuple[date, ...]], object]


class Records:
    """One bank, one refresh.

    Attributes
    ----------
    plan : the cut-offs its history allows; None where it is too short
    rate : yearly rate at which margin to come is discounted
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> None:
        self.connection = connection
        self.context = context
        self.plan: CutoffPlan | None = plan_cutoffs(context.first_month, context.as_of_month)
        self.rate = discount_rate(connection, context.as_of_month)
        self._scored: dict[str, pd.DataFrame] = {}
        self._lines: dict[tuple[date, ...], LineOutcomes] = {}

    @cached_property
    def features(self) -> list[str]:
        return feature_columns(self.connection)

    @cached_property
    def reader(self) -> CohortReader:
        return CohortReader(self.connection, self._planned.horizon, self.context.first_month)

    @property
    def horizon_note(self) -> str:
        """A note on a horizon that is not the usual one."""
        if self.plan is None or self.plan.horizon == LONG_HORIZON:
            return ""
        return (
            f"history too short for {LONG_HORIZON} months: a horizon of {self.plan.horizon} is used"
        )

    def wanted(self, form: str, **further: str) -> dict[str, str]:
        """The properties that a champion must have to score this bank's customers now."""
        horizon = {} if self.plan is None else {"horizon_months": str(self.plan.horizon)}
        return {
            "source": self.context.source,
            "format": form,
            **horizon,
            "features": listed(self.features),
            **further,
        }

    def sample(
        self,
        cutoffs: tuple[date, ...],
        outcome: Outcome,
        population: Population = EVERYBODY,
        further: Further | None = None,
    ) -> Sample:
        """A population at cut-offs with its outcomes; `further`: other inputs of a learner."""
        cohorts = self.reader.cohorts(cutoffs, population)
        return Sample(
            cohorts.frame,
            outcome(cohorts),
            cohorts.outcome,
            further(cutoffs) if further else None,
        )

    def line_outcomes(self, cutoffs: tuple[date, ...]) -> LineOutcomes:
        """Outcomes of the product lines that all customers held at cut-offs; read once."""
        if cutoffs not in self._lines:
            self._lines[cutoffs] = line_outcomes(
                self.connection,
                self.reader.cohorts(cutoffs).frame,
                self._planned.horizon,
            )
        return self._lines[cutoffs]

    def lines_held(self, cutoffs: tuple[date, ...], population: Population) -> pd.DataFrame:
        """The lines that a population held, by place in its own frame."""
        keys = ["customer_id", "cutoff"]
        frame = self.reader.cohorts(cutoffs, population).frame[keys]
        lines = self.line_outcomes(cutoffs).lines.drop(columns="row")
        place = pd.Series(np.arange(len(frame)), pd.MultiIndex.from_frame(_comparable(frame)))
        row = place.reindex(pd.MultiIndex.from_frame(_comparable(lines[keys]))).to_numpy()
        known = ~np.isnan(row)
        held = lines[known].assign(row=row[known].astype(int))
        return held.sort_values(["row", "line"], ignore_index=True)

    def newest(self, outcome: Outcome, population: Population = EVERYBODY) -> Sample:
        """The newest cohort whose outcomes are complete."""
        return self.sample((self._planned.evaluation,), outcome, population)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All rolling origins in mode `always`; otherwise only the deciding one, so that a first
        release is not delayed."""
        origins = self._planned.origins
        return origins if self.context.mode == "always" else origins[-1:]

    @property
    def _planned(self) -> CutoffPlan:
        if self.plan is None:
            raise LookupError(TOO_SHORT)
        return self.plan

    def material(
        self,
        outcome: Outcome,
        population: Population = EVERYBODY,
        further: Further | None = None,
    ) -> Material:
        """Training, evaluation and refit of the plan's cut-offs.

        Parameters
        ----------
        outcome : what is judged, from a cohort
        population : the customers that the model scores
        further : other inputs of the learners, made from the cut-offs
        """
        plan = self._planned
        return Material(
            splits=tuple(
                Split(
                    self.sample(origin.training, outcome, population, further),
                    self.sample((origin.evaluation,), outcome, population),
                )
                for origin in self.origins
            ),
            refit=self.sample(plan.refit, outcome, population, further),
            scored=self.as_of(population),
            parameters={
                "horizon_months": plan.horizon,
                "training_cutoffs": _months(self.origins[-1].training),
                "evaluation_cutoffs": _months(tuple(one.evaluation for one in self.origins)),
                "refit_cutoffs": _months(plan.refit),
                "annual_discount_rate": self.rate,
            },
        )

    def as_of(self, population: Population = EVERYBODY) -> pd.DataFrame | None:
        """Features of the customers to score, sampled as at a cut-off."""
        if self.plan is None:
            return None
        everybody = self._now(EVERYBODY)
        if len(everybody) < MOST_CUSTOMERS:
            return everybody[population.kept(everybody)].reset_index(drop=True)
        return self._now(population)

    def _now(self, population: Population) -> pd.DataFrame:
        if population.sql not in self._scored:
            self._scored[population.sql] = customers_sampled(
                self.connection, self.context.as_of_month, self._planned.horizon, population
            )
        return self._scored[population.sql]


def _comparable(keys: pd.DataFrame) -> pd.DataFrame:
    return keys.assign(cutoff=pd.to_datetime(keys["cutoff"]))


def _months(cutoffs: tuple[date, ...]) -> str:
    return listed([f"{month:%Y-%m}" for month in cutoffs])

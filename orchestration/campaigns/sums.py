"""The campaign sums from dbt, as input of the statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd

from ml.evaluation.experiment import CHANCE, SUMS, Strata


@dataclass(frozen=True)
class Sums:
    """Strata of one measurement, weighted to stand for all customers and for the treated."""

    of_all: Strata
    of_treated: Strata
    has_covariate: bool

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Sums:
        """Sums of the rows of one key; `frame` has the columns of a sums model."""
        of_all, of_treated = (
            Strata.of(frame[frame["stands_for"] == one]) for one in ("all", "treated")
        )
        return cls(of_all, of_treated, bool((frame["covariates"] > 0).any()))

    def by_certainty(self) -> tuple[Sums, Sums]:
        """Strata in which either arm was possible, of a known chance, and the others."""

        def part(is_known: bool) -> Sums:
            of_all, of_treated = (
                strata.taken((strata.chance[:, 1] > 0) == is_known)
                for strata in (self.of_all, self.of_treated)
            )
            return Sums(of_all, of_treated, self.has_covariate)

        return part(True), part(False)

    def beside(self, other: Sums) -> Sums:
        """The strata of both, of different campaigns; with a covariate where all have one."""
        return Sums(
            self.of_all.beside(other.of_all),
            self.of_treated.beside(other.of_treated),
            all(one.has_covariate for one in (self, other) if len(one.of_all.sums)),
        )


NO_SUMS = Sums.of(
    pd.DataFrame(columns=["stands_for", "stratum", "arm", *SUMS, *CHANCE, "covariates"])
)


def sums_by(
    connection: duckdb.DuckDBPyConnection, table: str, keys: tuple[str, ...]
) -> dict[tuple[Any, ...], Sums]:
    """The sums of a table by its keys, in their order."""
    frame = pd.DataFrame(rows_of(connection, table, keys))
    if frame.empty:
        return {}
    return {tuple(key): Sums.of(part) for key, part in frame.groupby(list(keys))}


def rows_of(
    connection: duckdb.DuckDBPyConnection, table: str, order: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The rows of a table, in order; money and dates as they are."""
    found = connection.execute(f"select * from {table} order by {', '.join(order)}")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

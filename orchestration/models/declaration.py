"""The declarations of the studies, available before the bank's records are read.

Importing a declaration loads neither scikit-learn nor MLflow, so that the code location loads fast;
a study's file imports what it learns with in the functions that learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from expectations.suites.switched import Judge
    from orchestration.models.context import TrainingContext
    from orchestration.models.records import Records
    from orchestration.models.scoring import Champion
    from orchestration.models.study import Off, Study

# What a study of customers at cut-offs reads: features, anchors, outcomes, the discount rate, and
# the sex for the comparison of groups.
COHORTS = (
    *("features.customer_month", "outcomes.customer_month", "outcomes.customer_sample"),
    *(
        "base.customer",
        "value.profit_by_customer",
        "value.customer_tier",
        "value.product_parameter",
    ),
)
# What a study of contacts reads.
CONTACTS = (
    *("features.customer_month", "features.spine", "outcomes.contact", "base.customer"),
    "value.product_parameter",
)
# Outcomes by product line.
LINES = ("outcomes.customer_line", "outcomes.customer_line_month")


@dataclass(frozen=True)
class Column:
    """A column of a table of scores.

    `type` is DuckDB's. `label` names the figure on the page of a customer, in the format `shown`;
    a column without one is not on the page.
    """

    name: str
    type: str
    meaning: str
    label: str = ""
    shown: Literal["money", "percent"] = "percent"


@dataclass(frozen=True)
class Table:
    """A table of the schema `scores`; `key` names the columns of which a row is one."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


CUSTOMER_ID = Column("customer_id", "varchar", "customer")


@dataclass(frozen=True)
class Declaration:
    """One registered model: its properties that do not depend on the bank's records.

    Attributes
    ----------
    name : in the registry, and of the asset `models/<name>`
    description : of the asset
    purpose : what it predicts and what it is for; `{0}` stands for the months of its horizon
    limits : what its figures do not show
    label : heading of its reasons on the page of a customer
    scores : whether a row that is scored is a customer or a customer and an offer
    reads : the tables that training reads, `schema.table`
    columns : what it adds to `scores.customer` or `scores.offer`, before its version
    study : makes the study for this bank, or the reason why there is none
    gate : the checks of its scores in G4
    population : the customers that it scores, a name of `datasets.POPULATIONS`; of customers only
    beside : from the records, a function that fills the columns which the model does not answer:
        of a batch and the places of those scored, column → value or values
    tables : tables of its own in the schema `scores`
    rows : rows of these tables by batch, from the model and the features of its population:
        table → frame, whose column `row` is the place in the features
    afterwards : what is written when all customers are scored
    is_grouping : its reasons place the customer in a group of customers
    """

    name: str
    description: str
    purpose: str
    limits: tuple[str, ...]
    label: str
    scores: Literal["customer", "offer"]
    reads: tuple[str, ...]
    columns: tuple[Column, ...]
    study: Callable[[Records], Study | Off]
    gate: tuple[Judge, ...]
    population: str = ""
    beside: Callable[[Records], Callable[[pd.DataFrame, np.ndarray], Mapping[str, Any]]] | None = (
        None
    )
    tables: tuple[Table, ...] = ()
    rows: Callable[[Any, pd.DataFrame], Mapping[str, pd.DataFrame]] | None = None
    afterwards: Callable[[Any, TrainingContext, Champion, int], None] | None = None
    is_grouping: bool = False

    @property
    def scored_columns(self) -> tuple[Column, ...]:
        """Its columns in its table of scores, the version last."""
        return (*self.columns, version_of(self.name))

    @property
    def table(self) -> Table:
        """The table of a model of customers, of its name: those whom it scores."""
        return Table(
            self.name,
            f"{self.description}; a row for each customer whom the model scores",
            (CUSTOMER_ID, *self.scored_columns),
            ("customer_id",),
        )


def version_of(model: str) -> Column:
    """The column that names the version behind the scores of a model."""
    return Column(
        f"{model}_model_version",
        "varchar",
        f"version of the registered model `{model}` that scored the row; empty where it did not",
    )

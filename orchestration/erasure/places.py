"""Where a home can have data of a person, and what an erasure does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Treatment = Literal["rewritten", "removed", "tokens", "none"]


@dataclass(frozen=True)
class Place:
    """An entry of the home. `rewritten`: its files are replaced by files without the person.
    `removed`: it is made again by the next refresh. `tokens`: it has keyed tokens of ids. `none`:
    it has no ids and no attributes of persons; it is searched all the same."""

    name: str
    treatment: Treatment
    holds: str


PLACES = (
    Place("published", "rewritten", "releases, also the one that waits for approval"),
    Place("scenarios", "rewritten", "values on other reference data"),
    Place("exports", "rewritten", "the lists of a release"),
    Place("reports", "rewritten", "pages; the value report names customers"),
    Place("customers", "removed", "pages of customers: the person's own are removed"),
    Place("build", "removed", "the build warehouse, and tables of Spark"),
    Place("tmp", "removed", "temporary files"),
    Place("delivery", "removed", "the synthetic bank's delivery"),
    Place("truth", "removed", "the synthetic bank's hidden truth"),
    Place("dagster", "rewritten", "runs that were given a customer's id; logs"),
    Place("logs", "rewritten", "logs and traces of commands"),
    Place("landing", "rewritten", "the landed months"),
    Place("audit", "tokens", "who asked for whose page"),
    Place("erasure", "tokens", "who was erased"),
    Place("mlflow", "none", "models, and shares of customers by value of a feature"),
    Place("dbt", "none", "the parsed project"),
    Place("operations", "none", "open notices"),
    Place("reference", "none", "the bank's reference data, as a refresh took them"),
    Place("reference_proposal", "none", "reference data that were proposed"),
    Place("secrets", "none", "keys"),
    Place("settings.json", "none", "the language of the last refresh"),
    Place("roles.yml", "none", "who has which role"),
    Place("refresh.lock", "none", "the holder of the lock"),
)

"""What follows from the score columns of the studies: `docs/scores.md`, and the dbt sources and the
model `scores_customer` in `dbt_project/models/scores`.

`python -m orchestration.models.scores_page` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestration.models.declaration import Column, Table
from orchestration.models.offer_scoring import OFFER_TABLE
from orchestration.models.scoring import CUSTOMER, OF_MODELS, TABLES, WRITTEN
from orchestration.platform.environment import DBT_PROJECT, PROJECT

OWNER = "modelling"
COMMAND = "python -m orchestration.models.scores_page"

HEAD = """\
# Scores: tables and columns

Generated from the studies (`orchestration/models/studies/`); after a change of a study run
`.venv/bin/python -m orchestration.models.scores_page`. Money is in currency units. The horizon is
12 months, or 6 where the history is short. A column is empty where its model is off or does not
score the customer.

## Reasons

Each score has up to three reasons, the strongest first; what like customers have as well is none.

- **Like customers** are those of the same kind and value tier at the as-of date; businesses are
  compared with businesses. Where there are fewer than 50, or the customer has no tier, they are all
  others. `usual_of` states which, and `usual` is their median or most frequent value.
- `contribution` is what the feature adds to the score, less what it adds to that of the median like
  customer.
- A reason is left out, and the next takes its place, where value and usual are the same to a
  person: numbers within 10 % of the larger, the same category, or both missing.
- `before` is the customer's own mean of up to twelve months, for as many months as the feature
  covers: `income_3m` beside a quarter of `income_12m`.
- Everything is of the as-of date or before it.

Pages and lists show sentences in English and Chinese, never the names of features. Where `before`
differs by a quarter or more, and in the same direction as `usual`, the sentence compares with the
customer's own past: "money coming in fell to 1,200 a month in the last 3 months, from 2,900 over
the last twelve". Otherwise it compares with like customers: "no bookings online over the last 3
months, while customers of the same tier have 4". Values have four digits, so amounts of
a thousand or more have no cents. The reasons of `segment` are its dimensions in their own units;
the page makes one sentence of them: what is usual in the segment, among all customers, and with
this customer.
`scores.offer.reason` and `alerts.credit.reason` hold the same in one text:
`income_3m 0 (usual 900 of customers of the same tier, before 600)`.
Releases from before `usual_of` and `before` have sentences about "other customers".
"""

SOURCES = f"""\
# Generated from the studies (orchestration/models/studies): {COMMAND}
sources:
  - name: scores
    schema: scores
    description: What the champions predict of this refresh's customers and offers.
    tables:
"""

MODEL_YML = f"""\
# Generated from the studies (orchestration/models/studies): {COMMAND}
models:
  - name: scores_customer
    description: >-
      The scores of each customer: {CUSTOMER.meaning}. Joined from the tables of the
      models; empty where the model is off or does not score the customer.
    config:
      meta:
        owner: {OWNER}
        grain: [customer_id]
        read_by: [alerts_credit, contacts, decisions, release]
    data_tests:
      - one_row_per:
          arguments:
            columns: [customer_id]
    columns:
"""


def scores_page() -> str:
    """The page, Markdown."""
    return "\n".join([HEAD, *(_section(table) for table in (*TABLES, OFFER_TABLE))])


def scores_sources() -> str:
    """The tables of scores that Python writes, as dbt sources."""
    return SOURCES + "\n".join(_source(table) for table in (*WRITTEN, OFFER_TABLE))


def customer_model() -> str:
    """The query of `scores.customer`: everybody with features, and what each model predicts."""
    columns = [
        f"{table.name}_score.{column.name}" for table in OF_MODELS for column in table.columns[1:]
    ]
    joins = [
        f"left join {{{{ source('scores', '{table.name}') }}}} as {table.name}_score\n"
        f"    on feature.customer_id = {table.name}_score.customer_id"
        for table in OF_MODELS
    ]
    return "\n".join(
        [
            "-- Generated from the studies (orchestration/models/studies):",
            f"-- {COMMAND}",
            "select",
            "    feature.customer_id,",
            ",\n".join(f"    {column}" for column in columns),
            "from {{ ref('features_customer_month') }} as feature",
            "inner join {{ ref('base_refresh_window') }} as run on feature.month = run.as_of_month",
            *joins,
            "",
        ]
    )


def customer_yml() -> str:
    """The contract of `scores.customer`."""
    return MODEL_YML + "".join(_model_column(column) for column in CUSTOMER.columns)


FOLDER = DBT_PROJECT / "models" / "scores"
# What is written, and from what.
FILES: dict[Path, Callable[[], str]] = {
    PROJECT / "docs" / "scores.md": scores_page,
    FOLDER / "sources.yml": scores_sources,
    FOLDER / "scores_customer.sql": customer_model,
    FOLDER / "scores_customer.yml": customer_yml,
}


def _section(table: Table) -> str:
    key = f"Key: {', '.join(f'`{name}`' for name in table.key)}.\n\n"
    rows = "\n".join(
        f"| `{column.name}` | `{column.type}` | {column.meaning} |" for column in table.columns
    )
    return f"## `scores.{table.name}`\n\n{key}| column | type | meaning |\n|---|---|---|\n{rows}\n"


def _source(table: Table) -> str:
    return (
        f"      - name: {table.name}\n"
        f"        description: {_text(table.meaning)}\n"
        "        config:\n"
        f"          meta: {{owner: {OWNER}, grain: [{', '.join(table.key)}]}}\n"
        "        columns:\n"
    ) + "".join(
        f"          - {{name: {column.name}, data_type: {_text(column.type)}, "
        f"description: {_text(column.meaning)}}}\n"
        for column in table.columns
    )


def _model_column(column: Column) -> str:
    not_null = "        constraints: [{type: not_null}]\n" if column.name in CUSTOMER.key else ""
    return (
        f"      - name: {column.name}\n"
        f"        data_type: {column.type}\n"
        f"        description: {_text(column.meaning)}\n{not_null}"
    )


def _text(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    for path, made in FILES.items():
        path.write_text(made(), encoding="utf-8")

"""`docs/scores.md`: the columns of the tables of scores, from the studies.

`python -m orchestration.models.scores_page` writes the page.
"""

from __future__ import annotations

from orchestration.models.declaration import Table
from orchestration.models.offer_scoring import OFFER_TABLE
from orchestration.models.scoring import TABLES
from orchestration.platform.environment import PROJECT

PAGE = PROJECT / "docs" / "scores.md"

HEAD = """\
# Scores: tables and columns

Generated from the studies (`orchestration/models/studies/`); after a change of a study run
`.venv/bin/python -m orchestration.models.scores_page`. Money is in currency units. The horizon is
12 months, or 6 where the history is short. A column is empty where its model is off or does not
score the customer.
"""


def scores_page() -> str:
    """The page, Markdown."""
    return "\n".join([HEAD, *(_section(table) for table in (*TABLES, OFFER_TABLE))])


def _section(table: Table) -> str:
    key = f"Key: {', '.join(f'`{name}`' for name in table.key)}.\n\n" if table.key else ""
    rows = "\n".join(
        f"| `{column.name}` | `{column.type}` | {column.meaning} |" for column in table.columns
    )
    return f"## `scores.{table.name}`\n\n{key}| column | type | meaning |\n|---|---|---|\n{rows}\n"


if __name__ == "__main__":
    PAGE.write_text(scores_page(), encoding="utf-8")

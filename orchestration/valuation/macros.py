"""The rules of the dbt project in a query outside dbt: its macros, rendered by Jinja alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.platform.environment import DBT_PROJECT

# In the order in which they call each other.
FILES = ("portable/money.sql", "value.sql", "pricing.sql")
ENGINE = "duckdb"


class Adapter:
    """What dbt's adapter is to the portable macros: it names the engine's version of one."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def dispatch(self, name: str) -> Any:
        return self.names[f"{ENGINE}__{name}"]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(DBT_PROJECT / "macros"), undefined=StrictUndefined
    )
    names = environment.globals
    names["adapter"] = Adapter(names)
    names["return"] = lambda value: value
    for file in FILES:
        # Names that begin with an underscore are Jinja's own.
        module = environment.get_template(file).module
        names.update(
            {name: macro for name, macro in vars(module).items() if not name.startswith("_")}
        )
    return environment


def rendered(path: Path, words: Mapping[str, Any]) -> str:
    """The query of a file that calls macros; `words` are what else its template names."""
    return _environment().from_string(path.read_text(encoding="utf-8")).render(words)

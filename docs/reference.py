"""Pages of the site that are written from the code: commands, settings, rules of the gates, and
metrics with their formulas."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import typer
from pydantic_core import PydanticUndefined

from ml.evaluation import drift, experiment, fairness, meta_analysis, metrics, uplift
from orchestration.cli import app
from orchestration.platform.settings import PREFIX, Settings
from orchestration.platform.tables import declared
from orchestration.release.gate_overrides import rules

# Published tables whose figures the page describes.
OF_FIGURES = (
    "scores.offer",
    "decisions.contact_plan",
    "campaigns.measurement",
    "campaigns.plan_outcome",
)
MEASURES = re.compile(r"^\| measure \| rule \|\n(?:\|.*\n)+", re.MULTILINE)
NUMERIC = ("decimal", "double")
TARGET = re.compile(r"^([a-z-]+):.*?## (.*)$", re.MULTILINE)


def pages(root: Path) -> dict[str, str]:
    """Name → text of each page; `root` is the project's folder."""
    return {
        "reference/commands.md": "\n".join(_commands(root)),
        "reference/settings.md": "\n".join(_settings()),
        "reference/gates.md": "\n".join(_gates()),
        "reference/metrics.md": "\n".join(_metrics(root)),
    }


def _cell(text: object) -> str:
    """One line of a table: no sign in it ends the cell or begins a tag."""
    line = " ".join(str(text).split())
    return line.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _commands(root: Path) -> Iterator[str]:
    yield from (
        "# Commands",
        "",
        "## Targets of make",
        "",
        "| target | what it does |",
        "|---|---|",
    )
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for name, words in TARGET.findall(makefile):
        yield _row(f"`make {name}`", _cell(words))
    yield from ("", "## The command `jingxi`", "")
    yield "`.venv/bin/jingxi <command>`; `--help` after any of them shows the same."
    group = typer.main.get_command(app)
    for name, command in sorted(getattr(group, "commands", {}).items()):
        yield from ("", f"### {name}", "", _cell(command.help or ""))
        options = [one for one in command.params if not getattr(one, "hidden", False)]
        if options:
            yield from ("", "| option | meaning |", "|---|---|")
        for one in options:
            names = ", ".join(f"`{part}`" for part in (*one.opts, *one.secondary_opts))
            yield _row(names, _cell(getattr(one, "help", None) or ""))


def _settings() -> Iterator[str]:
    yield from ("# Settings", "", "Read from the environment; an unknown name is refused.", "")
    yield from ("| variable | meaning | default | values |", "|---|---|---|---|")
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        choices = getattr(field.annotation, "__args__", ())
        values = ", ".join(f"`{one}`" for one in choices if isinstance(one, str))
        yield _row(f"`{PREFIX}{name.upper()}`", _cell(field.description or ""), default, values)


def _gates() -> Iterator[str]:
    yield from ("# Rules of the gates", "")
    yield "A rule that fails stops the refresh; one that warns is reported. [Gates](../gates.md)"
    yield "explains them. Rules marked \\* cannot be [overridden](../gates.md#overrides)."
    for gate, found in groupby(rules().items(), key=lambda one: one[0].partition("/")[0]):
        yield from (
            "",
            f"## {gate}",
            "",
            "| rule | what holds | else | cure |",
            "|---|---|---|---|",
        )
        for name, (_, rule) in found:
            binding = " \\*" if rule.binding else ""
            yield _row(
                f"`{name.partition('/')[2]}`{binding}",
                *(_cell(rule.meaning), f"{rule.severity}s", _cell(rule.cure)),
            )


def _metrics(root: Path) -> Iterator[str]:
    yield from ("# Metrics", "", "## Profit", "")
    yield "Of an account and month, and of every roll-up of it; [value](../value.md) explains them."
    found = MEASURES.search((root / "docs" / "value.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("docs/value.md is invalid: expected the table `measure | rule`")
    yield from ("", found[0])
    for table in OF_FIGURES:
        yield from (f"## `{table}`", "", "| column | meaning |", "|---|---|")
        for column in declared(table).columns:
            if column.data_type.startswith(NUMERIC):
                yield _row(f"`{column.name}`", _cell(column.description))
        yield ""
    yield from ("## Models and campaigns", "", "| metric | definition | in |", "|---|---|---|")
    for module in (metrics, uplift, drift, fairness, experiment, meta_analysis):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                words = (inspect.getdoc(function) or "").partition("\n\nParameters")[0]
                file = module.__name__.replace(".", "/")
                yield _row(f"`{name}`", _cell(words), f"`{file}.py`")

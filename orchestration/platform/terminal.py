"""Tables and colour on a terminal; files and pipes get plain lines.

Rich reads `NO_COLOR`, `TERM` and the width of the terminal; it is imported only for a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

SHOW_CURSOR, CLEAR_LINE = "\x1b[?25h", "\r\x1b[2K"


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def problem(text: str) -> None:
    """Print an error on standard error, in red on a terminal."""
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
        return
    from rich.console import Console

    Console(file=sys.stderr).print(
        text, style="red", markup=False, highlight=False, emoji=False, soft_wrap=True
    )


def restore() -> None:
    """Clear the bar of a killed process and show the cursor, which the bar hides."""
    if is_terminal():
        print(f"{CLEAR_LINE}{SHOW_CURSOR}", end="", flush=True)


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of equal keys as a table: numbers on the right, a dash for None, no notes."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = [name for name in rows[0] if name != "note"]
    drawn = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in names:
        numeric = any(isinstance(row[name], int | float | Decimal) for row in rows)
        drawn.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(cell(row[name])) for name in names))
    Console(file=sys.stdout).print(drawn)


def cell(value: Any) -> str:
    """A value as it is shown."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4f}"
        case Decimal():
            return f"{value:,f}"
        case date():
            return value.isoformat()
    return str(value)

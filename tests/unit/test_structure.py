"""What must not grow: SQL in Python, tables that Python creates, private imports.

`python -m tests.unit.test_structure` prints the figures of each folder.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import PROJECT

FOLDERS = ("orchestration", "sources", "ml", "expectations", "reports")
SQL = re.compile(
    r"\s*(select|with|create|insert|update|delete|from|alter|drop|copy|merge|semi|left|inner)\s",
    re.IGNORECASE,
)
CREATE = re.compile(r"\bcreate\s+(or\s+replace\s+)?(temp(orary)?\s+)?(table|view)\b", re.IGNORECASE)
# Where a table is Python's to make: typed landing, the copy into a release, the one write function,
# and an erasure, which copies a release again.
OWN = (
    *("orchestration/erasure/", "orchestration/platform/erased.py"),
    *("orchestration/landing/", "orchestration/release/publish.py"),
    "orchestration/platform/tables.py",
)


def texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each text of the program, f-strings whole, with its lines; docstrings are none of them."""
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in inner:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, height(node)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield "".join(map(str, parts)), height(node)


def height(node: ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def measured(folder: Path = PROJECT) -> tuple[Counter[str], Counter[str]]:
    """Lines of SQL, and statements that create a table or view outside `OWN`, by file."""
    lines, created = Counter[str](), Counter[str]()
    for name in FOLDERS:
        for path in sorted((folder / name).rglob("*.py")):
            file = str(path.relative_to(folder))
            for text, rows in texts(ast.parse(path.read_text())):
                if SQL.match(text):
                    lines[file] += rows
                if not file.startswith(OWN):
                    created[file] += len(CREATE.findall(text))
    return lines, created


def test_sql_in_python_does_not_grow() -> None:
    """SQL that makes a table belongs to dbt: lower these figures with every move."""
    lines, created = measured()
    assert sum(lines.values()) <= 2_687, lines.most_common(10)
    assert sum(created.values()) <= 1, created.most_common(10)


if __name__ == "__main__":
    import sys

    lines, created = measured(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT)
    for title, found in (("lines of SQL", lines), ("tables and views created", created)):
        print(f"{title}: {sum(found.values())}")
        for file, count in found.most_common(15):
            print(f"  {count:5} {file}")

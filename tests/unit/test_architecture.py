"""Libraries are used by their public names; nothing in the pipeline reads the hidden truth."""

import ast
from collections.abc import Iterator
from pathlib import Path

from orchestration.platform.environment import PROJECT

PACKAGES = ("orchestration", "sources", "ml", "expectations", "reports", "benchmarks")
# Dagster has no public way to make a run of a code location in a process of one's own
# (docs/decisions/0014).
PRIVATE = {Path("orchestration/platform/runs.py")}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_private_module_of_a_library_is_imported():
    own = tuple(f"{package}." for package in PACKAGES)
    private = {
        path.relative_to(PROJECT)
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
        for name in imported(path)
        if any(part.startswith("_") for part in name.split("."))
        and not name.startswith(own)
        and not name.startswith("__future__")
    }
    assert private == PRIVATE


def test_the_hidden_truth_is_written_by_its_generator_and_read_by_no_pipeline_code():
    allowed = {
        Path("orchestration/platform/settings.py"),
        Path("orchestration/landing/chosen_source.py"),
    }
    generator = Path("sources/synthetic")
    readers = []
    for package in ("orchestration", "sources", "ml", "expectations", "reports", "dbt_project"):
        for path in (PROJECT / package).rglob("*"):
            relative = path.relative_to(PROJECT)
            if path.suffix not in {".py", ".sql"} or relative.is_relative_to(generator):
                continue
            text = path.read_text()
            names_truth = ".truth" in text or "truth/" in text or "truth_folder" in text
            if names_truth and relative not in allowed:
                readers.append(str(relative))
    assert readers == []

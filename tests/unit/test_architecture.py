"""Imports point one way, and nothing in the pipeline reads the hidden truth."""

import ast
from pathlib import Path

import pytest

from orchestration.environment import PROJECT

FORBIDDEN = {
    "ml": {"dagster", "dagster_dbt", "dbt", "orchestration", "expectations", "benchmarks"},
    "expectations": {"dagster", "dagster_dbt", "dbt", "orchestration", "ml", "benchmarks"},
    "orchestration": {"benchmarks", "tests"},
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_lies_before_it(package):
    modules = list((PROJECT / package).rglob("*.py"))
    assert len(modules) > 1
    wrong = {
        str(path.relative_to(PROJECT)): imports_of(path) & FORBIDDEN[package]
        for path in modules
        if imports_of(path) & FORBIDDEN[package]
    }
    assert not wrong


def test_the_hidden_truth_is_written_by_its_generator_and_read_by_no_pipeline_code():
    allowed = {
        Path("orchestration/settings.py"),
        Path("orchestration/sources/choice.py"),
    }
    generator = Path("orchestration/sources/synthetic")
    readers = []
    for package in ("orchestration", "ml", "expectations", "dbt_project"):
        for path in (PROJECT / package).rglob("*"):
            relative = path.relative_to(PROJECT)
            if path.suffix not in {".py", ".sql"} or relative.is_relative_to(generator):
                continue
            text = path.read_text()
            names_truth = ".truth" in text or "truth/" in text or "truth_folder" in text
            if names_truth and relative not in allowed:
                readers.append(str(relative))
    assert readers == []

"""The engine's memory: what is asked for, what is free, what every connection gets."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestration.platform import environment
from orchestration.platform.engine import connect
from orchestration.platform.environment import PROJECT
from orchestration.platform.memory import (
    GIGABYTE,
    LEAST,
    MEGABYTE,
    MOST_BY_DEFAULT,
    default_budget,
    engine_threads,
    free_bytes,
    parse_memory,
)
from orchestration.platform.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2GB", 2 * GIGABYTE),
        ("800MB", 800 * MEGABYTE),
        ("1.5 gb", 1500 * MEGABYTE),
        (" 4GB ", 4 * GIGABYTE),
    ],
)
def test_an_amount_of_memory_is_a_number_with_its_unit(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["2", "lots", "-1GB", "2GiB", "50%", "2,5GB", "GB"])
def test_another_form_is_refused_with_the_form_expected(text, monkeypatch):
    monkeypatch.setenv("JINGXI_MEMORY", text)
    with pytest.raises(ValidationError, match="2GB or 800MB") as refused:
        read_settings()
    assert refused.value.errors()[0]["loc"] == ("memory",)


def test_too_little_memory_is_refused_with_the_least():
    with pytest.raises(ValueError, match=f"at least {LEAST // MEGABYTE}MB"):
        parse_memory("100MB")


def test_the_default_is_half_of_what_is_free_within_bounds():
    assert default_budget(6 * GIGABYTE) == 3 * GIGABYTE
    assert default_budget(64 * GIGABYTE) == MOST_BY_DEFAULT
    assert default_budget(100 * MEGABYTE) == LEAST


def test_little_memory_allows_fewer_threads():
    assert engine_threads(2 * GIGABYTE, 64) == 10
    assert engine_threads(4 * GIGABYTE, 2) == 2
    assert engine_threads(LEAST, 1) == 1


def machine(root: Path, **files: str) -> Path:
    """A machine with 8 GB available; `files` by path, with `__` for `/` and `_DOT_` for `.`."""
    named = {"proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n"}
    named |= {name.replace("__", "/").replace("_DOT_", "."): text for name, text in files.items()}
    for name, text in named.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_control_group_the_available_memory_is_free(tmp_path):
    assert free_bytes(machine(tmp_path)) == 8_000_000 * 1024


def test_a_control_group_of_version_2_leaves_its_limit_less_its_use(tmp_path):
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/bank/refresh\n",
        sys__fs__cgroup__bank__memory_DOT_max="3000000000\n",
        sys__fs__cgroup__bank__memory_DOT_current="1000000000\n",
        sys__fs__cgroup__bank__memory_DOT_stat="anon 5\ninactive_file 400000000\n",
        sys__fs__cgroup__bank__refresh__memory_DOT_max="max\n",
    )
    assert free_bytes(root) == 2_400_000_000


def test_a_control_group_of_version_1_is_read_where_a_container_mounts_it(tmp_path):
    root = machine(
        tmp_path,
        proc__self__cgroup="4:memory:/docker/0123\n1:cpu:/docker/0123\n",
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes="2000000000\n",
        sys__fs__cgroup__memory__memory_DOT_usage_in_bytes="500000000\n",
        sys__fs__cgroup__memory__memory_DOT_stat="total_inactive_file 0\n",
    )
    assert free_bytes(root) == 1_500_000_000


def test_an_unlimited_control_group_leaves_the_memory_of_the_machine(tmp_path):
    root = machine(
        tmp_path,
        proc__self__cgroup="4:memory:/\n",
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes="9223372036854771712\n",
        sys__fs__cgroup__memory__memory_DOT_usage_in_bytes="500000000\n",
        sys__fs__cgroup__memory__memory_DOT_stat="total_inactive_file 0\n",
    )
    assert free_bytes(root) == 8_000_000 * 1024


def test_a_group_beyond_its_limit_leaves_nothing(tmp_path):
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/\n",
        sys__fs__cgroup__memory_DOT_max="1000000000\n",
        sys__fs__cgroup__memory_DOT_current="1500000000\n",
        sys__fs__cgroup__memory_DOT_stat="inactive_file 0\n",
    )
    assert free_bytes(root) == 0


def test_a_connection_and_dbt_get_the_memory_of_the_settings(tmp_path, monkeypatch):
    for name in ("DBT_MEMORY_LIMIT", "DBT_DUCKDB_THREADS", "DBT_TEMP_DIRECTORY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    monkeypatch.setenv("JINGXI_MEMORY", "1.5GB")
    settings = read_settings()
    with connect(settings, tmp_path / "some.duckdb") as connection:
        ((limit, spill),) = connection.execute(
            "select current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchall()
    assert limit == "1.3 GiB"
    assert Path(spill).is_relative_to(tmp_path / "tmp")
    environment.prepare(settings)
    assert os.environ["DBT_MEMORY_LIMIT"] == "1500MB"


def test_data_beyond_the_memory_are_spilled_in_the_home(tmp_path):
    with connect(Settings(home=tmp_path, memory=LEAST)) as connection:
        connection.execute(
            "create table large as select repeat(range::varchar, 20) as text from range(5_000_000)"
        )
        spilled = connection.execute("select path, size from duckdb_temporary_files()").fetchall()
    assert sum(size for _, size in spilled) > 100 * MEGABYTE
    assert all(Path(path).is_relative_to(tmp_path / "tmp") for path, _ in spilled)


def test_the_engine_is_opened_in_one_place():
    opened = {
        str(path.relative_to(PROJECT))
        for folder in ("orchestration", "sources", "expectations", "ml", "benchmarks")
        for path in (PROJECT / folder).rglob("*.py")
        # What the summary shows to a reader is text.
        for line in path.read_text().splitlines()
        if re.search(r"duckdb\.connect\(", line) and "import duckdb;" not in line
    }
    assert opened == {"orchestration/platform/engine.py"}

"""Readers of the served release while it changes under them: rollbacks, erasures, publications."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import duckdb
import pytest

from orchestration.erasure import erase
from orchestration.platform.releases import point_at, releases_of, roll_back
from orchestration.platform.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.long]

READERS = 4
QUERIES = int(os.environ.get("TEST_QUERIES", "2000")) // READERS
ERASED = ("K01", "K02", "K03")
QUERY = """
    select
        (select release_id from meta.release),
        (select row_counts ->> '$."base.customer"' from meta.release)::bigint,
        (select count(*) from base.customer),
        (select count(distinct customer_id) from value.profit_by_customer),
        (select sum(contribution_margin) from value.account_month),
        (select sum(contribution_margin) from value.profit_by_customer)
"""


def read(current: str, queries: int, results) -> None:
    """Open the served release and ask, again and again; send what was wrong."""
    wrong, seen = [], set()
    for _ in range(queries):
        try:
            with duckdb.connect(current, read_only=True) as connection:
                ((release, counted, customers, paid, atoms, sums),) = connection.execute(
                    QUERY
                ).fetchall()
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
            continue
        seen.add(release)
        if counted != customers or atoms != sums or paid < customers:
            wrong.append(f"{release}: {counted} {customers} {paid} {atoms} {sums}")
    results.put((wrong[:3], len(wrong), sorted(seen)))


def test_no_reader_meets_an_error_or_a_mixture_while_releases_change(
    known_bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(known_bank, home, symlinks=True)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    settings = Settings(home=home)
    (first,) = releases_of(settings)
    # A second release, as a refresh lays it beside the first.
    second = first.with_name(f"{first.stem}-2.duckdb")
    shutil.copy(first, second)
    second.chmod(0o600)
    with duckdb.connect(str(second)) as connection:
        connection.execute("update meta.release set release_id = release_id || '-2'")
    second.chmod(0o400)
    point_at(settings, second)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    readers = [
        context.Process(
            target=read, args=(str(home / "published/current.duckdb"), QUERIES, results)
        )
        for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()
    rng, left, changes = random.Random(3), list(ERASED), 0
    while any(reader.is_alive() for reader in readers):
        what = rng.random()
        if left and what < 0.02:
            certificate = erase(settings, left.pop(), "a test", open_accounts=True)
            assert certificate.remaining == []
        elif what < 0.5:
            point_at(settings, second)
        else:
            point_at(settings, first)
        changes += 1
        time.sleep(0.01)
    found = [results.get(timeout=60) for _ in readers]
    for one in left:
        erase(settings, one, "a test", open_accounts=True)
    assert [(examples, count) for examples, count, _ in found] == [([], 0)] * READERS
    assert {release for _, _, seen in found for release in seen} == {first.stem, second.stem}
    assert changes > 20
    assert roll_back(settings, first.stem) == first

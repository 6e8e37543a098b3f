"""The results of `make bench`: their order, their file, and what the page shows of them."""

import json
from dataclasses import replace
from datetime import date

import pytest

from benchmarks import refresh_size, results
from benchmarks.__main__ import main
from benchmarks.homes import environment_of
from benchmarks.layers import statements
from benchmarks.mart_peers import Mart
from benchmarks.measuring import MEGABYTE, Row, Run
from benchmarks.refresh_size import LAST_MONTH, MONTH_BEFORE, Refresh, Size
from benchmarks.report import (
    BEGIN,
    END,
    PAGE,
    PICTURE,
    beside_the_work,
    figures,
    parts,
    without_models,
    write_page,
)
from benchmarks.results import OtherMemory, Results
from orchestration.platform.environment import PROJECT, code_version
from orchestration.platform.settings import Settings

STAGES = ("landing_layer", "gate_G1", "base_layer", "value_layer", "features_layer")


def run(seconds: float, megabytes: int = 100) -> Run:
    return Run(seconds, megabytes * MEGABYTE)


def refresh(as_of: str, times: float, rebuilt_from: str = "2023-01") -> Refresh:
    """Nine stages of 1 to 9 seconds and 5 around them, `times` as long."""
    names = (*STAGES, "models_layer", "scores_layer", "plan_layer", "release__published")
    stages = {name: run(times * number) for number, name in enumerate(names, 1)}
    return Refresh(as_of, rebuilt_from, int(1_000 * times), run(times * 50, 800), stages)


def size(customers: int, times: float = 1.0) -> Size:
    return Size(
        customers,
        generation=run(7.0),
        full=refresh(MONTH_BEFORE, times),
        bare={"base": run(times * 2), "value": run(times * 3), "features": run(times)},
        mart=Mart(
            123_456,
            {"duckdb": run(2.0), "pandas": run(9.0), "polars": run(1.0)},
            {"pandas": 0, "polars": 2},
        ),
        further=refresh(LAST_MONTH, times / 5, LAST_MONTH),
    )


def document(*sizes: Size) -> Results:
    row = Row("fit of many", run(1.0), run(4.0), "lifetimes", "parameters apart")
    found = Results("abc", "0.1+d", date(2026, 1, 31), "2000MB", {"processors": "2"}, {}, [row])
    for one in sizes:
        found.put(one)
    return found


def test_the_further_month_is_the_last_of_the_bank_and_follows_the_full_refresh():
    assert (MONTH_BEFORE, LAST_MONTH) == ("2025-11", "2025-12")


def test_each_statement_follows_those_that_it_reads(tmp_path):
    reads = {"late": ["early", "elsewhere"], "early": [], "middle": ["early"], "last": ["late"]}
    nodes = {}
    for name, read in reads.items():
        kind = "view" if name == "middle" else "table"
        nodes[name] = {
            **{"resource_type": "model", "tags": ["base"], "package_name": "bank"},
            **{"original_file_path": f"models/{name}.sql", "config": {"materialized": kind}},
            **{"depends_on": {"nodes": read}, "relation_name": f'"w"."base"."{name}"'},
        }
        file = tmp_path / "bank" / "models" / f"{name}.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'create {kind} "w"."base"."{name}__dbt_tmp" as select 1')
    nodes["seed"] = {"resource_type": "seed", "tags": ["base"]}
    nodes["elsewhere"] = {**nodes["early"], "tags": ["staging"]}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"nodes": nodes}))
    found = statements(manifest, tmp_path)
    assert found["value"] == found["features"] == []
    built = [one.create.split('"')[5] for one in found["base"]]
    assert sorted(built) == sorted(reads)
    for name, read in reads.items():
        assert all(built.index(one) < built.index(name) for one in read if one in reads)
    assert found["base"][built.index("middle")].drop == 'drop view if exists "w"."base"."middle"'


def test_parts_sum_to_the_whole_and_divide_the_layers_at_their_bare_sql():
    found = parts(size(100))
    assert sum(found.values()) == pytest.approx(50)
    assert found == pytest.approx(
        {
            "SQL of base, value, features": 6,  # 2 + 3 + 1
            "dbt around that SQL": 6,  # 3 + 4 + 5 by dbt
            "models and scores": 13,
            "landing": 1,
            "gates": 2,
            "release and portal": 9,
            "other stages": 8,
            "start and end": 5,
        }
    )
    assert beside_the_work(size(100)) == pytest.approx(50 - 6 - 13)
    assert without_models(refresh(LAST_MONTH, 2.0)) == pytest.approx(100 - 26)


def test_results_are_read_as_they_were_written(tmp_path):
    failed = Size(1_000_000, problems={"the full refresh": "no room"})
    found = document(size(10_000), failed)
    results.write(found, tmp_path / "results" / "some.json")
    assert results.read(tmp_path / "results" / "some.json") == found


def test_a_size_is_measured_again_only_where_a_refresh_or_the_bare_sql_is_missing():
    found = document(size(100), Size(1_000, problems={"the full refresh": "no room"}))
    peer = size(10_000)
    peer.problems["the mart by pandas"] = "no room"
    found.put(peer)
    assert found.measured(100) and found.measured(10_000)
    assert found.measured(1_000) is None and found.measured(50) is None
    found.put(replace(size(1_000), generation=run(3.0)))
    assert [one.customers for one in found.sizes] == [100, 1_000, 10_000]
    assert found.measured(1_000)


def test_tasks_measured_again_replace_the_earlier_ones():
    found = document()
    found.put_rows([replace(found.rows[0], note="again")])
    assert [row.note for row in found.rows] == ["again"]


def test_results_of_the_same_commit_are_continued_with_their_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "commit_of", lambda project: "abc")
    path, found = results.begin(Settings(home=tmp_path, memory=10**9))
    assert (found.memory, found.code, found.sizes) == ("1000MB", code_version(), [])
    found.put(size(100))
    results.write(found, path)
    assert results.begin(Settings(home=tmp_path)) == (path, found)
    with pytest.raises(OtherMemory, match="expected 1000MB"):
        results.begin(Settings(home=tmp_path, memory=2 * 10**9))
    monkeypatch.setattr(results, "commit_of", lambda project: "def")
    assert results.begin(Settings(home=tmp_path))[1].sizes == []


def test_a_commit_is_named_also_where_there_is_no_git(tmp_path):
    assert results.commit_of(tmp_path) == code_version().replace("+", "-")


def test_the_home_of_a_measurement_has_its_settings_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JINGXI_MAPPING", "mapping.yml")
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    monkeypatch.setenv("JINGXI_TOKEN_KEY", "k" * 32)
    settings = Settings(home=tmp_path, source="files").model_copy(
        update={"mapping": None, "source": "synthetic", "memory": 1_500_000_000}
    )
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert Settings().dagster_home == tmp_path / "dagster"


def cells(text: str, section: str) -> list[list[str]]:
    """The rows of a section's table below its head."""
    table = text.partition(f"### {section}\n\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")][2:]


def test_the_page_shows_growth_between_neighbouring_sizes_and_the_further_month():
    text = figures(document(size(100), size(1_000, times=100.0)))
    small, large = cells(text, "The whole refresh")
    assert small == ["100", "1,000", "7.0", "50.0", "20", "800", "–", "–"]
    assert large[3:] == ["5,000.0", "20", "800", "2.00", "0.00"]
    by_stage = {row[0]: row[1:] for row in cells(text, "Stage by stage")}
    assert by_stage["gate G1"] == ["2.0", "100", "200.0", "100", "2.00", "0.00"]
    assert cells(text, "One further month")[0] == [
        *("100", "2025-12", "2025-12", "10.0", "20%", "800", "7.4", "20%")
    ]
    assert cells(text, "dbt beside its SQL bare in DuckDB")[0][:5] == [
        *("base", "100", "3.0", "2.0", "1.50")
    ]
    # 31 s with 100 customers; 3,100 s with 1,000, of which 3,069 s are 61 % of 5,000 s.
    assert "31 s with 100 customers; 3,100 s with 1,000, which is the same 31 s and 61% of" in text
    assert [row[-1] for row in cells(text, "One mart by DuckDB, pandas and polars")[:3]] == [
        *("–", "0", "2")
    ]
    assert cells(text, "Tasks beside a named baseline")[0][6] == "0.250"


def test_what_failed_is_named_without_the_paths_of_this_machine():
    failed = Size(1_000_000, problems={"the full refresh": "no room (see /home/someone/log)"})
    text = figures(document(size(100), failed))
    assert "Not measured with 1,000,000 customers: the full refresh." in text
    assert "/home" not in text
    assert len(cells(text, "The whole refresh")) == 1


def test_the_page_is_written_between_its_marks_with_its_chart(tmp_path):
    page = tmp_path / PAGE
    (tmp_path / PICTURE).parent.mkdir(parents=True)
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nAfter\n")
    write_page(document(size(100), size(1_000, times=9.0)), tmp_path)
    text = page.read_text()
    assert text.startswith("# Before\n") and text.endswith(f"{END}\nAfter\n")
    assert "old" not in text and "### Stage by stage" in text
    assert "](images/performance.svg)" in text
    assert "models and scores" in (tmp_path / PICTURE).read_text()
    with pytest.raises(ValueError, match="expected the refresh of a size"):
        write_page(document(), tmp_path)
    page.write_text("# Without marks\n")
    with pytest.raises(ValueError, match="Restore"):
        write_page(document(size(100), size(1_000)), tmp_path)


def test_the_page_of_the_project_has_its_marks():
    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)


def refuse(*arguments: object) -> None:
    raise RuntimeError("no room")


@pytest.mark.parametrize(
    ("failing", "missing"),
    [
        ("the generation", {"generation", "full", "bare", "mart", "further"}),
        ("the full refresh", {"full", "bare", "mart", "further"}),
        ("the mart", {"mart"}),
        ("the bare SQL", {"bare"}),
        ("the further month", {"further"}),
    ],
)
def test_a_part_that_fails_is_stated_and_what_does_not_need_it_is_measured(
    failing, missing, tmp_path, monkeypatch
):
    whole = size(100)
    asked = []

    def refreshed(settings, options):
        asked.append((settings.as_of, settings.train, options))
        if failing == ("the further month" if options else "the full refresh"):
            refuse()
        return whole.further if options else whole.full

    def given(part, found):
        return refuse if failing == part else lambda *arguments: found

    monkeypatch.setattr(refresh_size, "_generated", given("the generation", whole.generation))
    monkeypatch.setattr(refresh_size, "_refreshed", refreshed)
    monkeypatch.setattr(refresh_size.mart_peers, "measure", given("the mart", whole.mart))
    monkeypatch.setattr(refresh_size.layers, "measure", given("the bare SQL", whole.bare))
    left = tmp_path / "bench" / "size-100" / "left"
    left.mkdir(parents=True)
    found = refresh_size.measure(Settings(home=tmp_path), 100)
    assert found.problems == {failing: "RuntimeError: no room"}
    for part in ("generation", "full", "bare", "mart", "further"):
        assert (
            getattr(found, part) == ({} if part == "bare" else None)
            if part in missing
            else (getattr(whole, part))
        )
    wanted = [("2025-11", "always", ()), ("2025-12", "auto", ("--months", "2025-12"))]
    assert asked == wanted[: 0 if "generation" in missing else 1 if "full" in missing else 2]
    assert not left.exists()


def test_a_run_measures_what_is_missing_and_keeps_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path))
    monkeypatch.setattr(results, "commit_of", lambda project: "abc")
    measured = []

    def measure(settings, customers):
        measured.append((customers, settings.engine_memory))
        failed = customers == 1_000 and len(measured) == 2
        return Size(1_000, problems={"the full refresh": "no room"}) if failed else size(customers)

    monkeypatch.setattr(refresh_size, "measure", measure)
    sizes = ["--only", "size", "--sizes", "1000", "100"]
    assert main(sizes) == 1
    assert "the full refresh: no room" in capsys.readouterr().out
    assert main(sizes) == 0
    memory = measured[0][1]
    assert measured == [(100, memory), (1_000, memory), (1_000, memory)]
    (file,) = (tmp_path / "bench" / "results").iterdir()
    assert [one.customers for one in results.read(file).sizes if one.is_measured] == [100, 1_000]
    assert file.name.endswith("-abc.json")

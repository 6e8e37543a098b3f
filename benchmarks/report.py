"""The tables and the chart of `make bench`, from the results alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.layers import LAYERS
from benchmarks.measuring import MEGABYTE, Run, growth
from benchmarks.refresh_size import Refresh, Size
from benchmarks.results import Results
from orchestration.platform.environment import PROJECT
from orchestration.platform.files import write_whole
from orchestration.platform.progress import name_of

PAGE, PICTURE = Path("docs", "performance.md"), Path("docs", "images", "performance.svg")
BEGIN = "<!-- Figures: make bench REPORT=… writes them. -->"
END = "<!-- End of the figures. -->"
SHOWN = "Seconds of the full refresh by part and number of customers, on logarithmic axes"
NOTHING = "–"
SQL, AROUND, MODELS = "SQL of base, value, features", "dbt around that SQL", "models and scores"
OTHERS, AROUND_ALL = "other stages", "start and end"
# Stages that are parts of their own; what is in none is one of the others.
PARTS = {
    **{f"{layer}_layer": SQL for layer in LAYERS},
    **{"models_layer": MODELS, "scores_layer": MODELS, "landing_layer": "landing"},
    **{"release__published": "release and portal", "portal__site": "release and portal"},
}
# Read on light and dark pages.
INK = "#808080"


def parts(size: Size) -> dict[str, float]:
    """What the seconds of the full refresh go to; they sum to the whole. Empty without the bare
    SQL."""
    if not size.full or not size.bare:
        return {}
    names = (SQL, AROUND, MODELS, "landing", "gates", "release and portal", OTHERS, AROUND_ALL)
    found = dict.fromkeys(names, 0.0)
    for stage, run in size.full.stages.items():
        found["gates" if stage.startswith("gate_") else PARTS.get(stage, OTHERS)] += run.seconds
    sql = sum(run.seconds for run in size.bare.values())
    found[AROUND] = found[SQL] - sql
    found[SQL] = sql
    found[AROUND_ALL] = size.full.whole.seconds - sum(found.values())
    return found


def beside_the_work(size: Size) -> float:
    """Seconds of orchestration, gates and documents together: of everything in the full refresh
    that is neither the SQL of the layers nor models."""
    return sum(seconds for part, seconds in parts(size).items() if part not in (SQL, MODELS))


def without_models(refresh: Refresh) -> float:
    """Seconds of a refresh without training and scoring."""
    modelled = (run for name, run in refresh.stages.items() if PARTS.get(name) == MODELS)
    return refresh.whole.seconds - sum(run.seconds for run in modelled)


def figures(results: Results) -> str:
    """All tables, as Markdown."""
    full = [size for size in results.sizes if size.full]
    named = {**results.machine, "engine memory": results.memory, **results.versions}
    blocks = [
        f"Commit {results.commit}, {results.measured_on:%Y-%m-%d}: "
        + ", ".join(f"{name} {value}" for name, value in named.items())
        + ".",
        *(
            f"Not measured with {size.customers:,} customers: {', '.join(size.problems)}."
            for size in results.sizes
            if size.problems
        ),
    ]
    if full:
        blocks += [
            _section("The whole refresh", _wholes(full)),
            _section("Stage by stage", _stages(full)),
            _section("One further month", _further(full)),
            _section("dbt beside its SQL bare in DuckDB", _bare(full)),
            _section("What the seconds go to", _parts(full)),
            _section("One mart by DuckDB, pandas and polars", _marts(full)),
        ]
    if results.rows:
        blocks.append(_section("Tasks beside a named baseline", _rows(results)))
    return "\n\n".join(block for block in blocks if block)


def _section(title: str, table: str) -> str:
    return f"### {title}\n\n{table}" if table else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---", *("--:" for _ in head[1:])], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f}"


def _megabytes(run: Run) -> str:
    return f"{run.peak_bytes / MEGABYTE:,.0f}" if run.peak_bytes else NOTHING


def _exponent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _growths(sizes: Sequence[Size], values: Sequence[float]) -> list[str]:
    """The exponents between neighbouring sizes; none for the first."""
    customers = [size.customers for size in sizes]
    return [
        _exponent(growth((few, many), (low, high)))
        for (few, many), (low, high) in zip(pairwise(customers), pairwise(values), strict=True)
    ]


def _refreshes(sizes: Sequence[Size]) -> list[Refresh]:
    return [size.full for size in sizes if size.full]


def _wholes(sizes: Sequence[Size]) -> str:
    refreshes = _refreshes(sizes)
    time = [NOTHING, *_growths(sizes, [one.whole.seconds for one in refreshes])]
    memory = [NOTHING, *_growths(sizes, [one.whole.peak_bytes for one in refreshes])]
    head = ("customers", "bookings", "generation, s", "refresh, s", "bookings a second")
    return _table(
        (*head, "peak, MB", "growth of time", "growth of memory"),
        (
            (
                f"{size.customers:,}",
                f"{one.bookings:,}",
                _seconds(size.generation.seconds) if size.generation else NOTHING,
                _seconds(one.whole.seconds),
                f"{one.bookings / one.whole.seconds:,.0f}",
                _megabytes(one.whole),
                time[place],
                memory[place],
            )
            for place, (size, one) in enumerate(zip(sizes, refreshes, strict=True))
        ),
    )


def _stages(sizes: Sequence[Size]) -> str:
    refreshes = _refreshes(sizes)
    head = ["stage"]
    for size in sizes:
        head += [f"{size.customers:,}, s", "MB"]
    for few, many in pairwise(sizes):
        head += [f"growth to {many.customers / few.customers:.3g}×: time", "memory"]
    none = Run(0.0, 0)
    rows = []
    for stage in {name: None for one in refreshes for name in one.stages}:
        runs = [one.stages.get(stage, none) for one in refreshes]
        row = [name_of(stage)]
        for run in runs:
            row += [_seconds(run.seconds), _megabytes(run)]
        time = _growths(sizes, [run.seconds for run in runs])
        memory = _growths(sizes, [run.peak_bytes for run in runs])
        rows.append([*row, *(cell for pair in zip(time, memory, strict=True) for cell in pair)])
    return _table(head, rows)


def _further(sizes: Sequence[Size]) -> str:
    found = [(size, size.full, size.further) for size in sizes if size.full and size.further]
    head = ("customers", "as of", "rebuilt from", "seconds", "of the full refresh", "peak, MB")
    return _table(
        (*head, "seconds without models", "of the full refresh without models"),
        (
            (
                f"{size.customers:,}",
                later.as_of,
                later.rebuilt_from,
                _seconds(later.whole.seconds),
                f"{later.whole.seconds / full.whole.seconds:.0%}",
                _megabytes(later.whole),
                _seconds(without_models(later)),
                f"{without_models(later) / without_models(full):.0%}",
            )
            for size, full, later in found
        ),
    )


def _bare(sizes: Sequence[Size]) -> str:
    return _table(
        ("layer", "customers", "dbt, s", "bare, s", "ratio", "dbt, MB", "bare, MB"),
        (
            (
                layer,
                f"{size.customers:,}",
                _seconds(by_dbt.seconds),
                _seconds(size.bare[layer].seconds),
                f"{by_dbt.seconds / size.bare[layer].seconds:.2f}",
                _megabytes(by_dbt),
                _megabytes(size.bare[layer]),
            )
            for layer in LAYERS
            for size in sizes
            if size.full and size.bare
            for by_dbt in [size.full.stages[f"{layer}_layer"]]
        ),
    )


def _parts(sizes: Sequence[Size]) -> str:
    found = [(size, size.full, parts(size)) for size in sizes if size.full and size.bare]
    if not found:
        return ""
    head = ["part"]
    for size, _, _ in found:
        head += [f"{size.customers:,}, s", "share"]
    rows = []
    for part in found[0][2]:
        row = [part]
        for _, full, split in found:
            row += [_seconds(split[part]), f"{split[part] / full.whole.seconds:.0%}"]
        rows.append(row)
    smallest = found[0][0]
    fixed = beside_the_work(smallest)
    lines = [
        f"Orchestration, gates and documents together, which is all but the first and third part: "
        f"{fixed:,.0f} s with {smallest.customers:,} customers"
    ]
    for size, full, _ in found[1:]:
        beyond = beside_the_work(size) - fixed
        lines.append(
            f"{beside_the_work(size):,.0f} s with {size.customers:,}, which is the same "
            f"{fixed:,.0f} s and {beyond / full.whole.seconds:.0%} of that refresh"
        )
    return f"{_table(head, rows)}\n\n{'; '.join(lines)}."


def _marts(sizes: Sequence[Size]) -> str:
    return _table(
        ("customers", "by", "seconds", "of DuckDB's", "peak, MB", "rows", "rows that differ"),
        (
            (
                f"{size.customers:,}",
                side,
                f"{run.seconds:,.2f}",
                f"{run.seconds / mart.runs['duckdb'].seconds:.2f}"
                if "duckdb" in mart.runs
                else NOTHING,
                _megabytes(run),
                f"{mart.rows:,}",
                f"{mart.differing[side]:,}" if side in mart.differing else NOTHING,
            )
            for size in sizes
            for mart in [size.mart]
            if mart
            for side, run in mart.runs.items()
        ),
    )


def _rows(results: Results) -> str:
    return _table(
        ("task", "jingxi, s", "MB", "baseline", "its s", "its MB", "ratio of time", "note"),
        (
            (
                row.task,
                f"{row.ours.seconds:,.2f}",
                _megabytes(row.ours),
                row.baseline_name,
                f"{row.baseline.seconds:,.2f}",
                _megabytes(row.baseline),
                f"{row.ours.seconds / row.baseline.seconds:.3f}",
                row.note,
            )
            for row in results.rows
        ),
    )


def picture(results: Results) -> str:
    """Seconds by part and size, both on logarithmic axes, as SVG; empty without a refresh."""
    import altair as alt
    import vl_convert

    points: list[dict[str, Any]] = [
        {"customers": size.customers, "part": part, "seconds": seconds}
        for size in results.sizes
        if size.full
        for part, seconds in {"whole refresh": size.full.whole.seconds, **parts(size)}.items()
        if seconds > 0
    ]
    if not points:
        return ""
    order = list(dict.fromkeys(point["part"] for point in points))
    measured, log = [size.customers for size in results.sizes], alt.Scale(type="log")
    chart = (
        alt.Chart(alt.Data(values=points))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "customers:Q",
                scale=log,
                axis=alt.Axis(values=measured, grid=False),
                title="customers",
            ),
            y=alt.Y("seconds:Q", scale=log, axis=alt.Axis(tickCount=5), title="seconds"),
            color=alt.Color("part:N", sort=order, title=None),
        )
        .properties(width=420, height=300)
    )
    ink: dict[str, Any] = {"labelColor": INK, "titleColor": INK, "gridColor": f"{INK}40"}
    config = {
        "background": None,
        "view": {"stroke": None},
        "axis": {**ink, "format": ",~r", "domainColor": INK, "tickColor": INK},
        "legend": {"labelColor": INK},
    }
    specification = chart.to_dict(validate=False) | {"config": config}
    return str(vl_convert.vegalite_to_svg(json.dumps(specification)))


def write_page(results: Results, project: Path = PROJECT) -> None:
    """Put the figures between the marks of the page, and the chart beside it.

    Raises
    ------
    ValueError
        When the page has no marks, or the results have no refresh.
    """
    page, drawn = project / PAGE, picture(results)
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} is invalid: expected the lines {BEGIN} and {END}. Restore them.")
    if not drawn:
        raise ValueError(
            "the results are incomplete: expected the refresh of a size. Run make bench ONLY=size."
        )
    shown = f"![{SHOWN}]({PICTURE.relative_to(PAGE.parent)})"
    write_whole(page, f"{before}{BEGIN}\n\n{figures(results)}\n\n{shown}\n\n{END}{after}")
    write_whole(project / PICTURE, drawn)

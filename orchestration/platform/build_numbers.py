"""Which layer was built when, by which run: what the release audits before it publishes.

Dagster's blocking checks hold only inside the run that executes them. A layer built again later, or
a release asked for on its own, must be caught here: every layer carries the number of its build, a
gate records which build it judged, and the release wants them in order.

A layer may consist of parts that are built alone, as the models are: it is whole when each part is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb

from orchestration.platform.resources import Home

LAYERS = ("landing", "base", "value", "features", "models", "scores", "contacts", "decisions")
GATES = {
    "G1": "landing",
    "G2": "base",
    "GV": "value",
    "G3": "models",
    "G4": "scores",
    "G5": "decisions",
}

CREATE = """
create schema if not exists meta;
create table if not exists meta.layer_build (
    layer varchar primary key,
    build_number bigint not null,
    run_id varchar not null,
    started_at timestamptz not null,
    finished_at timestamptz
)
"""


def begin(connection: duckdb.DuckDBPyConnection, layer: str, run_id: str) -> int:
    """Open a build of a layer or of one part of it, `layer/part`; until it is finished the layer
    counts as broken."""
    connection.execute(CREATE)
    (number,) = connection.execute(
        "select coalesce(max(build_number), 0) + 1 from meta.layer_build"
    ).fetchall()[0]
    connection.execute(
        "insert or replace into meta.layer_build values (?, ?, ?, current_timestamp, null)",
        [layer, number, run_id],
    )
    return number


def finish(connection: duckdb.DuckDBPyConnection, layer: str) -> None:
    """Close the open build of a layer or of one part of it."""
    connection.execute(
        "update meta.layer_build set finished_at = current_timestamp where layer = ?", [layer]
    )


def number_of(connection: duckdb.DuckDBPyConnection, layer: str) -> int:
    """The number of a layer's latest build, of whichever part.

    Raises
    ------
    LookupError
        When the layer was never built.
    """
    ((number,),) = connection.execute(
        "select max(build_number) from meta.layer_build where split_part(layer, '/', 1) = ?",
        [layer],
    ).fetchall()
    if number is None:
        raise LookupError(f"layer {layer} was never built here; run the whole refresh first")
    return number


@contextmanager
def build(
    home: Home,
    layer: str,
    run_id: str,
    parts: Collection[str] = (),
    all_parts: Collection[str] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A layer built by Python: open the build, yield the connection, close the build on success.

    Of a layer in parts, `parts` are those that this build makes.
    """
    with home.warehouse() as connection:
        require(connection, layer)
        built = [f"{layer}/{part}" for part in parts] or [layer]
        if all_parts:
            _expect(connection, layer, [f"{layer}/{part}" for part in all_parts])
        for one in built:
            begin(connection, one, run_id)
        yield connection
        for one in built:
            finish(connection, one)


def _expect(connection: duckdb.DuckDBPyConnection, layer: str, parts: Collection[str]) -> None:
    """Note the parts that a layer consists of: one that was never built has the number 0."""
    connection.execute(
        "delete from meta.layer_build where split_part(layer, '/', 1) = ? and layer not in "
        "(select unnest(?))",
        [layer, list(parts)],
    )
    connection.executemany(
        "insert or ignore into meta.layer_build values (?, 0, '', current_timestamp, null)",
        [[part] for part in parts],
    )


def require(connection: duckdb.DuckDBPyConnection, layer: str) -> None:
    """A layer is built only when every layer before it is whole and passed its gates.

    Dagster's gates hold within a run only: a layer may be asked for in a run of its own.

    Raises
    ------
    dagster.Failure
        With every reason why it may not be built.
    """
    found = complaints(connection, up_to=LAYERS[LAYERS.index(layer) - 1])
    if found:
        raise dg.Failure(
            f"{layer} is not built on what did not pass: {'; '.join(found)}. "
            "Run the whole refresh (make refresh)",
            allow_retries=False,
        )


def complaints(connection: duckdb.DuckDBPyConnection, up_to: str = LAYERS[-1]) -> list[str]:
    """Why the present build must not be published, or built upon; empty when it may.

    Every layer finished in all its parts, each built after the layer before it, every gate passed
    for exactly the build that stands now; of the layers `up_to` one.
    """
    connection.execute(CREATE)
    builds: dict[str, list[tuple[str, int, bool]]] = {}
    for part, number, finished in connection.execute(
        "select layer, build_number, finished_at is not null from meta.layer_build order by layer"
    ).fetchall():
        builds.setdefault(part.split("/")[0], []).append((part, number, finished))

    def newest(layer: str) -> int:
        return max(number for _, number, _ in builds[layer])

    found: list[str] = []
    previous: tuple[str, int] | None = None
    layers = LAYERS[: LAYERS.index(up_to) + 1]
    for layer in layers:
        if layer not in builds:
            found.append(f"layer {layer} was never built")
            continue
        for part, number, finished in builds[layer]:
            if not number:
                found.append(f"layer {part} was never built")
                continue
            if not finished:
                found.append(f"the last build of layer {part} did not finish")
            if previous and number < previous[1]:
                found.append(f"layer {part} is older than layer {previous[0]}, which it reads")
        previous = (layer, newest(layer))
    has_results = connection.execute(
        "select count(*) from duckdb_tables() "
        "where schema_name = 'meta' and table_name = 'gate_result'"
    ).fetchall()[0][0]
    judged: dict[str, tuple[int, bool]] = {}
    if has_results:
        judged = {
            gate: (number, passed)
            for gate, number, passed in connection.execute(
                "select gate, min(build_number), "
                "bool_and(success or severity <> 'fail') from meta.gate_result group by gate"
            ).fetchall()
        }
    for gate, layer in GATES.items():
        if layer not in layers:
            continue
        if gate not in judged:
            found.append(f"gate {gate} has not judged layer {layer}")
            continue
        number, passed = judged[gate]
        if layer in builds and number != newest(layer):
            found.append(f"gate {gate} judged an earlier build of layer {layer}")
        elif not passed:
            found.append(f"gate {gate} failed on layer {layer}")
    return found

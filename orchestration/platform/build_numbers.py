"""The builds of the layers, which the release audits before it publishes.

Dagster's blocking checks hold only inside the run that executes them. Build numbers also catch a
layer built again later, or a release run on its own: every layer has the number of its build, a
gate records the build that it checked, and the release requires them in order.

A layer may consist of parts that are built separately, as the models are: it is complete when each
part is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
import duckdb

from orchestration.platform.optional_tables import has_column
from orchestration.platform.resources import Home
from orchestration.platform.tables import ensure_table

# Each layer and the layers that must be older than it.
AFTER: dict[str, tuple[str, ...]] = {
    "landing": (),
    "base": ("landing",),
    "value": ("base",),
    "features": ("value",),
    "models": ("features",),
    "campaign_inputs": ("models",),
    "scores": ("models",),
    "alerts": ("scores",),
    "customer_scores": ("alerts",),
    "contacts": ("customer_scores", "campaign_inputs"),
    "campaigns": ("contacts",),
    "plan": ("contacts",),
    "decisions": ("plan",),
}
LAYERS = tuple(AFTER)
# Each gate and the layers that it checks together.
GATES = {
    "G1": ("landing",),
    "G2": ("base",),
    "GV": ("value",),
    "G3": ("models",),
    "G4": ("scores", "alerts", "customer_scores"),
    "G5": ("campaigns", "decisions"),
}

TABLE = "meta.layer_build"


def begin(connection: duckdb.DuckDBPyConnection, layer: str, run_id: str) -> int:
    """Open a build of a layer or of one part of it, `layer/part`; until it is finished the layer
    counts as broken."""
    ensure_table(connection, TABLE)
    (number,) = connection.execute(
        "select coalesce(max(build_number), 0) + 1 from meta.layer_build"
    ).fetchall()[0]
    connection.execute("delete from meta.layer_build where layer = ?", [layer])
    connection.execute(
        "insert into meta.layer_build values (?, ?, ?, current_timestamp, null)",
        [layer, number, run_id],
    )
    return number


def finish(connection: duckdb.DuckDBPyConnection, layer: str) -> None:
    """Close the open build of a layer or of one part of it."""
    connection.execute(
        "update meta.layer_build set finished_at = current_timestamp where layer = ?", [layer]
    )


def judged_by(connection: duckdb.DuckDBPyConnection, gate: str) -> int:
    """The number of the build that a gate checks: the latest of its layers and their parts.

    Raises
    ------
    LookupError
        When one of the layers was never built.
    """
    builds = _builds(connection)
    missing = [layer for layer in GATES[gate] if layer not in builds]
    if missing:
        raise LookupError(
            f"layer {', '.join(missing)} is not built. Run the whole refresh (make refresh)."
        )
    return max(_newest(builds[layer]) for layer in GATES[gate])


@contextmanager
def build(
    home: Home,
    layer: str,
    run_id: str,
    parts: Collection[str] = (),
    all_parts: Collection[str] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A layer built by Python: open the build, yield the connection, close the build on success.

    For a layer in parts, `parts` are those of this build and `all_parts` those of the layer.
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
    """Record the parts of a layer; a part that is not built yet has the number 0."""
    connection.execute(
        "delete from meta.layer_build where split_part(layer, '/', 1) = ? and layer not in "
        "(select unnest(?))",
        [layer, list(parts)],
    )
    connection.execute(
        "insert into meta.layer_build select part, 0, '', current_timestamp, null "
        "from (select unnest(?) as part) "
        "anti join meta.layer_build on layer_build.layer = part",
        [list(parts)],
    )


def require(connection: duckdb.DuckDBPyConnection, layer: str) -> None:
    """Require that every layer before this one is complete and passed its gates.

    Dagster's gates hold within a run only, and a layer may be built in a run of its own.

    Raises
    ------
    dagster.Failure
        With every reason why the layer must not be built.
    """
    found = complaints(connection, *AFTER[layer])
    if found:
        raise dg.Failure(
            f"{layer} is not built: expected complete layers that passed their gates; "
            f"{'; '.join(found)}. Run the whole refresh (make refresh).",
            allow_retries=False,
        )


def complaints(connection: duckdb.DuckDBPyConnection, *up_to: str) -> list[str]:
    """Why the current build must not be published or built upon; empty if it may.

    It requires that every layer is finished in all its parts and built after the layers that it
    reads, and that every gate passed for exactly the current build. Rules overridden at their gate
    do not count here: `overrides.complaints` examines them. With `up_to`, only these layers and
    those before them count.
    """
    ensure_table(connection, TABLE)
    builds = _builds(connection)
    found: list[str] = []
    layers = _with_those_before(up_to or LAYERS)
    for layer in layers:
        if layer not in builds:
            found.append(f"layer {layer} is not built")
            continue
        for part, number, finished in builds[layer]:
            if not number:
                found.append(f"layer {part} is not built")
                continue
            if not finished:
                found.append(f"the last build of layer {part} did not finish")
            found += [
                f"layer {part} is older than layer {read}, which it reads"
                for read in AFTER[layer]
                if read in builds and number < _newest(builds[read])
            ]
    has_results = connection.execute(
        "select count(*) from duckdb_tables() "
        "where schema_name = 'meta' and table_name = 'gate_result'"
    ).fetchall()[0][0]
    judged: dict[str, tuple[int, bool]] = {}
    if has_results:
        holds = "success or severity <> 'fail'"
        if has_column(connection, "meta.gate_result", "overridden"):
            holds += " or overridden is not null"
        judged = {
            gate: (number, passed)
            for gate, number, passed in connection.execute(
                "select gate, min(build_number), "
                f"bool_and({holds}) from meta.gate_result group by gate"
            ).fetchall()
        }
    for gate, own in GATES.items():
        if not set(own) <= set(layers):
            continue
        named = f"layer {' and '.join(own)}"
        if gate not in judged:
            found.append(f"gate {gate} has not checked {named}")
            continue
        number, passed = judged[gate]
        if number != max((_newest(builds[one]) for one in own if one in builds), default=number):
            found.append(f"gate {gate} checked an earlier build of {named}")
        elif not passed:
            found.append(f"gate {gate} failed on {named}")
    return found


def _builds(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, int, bool]]]:
    """Layer → its parts, the number of each one's latest build and whether it finished."""
    found: dict[str, list[tuple[str, int, bool]]] = {}
    for part, number, finished in connection.execute(
        "select layer, build_number, finished_at is not null from meta.layer_build order by layer"
    ).fetchall():
        found.setdefault(part.split("/")[0], []).append((part, number, finished))
    return found


def _newest(parts: Sequence[tuple[str, int, bool]]) -> int:
    return max(number for _, number, _ in parts)


def _with_those_before(layers: Sequence[str]) -> list[str]:
    """The layers and all that they read, in order."""
    wanted, waiting = set[str](), list(layers)
    while waiting:
        layer = waiting.pop()
        wanted.add(layer)
        waiting += AFTER[layer]
    return [layer for layer in LAYERS if layer in wanted]

"""Gates as blocking asset checks: a failed gate stops the steps downstream of its layer."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.addresses import reports_address
from orchestration.platform.failures import failure
from orchestration.platform.overrides import Overriding
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from orchestration.platform.settings import Settings
from orchestration.platform.tables import ensure_table
from orchestration.platform.wording import Found

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Breach, GateOutcome, GateResult, Suite

REPORT = "gates.html"
GATE_RESULT = "meta.gate_result"
# Reports by run, under the reports; `publish` keeps them as long as releases.
RUNS = "runs"


def models_on(connection: "duckdb.DuckDBPyConnection") -> tuple[str, ...]:
    """The models that are on; rules about the others are not checked."""
    return tuple(
        name
        for (name,) in connection.execute(
            "select distinct model_name from meta.model_version where version is not null "
            "order by all"
        ).fetchall()
    )


def report_of(settings: Settings, run_id: str) -> Path:
    """The gate report of a run; other runs do not overwrite it."""
    return settings.reports / RUNS / run_id / REPORT


def gate(
    name: str,
    assets: Sequence[dg.AssetKey],
    suite: Callable[["duckdb.DuckDBPyConnection"], "Suite"],
    description: str,
    *,
    earlier: Sequence[dg.AssetKey] = (),
) -> dg.AssetChecksDefinition:
    """A gate over a layer: one blocking check on each of the layer's assets.

    The check of an asset that breaks a rule fails: as an error if the rule's severity is fail and
    no override covers it, else as a warning; the others pass. If a check fails as an error, the
    gate's step fails, so that everything downstream of any asset of the layer is skipped in this
    run; in a later run `build_numbers.require` stops it.

    `earlier` are assets of earlier layers that the gate checks, too. Checks on them do not block:
    otherwise the layer's inputs would wait for the layer.
    """
    specs = [
        dg.AssetCheckSpec(name, asset=asset, blocking=asset in assets, description=description)
        for asset in (*assets, *earlier)
    ]

    @dg.multi_asset_check(name=f"gate_{name}", specs=specs, can_subset=True, pool=WAREHOUSE_POOL)
    def _gate(context: dg.AssetCheckExecutionContext, home: Home) -> Iterator[dg.AssetCheckResult]:
        from expectations.gate import judge
        from orchestration.platform.gate_report import render_report

        report = report_of(home.settings, context.run.run_id)
        address = reports_address(home.settings, report)
        with home.warehouse() as connection:
            number = build_numbers.judged_by(connection, name)
            ensure_table(connection, GATE_RESULT)
            given = Overriding(home.settings, number)
            outcome = judge(connection, suite(connection), number, context.run.run_id, given.covers)
            given.record(connection, name)
            render_report(connection, report, home.settings.language)
        shutil.copyfile(report, home.settings.reports / REPORT)
        for line in (*warnings_of(outcome), *given.notes):
            report_progress(line, warns=True)
        if not outcome.success:
            context.log.error(outcome.message())
        asked = {key.asset_key for key in context.selected_asset_check_keys}
        for asset, broken in broken_rules(outcome, assets, earlier).items():
            if asset in asked:
                yield _result(asset, outcome, broken, report, address)
        if not outcome.success:
            raise failure(outcome.message(), outcome.places())

    return _gate


def warnings_of(outcome: "GateOutcome") -> Iterator[Found]:
    """One line per table or model with a warning."""
    from expectations.rules import once
    from orchestration.platform.gate_words import CURED, warning_words
    from reports.words import Phrase

    for result in once(outcome.warned):
        found = {"cure": result.cure, "bound": result.limit, "observed": result.observed}
        for line in result.lines():
            words = warning_words(found, line)
            phrase = Phrase(CURED, *words.values()) if words["cure"] else words["text"]
            yield Found(line, phrase)


Broken = tuple["GateResult", "Breach"]


def broken_rules(
    outcome: "GateOutcome", assets: Sequence[dg.AssetKey], earlier: Sequence[dg.AssetKey] = ()
) -> dict[dg.AssetKey, list[Broken]]:
    """The broken rules of each asset; a rule that names none of them counts for every asset of the
    layer."""
    found: dict[dg.AssetKey, list[Broken]] = {asset: [] for asset in (*assets, *earlier)}
    for result in (*outcome.failed, *outcome.warned):
        for breach in result.breaches:
            key = dg.AssetKey(breach.about.split("."))
            for asset in [key] if key in found else assets:
                found[asset].append((result, breach))
    return found


def _result(
    asset: dg.AssetKey,
    outcome: "GateOutcome",
    broken: Sequence[Broken],
    report: Path,
    address: str,
) -> dg.AssetCheckResult:
    failed = any(result.stops for result, _ in broken)
    lines = [result.line(breach) for result, breach in broken]
    if not failed and not outcome.success:
        tables = dict.fromkeys(about for result in outcome.failed for about in result.about)
        failing = ", ".join(tables) or "the whole layer"
        lines.insert(
            0, f"{outcome.gate} failed on {failing}: nothing downstream of this layer runs"
        )
    metadata: dict[str, dg.MetadataValue] = {
        "rules": dg.MetadataValue.int(len(outcome.results)),
        "failed": dg.MetadataValue.int(sum(r.stops for r, _ in broken)),
        "warnings": dg.MetadataValue.int(sum(not r.stops for r, _ in broken)),
        "report": dg.MetadataValue.url(address),
        "report_file": dg.MetadataValue.path(str(report)),
    }
    if broken:
        metadata["broken_rules"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "severity": "overridden" if result.overridden else result.severity,
                        "rule": result.meaning,
                        "seen": breach.seen,
                        "limit": result.limit,
                        "chance": breach.chance,
                        "where": breach.where,
                        "what to do": result.cure,
                    }
                )
                for result, breach in broken
            ]
        )
    return dg.AssetCheckResult(
        check_name=outcome.gate,
        asset_key=asset,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description="\n".join(lines) or None,
        metadata=metadata,
    )

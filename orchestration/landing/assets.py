"""Landing: the delivered records, typed, checked row by row and stored as Parquet by month."""

from collections import defaultdict
from collections.abc import Iterator

import dagster as dg
import duckdb

from orchestration.landing.delivery import open_delivery, record_mapping
from orchestration.landing.health import prepare_home
from orchestration.landing.token_key import token_key
from orchestration.platform import build_numbers, reference
from orchestration.platform.asset_metadata import (
    COLUMN_SCHEMA,
    ROW_COUNT,
    columns_of,
    rows_and_columns,
    team,
)
from orchestration.platform.erased import read_register
from orchestration.platform.failures import tried_again
from orchestration.platform.model_store import check_model_store
from orchestration.platform.partitions import ONE_MONTH_A_RUN, first_day, last_day, months_asked
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import MONTHS_TAG, WAREHOUSE_POOL, Home
from orchestration.platform.settings import keep_language
from sources.contract import TABLES
from sources.message import Message

# The months that a refresh covers; every layer reads this table.
WINDOW = dg.AssetKey(["landing", "refresh_window"])


# All are in the portal, on the page Data quality.
SHOWN_FILES = 100


def key_of(table: str) -> dg.AssetKey:
    return dg.AssetKey(["landing", table])


def files_of(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, dg.MetadataValue]]:
    """Of each table the number of files that were read, and of the newest path, rows and the
    SHA-256 of the bytes."""
    found = defaultdict[str, list[dg.TableRecord]](list)
    files = connection.table("meta.input_file").order("extract_month desc, path desc")
    for table, file, rows, digest in files.select("table_name, path, rows, sha256").fetchall():
        found[table].append(dg.TableRecord({"file": file, "rows": rows, "sha256": digest}))
    return {
        table: {
            "files": dg.MetadataValue.int(len(own)),
            "source_files": dg.MetadataValue.table(own[:SHOWN_FILES]),
        }
        for table, own in found.items()
    }


def landing_assets(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """Every table of the contract as one asset; an undelivered table is typed and empty."""

    @dg.multi_asset(
        name="landing_layer",
        specs=[
            dg.AssetSpec(
                key_of(table.name),
                group_name="landing",
                partitions_def=months,
                kinds={"parquet"},
                owners=team("data engineering"),
                description=f"{table.meaning} As delivered, by {', '.join(table.key)}; "
                + (f"without it: {table.without_it}." if table.without_it else "required."),
            )
            for table in TABLES
        ]
        + [
            dg.AssetSpec(
                WINDOW,
                group_name="landing",
                partitions_def=months,
                kinds={"duckdb"},
                owners=team("data engineering"),
                description="The months that a refresh covers, from the first to the as-of month.",
            )
        ],
        partitions_def=months,
        backfill_policy=ONE_MONTH_A_RUN,
        pool=WAREHOUSE_POOL,
    )
    def landing(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.landing.engine import Window, land
        from orchestration.landing.previous import record_previous
        from orchestration.platform.runs import REFRESH

        settings = home.settings
        if context.job_name == REFRESH:
            # The models run last: check their store before hours of other work.
            with tried_again():
                check_model_store(settings)
            for note in prepare_home(settings):
                report_progress(note, warns=True)
            keep_language(settings)
        with home.warehouse() as connection:
            report_progress(Message("reading the delivery of {0}", settings.source))
            delivery = open_delivery(settings, connection, context.partition_key)
            for note in delivery.notes(connection):
                report_progress(Message("note: {0}", note))
            history = delivery.first_month, delivery.as_of
            # `land` adds the months whose records changed.
            tagged = context.run.tags.get(MONTHS_TAG, delivery.as_of)
            asked = months_asked(tagged, *history, MONTHS_TAG)
            why_rebuilt = delivery.bind_warehouse(connection, whole=asked == history)
            start, end = history if why_rebuilt else asked
            finished = not build_numbers.complaints(connection, "features")
            build_numbers.begin(connection, "landing", context.run_id)
            summary = land(
                connection,
                delivery.source,
                Window(
                    first_month=first_day(delivery.first_month),
                    month_from=first_day(start),
                    month_to=first_day(end),
                    as_of=last_day(delivery.as_of),
                ),
                settings.landing,
                token_key(settings),
                finished=finished,
                register=read_register(settings),
            )
            record_previous(connection, settings, delivery)
            record_mapping(connection, delivery.source)
            reference.record(connection, settings)
            columns = {
                table.name: columns_of(
                    connection,
                    key_of(table.name),
                    {column.name: column.meaning for column in table.columns},
                )
                for table in TABLES
            }
            window = rows_and_columns(connection, WINDOW)
            files = files_of(connection)
            build_numbers.finish(connection, "landing")
        if why_rebuilt and asked != history:
            why = Message("{0}: rebuilding {1} to {2}", why_rebuilt, start, end)
            report_progress(why, warns=True)
        for line in summary.lines():
            report_progress(line, warns=True)
        by_table = {table.table_name: table for table in summary.tables}
        for table in TABLES:
            landed = by_table.get(table.name)
            yield dg.MaterializeResult(
                asset_key=key_of(table.name),
                metadata={
                    ROW_COUNT: landed.landed if landed else 0,
                    COLUMN_SCHEMA: columns[table.name],
                    "delivered": landed.rows if landed else 0,
                    "quarantined": landed.quarantined if landed else 0,
                    "after_as_of": landed.after_as_of if landed else 0,
                    "before_first_month": landed.before_first_month if landed else 0,
                    **files.get(table.name, {}),
                },
            )
        yield dg.MaterializeResult(asset_key=WINDOW, metadata=window)

    return landing

"""Decisions: whom to contact with what, the lists for those who do it, and what came of it."""

from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import rows_and_columns, team
from orchestration.platform.progress import tell
from orchestration.platform.resources import Home

# Each table and what it holds.
HOLDS = {
    ("decisions", "contact_plan"): "whom to contact next month with what, and who is held out",
    ("decisions", "constraint_price"): "what one more unit of each limit would bring",
    ("decisions", "plan_comparison"): "the plan beside simpler policies under the same limits",
    ("decisions", "control_power"): "how large an effect each campaign's arms can show",
    ("decisions", "worklist"): "the contacts of each manager and branch, ranked, with reasons",
    ("decisions", "guide"): "what to say of which offer to which group of customers",
    ("decisions", "grid"): "value, potential and coverage by district and who answers for it",
    ("decisions", "manager_scorecard"): "each manager's book: value, growth, coverage, conversion",
}
DECISIONS = [dg.AssetKey(list(key)) for key in HOLDS]


def decisions_assets(upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """Plan, lists and measurement as one step: the gate after it judges them together."""

    @dg.multi_asset(
        name="decisions_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=list(upstream),
                group_name="decisions",
                kinds={"duckdb"},
                owners=team("marketing"),
                description=description,
            )
            for key, description in zip(DECISIONS, HOLDS.values(), strict=True)
        ],
    )
    def decisions(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scipy.
        from orchestration.decisions.grid import write_grid
        from orchestration.decisions.plan import write_plan
        from orchestration.decisions.scorecard import write_scorecard
        from orchestration.decisions.worklist import write_worklist
        from orchestration.models.context import training_context
        from orchestration.platform import ahead

        ahead.finish()
        with build_numbers.build(home, "decisions", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            tell("the contact plan")
            write_plan(connection, home.settings.seed)
            tell("the lists")
            write_worklist(connection, training.as_of)
            write_grid(connection, training.as_of)
            write_scorecard(connection, training.as_of)
            described = {key: rows_and_columns(connection, key) for key in DECISIONS}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return decisions

"""One study a registered model."""

from __future__ import annotations

from typing import Any

from ml.registry import ChampionUnusable, Registry
from orchestration.models.records import Records
from orchestration.models.studies.attrition import attrition_study
from orchestration.models.studies.clv import clv_study
from orchestration.models.studies.default import default_study
from orchestration.models.studies.high_value import high_value_study
from orchestration.models.studies.product_value import product_value_study
from orchestration.models.studies.response import response_study
from orchestration.models.studies.segment import segment_study
from orchestration.models.studies.uplift import uplift_study
from orchestration.models.study import Off, Study


def studies_of(records: Records, registry: Registry) -> tuple[Study | Off, ...]:
    """All studies of a bank, in the order in which they are trained."""

    def segments_before() -> Any:
        """The champion whose segments' ids and names go on; None where there is none to read."""
        champion = registry.champion("segment")
        if champion is None or champion.tags.get("source") != records.context.source:
            return None
        try:
            return registry.load(champion)
        except ChampionUnusable:
            return None

    return (
        clv_study(records),
        attrition_study(records),
        default_study(records),
        high_value_study(records),
        segment_study(records, segments_before),
        response_study(records),
        uplift_study(records),
        product_value_study(records),
    )

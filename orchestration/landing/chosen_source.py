"""The source that the settings name."""

from __future__ import annotations

from pathlib import Path

from orchestration.platform.settings import Settings
from sources.interface import DeliveryRefused, Problem, Source
from sources.message import Message


def source_of(settings: Settings) -> Source:
    """The settings' source, not yet prepared.

    Raises
    ------
    DeliveryRefused
        When the source needs a folder and none is named.
    """
    if settings.source == "synthetic":
        from sources.synthetic import SyntheticBank

        return SyntheticBank(
            delivery=settings.delivery / "synthetic",
            truth=settings.truth,
            customers=settings.customers,
            seed=settings.seed,
            foreign_accounts=settings.foreign_accounts,
        )
    folder = _folder(settings)
    if settings.source == "berka":
        from sources.berka import Berka

        return Berka(folder)
    if settings.mapping is not None:
        from sources.mapping.source import MappedFiles

        return MappedFiles(folder, settings.mapping)
    from sources.files import DeliveredFiles

    return DeliveredFiles(folder)


def _folder(settings: Settings) -> Path:
    if settings.source_path is None:
        raise DeliveryRefused(
            [
                Problem(
                    "SOURCE_PATH",
                    "",
                    Message(
                        "is missing: source {0} requires the folder of its files", settings.source
                    ),
                    Message("Run make refresh SOURCE={0} SOURCE_PATH=<folder>.", settings.source),
                )
            ]
        )
    return settings.source_path

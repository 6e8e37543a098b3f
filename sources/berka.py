"""The PKDD'99 "financial" data: a Czech bank, 1993 to 1998, as a source.

Petr Berka and Marta Sochorova, Discovery Challenge of PKDD'99 (Prague). Its mapping is
`mapping/berka.yml`, which docs/berka.md documents.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from sources.mapping.source import MappedFiles

MAPPING = Path(__file__).parent / "mapping" / "berka.yml"


class Berka(MappedFiles):
    """The source `berka`: a folder of the .asc files, all or some of them."""

    name = "berka"

    def __init__(self, path: Path) -> None:
        super().__init__(path, MAPPING)

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The first month of the published six years."""
        return "1993-01"

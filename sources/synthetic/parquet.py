"""Convert integer-coded columns to Arrow in the contract's types, and write Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sources.contract import BY_NAME

ARROW_TYPE = {
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DECIMAL(9,6)": pa.decimal128(9, 6),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
}
Values = NDArray[Any]


def schema_of(table: str) -> pa.Schema:
    """The contract's table as an Arrow schema."""
    return pa.schema([(column.name, ARROW_TYPE[column.type]) for column in BY_NAME[table].columns])


def _validity(valid: Values | None) -> pa.Buffer | None:
    if valid is None or valid.all():
        return None
    return pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())


def identifiers(prefix: str, width: int, numbers: Values, valid: Values | None = None) -> pa.Array:
    """`prefix` and each number in `width` digits; null where not `valid`."""
    size, length = len(numbers), len(prefix) + width
    text = np.empty((size, length), dtype=np.uint8)
    text[:, : len(prefix)] = list(prefix.encode())
    rest = np.asarray(numbers, dtype=np.int64)
    for place in range(width):
        text[:, length - 1 - place] = 48 + rest % 10
        rest = rest // 10
    offsets = np.arange(size + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(
        size, pa.py_buffer(offsets), pa.py_buffer(text), _validity(valid)
    )


def decimals(units: Values, kind: pa.DataType, valid: Values | None = None) -> pa.Array:
    """Integers in the type's smallest unit (cents for DECIMAL(18,2)) as decimals."""
    units = np.asarray(units, dtype=np.int64)
    words = np.empty((len(units), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Array.from_buffers(kind, len(units), [_validity(valid), pa.py_buffer(words)])


def money(cents: Values, valid: Values | None = None) -> pa.Array:
    return decimals(cents, ARROW_TYPE["DECIMAL(18,2)"], valid)


def rates(yearly: Values, valid: Values | None = None) -> pa.Array:
    units = np.rint(np.asarray(yearly) * 1_000_000).astype(np.int64)
    return decimals(units, ARROW_TYPE["DECIMAL(9,6)"], valid)


def dates(days: Values, valid: Values | None = None) -> pa.Array:
    days = np.asarray(days, dtype=np.int32)
    return pa.array(days, mask=None if valid is None else ~valid).cast(pa.date32())


def whole(numbers: Values, valid: Values | None = None) -> pa.Array:
    numbers = np.asarray(numbers, dtype=np.int32)
    return pa.array(numbers, mask=None if valid is None else ~valid)


def named(names: Sequence[str], codes: Values, valid: Values | None = None) -> pa.Array:
    """`names[code]` for each code; null where not `valid`."""
    codes = np.where(valid, codes, 0) if valid is not None else codes
    index = pa.array(np.asarray(codes, dtype=np.int32), mask=None if valid is None else ~valid)
    return pa.array(list(names), type=pa.string()).take(index)


class Shelf:
    """Writes tables of the contract below one folder; keeps files open that grow by month."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._growing: dict[str, pq.ParquetWriter] = {}
        self.rows: dict[str, int] = {}

    def table(self, name: str, columns: dict[str, pa.Array]) -> pa.Table:
        schema = schema_of(name)
        return pa.table([columns[field.name] for field in schema], schema=schema)

    def write(self, file: str, table: pa.Table) -> None:
        """One whole file, such as `customer/2023-03.parquet`."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", store_schema=False)
        self.rows[file] = table.num_rows

    def append(self, file: str, table: pa.Table) -> int:
        """Append rows to a growing file; returns its previous number of rows."""
        if file not in self._growing:
            self._growing[file] = pq.ParquetWriter(
                self.folder / file, table.schema, compression="zstd", store_schema=False
            )
        before = self.rows.get(file, 0)
        if table.num_rows:
            self._growing[file].write_table(table)
        self.rows[file] = before + table.num_rows
        return before

    def close(self) -> None:
        for writer in self._growing.values():
            writer.close()
        self._growing.clear()

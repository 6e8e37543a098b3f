"""Deliveries in memory: rows by file, changed at will and written out as CSV."""

from __future__ import annotations

import csv
import shutil
from copy import deepcopy
from pathlib import Path

from sources.interface import Problem
from sources.message import Message

Row = dict[str, str]


def is_worded(problem: Problem) -> bool:
    """Whether what is wrong and what to do have an entry in the catalogue of words."""
    return all(isinstance(text, Message) for text in (problem.what, problem.cure))


class Delivery:
    """A delivery's rows by file (`transaction`, `customer/2024-03`), all values text."""

    def __init__(self, files: dict[str, list[Row]]) -> None:
        self.files = files

    def copy(self) -> Delivery:
        return Delivery(deepcopy(self.files))

    def row(self, file: str, **key: str) -> Row:
        """The one row with these values, to be changed in place."""
        (row,) = [row for row in self.files[file] if key.items() <= row.items()]
        return row

    def add(self, file: str, **values: str) -> Delivery:
        self.files.setdefault(file, []).append(values)
        return self

    def take(self, file: str, **key: str) -> Delivery:
        self.files[file].remove(self.row(file, **key))
        return self

    def change(self, file: str, key: Row, **values: str) -> Delivery:
        self.row(file, **key).update(values)
        return self

    def write(self, folder: Path) -> Path:
        """Write all files, in place of what the folder held; a file without rows is not there."""
        shutil.rmtree(folder, ignore_errors=True)
        for file, rows in self.files.items():
            if not rows:
                continue
            path = folder / f"{file}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            names = list(dict.fromkeys(name for row in rows for name in row))
            with path.open("w", encoding="utf-8", newline="") as lines:
                writer = csv.DictWriter(lines, names, restval="")
                writer.writeheader()
                writer.writerows(rows)
        return folder

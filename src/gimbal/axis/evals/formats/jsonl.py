"""JSON lines: examples as Gimbal writes them, and looser rows of any fields; a list in one JSON file as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from gimbal.axis.evals.formats.files import MIB, decoded, kind_of, lines, whole
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ReadOptions
from gimbal.axis.evals.formats.rows import RowReader
from gimbal.kernel.errors import BadInput

_MOST_BYTES = 256 * MIB


class Jsonl:
    """Reads a JSON object a line."""

    title = "JSON lines"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the ending; a .json has a list of objects."""
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            return 1
        return int(path.suffix.lower() == ".json" and isinstance(first, list))

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read row by row."""
        reader = RowReader(options.columns, into)
        for where, row in rows_of(path):
            reader.take(row, where)
        reader.finish(path)


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and object of each line; raise BadInput for what is none."""
    if path.suffix.lower() == ".json":
        listed = decoded(whole(path, _MOST_BYTES), str(path))
        found = listed if isinstance(listed, list) else [listed]
        for index, value in enumerate(cast("list[Any]", found)):
            yield f"{path}[{index}]", _row(value, f"{path}[{index}]")
        return
    for number, text in lines(path):
        if text.strip():
            where = f"{path}:{number}"
            yield where, _row(decoded(text, where), where)


def _row(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"This is {kind_of(value)}, not an object.", where=where, todo="Write an object a line.")
    return cast("dict[str, Any]", value)


FORMATS.add("jsonl", Jsonl())

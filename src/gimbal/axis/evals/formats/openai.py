"""OpenAI's evals: samples `{"input", "ideal"}` as JSON lines, the registry's YAML that names them, and hosted `{"item"}` rows.

The layout is that of the repository openai/evals (registry/evals/*.yaml, registry/data/…) and of the hosted API's data.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import re2

from gimbal.axis.evals.formats.files import kind_of, plain
from gimbal.axis.evals.formats.jsonl import rows_of
from gimbal.axis.evals.formats.messages import input_of
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ReadOptions
from gimbal.axis.evals.formats.rows import RowReader
from gimbal.axis.evals.formats.yaml_files import read_yaml
from gimbal.axis.evals.model import Example
from gimbal.kernel.errors import BadInput

_SAMPLES = ("samples_jsonl", "test_jsonl", "dataset")
_KNOWN = frozenset({"input", "ideal", "item", "sample"})


class OpenAIEvals:
    """Reads samples, or a registry and the samples that it names."""

    title = "OpenAI evals"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the fields of the first sample, or by the classes of a registry."""
        if not isinstance(first, dict):
            return 0
        row = cast("dict[str, Any]", first)
        if path.suffix.lower() in {".yaml", ".yml"}:
            return 2 * any(_class(one) for one in row.values())
        sample = "input" in row and "ideal" in row and not isinstance(row["input"], dict)
        return 2 * (sample or (isinstance(row.get("item"), dict) and row.keys() <= {"item", "sample"}))

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read sample by sample."""
        if path.suffix.lower() in {".yaml", ".yml"}:
            for name, graded, samples in _registered(path, into):
                _read(samples, graded, name, options, into)
        else:
            _read(path, "", "", options, into)


def _read(path: Path, graded: str, eval_name: str, options: ReadOptions, into: Collecting) -> None:
    reader = RowReader(options.columns, into)
    for where, row in rows_of(path):
        if isinstance(row.get("item"), dict):
            reader.take(row["item"], where)
            if row.keys() - {"item"}:
                into.note("what stands beside `item` is left out", where)
            continue
        if "input" not in row:
            raise BadInput("The sample has no input.", where=where, todo="Mend it.")
        given = input_of(row["input"], into, where)
        expected = _expected(row.get("ideal"), graded, into, where)
        rest = {name: plain(value, where) for name, value in row.items() if name not in _KNOWN}
        into.example(
            Example(
                id=into.id_of([given, expected], where),
                input=given,
                expected=expected,
                slice=eval_name,
                metadata=rest,
            ),
            where,
        )
    reader.finish(path)


def _expected(ideal: Any, graded: str, into: Collecting, where: str) -> dict[str, Any]:
    """Return what an ideal answer means to the eval's class, and name the scorer for it."""
    listed = cast("list[Any]", ideal) if isinstance(ideal, list) else [] if ideal is None else [ideal]
    if not all(isinstance(one, str | int | float) for one in listed):
        return _json(ideal, into)
    texts = [str(one) for one in listed]
    if not texts:
        into.note("has no reference; scorers that need one give no value", where)
        return {}
    if graded == "JsonMatch":
        try:
            return _json(msgspec.json.decode(texts[0]), into)
        except msgspec.DecodeError:
            raise BadInput("The ideal answer is not JSON.", where=where, todo="Mend it.") from None
    answer = {"answer": texts[0]} if len(texts) == 1 else {"answers": texts}
    if graded == "Includes":
        into.scorer("contains")
        return answer | {"contains_any": texts}
    if graded == "Match":
        # Its rule is that the output begins with one of them.
        into.scorer("regex")
        return answer | {"regex": f"\\A(?:{'|'.join(re2.escape(text) for text in texts)})"}
    if graded not in {"", "FuzzyMatch"}:
        into.note(f"the class `{graded}` has no counterpart; answers are compared by `exact_match`", where)
    # Without a class nothing says how strictly; by words is what FuzzyMatch comes nearest to.
    into.scorer("exact_match")
    return answer


def _json(value: Any, into: Collecting) -> dict[str, Any]:
    into.scorer("json_fields")
    return {"json": value}


def _registered(path: Path, into: Collecting) -> Iterator[tuple[str, str, Path]]:
    """Yield name, class and samples of each eval of a registry; raise BadInput."""
    registry = read_yaml(path)
    if not isinstance(registry, dict):
        raise BadInput(
            f"{path} is {kind_of(registry)}, not a registry.", where=str(path), todo="Give one of OpenAI evals."
        )
    for name, entry in cast("dict[str, Any]", registry).items():
        graded = _class(entry)
        if not graded:
            continue
        args: Any = entry.get("args")
        said = cast("dict[str, Any]", args) if isinstance(args, dict) else {}
        samples = next((said[key] for key in _SAMPLES if isinstance(said.get(key), str)), None)
        if samples is None:
            into.note("an eval of the registry names no samples", f"{path} {name}")
            continue
        for other in sorted(said.keys() - set(_SAMPLES)):
            into.note(f"`args.{other}` of the registry is left out", f"{path} {name}")
        yield name, graded, _found(path, samples, name)


def _found(registry: Path, name: str, eval_name: str) -> Path:
    """Return the samples that a registry names: below its folder, or in the folder `data` beside that."""
    folders = (registry.parent, registry.parent.parent / "data")
    for folder in folders:
        path = folder / name
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise BadInput(
        f"There is no file {name!r} in the registry's folder, nor in `data` beside it.",
        where=f"{registry} {eval_name}",
        todo="Put it there, or give the samples themselves.",
    )


def _class(entry: Any) -> str:
    """Return the name of an eval's class without its module: `Match`; empty where the entry is no eval."""
    said: Any = cast("Mapping[str, Any]", entry).get("class") if isinstance(entry, dict) else None
    if not isinstance(said, str) or ":" not in said:
        return ""
    return said.rpartition(":")[2]


FORMATS.add("openai", OpenAIEvals())

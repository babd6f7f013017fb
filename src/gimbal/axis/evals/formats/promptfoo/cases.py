"""Tests of a promptfoo config: inline, from files beside it, by scenarios, with defaults; each list of a variable a product."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from gimbal.axis.evals.formats.files import decoded, finite, kind_of, lines, whole
from gimbal.axis.evals.formats.model import Collecting
from gimbal.axis.evals.formats.promptfoo.asserts import assertion_of, parts_of
from gimbal.axis.evals.formats.promptfoo.beside import PREFIX, Beside
from gimbal.axis.evals.formats.tables import table_of
from gimbal.axis.evals.formats.yaml_files import parse_yaml, read_yaml
from gimbal.kernel.errors import BadInput, TooLarge

_MOST_PRODUCT = 100_000
_MOST_DEPTH = 5
_MOST_JSON = 64 * 2**20
_GENERATED = (".js", ".ts", ".mjs", ".cjs", ".mts", ".py")
_MEDIA = frozenset({"png", "jpg", "jpeg", "gif", "webp", "mp3", "wav", "mp4", "pdf", "docx", "xlsx"})

_LEFT_OUT = object()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test, its defaults in it."""

    where: str
    vars: dict[str, Any] = {}
    asserts: list[Any] = []
    metadata: dict[str, Any] = {}
    description: str = ""
    options: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    """What else it says."""


class Cases:
    """Finds the tests of one config."""

    def __init__(self, beside: Beside, into: Collecting, shown: str) -> None:
        self._beside = beside
        self._into = into
        self._shown = shown

    def all(self, config: Mapping[str, Any]) -> Iterator[Case]:
        """Yield tests and those of scenarios; raise BadInput, TooLarge."""
        base = self._default(config.get("defaultTest"))
        for where, test in self._listed(config.get("tests"), f"{self._shown} tests", 0):
            yield from self._spread(_merged(base, self._case(test, where)))
        for where, scenario in self._listed(config.get("scenarios"), f"{self._shown} scenarios", 0):
            for name in sorted(scenario.keys() - {"config", "tests", "description"}):
                self._into.note(f"`{name}` of a scenario is left out", where)
            tests = list(self._listed(scenario.get("tests"), f"{where}.tests", 0)) or [(where, {})]
            for place, data in self._listed(scenario.get("config"), f"{where}.config", 0):
                outer = _merged(base, self._case(data, place))
                for each, test in tests:
                    yield from self._spread(_merged(outer, self._case(test, f"{each} with {place}")))

    def _default(self, value: Any) -> Case:
        where = f"{self._shown} defaultTest"
        if isinstance(value, str):
            value = next((test for _, test in self._listed(value, where, 0)), None)
        if value is None:
            return Case(where=where)
        if not isinstance(value, dict):
            raise BadInput(f"It is {kind_of(value)}, not an object.", where=where, todo="Mend it.")
        return self._case(cast("dict[str, Any]", value), where)

    def _listed(self, value: Any, where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the place and object of each entry of a list, of a file, or of a list of files."""
        if value is None:
            return
        if depth > _MOST_DEPTH:
            raise BadInput("Files name files too deeply.", where=where, todo="Name the last one.")
        if isinstance(value, str):
            yield from self._of_files(value, where, depth)
            return
        if isinstance(value, dict):
            one = cast("dict[str, Any]", value)
            if isinstance(one.get("path"), str) and "vars" not in one:
                yield from self._of_files(str(one["path"]), where, depth)
            else:
                yield where, one
            return
        if not isinstance(value, list):
            raise BadInput(f"It is {kind_of(value)}, not a list.", where=where, todo="Mend it.")
        for index, item in enumerate(cast("list[Any]", value)):
            place = f"{where}[{index}]"
            if not isinstance(item, dict | str):
                raise BadInput(f"It is {kind_of(item)}, not a test.", where=place, todo="Mend it.")
            yield from self._listed(item, place, depth + (depth > 0 and isinstance(item, str)))

    def _of_files(self, name: str, where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
        bare = name.removeprefix(PREFIX)
        path, _, function = bare.rpartition(":")
        if bare.endswith(_GENERATED) or (function and path.endswith(_GENERATED)):
            self._into.note("tests that code makes are left out, for it is not run", f"{where} {name}")
            return
        if "://" in bare or bare.partition("#")[0].lower().endswith((".xlsx", ".xls")):
            self._into.note("tests from the network or a spreadsheet's own format are left out; export them as CSV", f"{where} {name}")  # fmt: skip
            return
        for file in self._beside.find(name, where):
            yield from self._of_file(file, where, depth)

    def _of_file(self, path: Path, where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
        ending = path.suffix.lower()
        if ending in {".csv", ".tsv"}:
            for place, row in table_of(path).rows:
                yield place, self._of_row(row, place)
        elif ending in {".jsonl", ".ndjson"}:
            for number, text in lines(path):
                if text.strip():
                    place = f"{path}:{number}"
                    yield from self._listed([decoded(text, place)], place, depth + 1)
        elif ending in {".yaml", ".yml", ".json"}:
            value = read_yaml(path) if ending != ".json" else decoded(whole(path, _MOST_JSON), str(path))
            yield from self._listed(value, str(path), depth + 1)
        else:
            raise BadInput(f"Tests are not read from {ending or 'a file without an ending'}.", where=f"{where} {path}", todo="Use YAML, JSON, JSON lines or CSV.")  # fmt: skip

    def _of_row(self, row: Mapping[str, str], where: str) -> dict[str, Any]:
        """Return the test that a row of a table means: columns with two underscores say how it is judged."""
        found: dict[str, Any] = {"vars": {}, "assert": [], "metadata": {}, "options": {}}
        for name, cell in row.items():
            if not name.startswith("__"):
                found["vars"][name] = cell
            elif not cell.strip():
                continue
            elif name.startswith("__expected"):
                found["assert"].append(assertion_of(cell))
            elif name.startswith("__metadata:"):
                field = name.removeprefix("__metadata:")
                found["metadata"][field.removesuffix("[]")] = parts_of(cell) if field.endswith("[]") else cell
            elif name in {"__prefix", "__suffix"}:
                found["options"][name[2:]] = cell
            elif name == "__description":
                found["description"] = cell
            elif name in {"__metric", "__threshold"}:
                found[name[2:]] = cell
            else:
                self._into.note(f"the column `{name}` is left out", where)
        metric, threshold = found.pop("metric", None), finite(found.pop("threshold", None))
        if metric:
            found["assert"] = [one | {"metric": metric} for one in found["assert"]]
        return found | ({} if threshold is None else {"threshold": threshold})

    def _case(self, test: Mapping[str, Any], where: str) -> Case:
        rest = dict(test)
        given = rest.pop("vars", None)
        if isinstance(given, str | list):
            given = self._vars_of_files([given] if isinstance(given, str) else cast("list[Any]", given), where)
        asserts = rest.pop("assert", None) or []
        metadata, options = rest.pop("metadata", None) or {}, rest.pop("options", None) or {}
        for name, value, kind in (("vars", given or {}, dict), ("assert", asserts, list), ("metadata", metadata, dict), ("options", options, dict)):  # fmt: skip
            if not isinstance(value, kind):
                raise BadInput(f"`{name}` is {kind_of(value)}.", where=where, todo="Mend it.")
        description = str(rest.pop("description", None) or "")
        return Case(where=where, vars=given or {}, asserts=asserts, metadata=metadata, options=options, description=description, rest=rest)  # fmt: skip

    def _vars_of_files(self, names: list[Any], where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in names:
            for path in self._beside.find(str(name), where):
                value = read_yaml(path)
                if not isinstance(value, dict):
                    raise BadInput(f"{path} is {kind_of(value)}, not an object.", where=where, todo="Mend it.")
                found |= cast("dict[str, Any]", value)
        return found

    def _spread(self, case: Case) -> Iterator[Case]:
        """Yield a test for each combination of the values that its lists have."""
        given = {name: self._loaded(name, value, case.where) for name, value in case.vars.items()}
        given = {name: value for name, value in given.items() if value is not _LEFT_OUT}
        lists = {name: cast("list[Any]", value) for name, value in given.items() if isinstance(value, list)}
        if case.options.get("disableVarExpansion") or not lists:
            yield msgspec.structs.replace(case, vars=given)
            return
        count = 1
        for values in lists.values():
            count *= len(values)
        if count > _MOST_PRODUCT:
            raise TooLarge(
                f"Its lists make {count:,} tests; {_MOST_PRODUCT:,} is the most.",
                where=case.where,
                todo="Shorten them.",
            )
        if not count:
            self._into.note("a test with an empty list of values makes no example", case.where)
        for number, values in enumerate(itertools.product(*lists.values()), start=1):
            each = given | dict(zip(lists, values, strict=True))
            yield msgspec.structs.replace(
                case, vars=each, where=f"{case.where} ({number})" if count > 1 else case.where
            )

    def _loaded(self, name: str, value: Any, where: str) -> Any:
        """Return the value of a variable, read where it names a file; _LEFT_OUT where it cannot be taken over."""
        if not isinstance(value, str) or not value.startswith(PREFIX):
            return value
        ending = value.rpartition(".")[2].lower()
        if f".{ending}".startswith(_GENERATED) or ".py:" in value or ".js:" in value:
            self._into.note("a variable that code makes is left out, for it is not run", f"{where} {name}")
            return _LEFT_OUT
        if ending in _MEDIA:
            self._into.note("a variable that is an image, a recording or a document is left out", f"{where} {name}")
            return _LEFT_OUT
        found = [self._text(path) for path in self._beside.find(value, where)]
        return found[0] if len(found) == 1 else found

    def _text(self, path: Path) -> Any:
        text = whole(path, 8 * 2**20)
        if path.suffix.lower() in {".yaml", ".yml", ".json"}:
            return parse_yaml(text, str(path)) if path.suffix.lower() != ".json" else decoded(text, str(path))
        return text


def key_of(case: Case, expected: Mapping[str, Any]) -> list[Any]:
    """Return what makes a test the one that it is; its place does not."""
    return [case.vars, expected, json.dumps(case.asserts, sort_keys=True)]


def _merged(base: Case, own: Case) -> Case:
    asserts = own.asserts if own.options.get("disableDefaultAsserts") else [*base.asserts, *own.asserts]
    return Case(
        where=own.where,
        vars=base.vars | own.vars,
        asserts=asserts,
        metadata=base.metadata | own.metadata,
        description=own.description or base.description,
        options=base.options | own.options,
        rest=base.rest | own.rest,
    )

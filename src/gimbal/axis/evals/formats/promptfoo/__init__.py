"""promptfoo's config: variables become inputs, assertions expectations and scorers, plain prompts prompt files.

Code is never run and nothing is fetched; files are read below the config's folder only. What has no counterpart stays in the
metadata of its example under `promptfoo`, and is told.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gimbal.axis.evals.formats.files import MIB, decoded, kind_of, whole
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ReadOptions
from gimbal.axis.evals.formats.promptfoo.asserts import Expectations
from gimbal.axis.evals.formats.promptfoo.beside import Beside
from gimbal.axis.evals.formats.promptfoo.cases import Case, Cases, key_of
from gimbal.axis.evals.formats.promptfoo.prompts import Prompts
from gimbal.axis.evals.formats.yaml_files import read_yaml
from gimbal.axis.evals.model import Example
from gimbal.kernel.errors import BadInput

_READ = frozenset({"prompts", "providers", "targets", "tests", "defaultTest", "scenarios", "evaluateOptions"})
_WORDLESS = frozenset({"description", "$schema", "assertionTemplates"})
"""Keys that say nothing that could be lost."""
_MOST_BYTES = 64 * MIB
_MOST_LINKS = 10


class Promptfoo:
    """Reads a config and the files of tests that it names."""

    title = "promptfoo's config"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the ending of YAML, or by the keys of JSON."""
        if path.suffix.lower() in {".yaml", ".yml"}:
            return 1
        keys = cast("dict[str, Any]", first).keys() if isinstance(first, dict) else ()
        return 2 * (path.suffix.lower() == ".json" and "tests" in keys and "prompts" in keys)

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read tests, prompts and how often they are run."""
        config = _config(path)
        beside = Beside(path)
        if options.columns:
            into.note("columns are those of the config; what was said of them is left out", str(path))
        near: list[Case] = []
        equal = False
        for case in Cases(beside, into, str(path)).all(config):
            expectations = Expectations(case.vars, beside, into, case.where)
            expectations.take([_linked(one, config, into, case.where) for one in case.asserts])
            if expectations.near_only:
                near.append(case)
            equal = equal or ("answer" in expectations.expected and not expectations.near_only)
            _add(case, expectations, into)
        if near and equal:
            into.note(
                f"`exact` also judges the answers of {len(near):,} tests that are only to be near them", near[0].where
            )
        Prompts(config, beside, into, str(path)).take(config.get("prompts"))
        _options(config, into, str(path))


def _config(path: Path) -> dict[str, Any]:
    value = decoded(whole(path, _MOST_BYTES), str(path)) if path.suffix.lower() == ".json" else read_yaml(path)
    if not isinstance(value, dict):
        raise BadInput(f"{path} is {kind_of(value)}, not a config.", where=str(path), todo="Give promptfoo's config.")
    config = cast("dict[str, Any]", value)
    if not config.get("tests") and not config.get("scenarios"):
        raise BadInput(f"{path} has neither tests nor scenarios.", where=str(path), todo="Give promptfoo's config.")
    return config


def _add(case: Case, expectations: Expectations, into: Collecting) -> None:
    kept: dict[str, Any] = {}
    if expectations.kept:
        kept["assert"] = expectations.kept
    if case.description:
        kept["description"] = case.description
    rest = {
        name: value for name, value in (case.rest | {"options": case.options}).items() if value not in ({}, None, [])
    }
    if rest:
        kept |= rest
        names = ", ".join(f"`{name}`" for name in sorted(rest))
        into.note(f"what a test says of {names} is kept in its metadata, and nothing acts on it", case.where)
    if not expectations.expected and not case.asserts:
        into.note("a test has no assertion; scorers that need a reference give no value", case.where)
    into.example(
        Example(
            id=into.id_of(key_of(case, expectations.expected), case.where),
            input=case.vars,
            expected=expectations.expected,
            metadata=case.metadata | ({"promptfoo": kept} if kept else {}),
        ),
        case.where,
    )


def _linked(one: Any, config: Mapping[str, Any], into: Collecting, where: str) -> Any:
    """Return an assertion, that of a template of the config where it is a link to one."""
    for _ in range(_MOST_LINKS):
        link: Any = cast("dict[str, Any]", one).get("$ref") if isinstance(one, dict) else None
        if link is None:
            return one
        found: Any = config
        for name in str(link).removeprefix("#/").split("/"):
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            break
        one = found
    into.note("an assertion's `$ref` leads to no template of the config", where)
    return one


def _options(config: Mapping[str, Any], into: Collecting, shown: str) -> None:
    said: Any = config.get("evaluateOptions")
    options = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    for name, value in options.items():
        if name == "repeat" and isinstance(value, int) and value >= 1:
            into.repeated(value)
        else:
            into.note(f"`evaluateOptions.{name}` is left out; `gimbal evaluations start` has options of its own", shown)
    for name in config:
        if name not in _READ and name not in _WORDLESS:
            into.note(f"`{name}` of the config is left out", shown)


FORMATS.add("promptfoo", Promptfoo())

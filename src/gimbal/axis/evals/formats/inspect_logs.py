"""Inspect's logs: `.eval`, a ZIP with a file for each sample and epoch, and its twin as one `.json`.

The layout is that of inspect_ai's EvalLog (`header.json`, `samples/<id>_epoch_<k>.json`; `_journal/…` of a log that is not
finished); the library is not needed. Samples are read one at a time.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from gimbal.axis.evals.formats.archive import Archive, archive
from gimbal.axis.evals.formats.files import MIB, decoded_leniently, finite, kind_of, plain, whole
from gimbal.axis.evals.formats.messages import input_of, text_of
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ImportedResult, ReadOptions
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.model import Missing
from gimbal.kernel.errors import BadInput

_SAMPLE = re.compile(r"samples/(?P<id>.+)_epoch_(?P<epoch>\d+)\.json")
_SUMMARIES = re.compile(r"_journal/summaries/\d+\.json")
_MOST_JSON = 512 * MIB
_ATTACHED = "attachment://"
_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0}
"""What Inspect's words for a score are worth; `N`, no answer, has no value."""
_SCORERS = {"exact": "exact", "f1": "token_f1"}
"""Scorers of Inspect that one of ours is the same as."""
_LEFT_OUT = ("sandbox", "files", "setup")
_Sample = tuple[str, dict[str, Any]]


class InspectLogs:
    """Reads a log."""

    title = "Inspect's log"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the ending, or by the fields of the JSON."""
        if path.suffix.lower() == ".eval":
            return 1
        if path.suffix.lower() != ".json" or not isinstance(first, dict):
            return 0
        keys = cast("dict[str, Any]", first)
        # Of a long file only its beginning is known, as text.
        head = str(keys.get("", "")) if set(keys) == {""} else ""
        told = {"eval", "version", "status"} <= keys.keys() or ('"eval":' in head and '"task":' in head)
        return 2 * told

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read sample by sample."""
        if options.columns:
            into.note("columns are those of Inspect; what was said of them is left out", str(path))
        if path.suffix.lower() == ".json":
            log = _object(decoded_leniently(whole(path, _MOST_JSON), str(path)), str(path))
            said: Any = log.get("samples") or []
            if not isinstance(said, list):
                raise BadInput(f"`samples` is {kind_of(said)}.", where=str(path), todo="Give a log of Inspect.")
            listed = cast("list[Any]", said)
            samples = ((f"{path} samples[{index}]", _object(one, str(path))) for index, one in enumerate(listed))
            _Log(log, str(path), into).take(samples)
            return
        with archive(path) as members:
            header = next((name for name in ("header.json", "_journal/start.json") if name in members.names), None)
            if header is None:
                raise BadInput(
                    f"{path} has no header.json, and no journal.", where=str(path), todo="Give a log of Inspect."
                )
            log = _object(decoded_leniently(members.read(header), members.where(header)), members.where(header))
            if header != "header.json":
                into.note("the log is of a run that is not finished; samples come as far as they are there", str(path))
            _Log(log, str(path), into).take(_members(members, into))


class _Log:
    """One log that is being read."""

    def __init__(self, log: Mapping[str, Any], where: str, into: Collecting) -> None:
        spec: Any = log.get("eval")
        if not isinstance(spec, dict):
            raise BadInput("The log does not say what was evaluated.", where=where, todo="Give a log of Inspect.")
        self._into = into
        self._where = where
        self._task = str(cast("dict[str, Any]", spec).get("task") or "task").rpartition("/")[2]
        self._subject = str(spec.get("model") or "unknown")
        config: Any = spec.get("config")
        epochs: Any = cast("dict[str, Any]", config).get("epochs") if isinstance(config, dict) else None
        into.repeated(epochs if isinstance(epochs, int) and epochs >= 1 else 1)
        status = log.get("status")
        if str(status or "started") not in {"success", "started"}:
            into.note(f"the log is of a run that ended as `{str(status)[:20]}`", where)

    def take(self, samples: Iterator[_Sample]) -> None:
        """Take each sample as an example, and each of its epochs as an answer."""
        scorers: dict[str, None] = {}
        for where, sample in samples:
            resolve = _resolver(sample)
            example = self._example(sample, resolve, where)
            self._into.example(example, where, again=True)
            answer = self._answer(sample, example.id, resolve, where)
            self._into.result(answer, where)
            scorers |= dict.fromkeys([*answer.scores, *answer.missing])
        for name in scorers:
            if name in _SCORERS:
                self._into.scorer(_SCORERS[name])
            else:
                self._into.note(f"the scorer `{name}` is none of ours; its values come with the answers", self._where)

    def _example(self, sample: Mapping[str, Any], resolve: Callable[[str], str], where: str) -> Example:
        id_ = sample.get("id")
        if isinstance(id_, bool) or not isinstance(id_, str | int):
            raise BadInput("The sample has no id.", where=where, todo="Give a log of Inspect.")
        given = input_of(sample.get("input"), self._into, where, resolve)
        choices: Any = sample.get("choices")
        target: Any = sample.get("target")
        listed = [resolve(str(one)) for one in (cast("list[Any]", target) if isinstance(target, list) else [target]) if one not in (None, "")]  # fmt: skip
        expected = {} if not listed else {"answer": listed[0]} if len(listed) == 1 else {"answers": listed}
        if not expected:
            self._into.note("has no target; scorers that need one give no value", where)
        for name in _LEFT_OUT:
            if sample.get(name):
                self._into.note(f"`{name}` of a sample is left out", where)
        metadata: Any = plain(sample.get("metadata") or {}, where)
        return Example(
            id=f"{self._task}/{id_}",
            input=given | ({"choices": plain(choices, where)} if choices else {}),
            expected=expected,
            slice=self._task,
            metadata=metadata if isinstance(metadata, dict) else {"metadata": metadata},
        )

    def _answer(
        self, sample: Mapping[str, Any], example_id: str, resolve: Callable[[str], str], where: str
    ) -> ImportedResult:
        epoch = sample.get("epoch", 1)
        if type(epoch) is not int or epoch < 1:
            raise BadInput(f"The epoch is {kind_of(epoch)}, not a number from 1.", where=where, todo="Mend it.")
        scores: dict[str, float] = {}
        missing: dict[str, str] = {}
        labels: dict[str, str] = {}
        said: Any = sample.get("scores")
        for name, score in cast("dict[str, Any]", said).items() if isinstance(said, dict) else ():
            value: Any = cast("dict[str, Any]", score).get("value") if isinstance(score, dict) else score
            parts = {f"{name}/{key}": one for key, one in cast("dict[str, Any]", value).items()} if isinstance(value, dict) else {name: value}  # fmt: skip
            for part, one in parts.items():
                self._score(part, one, scores, missing, labels, where)
        return ImportedResult(
            subject=self._subject,
            example_id=example_id,
            repeat=epoch - 1,
            text=self._text(sample, resolve, where),
            scores=scores,
            missing=missing,
            labels=labels,
            error=_error(sample.get("error")),
        )

    def _score(
        self,
        name: str,
        value: Any,
        scores: dict[str, float],
        missing: dict[str, str],
        labels: dict[str, str],
        where: str,
    ) -> None:
        if isinstance(value, str) and value in {*_WORDS, "N"}:
            labels[name] = value
            if value == "N":
                missing[name] = Missing.NO_OUTPUT
                self._into.note("Inspect counts a score `N`, no answer, as 0; here it is missing", where)
            else:
                scores[name] = _WORDS[value]
            return
        number = finite(value)
        if number is not None:
            scores[name] = number
        elif isinstance(value, str):
            labels[name] = value
        elif value is None or isinstance(value, float):
            missing[name] = Missing.SCORER_ERROR
        else:
            self._into.note(f"the score `{name}` is {kind_of(value)}, and is left out", where)

    def _text(self, sample: Mapping[str, Any], resolve: Callable[[str], str], where: str) -> str | None:
        output: Any = sample.get("output")
        said = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
        if isinstance(said.get("completion"), str):
            return resolve(said["completion"])
        choices: Any = said.get("choices")
        first: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
        message: Any = cast("dict[str, Any]", first).get("message") if isinstance(first, dict) else None
        if not isinstance(message, dict):
            return None
        return text_of(cast("dict[str, Any]", message).get("content"), self._into, where, resolve)


def _members(members: Archive, into: Collecting) -> Iterator[_Sample]:
    """Yield the samples of an archive; what a journal tells of and is not there is noted."""
    found: set[tuple[str, int]] = set()
    told: set[tuple[str, int]] = set()
    for name in members.names:
        where = members.where(name)
        if _SAMPLE.fullmatch(name):
            sample = _object(decoded_leniently(members.read(name), where), where)
            found.add((str(sample.get("id")), int(finite(sample.get("epoch")) or 1)))
            yield where, sample
        elif name.startswith("samples/") and not name.endswith("/"):
            into.note("is no sample of a known layout, and is left out", where)
        elif name == "summaries.json" or _SUMMARIES.fullmatch(name):
            listed = decoded_leniently(members.read(name), where)
            rows = [cast("dict[str, Any]", one) for one in cast("list[Any]", listed) if isinstance(one, dict)] if isinstance(listed, list) else []  # fmt: skip
            told |= {(str(row.get("id")), int(finite(row.get("epoch")) or 1)) for row in rows}
    for id_, epoch in sorted(told - found):
        into.note("a sample of the summaries is not in the archive", f"{id_} epoch {epoch}")


def _resolver(sample: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what looks up a text that stands among the sample's attachments."""
    said: Any = sample.get("attachments")
    attached = cast("dict[str, Any]", said) if isinstance(said, dict) else {}

    def resolve(text: str) -> str:
        found = attached.get(text.removeprefix(_ATTACHED)) if text.startswith(_ATTACHED) else None
        return found if isinstance(found, str) else text

    return resolve


def _error(said: Any) -> str:
    if isinstance(said, dict):
        said = cast("dict[str, Any]", said).get("message") or "error"
    return "" if said is None else str(said)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"This is {kind_of(value)}, not an object.", where=where, todo="Give a log of Inspect.")
    return cast("dict[str, Any]", value)


FORMATS.add("inspect", InspectLogs())

"""lm-evaluation-harness: `samples_<task>_<time>.jsonl` with answers and scores of each document, and `results_<time>.json`.

The layout is that of `lm_eval --log_samples`: a line for each document and filter, its requests under `arguments`. The model's
name stands in the results file of the same time; without one the folder's name is taken.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from gimbal.axis.evals.formats.files import MIB, decoded_leniently, finite, kind_of, lines, plain, whole
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ImportedResult, ReadOptions
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.model import Missing
from gimbal.kernel.errors import BadInput

_NAMED = re.compile(r"samples_(?P<task>.+?)(?:_(?P<time>\d{4}-\d{2}-\d{2}T[\d.\-]+))?\.jsonl")
_RESULTS = re.compile(r"results_(?P<time>\d{4}-\d{2}-\d{2}T[\d.\-]+)\.json")
_FIELDS = frozenset({
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "task_name",
})  # fmt: skip
_MOST_RESULTS = 64 * MIB


class LmEval:
    """Reads samples, or all samples that a results file is of."""

    title = "lm-evaluation-harness"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the fields of the first sample, or by the name of a results file."""
        keys = cast("dict[str, Any]", first).keys() if isinstance(first, dict) else ()
        if _RESULTS.fullmatch(path.name):
            return 2
        return 2 * ("doc_id" in keys and "arguments" in keys and ("resps" in keys or "filtered_resps" in keys))

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read samples document by document."""
        if options.columns:
            into.note("columns are those of the harness; what was said of them is left out", str(path))
        found = _RESULTS.fullmatch(path.name)
        samples = sorted(path.parent.glob(f"samples_*_{found['time']}.jsonl")) if found else [path]
        if not samples:
            raise BadInput(
                f"There are no samples of {path.name} beside it.",
                where=str(path),
                todo="Run lm_eval with --log_samples.",
            )
        for one in samples:
            _read(one, into)


def _read(path: Path, into: Collecting) -> None:
    named = _NAMED.fullmatch(path.name)
    task = named["task"] if named else path.stem
    subject = _subject(path, (named["time"] or "") if named else "", into)
    answers: dict[str, ImportedResult] = {}
    places: dict[str, str] = {}
    for number, text in lines(path):
        if not text.strip():
            continue
        where = f"{path}:{number}"
        value = decoded_leniently(text, where)
        if not isinstance(value, dict) or "doc_id" not in value or "arguments" not in value:
            raise BadInput(f"This is {kind_of(value)}, not a sample of lm_eval.", where=where, todo="Mend it.")
        sample = cast("dict[str, Any]", value)
        example = _example(sample, task, where)
        into.example(example, where, again=True)
        answer = _answer(sample, example, subject, into, where)
        before = answers.get(example.id)
        answers[example.id] = answer if before is None else _both(before, answer, into, where)
        places.setdefault(example.id, where)
    for id_, answer in answers.items():
        into.result(answer, places[id_])
    into.scorer("exact_match")
    into.note("the harness's metrics come with the answers; the suite itself compares by `exact_match`", str(path))


def _subject(path: Path, time: str, into: Collecting) -> str:
    results = path.with_name(f"results_{time}.json")
    if time and results.is_file():
        value = decoded_leniently(whole(results, _MOST_RESULTS), str(results))
        said: Any = cast("dict[str, Any]", value).get("model_name") if isinstance(value, dict) else None
        if isinstance(said, str) and said:
            return said
    into.note("no results file beside it says which model answered; the folder's name is taken", str(path))
    return path.resolve().parent.name.replace("__", "/")


def _requests(sample: Mapping[str, Any]) -> list[list[Any]]:
    """Return the arguments of each request: as objects by number in newer versions, as lists in older ones."""
    said: Any = sample["arguments"]
    if isinstance(said, dict):
        said = list(cast("dict[str, Any]", said).values())
    found = cast("list[Any]", said) if isinstance(said, list) else []
    return [list(one.values()) if isinstance(one, dict) else one for one in found if isinstance(one, dict | list)]


def _choices(requests: list[list[Any]]) -> list[str]:
    """Return the continuations that were compared; none where the model wrote freely."""
    found = [str(one[1]).strip() for one in requests if len(one) > 1 and isinstance(one[1], str)]
    return found if len(found) == len(requests) and len(found) > 1 else []


def _example(sample: Mapping[str, Any], task: str, where: str) -> Example:
    requests = _requests(sample)
    choices = _choices(requests)
    question: Any = requests[0][0] if requests and requests[0] else ""
    target: Any = plain(sample.get("target"), where)
    place = finite(target)
    if choices and place is not None and place.is_integer() and 0 <= place < len(choices):
        target = choices[int(place)]
    metadata: dict[str, Any] = {"task": task, "doc": plain(sample.get("doc"), where)}
    if not choices and requests and len(requests[0]) > 1:
        metadata["generation"] = plain(requests[0][1], where)
    expected = {} if target is None else {"answers" if isinstance(target, list) else "answer": target}
    given = {"question": question if isinstance(question, str) else msgspec.json.encode(question).decode()}
    return Example(
        id=f"{task}/{sample['doc_id']}",
        input=given | ({"choices": choices} if choices else {}),
        expected=expected,
        slice=task,
        metadata=metadata,
    )


def _answer(sample: Mapping[str, Any], example: Example, subject: str, into: Collecting, where: str) -> ImportedResult:
    kept: Any = sample.get("filtered_resps")
    kept = sample.get("resps") if kept is None else kept
    said = cast("list[Any]", kept) if isinstance(kept, list) else [kept]
    choices: list[str] = example.input.get("choices", [])
    listed: Any = sample.get("metrics")
    names = list(map(str, listed)) if isinstance(listed, list) else [name for name in sample if name not in _FIELDS]
    scores: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name in names:
        value: Any = sample.get(name)
        number = None if isinstance(value, str) else finite(value)
        if number is not None:
            scores[name] = number
        elif isinstance(value, float) or value is None:
            missing[name] = Missing.SCORER_ERROR
        else:
            into.note(f"the metric `{name}` is {kind_of(value)} for each document, and is left out", where)
    if not choices and len(said) > 1:
        into.note("has several answers of a document; the first one comes", where)
    return ImportedResult(
        subject=subject,
        example_id=example.id,
        text=_likeliest(said, choices) if choices else _first(said),
        scores=scores,
        missing=missing,
        labels={"filter": str(sample.get("filter") or "none")},
    )


def _both(before: ImportedResult, after: ImportedResult, into: Collecting, where: str) -> ImportedResult:
    """Return one answer of two filters of the same document; their metrics are told apart as the harness does."""
    name = after.labels["filter"]
    if name in before.labels["filter"].split(","):
        raise BadInput(f"The document {after.example_id!r} stands twice.", where=where, todo="Take one of them out.")
    if before.text != after.text:
        into.note("filters read an answer differently; the text is that of the first one", where)
    first = before.labels["filter"]
    own = before.scores if "," in first else {f"{key},{first}": value for key, value in before.scores.items()}
    lost = before.missing if "," in first else {f"{key},{first}": value for key, value in before.missing.items()}
    return msgspec.structs.replace(
        before,
        scores=own | {f"{key},{name}": value for key, value in after.scores.items()},
        missing=lost | {f"{key},{name}": value for key, value in after.missing.items()},
        labels={"filter": f"{first},{name}"},
    )


def _first(said: list[Any]) -> str | None:
    value = said[0] if said else None
    while isinstance(value, list):
        value = cast("list[Any]", value)[0] if value else None
    return None if value is None else str(value)


def _likeliest(said: list[Any], choices: list[str]) -> str | None:
    """Return the choice of the largest log-likelihood; None where one of them is missing."""
    found: list[float] = []
    for one in said:
        value: Any = one
        while isinstance(value, list):
            value = cast("list[Any]", value)[0] if value else None
        number = finite(value)
        if number is not None:
            found.append(number)
    return choices[found.index(max(found))] if len(found) == len(choices) else None


FORMATS.add("lm_eval", LmEval())

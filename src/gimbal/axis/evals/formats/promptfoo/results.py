"""promptfoo's results, as `promptfoo eval --output results.json` writes them: tests with the answers that they got.

The layout is that of its version 3: `results.results` has a row for each test, prompt and provider. `error` there also tells
why an assertion failed; that nobody answered is said by `failureReason` 2, or by a row without an output.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gimbal.axis.evals.formats.files import MIB, decoded_leniently, finite, kind_of, plain, whole
from gimbal.axis.evals.formats.model import FORMATS, Collecting, ImportedResult, ReadOptions
from gimbal.axis.evals.formats.promptfoo.asserts import Expectations
from gimbal.axis.evals.formats.promptfoo.beside import Beside
from gimbal.axis.evals.formats.promptfoo.cases import Case, key_of
from gimbal.axis.evals.model import MOST_REPEATS, Example
from gimbal.kernel.errors import BadInput

_MOST_BYTES = 512 * MIB
_FAILED = 2


class PromptfooResults:
    """Reads results with the tests that they are of."""

    title = "promptfoo's results"

    def recognises(self, path: Path, first: Any) -> int:
        """Tell by the fields of the JSON; of a long file only its beginning is known, as text."""
        if path.suffix.lower() != ".json" or not isinstance(first, dict):
            return 0
        keys = cast("dict[str, Any]", first)
        head = str(keys.get("", "")) if set(keys) == {""} else ""
        said: Any = keys.get("results")
        rows: Any = cast("dict[str, Any]", said).get("results") if isinstance(said, dict) else None
        return 2 * (isinstance(rows, list) or ('"evalId":' in head and '"results":' in head))

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read each row as an answer, and its test as an example; raise BadInput, TooLarge."""
        if options.columns:
            into.note("columns are those of promptfoo; what was said of them is left out", str(path))
        value: Any = decoded_leniently(whole(path, _MOST_BYTES), str(path))
        said: Any = cast("dict[str, Any]", value).get("results") if isinstance(value, dict) else None
        rows: Any = cast("dict[str, Any]", said).get("results") if isinstance(said, dict) else None
        if not isinstance(rows, list):
            raise BadInput(f"{path} has no rows of results.", where=str(path), todo="Give promptfoo's output as JSON.")
        reading = _Rows(path, into, several=_several_prompts(cast("list[Any]", rows)))
        for index, row in enumerate(cast("list[Any]", rows)):
            where = f"{path} results[{index}]"
            if not isinstance(row, dict):
                raise BadInput(f"It is {kind_of(row)}, not an object.", where=where, todo="Mend it.")
            reading.take(cast("dict[str, Any]", row), where)
        reading.end()


class _Rows:
    """The rows of one file."""

    def __init__(self, path: Path, into: Collecting, *, several: bool) -> None:
        self._beside = Beside(path)
        self._into = into
        self._several = several
        self._ids: dict[str, str] = {}
        self._times: Counter[tuple[str, str]] = Counter()

    def take(self, row: Mapping[str, Any], where: str) -> None:
        """Take one row."""
        test = _object(row, "testCase")
        given: Any = plain(_object(row, "vars") or _object(test, "vars"), where)
        asserts: Any = test.get("assert") or []
        case = Case(where=where, vars=given, asserts=asserts if isinstance(asserts, list) else [])
        key = repr(key_of(case, {}))
        if key not in self._ids:
            expectations = Expectations(given, self._beside, self._into, where)
            expectations.take(case.asserts)
            self._ids[key] = self._into.id_of([given, case.asserts], where)
            kept = {"promptfoo": {"assert": expectations.kept}} if expectations.kept else {}
            example = Example(id=self._ids[key], input=given, expected=expectations.expected, metadata=kept)
            self._into.example(example, where)
        subject = self._subject(row)
        place = (subject, self._ids[key])
        self._into.result(self._answer(row, *place, self._times[place], where), where)
        self._times[place] += 1

    def end(self) -> None:
        """Tell how often tests were asked."""
        most = max(self._times.values(), default=1)
        if most > MOST_REPEATS:
            raise BadInput(
                f"A test has {most} answers of one provider; {MOST_REPEATS} are the most.",
                where="results",
                todo="Give fewer.",
            )
        self._into.repeated(most)

    def _subject(self, row: Mapping[str, Any]) -> str:
        provider: Any = row.get("provider")
        name = str(_object(row, "provider").get("id") or "unknown") if isinstance(provider, dict) else str(provider or "unknown")  # fmt: skip
        # Two prompts of one provider are two subjects.
        return f"{name} prompt {int(finite(row.get('promptIdx')) or 0) + 1}" if self._several else name

    def _answer(self, row: Mapping[str, Any], subject: str, example_id: str, repeat: int, where: str) -> ImportedResult:
        response = _object(row, "response")
        output: Any = plain(response.get("output"), where)
        lost = row.get("failureReason") == _FAILED or output is None
        tokens = _object(response, "tokenUsage") or _object(row, "tokenUsage")
        scores = {
            "score": finite(row.get("score")),
            **{str(k): finite(v) for k, v in _object(row, "namedScores").items()},
        }
        return ImportedResult(
            subject=subject,
            example_id=example_id,
            repeat=repeat,
            text=output if isinstance(output, str) and not lost else None,
            value=None if isinstance(output, str) or lost else output,
            scores={} if lost else {name: value for name, value in scores.items() if value is not None},
            missing={"score": "error"} if lost else {},
            error=str(response.get("error") or row.get("error") or "no output") if lost else "",
            latency_ms=_from_0(row.get("latencyMs")),
            cost=_from_0(row.get("cost")),
            input_tokens=_count(tokens.get("prompt")),
            output_tokens=_count(tokens.get("completion")),
        )


def _several_prompts(rows: list[Any]) -> bool:
    found = {cast("dict[str, Any]", row).get("promptIdx") for row in rows if isinstance(row, dict)}
    return len([one for one in found if isinstance(one, int)]) > 1


def _object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: Any = row.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _from_0(value: Any) -> float | None:
    number = finite(value)
    return None if number is None or number < 0 else number


def _count(value: Any) -> int | None:
    number = _from_0(value)
    return None if number is None else int(number)


FORMATS.add("promptfoo_results", PromptfooResults())

"""Assertions of promptfoo as expectations and scorers of ours; what has none stays with the example, and is told."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import re2

from gimbal.axis.evals.formats.files import finite, kind_of
from gimbal.axis.evals.formats.model import Collecting
from gimbal.axis.evals.formats.promptfoo.beside import PREFIX, Beside
from gimbal.axis.evals.formats.promptfoo.templates import filled_through, is_template
from gimbal.axis.evals.formats.yaml_files import parse_yaml
from gimbal.engines.text.matching import pattern
from gimbal.kernel.errors import BadInput

_JUDGED = frozenset({
    "llm-rubric", "model-graded-closedqa", "model-graded-factuality", "factuality", "answer-relevance", "context-recall",
    "context-relevance", "context-faithfulness", "conversation-relevance", "g-eval", "select-best", "max-score", "pi",
    "search-rubric", "classifier", "moderation", "guardrails", "agent-rubric",
})  # fmt: skip
_CODE = frozenset({"javascript", "python", "ruby", "webhook"})
_TOOLS = frozenset({"is-valid-openai-tools-call", "is-valid-openai-function-call", "is-valid-function-call"})
_REFERENCES = {"similar": "embedding_similarity", "rouge-n": "rouge", "bleu": "bleu"}
_MEASURED = ("cost", "latency")
_MOST_NESTED = 10


class LeftOut(Exception):
    """Why an assertion is no expectation of ours."""


class Expectations:
    """What the assertions of one test come to."""

    def __init__(self, given: Mapping[str, Any], beside: Beside, into: Collecting, where: str) -> None:
        self.expected: dict[str, Any] = {}
        self.kept: list[Any] = []
        """Assertions that are not, or not wholly, in the expectation; as they stand there."""
        self._given = given
        self._beside = beside
        self._into = into
        self._where = where
        self._reference = ""
        """The type that set the answer, where that is not equality."""

    def take(self, assertions: Sequence[Any]) -> None:
        """Take all assertions of the test."""
        # An answer that must be equal goes before one that is only near.
        listed = sorted(self._flat(assertions, 0), key=lambda one: str(one.get("type")) in _REFERENCES)
        for one in listed:
            kind = str(one.get("type") or "")
            try:
                self._one(kind, one)
            except LeftOut as reason:
                self._into.note(f"{reason}; it is kept in the example's metadata", self._where)
                self.kept.append(one)
            except (BadInput, ValueError, TypeError) as problem:
                told = problem.message if isinstance(problem, BadInput) else "its value is no plain text of this test"
                self._into.note(
                    f"assertion `{kind}`: {told.rstrip('.')}; it is kept in the example's metadata", self._where
                )
                self.kept.append(one)
            else:
                self._beyond(kind, one)

    def _flat(self, assertions: Sequence[Any], depth: int) -> list[dict[str, Any]]:
        """Return assertions one by one; a set of which all must hold is its parts."""
        found: list[dict[str, Any]] = []
        for one in assertions:
            if not isinstance(one, dict):
                self._into.note(f"an assertion is {kind_of(one)}, not an object, and is left out", self._where)
                continue
            each = cast("dict[str, Any]", one)
            parts: Any = each.get("assert")
            whole = each.get("threshold") is None or each["threshold"] == 1
            if each.get("type") == "assert-set" and isinstance(parts, list) and whole and depth < _MOST_NESTED:
                found += self._flat(cast("list[Any]", parts), depth + 1)
            else:
                found.append(each)
        return found

    def _beyond(self, kind: str, one: dict[str, Any]) -> None:
        """Keep what an assertion says beside its value: from which value on it holds, and what it weighs."""
        said = [name for name in ("threshold", "weight", "metric", "provider", "config") if one.get(name) is not None]
        if said:
            self.kept.append(one)
            names = ", ".join(f"`{name}`" for name in said)
            self._into.note(
                f"assertion `{kind}`: {names} of it is kept in the metadata; scorers give plain values", self._where
            )

    def _one(self, kind: str, one: dict[str, Any]) -> None:
        bare = kind.removeprefix("not-")
        if not kind:
            raise LeftOut("an assertion has no type")
        if one.get("transform") or one.get("contextTransform"):
            raise LeftOut(f"assertion `{kind}`: its transform is code, which is not run")
        if bare in _CODE:
            raise LeftOut(f"assertion `{kind}`: it is code, which is not run")
        if bare in _JUDGED:
            raise LeftOut(f"assertion `{kind}`: judges come with assets of their own")
        if bare in _TOOLS:
            raise LeftOut(f"assertion `{kind}`: it asks for the tools' schemas, which the provider's config has")
        known = _NEGATED.get(bare) if kind.startswith("not-") else _KNOWN.get(bare)
        if known is None:
            raise LeftOut(f"assertion `{kind}`: no scorer says that")
        known(self, kind, self._value(one.get("value")))

    def _value(self, value: Any) -> Any:
        """Return a value as it counts in this test: from its file, with the test's variables in it."""
        if isinstance(value, str) and value.startswith(PREFIX):
            if value.rpartition(".")[2].lower() in {"js", "ts", "mjs", "cjs", "py", "rb"}:
                raise LeftOut("an assertion's value is made by code, which is not run")
            text = self._beside.text(value, self._where)
            structured = value.lower().endswith((".json", ".yaml", ".yml"))
            value = parse_yaml(text, value) if structured else text.rstrip("\n")
        if _has_places(value):
            value = filled_through(value, self._given)
        return value

    def equals(self, kind: str, value: Any) -> None:
        """Expect an answer, or a JSON value."""
        if isinstance(value, dict | list):
            self._set("json", value, kind)
            self._into.scorer("json_fields")
            return
        self._set("answer", _text(value), kind)
        self._into.scorer("exact")

    def contains(self, kind: str, value: Any) -> None:
        """Expect texts that are all in the answer."""
        self._add("contains", _texts(value, split=kind.endswith("-all")))
        self._into.scorer("contains")

    def contains_any(self, kind: str, value: Any) -> None:
        """Expect one of several texts in the answer."""
        self._set("contains_any", _texts(value, split=True), kind)
        self._into.scorer("contains")

    def icontains(self, kind: str, value: Any) -> None:
        """Expect texts in letters of any case: a pattern says so exactly."""
        found = [re2.escape(text) for text in _texts(value, split=kind != "icontains")]
        self._pattern([f"(?i)(?:{'|'.join(found)})"] if kind.endswith("-any") else [f"(?i){one}" for one in found])

    def excludes(self, kind: str, value: Any) -> None:
        """Expect texts not to be in the answer."""
        self._add("excludes", _texts(value, split=kind.endswith("-any")))
        self._into.scorer("contains")
        if kind.startswith("not-i"):
            self._into.note(f"assertion `{kind}`: here the scorer `contains` says whether case counts", self._where)

    def regex(self, kind: str, value: Any) -> None:
        """Expect a pattern to be found in the answer."""
        pattern(_text(value))
        self._pattern([_text(value)])

    def starts_with(self, kind: str, value: Any) -> None:
        """Expect a text at the beginning."""
        self._pattern([f"\\A{re2.escape(_text(value))}"])

    def json_schema(self, kind: str, value: Any) -> None:
        """Expect JSON by a schema; without one any JSON will do."""
        schema = parse_yaml(value, self._where) if isinstance(value, str) else value
        self._set("schema", {} if schema is None else schema, kind)
        self._into.scorer("json_schema")
        if kind == "contains-json":
            self._into.note("assertion `contains-json`: here the answer is JSON, or has it in a fence", self._where)

    def reference(self, kind: str, value: Any) -> None:
        """Expect an answer near a text."""
        texts = _texts(value, split=False)
        before = self.expected.get("answers", [self.expected["answer"]] if "answer" in self.expected else texts)
        if before != texts:
            raise LeftOut(f"assertion `{kind}`: the test has another answer already")
        if "answer" not in self.expected and "answers" not in self.expected:
            self.expected |= {"answer": texts[0]} if len(texts) == 1 else {"answers": texts}
            self._reference = kind
        self._into.scorer(_REFERENCES[kind])

    def refuses(self, kind: str, value: Any) -> None:
        """Expect the model to decline, or to answer."""
        self._set("refuses", not kind.startswith("not-"), kind)
        self._into.scorer("refusal")

    def measured(self, kind: str, value: Any) -> None:
        """Expect nothing: what a call costs or lasts is measured."""
        self._into.scorer(kind)

    @property
    def near_only(self) -> bool:
        """Whether the answer is one to be near, not to be equal."""
        return bool(self._reference)

    def _pattern(self, patterns: list[str]) -> None:
        self._add("regex", patterns)
        self._into.scorer("regex")

    def _add(self, field: str, texts: list[str]) -> None:
        before: list[str] = self.expected.get(field, [])
        self.expected[field] = [*before, *(text for text in texts if text not in before)]

    def _set(self, field: str, value: Any, kind: str) -> None:
        if self.expected.setdefault(field, value) != value:
            raise LeftOut(f"assertion `{kind}`: the test has another one already, and both at once cannot be said")


_KNOWN: dict[str, Callable[[Expectations, str, Any], None]] = {
    "equals": Expectations.equals,
    "contains": Expectations.contains,
    "contains-all": Expectations.contains,
    "contains-any": Expectations.contains_any,
    "icontains": Expectations.icontains,
    "icontains-all": Expectations.icontains,
    "icontains-any": Expectations.icontains,
    "regex": Expectations.regex,
    "starts-with": Expectations.starts_with,
    "is-json": Expectations.json_schema,
    "contains-json": Expectations.json_schema,
    "is-refusal": Expectations.refuses,
    **dict.fromkeys(_REFERENCES, Expectations.reference),
    **dict.fromkeys(_MEASURED, Expectations.measured),
}
_NEGATED: dict[str, Callable[[Expectations, str, Any], None]] = {
    **dict.fromkeys(("contains", "contains-any", "icontains", "icontains-any"), Expectations.excludes),
    "is-refusal": Expectations.refuses,
}


def assertion_of(text: str) -> dict[str, Any]:
    """Return the assertion that a cell `contains: this` or `similar(0.8): this` of a table means; otherwise equality."""
    found = _CELL.fullmatch(text.strip())
    if found is None:
        return {"type": "equals", "value": text}
    kind = {"fn": "javascript", "eval": "javascript", "grade": "llm-rubric"}.get(found["kind"], found["kind"])
    threshold = finite(found["threshold"])
    said = {
        "type": f"{found['negated'] or ''}{kind}",
        "value": (found["value"] or "").strip() or None,
        "threshold": threshold,
    }
    return {name: value for name, value in said.items() if value is not None}


_WORDS = (*_KNOWN, *_JUDGED, *_CODE, *_TOOLS, "fn", "eval", "grade", "levenshtein", "perplexity", "perplexity-score", "is-xml",
          "contains-xml", "is-sql", "contains-sql", "is-html", "contains-html", "meteor", "gleu", "word-count")  # fmt: skip
_CELL = re.compile(
    rf"(?P<negated>not-)?(?P<kind>{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
    r"(?:\((?P<threshold>\d+(?:\.\d+)?)\))?(?::(?P<value>[\s\S]*))?"
)


def _has_places(value: Any) -> bool:
    return is_template(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: Any, *, split: bool) -> list[str]:
    if isinstance(value, list) and value:
        return [_text(item) for item in cast("list[Any]", value)]
    text = _text(value)
    return parts_of(text) if split else [text]


def parts_of(text: str) -> list[str]:
    """Return what stands between commas; quotes, or a backslash before it, keep one inside a part."""
    try:
        rows = list(csv.reader([text.replace("\n", " ")], skipinitialspace=True, escapechar="\\"))
    except csv.Error:
        return [text]
    return [part.strip() for row in rows for part in row if part.strip()]

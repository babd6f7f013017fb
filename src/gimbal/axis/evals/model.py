"""Records of suites, evaluation runs and comparisons; the asset kind `suite`; the protocol of what is evaluated."""

import codecs
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, Version, register_kind
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.plugins import Registry
from gimbal.kernel.refs import ResolvedRef

EXAMPLES_FILE = "examples.jsonl"
_LONGEST_ID = 200


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One example of a suite."""

    id: str
    """Unique in the suite and stable between its versions."""
    input: dict[str, Any]
    """What the target gets."""
    expected: dict[str, Any] = {}
    """What scorers compare with: `answer`, `answers`, `source` …"""
    cluster: str | None = None
    """Examples that share a source share this; their errors are not independent."""
    slice: str = ""
    """Part of the suite that is summed up by itself as well: a language, a customer, a difficulty."""
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """How much it counts in means, beside the others."""
    metadata: dict[str, Any] = {}
    """What else is known of it; nobody scores it."""


class CreateSuite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite to store as a version."""

    name: str
    """Name of the asset: `help/questions`."""
    examples: list[Example]
    """At least one; ids are unique."""
    scorers: list[str]
    """Names of the scorers to apply."""
    note: str = ""
    """A remark for people."""


class AddExamples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Examples for a suite that exists."""

    examples: list[Example]
    """At least one; none has the id of one that is there."""
    note: str = ""
    """A remark for people."""


class StartEvaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to evaluate on what."""

    suite: str
    """Reference of the suite: `suite:help/questions`."""
    subject: str
    """Reference of the version under test: `prompt:help/answer@v2`."""
    concurrency: int = 4
    """Examples under way at the same time, 1 to 64."""


class RunEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What the job `evals.run` is given."""

    evaluation_id: str
    concurrency: int = 4


class TargetOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What a target made of one example."""

    text: str | None = None
    """The answer; null when there is none."""
    value: Any = None
    """What was predicted, where it is no text: a number, a class, probabilities by class; null when there is none."""
    sources: list[str] | None = None
    """What it rests on, best first; null when the target does not say."""
    contexts: list[str] | None = None
    """Texts that were put before the model, best first; null when the target does not say."""
    tool_calls: list[dict[str, Any]] | None = None
    """Tools that were called, in order, as `{"name": …, "arguments": {…}}`; null when the target does not say."""
    steps: list[dict[str, Any]] | None = None
    """Messages of the whole conversation, as `{"role": …, "content": …}`; null when it had one answer only."""
    trace_id: str = ""
    """The trace of the call."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    """US dollars; null when unknown."""
    latency_ms: float | None = None
    error: str = ""
    """What went wrong; the example is then missing, not wrong."""
    failure: Literal["error", "refused", "timed_out"] = "error"
    """Of what kind, where `error` says something."""


class Target(Protocol):
    """Calls one version with one example; each ring has one for its kinds."""

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Return the output; a failure of the call is `error` in it, not an exception."""
        ...


TARGETS: Registry[Target] = Registry("targets")


class ScorerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one scorer found over all examples."""

    scorer: str
    estimate: Estimate
    missing: dict[str, int] = {}
    """How many examples have no value, by reason; they are in no mean."""


class EvaluationRun(msgspec.Struct, frozen=True, kw_only=True):
    """One subject put through one suite."""

    id: str
    suite: ResolvedRef
    subject: ResolvedRef
    status: str
    """`running`, `done`, `failed` or `cancelled`."""
    done: int
    total: int
    started_at: datetime
    started_by: str
    finished_at: datetime | None = None
    summaries: list[ScorerSummary] = []
    cost: Decimal | None = None
    """US dollars of all calls whose price is known."""
    unpriced: int = 0
    """Calls whose price is not known."""
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    error: str = ""


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """One example of an evaluation run."""

    example_id: str
    cluster: str
    input: dict[str, Any]
    expected: dict[str, Any]
    text: str | None
    sources: list[str] | None
    scores: dict[str, float]
    missing: dict[str, str]
    """Reason by scorer, where there is no value."""
    trace_id: str
    latency_ms: float | None
    cost: Decimal | None = None
    """US dollars; null when unknown."""
    error: str


class ScorerComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer, two subjects, the same examples."""

    scorer: str
    before: Estimate
    after: Estimate
    difference: Estimate
    """After minus before, paired by example."""
    verdict: str
    """`better`, `worse`, `equivalent` or `underpowered`."""
    p_value: float | None
    detectable: float | None
    """Smallest difference that this many examples would find with 80 % power."""
    paired: int
    unpaired: int
    """Examples that only one side has a value for."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two evaluation runs on the same suite."""

    before: EvaluationRun
    after: EvaluationRun
    margin: float
    """Differences within ± this count as equivalent."""
    scorers: list[ScorerComparison]


def check_examples(examples: list[Example]) -> None:
    """Raise BadInput unless there is at least one example and ids are unique."""
    if not examples:
        raise BadInput("A suite needs at least one example.", where="examples", todo="Add examples.")
    seen: dict[str, int] = {}
    for index, example in enumerate(examples):
        where = f"examples[{index}]"
        if not 1 <= len(example.id) <= _LONGEST_ID:
            raise BadInput("An id has 1 to 200 characters.", where=f"{where}.id", todo="Choose another.")
        if example.id in seen:
            raise BadInput(
                f"The id {example.id!r} is that of examples[{seen[example.id]}] already.",
                where=f"{where}.id",
                todo="Make ids unique.",
            )
        if len(example.cluster or "") > _LONGEST_ID:
            raise BadInput(
                "A cluster's name has at most 200 characters.", where=f"{where}.cluster", todo="Choose another."
            )
        seen[example.id] = index


def encode_examples(examples: list[Example]) -> bytes:
    """Return JSON lines."""
    return b"".join(msgspec.json.encode(example, order="deterministic") + b"\n" for example in examples)


def decode_examples(content: bytes) -> list[Example]:
    """Read JSON lines in UTF-8, with or without a byte order mark; raise BadInput that names the line."""
    found: list[Example] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        if not line.strip():
            continue
        example = _decode_line(line, number)
        if example.id in lines:
            raise BadInput(
                f"Line {number} has the id {example.id!r} of line {lines[example.id]}.",
                where=f"line {number}",
                todo="Make ids unique.",
            )
        lines[example.id] = number
        found.append(example)
    return found


def _decode_line(line: bytes, number: int) -> Example:
    try:
        return msgspec.json.decode(line, type=Example)
    except RecursionError:
        problem = "it is nested too deeply"
    except UnicodeDecodeError as failure:
        problem = f"it is not UTF-8 ({failure.reason} at byte {failure.start})"
    except msgspec.DecodeError as failure:
        problem = str(failure)
    raise BadInput(f"Line {number} is not an example: {problem}.", where=f"line {number}", todo="Mend it.")


def _check_manifest(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    scorers: Any = manifest.get("scorers")
    named = isinstance(scorers, list) and bool(scorers) and all(isinstance(name, str) for name in scorers)  # pyright: ignore[reportUnknownVariableType]
    count = manifest.get("examples")
    if not named or type(count) is not int or count < 1 or not any(f.path == EXAMPLES_FILE for f in files):
        raise BadInput(
            f"A suite has the number of its `examples`, `scorers` and a file {EXAMPLES_FILE}.",
            where="manifest",
            todo="Make it with suites.create.",
        )


register_kind(AssetKind(name="suite", title="Suites", ring="axis", check=_check_manifest, template="evals/suite.html"))

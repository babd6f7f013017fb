"""Records of suites and evaluation runs; the asset kind `suite`."""

import codecs
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.axis.evals.origins import origins_of
from gimbal.axis.scores.model import SCORERS
from gimbal.axis.scores.scorer import ScorerSetting, card_of, settings_of
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import ResolvedRef

EXAMPLES_FILE = "examples.jsonl"
MOST_REPEATS = 100
MOST_AT_ONCE = 64
_LONGEST_ID = 200
_WEIGHT = 1.0


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
    weight: Annotated[float, msgspec.Meta(gt=0)] = _WEIGHT
    """How much it counts in means, beside the others."""
    metadata: dict[str, Any] = {}
    """What else is known of it; nobody scores it."""


class CreateSuite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite to store as a version."""

    name: str
    """Name of the asset: `help/questions`."""
    examples: list[Example]
    """At least one; ids are unique."""
    scorers: list[str | ScorerSetting]
    """The scorers to apply: names, or names with parameters and a name of the suite's own."""
    repeats: Annotated[int, msgspec.Meta(ge=1, le=MOST_REPEATS)] = 1
    """How often each example is asked; each time counts as one answer, not as one example."""
    task: str = ""
    """What to call where nobody says otherwise: `prompt:help/answer@production`."""
    note: str = ""
    """A remark for people."""


class AddExamples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Examples for a suite that exists."""

    examples: list[Example]
    """At least one; none has the id of one that is there."""
    note: str = ""
    """A remark for people."""


class EvaluationOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an evaluation is carried out."""

    repeats: Annotated[int, msgspec.Meta(ge=1, le=MOST_REPEATS)] | None = None
    """How often each example is asked; null for what the suite says."""
    concurrency: int = 4
    """Calls under way at the same time, 1 to 64."""
    per_minute: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Calls that may begin in a minute; null for no limit but that of the gateway."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0
    """Seconds after which a call counts as timed out."""
    max_cost: Decimal | None = None
    """US dollars that the run may cost, judges and all; it stops before a call that could pass them, and an answer whose judges
    the cap cut off is judged when the run goes on. Null for no cap."""
    cache: bool = True
    """Whether an answer that an earlier run got for the same content and the same repeat is taken instead of asking."""


class StartEvaluation(EvaluationOptions, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to evaluate on what."""

    suite: str
    """Reference of the suite: `suite:help/questions`."""
    subject: str = ""
    """Reference of the version under test: `prompt:help/answer@v2`; without one the suite's task."""
    asked: str = ""
    """The name that `subject` was looked up by before, to be noted with the run; without one `subject` itself."""


class ResumeEvaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes when an evaluation goes on."""

    max_cost: Decimal | None = None
    """The new cap in US dollars, of the whole run; null to leave it as it is."""


class RunEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs `evals.run` and `evals.judge` are given."""

    evaluation_id: str


class EvaluationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation would do, before anything is asked."""

    suite: ResolvedRef
    subject: ResolvedRef
    asked: str = ""
    """The name that stands for the subject now, such as `endpoint:help/answer`; empty where the version itself was named."""
    examples: int
    repeats: int
    cached: int
    """Answers that earlier runs have."""
    calls: int
    """Calls that are left to make."""
    cost: Decimal | None
    """US dollars of them, about; null when unknown."""
    most: Decimal | None
    """US dollars that they can cost at most; null when unknown."""
    unpriced: str
    """Why the cost is unknown."""
    judges: list[str]
    """Models and embedders that scorers ask; what they are asked is in neither `calls` nor `cost`."""
    judge_calls: int
    """Calls of them for all answers, about; see `judge_cost`."""
    judge_cost: Decimal | None
    """US dollars of that for all answers, about; null when unknown. As in the newest run of the suite that tells; before there
    is one an assumption: as many questions as the expectation lists, else five an answer, with a page of text each."""
    judge_unpriced: str
    """Why that is unknown."""
    judged_before: bool
    """Whether a run of the suite says what judges take, and not the assumption."""
    detectable: float | None
    """Smallest difference of a share that this many examples find with 80 % power, if answers of two versions agree as
    half correlated ones do; null with fewer than two clusters."""


class PassRate(msgspec.Struct, frozen=True, kw_only=True):
    """Of k repeats of an example: at least one is right, and all are."""

    k: int
    any: Estimate
    """pass@k, without bias (Chen et al., arXiv 2107.03374)."""
    all: Estimate
    """pass^k, without bias (Yao et al., arXiv 2406.12045)."""


class ScorerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one scorer found over all examples."""

    scorer: str
    estimate: Estimate
    missing: dict[str, int] = {}
    """How many answers have no value, by reason; they are in no mean."""
    worst: float | None = None
    """The mean if all that is missing had the worst value there is; null where nothing is missing, or values have no bounds."""
    best: float | None = None
    """The mean if all that is missing had the best value there is."""
    better: str = "higher"
    """`higher`, `lower` or `neither`."""
    unit: str = ""
    """Of the value: `ms`, `USD`."""
    slices: dict[str, Estimate] = {}
    """The mean of each slice of the suite."""
    passes: list[PassRate] = []
    """Of scores of 0 and 1 over repeats: how often one of k, and all of k, are right."""
    labels: dict[str, int] = {}
    """How many answers have which word, where the scorer gives words."""


class EvaluationRun(msgspec.Struct, frozen=True, kw_only=True):
    """One subject put through one suite."""

    id: str
    suite: ResolvedRef
    subject: ResolvedRef
    asked: str = ""
    """The name that stood for the subject when it began: `endpoint:help/answer`, `prompt:help/answer@production`; empty where
    the version itself was named, and of runs of before that was noted."""
    status: str
    """`running`, `done`, `failed`, `cancelled`, or `stopped` at its cost cap."""
    done: int
    """Answers that are stored."""
    total: int
    """Answers that there will be: examples times repeats."""
    repeats: int = 1
    cached: int = 0
    """Answers that were taken from earlier runs."""
    options: EvaluationOptions = EvaluationOptions()
    job_id: str | None = None
    """The job that carries it out, or judges answers from outside; null where none does."""
    client: str = ""
    """What brings the answers from outside: `gimbal for Python`, `promptfoo`; empty where this server asks for them."""
    answered_at: datetime | None = None
    """When the last answer from outside came; null before there is one, and where this server asks."""
    generation: int = 0
    """How often it was gone on with, and, where answers come from outside, finished: results replace none of a later one."""
    started_at: datetime
    started_by: str
    finished_at: datetime | None = None
    summaries: list[ScorerSummary] = []
    cost: Decimal | None = None
    """US dollars of all calls that this run made and whose price is known."""
    unpriced: int = 0
    """Calls whose price is not known."""
    judge_calls: int = 0
    """Calls of models and embedders that scorers made to judge the answers."""
    judge_cost: Decimal | None = None
    """US dollars of those whose price is known; null where there is none."""
    judge_unpriced: int = 0
    """How many of them have no price that is known."""
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    error: str = ""

    @property
    def open(self) -> bool:
        """Whether answers from outside are still taken."""
        return self.status == "running" and bool(self.client) and self.job_id is None


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an evaluation run."""

    example_id: str
    repeat: int = 0
    """Which asking of the example this is, from 0."""
    cluster: str
    slice: str = ""
    weight: float = 1.0
    input: dict[str, Any]
    expected: dict[str, Any]
    text: str | None
    sources: list[str] | None
    scores: dict[str, float]
    missing: dict[str, str]
    """Reason by scorer, where there is no value."""
    labels: dict[str, str] = {}
    """Word by scorer, where it gives one."""
    explanations: dict[str, str] = {}
    """Why, by scorer, where it says so."""
    marked: str | None = None
    """The answer with the markers of its contexts, where `text` is without them."""
    value: Any = None
    """What was predicted, where it is no text."""
    contexts: list[str] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    steps: list[dict[str, Any]] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    trace_id: str
    latency_ms: float | None
    cost: Decimal | None = None
    """US dollars that the answer cost when it was made; null when unknown."""
    cached: bool = False
    """Whether the answer was made by an earlier run; the trace is of then."""
    judge_calls: int = 0
    """Calls of models and embedders that scorers made to judge it."""
    judge_cost: Decimal | None = None
    """US dollars of those whose price is known; null where there is none."""
    judge_unpriced: int = 0
    """How many of them have no price that is known."""
    error: str
    failure: str = ""
    """Of what kind: `error`, `refused` or `timed_out`; empty when nothing went wrong."""
    judged: bool = True
    """Whether the suite's scorers have seen it: an answer from outside waits for that until its run is finished, one whose
    judging the cap cut off until the run goes on."""


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
    """Return JSON lines; what is as by default is left out, so that the same examples are the same bytes."""
    return b"".join(msgspec.json.encode(_usual(example), order="deterministic") + b"\n" for example in examples)


def _usual(example: Example) -> Example:
    # The encoder knows a default by its identity.
    return msgspec.structs.replace(example, weight=_WEIGHT) if example.weight == _WEIGHT else example


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
    try:
        named = bool(msgspec.convert(scorers, list[str | ScorerSetting]))
    except msgspec.ValidationError:
        named = False
    count = manifest.get("examples")
    repeats, task = manifest.get("repeats", 1), manifest.get("task", "")
    if type(repeats) is not int or not 1 <= repeats <= MOST_REPEATS or not isinstance(task, str):
        raise BadInput(
            f"Repeats of a suite are 1 to {MOST_REPEATS}, and its task is a reference.",
            where="manifest",
            todo="Make it with suites.create.",
        )
    if not named or type(count) is not int or count < 1 or not any(f.path == EXAMPLES_FILE for f in files):
        raise BadInput(
            f"A suite has the number of its `examples`, `scorers` and a file {EXAMPLES_FILE}.",
            where="manifest",
            todo="Make it with suites.create.",
        )


def _told(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what the page of a suite says of its scorers and of how it was made.

    Scorers are setting and card; without a card where the scorer is gone.
    """
    settings = settings_of(msgspec.convert(manifest["scorers"], list[str | ScorerSetting]))
    cards = [card_of(one.scorer) if one.scorer in SCORERS else None for one in settings]
    origins, before = origins_of(manifest)
    return {"scorers": list(zip(settings, cards, strict=True)), "origins": origins, "origins_before": before}


register_kind(
    AssetKind(name="suite", title="Suites", ring="axis", check=_check_manifest, template="evals/suite.html", told=_told)
)

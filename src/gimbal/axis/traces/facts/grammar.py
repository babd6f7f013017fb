"""What traces can be searched by, in the grammar that all searches share, and what MLflow's words mean in our stores."""

from collections.abc import Sequence

import msgspec

from gimbal.axis.traces.facts.model import METADATA, NAME, SOURCE_RUN, TAG
from gimbal.axis.traces.judgements import UNSCORED, Judgements, ScoreTest
from gimbal.axis.traces.score_filter import traces_judged
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause, Kind, Spec

_NUMBERS: dict[str, Kind] = {"timestamp_ms": "number", "execution_time_ms": "number", "end_time_ms": "number"}
_TEXTS: dict[str, Kind] = {"status": "listed", "request_id": "listed", "name": "listed", "run_id": "listed"}
_ALIASES = {
    "attributes": "attribute", "attr": "attribute", "trace": "attribute", "tags": TAG, "request_metadata": METADATA,
}  # fmt: skip
_KEYS = {
    "timestamp": "timestamp_ms", "execution_time": "execution_time_ms", "end_time": "end_time_ms", "trace_id": "request_id",
}  # fmt: skip
TRACES = Spec(
    entities={
        "attribute": {**_NUMBERS, **_TEXTS, "client_request_id": "listed", "prompt": "text", "text": "text"},
        TAG: "label",
        METADATA: "label",
        "span": "listed",
        "feedback": "either",
        "expectation": "either",
        "issue": "text",
    },
    aliases=_ALIASES,
    keys=_KEYS,
)
"""What traces are searched by."""
TRACE_ORDERS = Spec(
    entities={"attribute": {**_NUMBERS, **_TEXTS, "experiment_id": "whole"}}, aliases=_ALIASES, keys=_KEYS
)
"""What they are sorted by."""
_ABSENT = ("IS NULL", "IS NOT NULL")
_PATTERNS = ("LIKE", "ILIKE")
_LINKED = "mlflow.linkedPrompts"
_OF_SPAN = frozenset({"name", "type", "status", "content"})
ATTRIBUTES = "attributes."
"""Before the name of an attribute of a span."""


class Among(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on the ids of traces that a statement gives."""

    sql: str
    values: dict[str, object]
    among: bool = True
    """False for traces that are not among them."""


def meant(clauses: Sequence[Clause], judgements: Judgements) -> tuple[list[Clause], list[Among]]:
    """Return what a filter means; raise BadInput for what cannot be asked here.

    The entities that are left are `attribute`, `tag`, `metadata`, `run`, `prompt` and `span`.
    """
    plain: list[Clause] = []
    judged: list[Among] = []
    for place, clause in enumerate(clauses):
        if clause.entity in {"feedback", "expectation"}:
            judged += _judged(clause, f"judged{place}", judgements)
        elif clause.entity == "issue":
            raise _cannot("issues", "Leave the condition out: issues are not kept here.")
        else:
            plain.append(_plain(clause))
    return plain, judged


def _plain(said: Clause) -> Clause:
    where = said.entity, said.key
    if said.op in _ABSENT:
        return said
    if where == (TAG, NAME):
        return _as(said, "attribute", "name")
    if where in {("attribute", "run_id"), (METADATA, SOURCE_RUN)}:
        return _as(said, "run", "run_id")
    if where in {("attribute", "prompt"), (TAG, _LINKED)}:
        return _prompt(said)
    if where == ("attribute", "text"):
        if said.op not in _PATTERNS:
            raise _cannot(f"text with {said.op}", "Write it like trace.text LIKE '%refund%'.")
        return _as(said, "span", "content")
    if said.entity == "span":
        return _span(said)
    if where == ("attribute", "status") and said.op not in _PATTERNS:
        value = said.value
        upper = tuple(one.upper() for one in value) if isinstance(value, tuple) else str(value).upper()
        return msgspec.structs.replace(said, value=upper)
    return said


def _span(said: Clause) -> Clause:
    key = said.key
    if key.startswith(ATTRIBUTES):
        name = key.removeprefix(ATTRIBUTES)
        name = name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "`\"'" else name
        if name:
            return msgspec.structs.replace(said, key=ATTRIBUTES + name)
    if key not in _OF_SPAN:
        raise BadInput(
            f"Invalid span attribute '{key[:200]}'. Supported attributes: name, status, type, attributes.<attribute_name>.",
            where="filter",
        )
    if key == "content" and said.op not in _PATTERNS:
        raise _cannot(f"span.content with {said.op}", "Write it like span.content LIKE '%refund%'.")
    return said


def _prompt(said: Clause) -> Clause:
    if said.op != "=" or str(said.value).count("/") != 1:
        raise BadInput(
            f"Invalid prompts filter value '{str(said.value)[:200]}'. Expected format: prompt = \"name/version\"",
            where="filter",
        )
    return _as(said, "prompt", "prompt")


def _as(said: Clause, entity: str, key: str) -> Clause:
    return msgspec.structs.replace(said, entity=entity, key=key)


def _judged(said: Clause, place: str, judgements: Judgements) -> list[Among]:
    def judged(test: ScoreTest, number: int, *, among: bool) -> Among:
        sql, values = traces_judged(judgements, test, f"{place}_{number}")
        return Among(sql=sql, values=values, among=among)

    name, op, value = said.key, said.op, said.value
    any_of_it = ScoreTest(name=name, expected=said.entity == "expectation")
    if op in _ABSENT:
        return [judged(_as_test(any_of_it, UNSCORED), 0, among=op != "IS NULL")]
    if op in _PATTERNS:
        raise _cannot(f"patterns of {said.entity}", "Compare with a whole word.")
    bound = float(value) if isinstance(value, int | float) else _number(str(value))
    if op in {"<", "<=", ">", ">="}:
        if bound is None:
            raise BadInput(f"{said.entity}.{name} {op} needs a number.", where="filter", todo="Write it bare.")
        return [judged(_as_test(any_of_it, op, bound), 0, among=True)]
    same = _as_test(any_of_it, "=", bound, str(value))
    if op == "=":
        return [judged(same, 0, among=True)]
    # What nobody judged is neither equal nor unequal to anything.
    return [judged(same, 0, among=False), judged(any_of_it, 1, among=True)]


def _as_test(one: ScoreTest, test: str, bound: float | None = None, text: str = "") -> ScoreTest:
    return msgspec.structs.replace(one, test=test, bound=bound, text=text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cannot(what: str, todo: str) -> BadInput:
    return BadInput(f"Traces cannot be searched by {what} here.", where="filter", kept="nothing", todo=todo)

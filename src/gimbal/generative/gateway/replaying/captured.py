"""Calls of a prompt as traces hold them: what it was filled with, what went on after it, what came out.

Three ways leave enough to ask again: a call through the gateway by the prompt's name, an answer that the server gave with
it, and a program that filled it with `gimbal.prompt(…).format(…)` in a span.
"""

import contextlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from gimbal.axis.evals.building.reading import Refused, whole
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.traces.messages import messages_in
from gimbal.axis.traces.model import Span, Trace
from gimbal.generative.gateway.replaying.model import Unused
from gimbal.generative.gateway.target import TURNS, without_markers
from gimbal.generative.prompts.model import PROMPT_MESSAGES_ATTRIBUTE, VARIABLES_ATTRIBUTE

_CHAIN = "answer prompt:"
# What Gimbal itself asks while it judges and improves is nobody's traffic.
OWN_FEATURES = frozenset({"evaluation", "scoring", "optimisation"})


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """One call that can be asked again."""

    id: str
    """Of its span."""
    version: str
    """Reference of the version that was used."""
    cluster: str
    """The session it is of, else the trace: what one end user says in a row is no independent evidence."""
    feature: str
    input: dict[str, Any]
    answer: TargetOutput


def captured(trace: Trace, ref: str) -> tuple[list[Captured], list[Unused]]:
    """Return the calls in a trace that used a prompt (or exactly one version of it), and why others cannot be asked again."""
    found: list[Captured] = []
    unused: list[Unused] = []
    # The spans beneath one that says what went in report the same call.
    told: set[str] = set()
    above = {span.span_id: span.parent_id for span in trace.spans}
    uses = [(span, version) for span in trace.spans if (version := _used(span.refs, ref))]
    for span, version in uses:
        if span.feature in OWN_FEATURES or not _says_input(span):
            continue
        told.add(span.span_id)
        try:
            found.append(_captured(trace, span, version))
        except Refused as problem:
            unused.append(Unused(problem.reason))
    for span, _ in uses:
        if span.kind == "llm" and span.feature not in OWN_FEATURES and not _within(span.span_id, above, told):
            unused.append(Unused.NO_VARIABLES)
    return found, unused


def _used(refs: Iterable[str], ref: str) -> str:
    return next((one for one in refs if one == ref or one.startswith(f"{ref}@")), "")


def _says_input(span: Span) -> bool:
    return VARIABLES_ATTRIBUTE in span.attributes or (span.kind == "chain" and span.name.startswith(_CHAIN))


def _within(span_id: str, above: dict[str, str], told: set[str]) -> bool:
    seen: set[str] = set()
    while span_id and span_id not in seen:
        if span_id in told:
            return True
        seen.add(span_id)
        span_id = above.get(span_id, "")
    return False


def _captured(trace: Trace, span: Span, version: str) -> Captured:
    """Return the call of a span; raise Refused where it cannot be asked again."""
    noted = span.attributes.get(VARIABLES_ATTRIBUTE)
    given = whole(span.input) if noted is None else whole(noted) if isinstance(noted, str) else noted
    if not isinstance(given, dict):
        raise Refused(Unused.UNREADABLE)
    values = cast("dict[str, Any]", given)
    turns = _turns_after(span)
    answered = _answering(trace, span)
    return Captured(
        id=span.span_id,
        version=version,
        cluster=span.session_id or trace.summary.session_id or span.trace_id,
        feature=span.feature,
        input=values | ({TURNS: turns} if turns else {}),
        answer=_answer(span, answered, _spent(trace, span)),
    )


def _turns_after(span: Span) -> Sequence[Any]:
    """Return the messages that the caller sent beside the prompt's own; raise Refused."""
    own = span.attributes.get(PROMPT_MESSAGES_ATTRIBUTE)
    if own is None:
        return ()
    said = whole(span.input)
    messages: Any = cast("dict[str, Any]", said).get("messages") if isinstance(said, dict) else said
    if not isinstance(messages, list):
        raise Refused(Unused.UNREADABLE)
    return cast("list[Any]", messages)[int(own) :]


def _answering(trace: Trace, span: Span) -> Span:
    """Return the span whose output is the answer: itself, else the last model call beneath it."""
    if span.output:
        return span
    above = {one.span_id: one.parent_id for one in trace.spans}
    calls = [one for one in trace.spans if one.kind == "llm" and _within(one.span_id, above, {span.span_id})]
    return calls[-1] if calls else span


def _spent(trace: Trace, span: Span) -> tuple[Decimal | None, int | None, int | None]:
    """Return cost and tokens of the calls of a span: a part of the cost is no cost."""
    above = {one.span_id: one.parent_id for one in trace.spans}
    calls = [
        one for one in trace.spans if one.billable and one.kind == "llm" and _within(one.span_id, above, {span.span_id})
    ]
    costs = [one.cost for one in calls if one.cost is not None]
    usages = [one.usage for one in calls if one.usage is not None]
    cost = sum(costs, Decimal(0)) if costs and len(costs) == len(calls) else None
    if not usages or len(usages) < len(calls):
        return cost, None, None
    asked, answered = [one.input_tokens for one in usages], [one.output_tokens for one in usages]
    return cost, sum(asked), sum(answered)


def _answer(span: Span, answered: Span, spent: tuple[Decimal | None, int | None, int | None]) -> TargetOutput:
    cost, asked, said = spent
    failed = span.status in {"error", "cancelled"}
    try:
        output = whole(answered.output)
    except Refused as problem:
        return TargetOutput(trace_id=span.trace_id, error=f"The answer was not kept whole: {problem.reason}.")
    message: dict[str, Any] = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    refusal = str(message.get("refusal") or "")
    text = output if isinstance(output, str) else _text(output)
    why = span.status_message or ("The call failed." if failed else "" if text is not None else "No answer was kept.")
    return TargetOutput(
        # Evaluations judge answers without markers, so both sides are judged alike.
        text=refusal or (None if text is None else without_markers(text)),
        tool_calls=_called(message),
        trace_id=span.trace_id,
        input_tokens=asked,
        output_tokens=said,
        cost=cost,
        latency_ms=(span.end_us - span.start_us) / 1000,
        error=f"The model refused: {refusal}" if refusal else why if failed or text is None else "",
        failure="refused" if refusal else "error",
    )


def _text(output: Any) -> str | None:
    """Return the text of an answer as a message, or several; an answer of tool calls alone is an empty one."""
    found: Any = messages_in(output)
    last: Any = cast("list[Any]", found)[-1] if isinstance(found, list) and found else None
    if not isinstance(last, dict) or "role" not in last:
        return None if output is None else msgspec.json.encode(output).decode()
    content: Any = cast("dict[str, Any]", last).get("content")
    if isinstance(content, list):
        texts = [
            cast("dict[str, Any]", part).get("text") for part in cast("list[Any]", content) if isinstance(part, dict)
        ]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _called(message: dict[str, Any]) -> list[dict[str, Any]] | None:
    calls: Any = message.get("tool_calls")
    if not isinstance(calls, list):
        return None
    found: list[dict[str, Any]] = []
    for call in cast("list[Any]", calls):
        function: Any = cast("dict[str, Any]", call).get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            named = cast("dict[str, Any]", function)
            arguments: Any = named.get("arguments")
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                arguments = msgspec.json.decode(arguments or "{}") if isinstance(arguments, str) else arguments
            found.append({"name": str(named.get("name", "")), "arguments": arguments})
    return found

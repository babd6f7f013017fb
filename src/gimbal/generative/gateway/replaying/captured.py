"""Calls of a prompt as traces hold them: what it was filled with, what went on after it, what came out.

Three ways leave enough to ask again: a call through the gateway by the prompt's name, an answer that the server gave with
it, and a program that filled it with `gimbal.prompt(…).format(…)` in a span.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

from gimbal.axis.evals.building.model import OWN_FEATURES
from gimbal.axis.evals.building.reading import Refused, whole
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.traces.messages import messages_in
from gimbal.axis.traces.model import Span, Trace
from gimbal.generative.gateway.replaying.model import Unused
from gimbal.generative.gateway.target import TURNS, has_passages, without_markers
from gimbal.generative.prompts.model import PROMPT_MESSAGES_ATTRIBUTE, VARIABLES_ATTRIBUTE

_CHAIN = "answer prompt:"


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


class _Tree:
    """Which model calls a trace has beneath which span."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._above = {span.span_id: span.parent_id for span in trace.spans}
        self.calls: dict[str, list[Span]] = {}
        """Model calls by the spans that they are in, themselves among them, in their order."""
        for span in trace.spans:
            if span.kind == "llm":
                for one in self.around(span.span_id):
                    self.calls.setdefault(one, []).append(span)

    def around(self, span_id: str) -> Iterator[str]:
        """Give a span and all that it is in; a circle, which broken senders make, ends."""
        seen: set[str] = set()
        while span_id and span_id not in seen:
            yield span_id
            seen.add(span_id)
            span_id = self._above.get(span_id, "")


def captured(trace: Trace, ref: str) -> tuple[list[Captured], list[Unused]]:
    """Return the calls in a trace that used a prompt (or exactly one version of it), and why others cannot be asked again."""
    found: list[Captured] = []
    unused: list[Unused] = []
    # The spans beneath one that says what went in report the same call.
    told: set[str] = set()
    tree = _Tree(trace)
    uses = [(span, version) for span in trace.spans if (version := _used(span.refs, ref))]
    for span, version in uses:
        if span.feature in OWN_FEATURES or not _says_input(span):
            continue
        told.add(span.span_id)
        try:
            found.append(_captured(tree, span, version))
        except Refused as problem:
            unused.append(Unused(problem.reason))
    for span, _ in uses:
        if span.kind == "llm" and span.feature not in OWN_FEATURES and told.isdisjoint(tree.around(span.span_id)):
            unused.append(Unused.NO_VARIABLES)
    return found, unused


def _used(refs: Iterable[str], ref: str) -> str:
    return next((one for one in refs if one == ref or one.startswith(f"{ref}@")), "")


def _says_input(span: Span) -> bool:
    return VARIABLES_ATTRIBUTE in span.attributes or (span.kind == "chain" and span.name.startswith(_CHAIN))


def _captured(tree: _Tree, span: Span, version: str) -> Captured:
    """Return the call of a span; raise Refused where it cannot be asked again."""
    given = _given(span)
    if not isinstance(given, dict):
        raise Refused(Unused.UNREADABLE)
    values = cast("dict[str, Any]", given)
    turns = _turns_after(span)
    if turns and TURNS in values:
        # A prompt with a variable of that name has no conversation after it in a suite.
        raise Refused(Unused.UNREADABLE)
    answered = _answering(tree, span)
    return Captured(
        # Span ids are unique in their trace only.
        id=f"{span.trace_id}-{span.span_id}",
        version=version,
        cluster=span.session_id or tree.trace.summary.session_id or span.trace_id,
        feature=span.feature,
        input=values | ({TURNS: turns} if turns else {}),
        answer=_answer(tree, span, answered, values),
    )


def _given(span: Span) -> Any:
    """Return what a span says that the prompt was filled with; raise Refused."""
    noted = span.attributes.get(VARIABLES_ATTRIBUTE)
    if noted is None:
        return whole(span.input)
    several = len({one.partition("@")[0] for one in span.refs if one.startswith("prompt:")}) > 1
    if several and PROMPT_MESSAGES_ATTRIBUTE not in span.attributes:
        # A program that filled several prompts in one span noted only what the last of them was filled with.
        raise Refused(Unused.NO_VARIABLES)
    return whole(noted if isinstance(noted, str) else msgspec.json.encode(noted).decode())


def _turns_after(span: Span) -> list[Any]:
    """Return the messages that the caller sent beside the prompt's own; raise Refused."""
    own = span.attributes.get(PROMPT_MESSAGES_ATTRIBUTE)
    if own is None:
        return []
    said = whole(span.input)
    messages: Any = cast("dict[str, Any]", said).get("messages") if isinstance(said, dict) else said
    # Senders of spans may write anything there.
    if not isinstance(messages, list) or type(own) is not int or own < 0:
        raise Refused(Unused.UNREADABLE)
    turns = cast("list[Any]", messages)[own:]
    if any(
        not isinstance(turn, dict) or not isinstance(cast("dict[str, Any]", turn).get("role"), str) for turn in turns
    ):
        raise Refused(Unused.UNREADABLE)
    return turns


def _answering(tree: _Tree, span: Span) -> Span:
    """Return the span whose output is the answer: itself, else the last model call beneath it."""
    if span.output:
        return span
    calls = tree.calls.get(span.span_id, [])
    return calls[-1] if calls else span


def _spent(tree: _Tree, span: Span) -> tuple[Decimal | None, int | None, int | None]:
    """Return cost and tokens of the calls of a span: a part of the cost is no cost."""
    calls = [one for one in tree.calls.get(span.span_id, []) if one.billable]
    costs = [one.cost for one in calls if one.cost is not None]
    usages = [one.usage for one in calls if one.usage is not None]
    cost = sum(costs, Decimal(0)) if costs and len(costs) == len(calls) else None
    if not usages or len(usages) < len(calls):
        return cost, None, None
    asked, answered = [one.input_tokens for one in usages], [one.output_tokens for one in usages]
    return cost, sum(asked), sum(answered)


def _answer(tree: _Tree, span: Span, answered: Span, values: Mapping[str, Any]) -> TargetOutput:
    cost, asked, said = _spent(tree, span)
    failed = span.status in {"error", "cancelled"}
    try:
        output = whole(answered.output)
    except Refused as problem:
        return TargetOutput(trace_id=span.trace_id, error=f"The answer was not kept whole: {problem.reason}.")
    message = _message(output)
    refusal = _content(message, "refusal") if message is not None else ""
    text = output if isinstance(output, str) else _text(message, output)
    why = span.status_message or ("The call failed." if failed else "" if text is not None else "No answer was kept.")
    return TargetOutput(
        # Evaluations judge answers without markers, so both sides are judged alike.
        text=refusal or (None if text is None else _plain(tree, span, text, values)),
        tool_calls=_called(message or {}),
        trace_id=span.trace_id,
        input_tokens=asked,
        output_tokens=said,
        cost=cost,
        # Of what answered: a program that noted what it filled does other things in its span, too.
        latency_ms=(answered.end_us - answered.start_us) / 1000,
        error=f"The model refused: {refusal}" if refusal else why if failed or text is None else "",
        failure="refused" if refusal else "error",
    )


def _plain(tree: _Tree, span: Span, text: str, values: Mapping[str, Any]) -> str:
    """Return an answer without markers where passages were put before the model."""
    given = [value for value in values.values() if isinstance(value, str)]
    calls = tree.calls.get(span.span_id, [])
    for call in calls[-1:]:
        with contextlib.suppress(Refused):
            said = messages_in(whole(call.input))
            rows = cast("list[Any]", said) if isinstance(said, list) else []
            given += [_content(cast("dict[str, Any]", row), "text") for row in rows if isinstance(row, dict)]
    retrieved = any(ref.startswith("index:") for ref in span.refs)
    return without_markers(text) if retrieved or has_passages(given) else text.strip()


def _message(output: Any) -> dict[str, Any] | None:
    """Return an answer as a message, the last of several; None for what is none."""
    found: Any = messages_in(output)
    last: Any = cast("list[Any]", found)[-1] if isinstance(found, list) and found else None
    return cast("dict[str, Any]", last) if isinstance(last, dict) and "role" in last else None


def _text(message: dict[str, Any] | None, output: Any) -> str | None:
    """Return the text of an answer; one of tool calls alone is an empty one."""
    if message is None:
        return None if output is None else msgspec.json.encode(output).decode()
    return _content(message, "text")


def _content(message: dict[str, Any], kind: str) -> str:
    """Return the text of the parts of a kind: what a model thought, or would not say, is no part of its answer."""
    content: Any = message.get("content")
    if isinstance(content, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
        texts = [part.get("text") for part in parts if part.get("type") == kind]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) and kind == "text" else ""


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

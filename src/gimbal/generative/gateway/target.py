"""The `Target` of evaluations for prompts: retrieve, fill, call, and say on what the answer rests.

One trace per example: a chain, and in it the retrieval and the model call. The text that is scored is the answer
without its `[n]` markers where numbered passages were sent; the sources they point to are given beside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.axis.traces.model import Document, Span
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.call import Attribution, TraceContext
from gimbal.generative.gateway.complete import Completion, complete
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.foreseeing import foreseen
from gimbal.generative.gateway.prompting import format_of, query_of, tools_of
from gimbal.generative.gateway.providers.reading import numbered
from gimbal.generative.gateway.wire.openai_chat.encode import function, schema_of
from gimbal.generative.knowledge.model import Hit
from gimbal.generative.knowledge.service import Found, Indexes
from gimbal.generative.prompts.model import PromptManifest, RetrievalSetting, decode_manifest, format_messages
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, DeadlineExceeded, GimbalError
from gimbal.kernel.ids import new_span_id, new_trace_id
from gimbal.kernel.refs import Ref, ResolvedRef

TURNS = "turns"
"""What of an example's input goes on after a prompt."""
_FILTERED = "The provider's content filter stopped the answer."
_MARKER = re.compile(r"\s*\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]", re.ASCII)
_PASSAGE = re.compile(r"^[ \t]*\[\d{1,4}\][ \t]", re.MULTILINE | re.ASCII)


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt's answer to one set of inputs."""

    text: str
    """As the model gave it, markers included."""
    plain: str
    """Without markers, where there were passages that they could point to."""
    hits: list[Hit]
    """What was put before it, in the order of the markers."""
    retrieved: bool
    """Whether the prompt retrieves at all."""
    tools: bool
    """Whether the prompt offers tools."""
    completion: Completion
    trace_id: str


class PromptTarget:
    """Puts examples through versions of prompts."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell what calls with such examples will cost."""
        return await foreseen(ctx, version, examples)

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Answer one example; what goes wrong is in the output, because a failed call is missing, not wrong."""
        return await _answered(ctx, version, example)


PROMPTS = PromptTarget()


async def _answered(ctx: Context, version: Version, example: Example) -> TargetOutput:
    trace_id = new_trace_id()
    begun = to_us(ctx.now())
    try:
        answered = await answer(ctx, version, example.input, feature="evaluation", trace_id=trace_id)
    except GimbalError as problem:
        return TargetOutput(
            trace_id=trace_id,
            error=str(problem),
            failure="timed_out" if isinstance(problem, DeadlineExceeded) else "error",
            # What the provider takes a while to allow is asked again.
            retry_after_s=problem.retry_after,
            latency_ms=(to_us(ctx.now()) - begun) / 1000,
        )
    return output_of(answered, (to_us(ctx.now()) - begun) / 1000)


def output_of(answered: Answered, latency_ms: float) -> TargetOutput:
    """Return an answer as evaluations have it; what the model would not say is a refusal."""
    completion = answered.completion
    refused = completion.refusal or (_FILTERED if completion.finish == "content_filter" and not answered.text else "")
    usage = completion.usage
    return TargetOutput(
        text=refused or answered.plain,
        marked=answered.text if answered.retrieved and not refused else None,
        error=f"The model refused: {refused}" if refused else "",
        failure="refused" if refused else "error",
        sources=sources(answered.text, answered.hits),
        contexts=[hit.text for hit in answered.hits] if answered.retrieved else None,
        tool_calls=completion.tool_calls if completion.tool_calls or answered.tools else None,
        trace_id=answered.trace_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost=completion.cost,
        latency_ms=latency_ms,
    )


async def answer(
    ctx: Context,
    version: Version,
    inputs: dict[str, Any],
    *,
    feature: str = "",
    user: str = "",
    session: str = "",
    trace_id: str | None = None,
) -> Answered:
    """Put `inputs` through a version of a prompt: retrieve by its setting, fill it, call its model.

    `turns` among them that are no variable of the prompt are the conversation that goes on after its own.

    Raise BadInput for inputs that do not fit, and the GimbalError of what failed; the chain is recorded in any case.
    """
    chain = _Chain(ctx, version, feature, user, session, trace_id or new_trace_id())
    failure = ""
    try:
        manifest = decode_manifest(version.manifest)
        values = {name: value for name, value in inputs.items() if name in manifest.variables}
        hits: list[Hit] = []
        if manifest.retrieval is not None:
            found = await chain.retrieve(manifest, manifest.retrieval, values)
            hits = found.hits
            values[manifest.retrieval.into] = numbered([(hit.source, hit.heading, hit.text) for hit in hits])
        sent = messages_of(manifest, values, inputs)
        completion = await chain.call(manifest, sent)
        chain.output = completion.text
        retrieved = manifest.retrieval is not None
        return Answered(
            text=completion.text,
            plain=plain_of(completion.text, sent, retrieved=retrieved),
            hits=hits,
            retrieved=retrieved,
            tools=bool(manifest.tools),
            completion=completion,
            trace_id=chain.trace_id,
        )
    except GimbalError as problem:
        failure = str(problem)
        raise
    finally:
        await chain.record(inputs, failure)


class _Chain:
    """The spans of one answer."""

    def __init__(self, ctx: Context, version: Version, feature: str, user: str, session: str, trace_id: str) -> None:
        self._ctx = ctx
        self._version = version
        self._attribution = Attribution(feature=feature, user=user, session=session)
        self.trace_id = trace_id
        self._span_id = new_span_id()
        self._begun = to_us(ctx.now())
        self._refs: list[ResolvedRef] = [version.ref]
        self._spans: list[Span] = []
        self.output = ""

    async def retrieve(self, manifest: PromptManifest, setting: RetrievalSetting, values: Mapping[str, Any]) -> Found:
        """Search the prompt's index for the value of its query variable."""
        query = query_of(manifest, setting, values, "input")
        begun = to_us(self._ctx.now())
        ref = Ref.parse(setting.index, kind="index")
        found = await self._ctx.get(Indexes).search(self._ctx, ref, query, setting.k)
        self._refs.append(found.index)
        self._spans.append(
            self._span(
                name=f"retrieve {setting.index}",
                kind="retriever",
                span_id=new_span_id(),
                parent_id=self._span_id,
                start_us=begun,
                input=_json({"query": query, "k": setting.k}),
                documents=[
                    Document(id=hit.id, content=hit.text, score=round(hit.score, 6), source=hit.source)
                    for hit in found.hits
                ],
                refs=[str(found.index)],
            )
        )
        return found

    async def call(self, manifest: PromptManifest, sent: Sequence[Json]) -> Completion:
        """Call the prompt's model inside this chain."""
        return await complete(
            self._ctx,
            model=manifest.model,
            messages=sent,
            params=params_of(manifest),
            attribution=self._attribution,
            refs=self._refs,
            trace=TraceContext(trace_id=self.trace_id, parent_id=self._span_id),
        )

    async def record(self, inputs: dict[str, Any], failure: str) -> None:
        """Store the chain and the retrieval; the call has stored itself."""
        chain = self._span(
            name=f"answer {self._version.asset}",
            kind="chain",
            span_id=self._span_id,
            parent_id="",
            start_us=self._begun,
            input=_json(inputs),
            output=_json(self.output) if self.output else "",
            status="error" if failure else "ok",
            status_message=failure,
            refs=[str(ref) for ref in self._refs],
        )
        ctx = self._ctx.within(self._ctx.project or "default")
        await ctx.get(Traces).record(ctx, [chain, *self._spans])
        await ctx.settle()

    def _span(self, *, status: str = "ok", **fields: Any) -> Span:
        known = self._attribution
        return Span(
            trace_id=self.trace_id,
            end_us=max(to_us(self._ctx.now()), fields["start_us"]),
            status=status,
            feature=known.feature,
            user_id=known.user,
            session_id=known.session,
            dialect="gimbal",
            **fields,
        )


def sources(text: str, hits: Sequence[Hit]) -> list[str]:
    """Return the sources that the markers in an answer point to, in that order, each once.

    An answer without any marker (some models leave them out) rests on what was put before it, best first.
    """
    cited = [int(number) for match in _MARKER.finditer(text) for number in match[1].split(",")]
    named = [hits[number - 1].source for number in cited if 1 <= number <= len(hits)]
    return list(dict.fromkeys(named or [hit.source for hit in hits]))


def has_passages(texts: Iterable[str]) -> bool:
    """Tell whether texts have numbered passages, to which markers in an answer could point."""
    return any(_PASSAGE.search(text) for text in texts)


def without_markers(text: str) -> str:
    """Return an answer without its `[n]` markers; an object in JSON stays as it is, where brackets are lists."""
    return text.strip() if _is_object(text.strip()) else _MARKER.sub("", text).strip()


def plain_of(text: str, sent: Iterable[Mapping[str, Any]], *, retrieved: bool) -> str:
    """Return an answer without its markers where passages were sent; elsewhere `[0]` is code or a list, and stays."""
    contents = (message.get("content") for message in sent)
    texts = (content for content in contents if isinstance(content, str))
    return without_markers(text) if retrieved or has_passages(texts) else text.strip()


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def messages_of(manifest: PromptManifest, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Json]:
    """Return what is sent: the prompt's messages, filled, and the conversation that goes on after them.

    Raise BadInput for values that do not fit, and for turns that are no conversation.
    """
    filled = format_messages(manifest, values)
    return [*({"role": message.role, "content": message.content} for message in filled), *_turns(manifest, inputs)]


def _turns(manifest: PromptManifest, inputs: Mapping[str, Any]) -> Sequence[Json]:
    """Return the messages of a conversation that the prompt begins; raise BadInput for what are none."""
    if TURNS in manifest.variables or TURNS not in inputs:
        return ()
    try:
        turns = msgspec.convert(inputs[TURNS], list[dict[str, Any]])
    except msgspec.ValidationError:
        turns = [{}]
    if any(not isinstance(turn.get("role"), str) for turn in turns):
        raise BadInput(
            "The turns are no conversation.",
            where="input.turns",
            todo='Give a list of {"role": …, "content": …}.',
        )
    return turns


def params_of(manifest: PromptManifest) -> Json:
    """Return the parameters, the tools and the form of the answer as a chat completion asks for them."""
    tools, form = tools_of(manifest), format_of(manifest)
    found: Json = msgspec.to_builtins(manifest.params)
    if tools:
        found["tools"] = [{"type": "function", "function": function(tool)} for tool in tools]
    if form is not None:
        found["response_format"] = {"type": "json_schema", "json_schema": schema_of(form)}
    return found


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()

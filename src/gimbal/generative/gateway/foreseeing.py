"""What calls of a prompt will cost, told before one is made; `target` makes them. `route_target` reckons with the same rules."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen
from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.service import PriceSource
from gimbal.generative.gateway.prompting import format_of, tools_of
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.wire.openai_chat.encode import function, schema_of
from gimbal.generative.prompts.model import IncludedPrompt, PromptManifest, decode_manifest, format_messages
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.refs import Ref

_CHARACTERS_A_TOKEN = 4
"""Of English under today's tokenisers, about."""
_PER_MESSAGE = 8
"""Tokens that a message takes beside its text, at most."""
_BESIDE_TOOLS = 1_000
"""Tokens of what providers themselves tell a model that may call tools, at most; some bill several hundred."""
_PASSAGE_BYTES = 4_000
"""Of a retrieved passage, about; chunkers make them smaller."""
_USUAL_ANSWER = 256
"""Tokens of an answer of which nothing is known."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How large calls are, before a tokeniser has seen them."""

    fixed: int = 0
    """Bytes that every call has: messages, tools, the form of the answer, passages."""
    given: Sequence[int] = ()
    """Bytes of each example's own part."""
    messages: int = 1
    tools: bool = False
    """Whether the model may call any."""
    longest: int | None = None
    """Tokens that an answer may have; null where nobody limits it."""

    @property
    def usual(self) -> int:
        """Tokens that a call asks, about."""
        own = fmean(self.given) if self.given else 0
        return round((self.fixed + own) / _CHARACTERS_A_TOKEN) + _PER_MESSAGE * self.messages

    @property
    def most(self) -> int:
        """Tokens that the largest call asks at most: one for each byte, which no tokeniser exceeds."""
        beside = _PER_MESSAGE * self.messages + (_BESIDE_TOOLS if self.tools else 0)
        return self.fixed + max(self.given, default=0) + beside


async def foreseen(ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
    """Tell what one call of a prompt costs and what names its answers.

    The most is reckoned with a token for each byte, which no tokeniser exceeds, and with all of `max_tokens`.
    """
    manifest = decode_manifest(version.manifest)
    # In a thread: of many long examples this takes a second or more.
    given = await asyncio.to_thread(lambda: [_given(manifest, example) for example in examples])
    priced = await cost_of(ctx, manifest.model, size_of(manifest, given))
    return msgspec.structs.replace(priced, identity=await identity_of(ctx, version.digest, manifest))


def size_of(manifest: PromptManifest, given: Sequence[int]) -> Size:
    """Return how large calls of a prompt are, with so many bytes of each example's own."""
    tools, form = tools_of(manifest), format_of(manifest)
    fixed = _template(manifest)
    fixed += sum(len(msgspec.json.encode(function(tool))) for tool in tools)
    fixed += len(msgspec.json.encode(schema_of(form))) if form is not None else 0
    fixed += manifest.retrieval.k * _PASSAGE_BYTES if manifest.retrieval is not None else 0
    return Size(
        fixed=fixed,
        given=given,
        messages=len(manifest.messages),
        tools=bool(tools),
        longest=manifest.params.max_tokens,
    )


async def cost_of(ctx: Context, model: str, size: Size) -> Foreseen:
    """Return what a call of such a size costs of a model that is named `provider/model`, or why that is not known."""
    try:
        pricing, name = await _priced_as(ctx, model)
    except GimbalError as problem:
        return Foreseen(unpriced=f"{problem.message} {problem.todo}".strip())
    prices = await ctx.get(PriceSource).of(ctx.project or "default")

    def cost(asked: int, answered: int) -> tuple[Decimal | None, str]:
        found = prices.price(pricing, name, ctx.now(), Usage(input=asked, output=answered))
        return found.amount, found.unpriced_reason

    usual = _USUAL_ANSWER if size.longest is None else min(size.longest, _USUAL_ANSWER)
    about, unpriced = cost(size.usual, usual)
    # An answer without a limit has no dearest cost, unless it costs nothing anyway.
    at_most = cost(size.most, size.longest)[0] if size.longest is not None else about if about == 0 else None
    return Foreseen(cost=about, most=at_most, unpriced=unpriced)


async def identity_of(ctx: Context, digest: str, manifest: PromptManifest) -> str:
    """Name the version and the index as it is now: with another index the same question has another answer."""
    if manifest.retrieval is None:
        return digest
    index = await ctx.get(Assets).resolve(ctx, Ref.parse(manifest.retrieval.index, kind="index"))
    return f"{digest} {index.ref.digest}"


async def _priced_as(ctx: Context, model: str) -> tuple[str, str]:
    """Return under which provider and model the price book has what the gateway would call; raise NotFound."""
    name, _, rest = model.partition("/")
    entry = await ctx.get(Providers).get(ctx.project or "default", name)
    return entry.pricing, rest


def _given(manifest: PromptManifest, example: Example) -> int:
    """Return the bytes that an example brings, as often as the prompt repeats them, and with its defaults."""
    sizes = {name: len(msgspec.json.encode(value, enc_hook=str)) for name, value in example.input.items()}
    values = {name: value for name, value in example.input.items() if name in manifest.variables}
    if manifest.retrieval is not None:
        values[manifest.retrieval.into] = ""
    try:
        filled = format_messages(manifest, values)
    except BadInput:  # which costs nothing: it will not be sent
        return sum(sizes.values())
    said = sum(_bytes(message.content) for message in filled) - _template(manifest)
    beside = sum(size for name, size in sizes.items() if name not in manifest.variables)
    return max(sum(sizes.values()), said + beside)


def _template(manifest: PromptManifest) -> int:
    return sum(_bytes(message.content) for message in manifest.messages) + _included(manifest.includes)


def _included(includes: Sequence[IncludedPrompt]) -> int:
    return sum(_bytes(one.text) + _included(one.includes) for one in includes)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

"""What calls of a prompt will cost, told before one is made; `target` makes them."""

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
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.prompts.model import PromptManifest, decode_manifest
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.refs import Ref

_CHARACTERS_A_TOKEN = 4
"""Of English under today's tokenisers, about."""
_PER_MESSAGE = 8
"""Tokens that a message takes beside its text, at most."""
_PASSAGE_BYTES = 4_000
"""Of a retrieved passage, about; chunkers make them smaller."""
_USUAL_ANSWER = 256
"""Tokens of an answer of which nothing is known."""


async def foreseen(ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
    """Tell what one call of a prompt costs and what names its answers.

    The most is reckoned with a token for each byte, which no tokeniser exceeds, and with all of `max_tokens`.
    """
    manifest = decode_manifest(version.manifest)
    identity = await _identity(ctx, version, manifest)
    try:
        pricing, model = await _priced_as(ctx, manifest.model)
    except GimbalError as problem:
        return Foreseen(identity=identity, unpriced=str(problem))
    fixed = [len(message.content.encode("utf-8", "replace")) for message in manifest.messages]
    given = [sum(len(text) for text in _texts(example)) for example in examples] or [0]
    found = manifest.retrieval.k * _PASSAGE_BYTES if manifest.retrieval is not None else 0
    longest = manifest.params.max_tokens
    beside = _PER_MESSAGE * len(fixed)
    usual = round((sum(fixed) + fmean(given) + found) / _CHARACTERS_A_TOKEN) + beside
    most = sum(fixed) + max(given) + found + beside
    prices = await ctx.get(PriceSource).of(ctx.project or "default")

    def cost(asked: int, answered: int) -> tuple[Decimal | None, str]:
        found = prices.price(pricing, model, ctx.now(), Usage(input=asked, output=answered))
        return found.amount, found.unpriced_reason

    about, unpriced = cost(usual, min(longest or _USUAL_ANSWER, _USUAL_ANSWER))
    # An answer without a limit has no dearest cost, unless it costs nothing anyway.
    at_most = cost(most, longest)[0] if longest is not None else about if about == 0 else None
    return Foreseen(identity=identity, cost=about, most=at_most, unpriced=unpriced)


async def _identity(ctx: Context, version: Version, manifest: PromptManifest) -> str:
    """Name the version and the index as it is now: with another index the same question has another answer."""
    if manifest.retrieval is None:
        return str(version.ref.digest)
    index = await ctx.get(Assets).resolve(ctx, Ref.parse(manifest.retrieval.index, kind="index"))
    return f"{version.ref.digest} {index.ref.digest}"


async def _priced_as(ctx: Context, model: str) -> tuple[str, str]:
    """Return under which provider and model the price book has what the gateway would call; raise NotFound."""
    name, _, rest = model.partition("/")
    entry = await ctx.get(Providers).get(ctx.project or "default", name)
    return entry.pricing, rest


def _texts(example: Example) -> list[bytes]:
    return [msgspec.json.encode(value, enc_hook=str) for value in example.input.values()]

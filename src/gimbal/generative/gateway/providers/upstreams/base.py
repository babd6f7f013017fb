"""What every provider over HTTP has in common: which wire a call goes by, what is sent, and how the answer is read.

A file beside this one says what is its own: where a model's requests go, what they need as headers, and how a body differs.
All of it that does not depend on the call is made once per model.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.engines.http.model import Broken, Client, Deadlines, HeaderList, Response, TooSlow
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Json, Piece
from gimbal.generative.gateway.provider import Answer
from gimbal.generative.gateway.providers.upstreams.addressing import PASSED, with_passed
from gimbal.generative.gateway.providers.upstreams.kinds import Quirks, only_wire, quirks_of
from gimbal.generative.gateway.providers.upstreams.refusals import shown
from gimbal.generative.gateway.providers.upstreams.sending import Sender, Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.generative.gateway.wire.answers import BrokeOff
from gimbal.generative.gateway.wire.embedding import EmbeddingWire, Vectors, joined
from gimbal.generative.gateway.wire.protocol import Asked, Reader, Wire
from gimbal.generative.gateway.wire.rewriting import rewritten
from gimbal.kernel.errors import BadInput, GimbalError

_MOST_ROADS = 1024
_END_S = 0.1
_AT_ONCE = 8
"""Requests for one caller's vectors that are under way together."""
_JSON = (b"content-type", b"application/json")
_MAKE = msgspec.json.Encoder()
_READ = msgspec.json.Decoder(dict[str, msgspec.Raw])


Inputs = Sequence[str | tuple[int, ...]]
Answered = Callable[[Inputs, Usage | None], None]
"""Is told what went into a request that was answered, and what it used as far as it was told."""


def _unheard(inputs: Inputs, usage: Usage | None) -> None:
    """Tell nobody."""


class Road(NamedTuple):
    """Everything about requests for one model that came by one wire."""

    wire: Any
    """A Wire, or an EmbeddingWire."""
    same: bool
    """Whether the caller's own wire goes on."""
    path: bytes
    stream_path: bytes
    headers: HeaderList
    passed: frozenset[bytes]
    quirks: Quirks | None


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer with vectors."""

    vectors: Vectors
    same: bool
    """Whether `raw` is of the caller's wire."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """What the caller may see of the provider's headers."""


class HttpProvider(Sender):
    """One upstream over HTTP. What a kind has of its own overrides `url`, `headers`, `speaks`, `paths` and `authorized`."""

    def __init__(self, setup: Setup, client: Client, *, wires: Wires = wire_named) -> None:
        super().__init__(setup, client, wires=wires)
        self._roads: dict[tuple[str, str], Road] = {}

    def speaks(self, model: str) -> Sequence[str]:
        """Return the wires by which a model answers, the main one first, those for embeddings among them."""
        only = only_wire(self.kind, model)
        return [only] if only else list(self.kind.wires)

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return the path below the address for whole and for streamed answers."""
        path = "/" + self.kind.wires[wire]
        return path, path

    async def open(self, call: Call, model: str, deadlines: Deadlines) -> Answer:
        """Send the call; a whole answer has been read when this returns, a stream has begun."""
        asked = call.asked
        road = self._roads.get((model, call.wire.name)) or self._build(model, call.wire)
        body = self._body(call, road, model)
        headers = road.headers
        if road.same and call.headers:
            headers = with_passed(headers, call.headers, road.passed)
        path = road.stream_path if asked.stream else road.path
        response = await self._sent(b"POST", path, headers, body, deadlines)
        begun = False
        try:
            if response.status != 200:
                await self._check(response, road.wire.name)
            if asked.stream:
                answer = await self._streamed(response, road, model)
                begun = True
                return answer
            piece = road.wire.reader(self.name, stream=False).whole(await self._read(response))
            return Answer(whole=piece, same=road.same, model=model, headers=shown(response.headers))
        except GimbalError as problem:
            raise self._of_mine(problem) from None
        finally:
            if not begun:
                await response.aclose()

    async def embed(
        self,
        wire: EmbeddingWire,
        asked: Asked,
        model: str,
        deadlines: Deadlines,
        *,
        headers: HeaderList = (),
        answered: Answered = _unheard,
    ) -> Embedded:
        """Have vectors made of what was asked by `wire`; raise as `open` does.

        What takes several requests tells `answered` of each as it is answered: it is billed though a later one fails.
        """
        road = self._roads.get((model, wire.name)) or self._build(model, wire)
        wanted = wire.embeddings(asked)
        if road.same:
            sent = with_passed(road.headers, headers, road.passed) if headers else road.headers
            return await self._vectors(road, wire.same(asked, model), sent, len(wanted.inputs), deadlines)
        most = road.wire.most(model)
        parts = [wanted.inputs[begin : begin + most] for begin in range(0, len(wanted.inputs), most)] or [()]
        bodies = [road.wire.request(msgspec.structs.replace(wanted, inputs=part), model) for part in parts]
        several = asyncio.Semaphore(_AT_ONCE)

        async def one(body: Json, part: Inputs) -> Embedded:
            async with several:
                made = await self._vectors(road, _MAKE.encode(body), road.headers, len(part), deadlines)
            answered(part, made.vectors.usage)
            return made

        found = await together([one(body, part) for body, part in zip(bodies, parts, strict=True)])
        return Embedded(vectors=joined([row.vectors for row in found]), same=False, headers=found[-1].headers)

    async def _vectors(
        self, road: Road, body: bytes, headers: HeaderList, count: int, deadlines: Deadlines
    ) -> Embedded:
        response = await self._sent(b"POST", road.path, headers, body, deadlines)
        try:
            await self._check(response, road.wire.name)
            found = road.wire.read(await self._read(response), provider=self.name, count=count, same=road.same)
            if found.usage is None:
                found = msgspec.structs.replace(found, usage=self.counted(response.headers))
            return Embedded(vectors=found, same=road.same, headers=shown(response.headers))
        except GimbalError as problem:
            raise self._of_mine(problem) from None
        finally:
            await response.aclose()

    def counted(self, headers: HeaderList) -> Usage | None:
        """Return the usage that an answer's headers tell, where they do."""
        return None

    def _build(self, model: str, asked: Wire | EmbeddingWire) -> Road:
        """Make what is the same for all requests for a model that come by this wire."""
        spoken = [wire for wire in self.speaks(model) if _embeds(wire) == _embeds(asked.name)]
        if not spoken:
            raise BadInput(
                f"{self.name}/{model} makes no embeddings by a wire that is spoken here."
                if _embeds(asked.name)
                else f"{self.name}/{model} makes embeddings, and answers no conversations.",
                where="model",
                todo="Choose another model or provider.",
            )
        same = asked.name in spoken
        name = asked.name if same else spoken[0]
        path, stream_path = self.paths(name, model)
        quirks = quirks_of(self.kind, name, model)
        more = frozenset(word.encode() for word in self.kind.passes)
        road = Road(
            wire=asked if same else self._wires(name),
            same=same,
            path=self._target(path),
            stream_path=self._target(stream_path),
            headers=(*self._all_headers(name), _JSON),
            passed=PASSED.get(name.partition(".")[0], frozenset()) | more,
            quirks=quirks,
        )
        if len(self._roads) >= _MOST_ROADS:  # names of models come from callers
            self._roads.clear()
        self._roads[model, asked.name] = road
        return road

    def _body(self, call: Call, road: Road, model: str) -> bytes:
        asked, quirks = call.asked, road.quirks
        if not road.same or call.rewritten:
            if road.same:
                fields = rewritten(road.wire, asked, call.conversation, model)
            else:
                fields = road.wire.request(call.conversation, model, stream=asked.stream)
            return _MAKE.encode(quirks.apply(fields) if quirks else fields)
        body = road.wire.same(asked, model)
        if quirks is not None and _is_touched(quirks, asked):
            return _MAKE.encode(quirks.apply(_READ.decode(body)))
        return body

    async def _streamed(self, response: Response, road: Road, model: str) -> Answer:
        headers = shown(response.headers)
        if response.header(b"content-type").startswith(b"application/json"):
            # Not a stream at all: some servers report errors so, and some do not know how to stream.
            piece = road.wire.reader(self.name, stream=False).whole(await self._read(response))
            await response.aclose()
            return Answer(pieces=_one(piece), same=False, model=model, headers=headers)
        reader = road.wire.reader(self.name, stream=True)
        pieces = self._pieces(response, reader)
        return Answer(pieces=pieces, same=road.same, model=model, headers=headers, close=response.aclose)

    async def _pieces(self, response: Response, reader: Reader) -> AsyncGenerator[Piece]:
        try:
            chunks = response.chunks()
            async for chunk in chunks:
                for piece in reader.feed(chunk):
                    yield piece
                if reader.done:
                    for piece in await _after(chunks, reader):
                        yield piece
                    break
            for piece in reader.end():
                yield piece
        except (Broken, TooSlow) as problem:
            for piece in self._rest(reader, problem):
                yield piece
        except BrokeOff as problem:
            for piece in problem.pieces:
                yield piece
            raise self._of_mine(problem) from None
        except GimbalError as problem:
            raise self._of_mine(problem) from None
        finally:
            await response.aclose()

    def _rest(self, reader: Reader, problem: GimbalError) -> Sequence[Piece]:
        """Return the end of an answer whose last word had come before the connection went; raise the problem otherwise."""
        try:
            return reader.end()
        except GimbalError:
            raise self._of_mine(problem) from None


async def _after(chunks: AsyncIterator[bytes], reader: Reader) -> list[Piece]:
    """Return what comes after the last word, up to the end of the body, so that the connection serves on.

    A server that does not end it is not waited for.
    """
    found: list[Piece] = []
    with contextlib.suppress(TimeoutError, GimbalError):
        async with asyncio.timeout(_END_S):
            async for chunk in chunks:
                found += reader.feed(chunk)
    return found


async def together(calls: Sequence[Coroutine[Any, Any, Embedded]]) -> list[Embedded]:
    """Return what all of them return, in their order; where one fails the others end, and its error is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _embeds(wire: str) -> bool:
    return ".embed" in wire


async def _one(piece: Piece) -> AsyncGenerator[Piece]:
    yield piece


def _is_touched(quirks: Quirks, asked: Asked) -> bool:
    fields = asked.fields
    if not quirks.touched.isdisjoint(fields) or not quirks.default.keys() <= fields.keys():
        return True
    return asked.stream and "stream_options" in quirks.drop  # which the wire adds

"""What a span may be at most: long values go to the blobs one by one, what is too many goes there in one piece.

Media goes there first, whatever the limits. Nothing is lost: whatever leaves a span is in the blob store, and the span's
attribute `gimbal.ingest` says what left it, how many, and under `payloads` each digest with its media type. `ingest`
calls this before a dialect reads the span, so that reading it again later finds the same.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gimbal.axis.traces import media
from gimbal.axis.traces.media import Reference
from gimbal.axis.traces.otlp import RawSpan
from gimbal.axis.traces.redaction.model import MARK as REDACTION
from gimbal.axis.traces.redaction.redactor import Redactor
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.context import Context
from gimbal.kernel.settings import LimitSettings

MARK = "gimbal.ingest"
LINKS = "gimbal.links"
# Where a mark is kept that the sender brought along: only our own says what a span may read from the blobs.
_THEIR_MARK = "gimbal.ingest.sent"
_TEXT, _JSON = "text/plain", "application/json"
_MOST_NAME, _MOST_MESSAGE = 1000, 10_000
# Bytes of a long value that stay beside the reference to the whole.
_START = 1000
# A value shorter than this takes no less room as a reference.
_WORTH_MOVING = 2 * _START
# No character has more bytes in UTF-8.
_CHARACTER = 4
_json = msgspec.json.Encoder(enc_hook=str)
Values = dict[str, Any]
Redact = Callable[[Context, Values], Awaitable[dict[str, int]]]


class Fitting:
    """One span, or resource, on its way into its limits."""

    def __init__(self, ctx: Context, limits: LimitSettings, redactor: Redactor | None = None) -> None:
        self._ctx = ctx
        self._redactor = redactor
        self._limits = limits
        self.cut: dict[str, int] = {}
        """How many of what were moved or cut."""
        self._moved = 0
        self._rest: dict[str, Any] = {}
        self._payloads: dict[str, str] = {}

    async def span(self, raw: RawSpan) -> dict[str, Any]:
        """Bring a span into its limits, in place; return what to mark it with, empty for nothing."""
        if raw.deep:
            self.cut["depth"] = raw.deep
        if media.any_in(raw.attributes):
            await self._media(raw.attributes)
        for event in raw.events:
            if media.any_in(event["attributes"]):
                await self._media(event["attributes"])
        # Media are away, and nothing is cut yet.
        redacted = await self._redactor.span(self._ctx, raw) if self._redactor is not None else None
        self._texts(raw)
        weight, long = self._weigh(raw.attributes, "attributes")
        if long:
            weight += await self._move_all(raw.attributes, long)
        if raw.events or raw.links:
            raw.events = self._first(raw.events, self._limits.span_events, "events")
            raw.links = self._first(raw.links, self._limits.span_links, "links")
            for kind, items in (("event_attributes", raw.events), ("link_attributes", raw.links)):
                for index, item in enumerate(items):
                    if len(item.get("name", "")) > _MOST_NAME:
                        self._rest.setdefault("event_names", {})[str(index)] = item["name"]
                        item["name"] = item["name"][:_MOST_NAME]
                        self._count("event_name")
                    more, long = self._weigh(item["attributes"], kind, index)
                    weight += more + await self._move_all(item["attributes"], long)
        # The weight counts characters: only what could be too heavy is put on the scales.
        if weight * _CHARACTER > self._limits.span_bytes:
            holders = [raw.attributes, *(item["attributes"] for item in (*raw.events, *raw.links))]
            await self._shrink(holders, self._limits.span_bytes)
        if MARK in raw.attributes:
            raw.attributes[_THEIR_MARK] = raw.attributes.pop(MARK)
        if redacted:
            raw.attributes[REDACTION] = redacted
        return await self._mark() if self.cut or self._moved else {}

    async def resource(self, values: Values) -> dict[str, Any]:
        """Bring a resource, which every span beneath it repeats, into its limits: all of it is like one long value."""
        redact = self._redactor.resource if self._redactor is not None else None
        return await self._alone(values, self._limits.span_attribute_bytes, redact)

    async def event(self, values: Values) -> dict[str, Any]:
        """Bring what an event by itself says into its limits: all of it is like one span."""
        return await self._alone(values, self._limits.span_bytes)

    async def _alone(self, values: Values, most: int, redact: Redact | None = None) -> dict[str, Any]:
        if media.any_in(values):
            await self._media(values)
        redacted = await redact(self._ctx, values) if redact is not None else None
        weight, long = self._weigh(values, "attributes")
        weight += await self._move_all(values, long)
        if weight * _CHARACTER > most:
            await self._shrink([values], most)
        if MARK in values:
            values[_THEIR_MARK] = values.pop(MARK)
        if redacted:
            values[REDACTION] = redacted
        return await self._mark() if self.cut or self._moved else {}

    async def _media(self, values: Values) -> None:
        """Move media and vectors to the blobs, each content once; references stay."""
        found: dict[str, bytes] = {}

        def put(content: bytes, media_type: str, numbers: int) -> Reference:
            if self._redactor is not None:
                content = self._redactor.content(self._ctx, content, media_type)
            digest = digest_of(content)
            found[digest] = content
            self._payloads[digest] = media_type
            self._moved += 1
            return Reference(digest, media_type, len(content), numbers)

        media.moved(values, put)
        for digest, content in found.items():
            await self._ctx.get(Blobs).put(content)
            kind = self._payloads[digest]
            self._ctx.count(
                "gimbal_ingest_media_total",
                "Media and vectors moved to the blobs, by media type.",
                type=kind if kind in media.COUNTED else "other",
            )

    def _count(self, what: str, number: int = 1) -> None:
        self.cut[what] = self.cut.get(what, 0) + number

    def _texts(self, raw: RawSpan) -> None:
        """Cut what is for people to read: nobody reads ten thousand characters."""
        if len(raw.name) > _MOST_NAME:
            self._rest["name"], raw.name = raw.name, raw.name[:_MOST_NAME]
            self._count("name")
        if len(raw.status_message) > _MOST_MESSAGE:
            self._rest["status_message"], raw.status_message = raw.status_message, raw.status_message[:_MOST_MESSAGE]
            self._count("status_message")
        if len(raw.scope) + len(raw.scope_version) > _MOST_NAME:
            self._rest["scope"] = [raw.scope, raw.scope_version]
            raw.scope, raw.scope_version = raw.scope[:_MOST_NAME], raw.scope_version[:_MOST_NAME]
            self._count("scope")

    def _first(self, items: list[dict[str, Any]], most: int, what: str) -> list[dict[str, Any]]:
        if len(items) <= most:
            return items
        self._rest[what] = items[most:]
        self._count(what, len(items) - most)
        return items[:most]

    def _few(self, values: Values, what: str, place: str) -> None:
        """Take out attributes with names that are too long, and those after as many as there may be."""
        longest = self._limits.attribute_name_length
        left = [name for name in values if len(name) > longest]
        left += [name for name in values if len(name) <= longest][self._limits.span_attributes :]
        self._spill(values, left, what, place)

    def _spill(self, values: Values, names: list[str], what: str, place: str = "") -> None:
        rest: Values = self._rest.setdefault(what, {})
        if place:
            rest = rest.setdefault(place, {})
        rest |= {name: values.pop(name) for name in names}
        self._count(what, len(names))

    def _weigh(self, values: Values, what: str, place: int | str = "") -> tuple[int, list[tuple[str, bytes]]]:
        """Return about how many characters some attributes have, and those with values that are too long, encoded."""
        limits = self._limits
        if len(values) > limits.span_attributes or max(map(len, values), default=0) > limits.attribute_name_length:
            self._few(values, what, str(place))
        most, weight = limits.span_attribute_bytes, 0
        # Most texts need not be encoded to see that they are short.
        short = most // _CHARACTER
        long: list[tuple[str, bytes]] = []
        for name, value in values.items():
            if isinstance(value, str):
                size = len(value)
                if size <= short:
                    weight += size
                    continue
                whole = value.encode()
            elif isinstance(value, list | dict):
                whole = _json.encode(value)
            else:
                continue
            if len(whole) > most:
                long.append((name, whole))
            else:
                weight += len(whole)
        return weight + sum(map(len, values)), long

    async def _move_all(self, values: Values, long: list[tuple[str, bytes]]) -> int:
        """Move values to the blobs; return about how many characters take their place."""
        for name, whole in long:
            await self._move(values, name, whole)
        return len(long) * _START

    async def _move(self, values: Values, name: str, whole: bytes) -> None:
        blob = await self._ctx.get(Blobs).put(whole)
        self._payloads[blob.digest] = _TEXT if isinstance(values[name], str) else _JSON
        values[name] = {"blob": blob.digest, "size": blob.size, "start": whole[:_START].decode(errors="ignore")}
        self._count("values")

    async def _shrink(self, holders: list[Values], most: int) -> None:
        """Move the longest values to the blobs until all weigh at most `most` bytes; then the last attributes."""
        weight, found = 0, list[tuple[int, Values, str, bytes]]()
        for values in holders:
            for name, value in values.items():
                whole = value.encode() if isinstance(value, str) else _json.encode(value)
                weight += len(name) + len(whole)
                moved = isinstance(value, dict) and "blob" in value
                if len(whole) > _WORTH_MOVING and not moved:
                    found.append((len(whole), values, name, whole))
        found.sort(key=lambda entry: entry[0])
        while weight > most and found:
            size, values, name, whole = found.pop()
            await self._move(values, name, whole)
            weight -= size - _START
        for index in range(len(holders) - 1, -1, -1):
            last: list[str] = []
            for name, value in reversed(holders[index].items()):
                if weight <= most:
                    break
                last.append(name)
                weight -= len(name) + len(value.encode() if isinstance(value, str) else _json.encode(value))
            if last:
                self._spill(holders[index], last, "attributes" if index == 0 else "nested_attributes", str(index or ""))

    async def _mark(self) -> dict[str, Any]:
        mark: dict[str, Any] = {"cut": self.cut} if self.cut else {}
        if self._moved:
            mark["media"] = self._moved
        if self._rest:
            blob = await self._ctx.get(Blobs).put(_json.encode(self._rest))
            mark["rest"] = {"blob": blob.digest, "size": blob.size}
            self._payloads[blob.digest] = _JSON
        if self._payloads:
            mark["payloads"] = self._payloads
        return mark

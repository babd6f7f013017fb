"""One project's policy at work: what goes through each door comes out as it may be stored."""

import asyncio
import contextlib
import copy
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.dialects.reading import SESSIONS, USERS
from gimbal.axis.traces.logs import RawEvent
from gimbal.axis.traces.model import Document, Span
from gimbal.axis.traces.otlp import RawSpan, Rejected
from gimbal.axis.traces.redaction.model import FAILED, LATE, MARK, SESSION, USER, Found, SetRedaction, Tried
from gimbal.axis.traces.redaction.replacing import Replacing
from gimbal.axis.traces.redaction.tokens import ProjectKeys
from gimbal.engines.text.registry import DETECTORS
from gimbal.kernel.context import Context
from gimbal.kernel.errors import CorruptUpload

REDACTED = "gimbal_redactions_total"
_HELP = "What was taken out before it was stored, by detector; failed and timeout are texts replaced as a whole."
# Texts of so many characters are looked through beside the requests.
_ASIDE = 100_000
# Seconds after which other requests get their turn.
_TURN_S = 0.02
# Characters at which names of rejected records are cut.
_CUT_NAME = 100
_BUILT_IN = frozenset(one.kind for one in DETECTORS.values()) | {USER, SESSION, FAILED, LATE}
_THEIR_MARK = "gimbal.redaction.sent"


class Redactor:
    """A project's policy, ready for use from any thread."""

    def __init__(self, policy: SetRedaction, keys: ProjectKeys | None) -> None:
        self._replacing = Replacing(policy, keys)
        self.identity, self.name = self._replacing.identity, self._replacing.name
        self._fields = frozenset(policy.fields)
        self._turn = 0.0

    def looks_into(self, field: str) -> bool:
        """Tell whether a policy is for a field."""
        return not self._fields or field in self._fields

    async def span(self, ctx: Context, raw: RawSpan) -> dict[str, int]:
        """Redact a span as it came, in place; return how many of what were taken out, also marked on it."""
        counts: Counter[str] = Counter()
        values: list[Any] = []
        exact: dict[str, str] = {}
        if MARK in raw.attributes:
            raw.attributes[_THEIR_MARK] = raw.attributes.pop(MARK)
        for field, found in (
            ("attributes", [raw.attributes]),
            ("events", [one["attributes"] for one in (*raw.events, *raw.links)]),
        ):
            for one in found:
                exact |= self._identities(one, counts)
            if self.looks_into(field):
                values += found
        texts = [name for name in ("name", "status_message") if self.looks_into(name)]
        places: dict[str, Any] = {name: getattr(raw, name) for name in texts}
        names = [event["name"] for event in raw.events] if self.looks_into("events") else []
        await self._apply(ctx, [*values, names, *places.values()], exact, counts, into := [])
        for name, text in zip(texts, into[len(values) + 1 :], strict=True):
            setattr(raw, name, text)
        for event, name in zip(raw.events, names, strict=False):
            event["name"] = name
        return dict(counts)

    async def resource(self, ctx: Context, values: dict[str, Any]) -> dict[str, int]:
        """Redact a resource in place."""
        return await self._map(ctx, values) if self.looks_into("resource") else {}

    async def log(self, ctx: Context, raw: RawEvent) -> dict[str, int]:
        """Redact what an event by itself says, in place; return how many of what were taken out."""
        if not self.looks_into("events"):
            return {}
        raw.name = self.name(raw.name)
        return await self._map(ctx, raw.attributes)

    async def _map(self, ctx: Context, values: dict[str, Any]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        if MARK in values:
            values[_THEIR_MARK] = values.pop(MARK)
        await self._apply(ctx, [values], self._identities(values, counts), counts)
        return dict(counts)

    async def stored(self, ctx: Context, span: Span) -> Span:
        """Return a span of our own as it may be stored."""
        row: dict[str, Any] = msgspec.to_builtins(span, enc_hook=str)
        counts: Counter[str] = Counter()
        groups = {
            "attributes": ("attributes", "input", "output", "documents", "feature"),
            "events": ("events",), "resource": ("resource",), "name": ("name",), "status_message": ("status_message",),
        }  # fmt: skip
        names = [name for field, found in groups.items() if self.looks_into(field) for name in found if row.get(name)]
        exact: dict[str, str] = {}
        changes: dict[str, Any] = {}
        for kind, name in ((USER, "user_id"), (SESSION, "session_id")):
            if row.get(name):
                changes[name] = self.identity(kind, row[name], counts)
                if changes[name] != row[name]:
                    exact[row[name]] = changes[name]
        scanned = [name for name in ("user_id", "session_id") if row.get(name) and row[name] not in exact]
        before = [row[name] for name in (*names, *scanned)]
        await self._apply(ctx, before, exact, counts, into := [])
        if not counts:
            return span
        changes |= zip((*names, *scanned), into, strict=True)
        if "documents" in changes:
            changes["documents"] = msgspec.convert(changes["documents"], list[Document])
        changes["attributes"] = {**changes.get("attributes", span.attributes), MARK: dict(counts)}
        return msgspec.structs.replace(span, **changes)

    async def values(self, ctx: Context, values: dict[str, Any], field: str) -> dict[str, Any]:
        """Return values by their names as they may be stored; the names are ours."""
        if not self.looks_into(field):
            return values
        counts: Counter[str] = Counter()
        try:
            # Whoever gave them has them still.
            copied = copy.deepcopy(list(values.values()))
        except RecursionError:
            return {
                name: self._closed({**value} if isinstance(value, dict) else value, counts)
                for name, value in values.items()
            }
        await self._apply(ctx, copied, {}, counts, into := [])
        return dict(zip(values, into, strict=True))

    async def tried(self, text: str) -> Tried:
        """Return what becomes of a text, without counting it."""
        found = [
            Found(kind=one.kind, start=one.start, end=one.end, action=self._replacing.actions[one.kind])
            for one in self._replacing.found(text)
        ]
        counts: Counter[str] = Counter()
        walk = self._replacing.walked([text], into := [])
        await asyncio.to_thread(self._replacing.run, walk, {}, counts)
        return Tried(text=str(into[0]), found=found, counts=dict(counts))

    def content(self, ctx: Context, content: bytes, media_type: str) -> bytes:
        """Return what goes to the blobs as it may: texts are looked into, lists of numbers too, other media not."""
        if not (media_type.startswith("text/") or media_type.endswith(("json", "xml"))):
            return content
        try:
            holder = [content.decode()]
        except UnicodeDecodeError:
            return content
        counts: Counter[str] = Counter()
        self._replacing.run(self._replacing.walked([holder[0]], into := []), {}, counts)
        _count(ctx, counts)
        return str(into[0]).encode() if counts else content

    def _identities(self, values: dict[str, Any], counts: Counter[str]) -> dict[str, str]:
        """Replace the ids of users and sessions among attributes; return what stands for each, to be replaced elsewhere."""
        exact: dict[str, str] = {}
        for kind, names in ((USER, USERS), (SESSION, SESSIONS)):
            if kind not in self._replacing.actions:
                continue
            for name in names:
                value = values.get(name)
                if value is None or value == "":
                    continue
                plain = _plain(value)
                instead = self.identity(kind, plain, counts)
                values[name] = instead
                if instead != plain:
                    exact[plain] = instead
        return exact

    async def _apply(
        self,
        ctx: Context,
        values: list[Any],
        exact: dict[str, str],
        counts: Counter[str],
        into: list[Any] | None = None,
    ) -> None:
        """Redact values in place; texts among them are in `into` afterwards."""
        into = [] if into is None else into
        try:
            walk = self._replacing.walked(values, into)
        except RecursionError:
            for place, value in enumerate(into):
                into[place] = self._closed(value, counts)
        else:
            if walk.size > _ASIDE:
                await asyncio.to_thread(self._replacing.run, walk, exact, counts)
            else:
                self._replacing.run(walk, exact, counts)
        _count(ctx, counts)
        if time.monotonic() > self._turn:
            await asyncio.sleep(0)
            self._turn = time.monotonic() + _TURN_S

    def _closed(self, value: Any, counts: Counter[str]) -> Any:
        counts[FAILED] += 1
        if isinstance(value, dict):
            for key in list(value):
                value[key] = f"[redaction:{FAILED}]"
            return value
        return f"[redaction:{FAILED}]"


@contextlib.contextmanager
def discreet(redactor: Redactor | None) -> Iterator[None]:
    """Tell of a request that cannot be read only that: what is wrong with it may be a value of it, or a part of one."""
    try:
        yield
    except CorruptUpload as error:
        if redactor is None:
            raise
        raise CorruptUpload(
            "The body is no OTLP request.",
            where=error.where,
            todo="What is wrong with it is not said, since the project redacts: check the exporter.",
        ) from None


def without_values(rejected: Sequence[Rejected], redactor: Redactor) -> list[Rejected]:
    """Return rejected records under names that may be told; a name that was cut may end in a part of a value."""
    return [
        msgspec.structs.replace(one, name=redactor.name(one.name) if len(one.name) < _CUT_NAME else "")
        for one in rejected
    ]


def _count(ctx: Context, counts: Counter[str]) -> None:
    for kind, number in counts.items():
        ctx.count(REDACTED, _HELP, number, detector=kind if kind in _BUILT_IN else "custom")


def _plain(value: Any) -> str:
    """Return the id that an attribute has, also where it was written as JSON."""
    if isinstance(value, str):
        if value[:1] == '"':
            try:
                return msgspec.json.decode(value, type=str)
            except msgspec.DecodeError:
                return value
        return value
    return msgspec.json.encode(value, enc_hook=str).decode()

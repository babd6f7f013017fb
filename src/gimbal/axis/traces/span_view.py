"""What the page shows of one span: its conversation, tools, cost by class, exceptions, and everything raw."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from gimbal.axis.pricing.model import TOKENS
from gimbal.axis.traces.blocks import Block, Href, paired, readable
from gimbal.axis.traces.fitting import MARK
from gimbal.axis.traces.model import Span
from gimbal.kernel.operations import PREFIX

_json = msgspec.json.Encoder(enc_hook=str)
_MOST_TOOLS = 200


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model could have called."""

    name: str
    description: str
    definition: Any
    """As it came."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one class of tokens, or one tool of the provider, came to."""

    name: str
    count: int | None
    """Tokens, or uses; None where nobody told."""
    cost: Decimal | None
    """US dollars; None where it is not known by class."""


class Thrown(msgspec.Struct, frozen=True, kw_only=True):
    """An exception that the span recorded."""

    kind: str
    message: str
    stack: str


class RawRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute as it came."""

    name: str
    value: str


class SpanView(msgspec.Struct, frozen=True, kw_only=True):
    """One span as the page shows it."""

    span: Span
    input: list[Block]
    output: list[Block]
    tools: list[Offered]
    shares: list[Share]
    thrown: list[Thrown]
    attributes: list[RawRow]
    events: list[tuple[str, int, list[RawRow]]]
    """Name, microseconds after the start of the span, and what they say."""
    resource: list[RawRow]
    payloads: list[tuple[str, str, str]]
    """What the span left in the blobs: digest, media type and address."""
    raw: str
    """The whole span as JSON, without what its messages say."""


def view_of(span: Span, project: str) -> SpanView:
    """Return what the page shows of a span."""
    base = f"{PREFIX}/projects/{quote(project)}/traces/{span.trace_id}/payloads/"

    def address(digest: str) -> str:
        return base + quote(digest, safe=":")

    went_in, came_out = paired(readable(span.input, address), readable(span.output, address))
    events = [
        (str(event.get("name", "")), int(event.get("at_us", span.start_us)) - span.start_us, _map(event))
        for event in span.events
    ]
    raw = {"attributes": span.attributes, "events": span.events, "resource": span.resource, "scope": span.scope}
    return SpanView(
        span=span,
        input=went_in,
        output=came_out,
        tools=tools_of(span.attributes),
        shares=shares_of(span),
        thrown=[one for one in map(_thrown, span.events) if one is not None],
        attributes=_rows(span.attributes),
        events=[(name, at_us, _rows(said)) for name, at_us, said in events],
        resource=_rows(span.resource),
        payloads=_payloads(span, address),
        raw=msgspec.json.format(_json.encode(raw)).decode(),
    )


def _map(event: dict[str, Any]) -> dict[str, Any]:
    said = event.get("attributes")
    return said if isinstance(said, dict) else {}


def _rows(values: dict[str, Any]) -> list[RawRow]:
    return [RawRow(name=name, value=_words(value)) for name, value in sorted(values.items())]


def _words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.format(_json.encode(value)).decode()


def _thrown(event: dict[str, Any]) -> Thrown | None:
    said = _map(event)
    if event.get("name") != "exception" and "exception.stacktrace" not in said:
        return None
    kind, message, stack = (str(said.get(f"exception.{name}", "")) for name in ("type", "message", "stacktrace"))
    return Thrown(kind=kind or "exception", message=message, stack=stack)


def shares_of(span: Span) -> list[Share]:
    """Return the usage of a span by class with what each cost, the largest classes of the price book first."""
    counts: dict[str, int] = {}
    if span.usage is not None:
        counts = {name: count for name in TOKENS if (count := getattr(span.usage, name))}
        counts |= {name: count for name, count in span.usage.requests.items() if count}
    names = dict.fromkeys([*counts, *(name for name, cost in span.parts.items() if cost)])
    return [Share(name=name, count=counts.get(name), cost=span.parts.get(name)) for name in names]


def tools_of(attributes: dict[str, Any]) -> list[Offered]:
    """Return the tools that a model was offered, wherever the conventions put them."""
    found: list[Any] = []
    for name in ("gen_ai.tool.definitions", "gen_ai.request.tools", "ai.prompt.tools", "mlflow.chat.tools"):
        given = _decoded(attributes.get(name))
        found += given if isinstance(given, list) else []
    numbered: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        for prefix in ("llm.tools.", "llm.request.functions."):
            index, _, field = name.removeprefix(prefix).partition(".")
            if name.startswith(prefix) and index.isdecimal() and len(index) < 5:
                numbered.setdefault(int(index), {})[field] = _decoded(value)
    found += [numbered[index].get("tool.json_schema", numbered[index]) for index in sorted(numbered)]
    return [_offered(_decoded(one)) for one in found[:_MOST_TOOLS]]


def _offered(definition: Any) -> Offered:
    given = definition
    if isinstance(given, dict) and isinstance(given.get("function"), dict):
        given = given["function"]
    if not isinstance(given, dict):
        return Offered(name=_words(given)[:80], description="", definition=definition)
    return Offered(
        name=_words(given.get("name", "tool"))[:200],
        description=_words(given.get("description") or "")[:500],
        definition=definition,
    )


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _payloads(span: Span, href: Href) -> list[tuple[str, str, str]]:
    mark = span.attributes.get(MARK)
    held = mark.get("payloads") if isinstance(mark, dict) else None
    return [(digest, str(kind), href(digest)) for digest, kind in held.items()] if isinstance(held, dict) else []

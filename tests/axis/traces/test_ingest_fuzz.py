"""The second decoder, for requests that the first refuses: whatever is broken in one span, the others are read."""

import contextlib
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.traces import otlp, salvage
from gimbal.axis.traces.signals import SPANS
from gimbal.axis.traces.status import field
from gimbal.kernel.errors import CorruptUpload

_QUICK = settings(max_examples=150, derandomize=True, deadline=None, database=None)
_TRACE = "6" * 32


def names(body: bytes, media_type: str) -> tuple[list[str], int]:
    """Return the names of the spans that are read, and how many are not stored."""
    request, lost = otlp.read(body, media_type)
    found = list(otlp.spans(request))
    good = [one.name for one in found if isinstance(one, otlp.RawSpan)]
    return good, len(lost) + len(found) - len(good)


def around(middle: bytes) -> bytes:
    """Return a request of two good spans with whatever bytes as the span between them."""
    empty = wire.request().resource_spans[0]
    ends = [wire.span(_TRACE, number, name=f"good {number}").SerializeToString() for number in (1, 3)]
    part = empty.scope_spans[0].SerializeToString() + field(2, ends[0]) + field(2, middle) + field(2, ends[1])
    return field(1, field(1, empty.resource.SerializeToString()) + field(2, part))


@_QUICK
@given(noise=st.binary(max_size=60))
def test_noise_in_the_place_of_a_span(noise: bytes) -> None:
    """It is a span without ids, or none at all; its neighbours are read."""
    assert names(around(noise), PROTOBUF) == (["good 1", "good 3"], 1)


@_QUICK
@given(at=st.integers(0, 300), noise=st.binary(min_size=1, max_size=8), cut=st.integers(0, 40))
def test_a_span_that_was_damaged(at: int, noise: bytes, cut: int) -> None:
    """Overwritten and cut off: it is read, or rejected; its neighbours are read in any case."""
    whole = wire.chat(_TRACE, 2, 1, name="damaged").SerializeToString()
    at %= len(whole)
    damaged = (whole[:at] + noise + whole[at + len(noise) :])[: len(whole) - cut]

    good, rejected = names(around(damaged), PROTOBUF)

    assert [name for name in good if name.startswith("good")] == ["good 1", "good 3"]
    assert len(good) + rejected == 3


@_QUICK
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    key=st.sampled_from(["traceId", "spanId", "name", "kind", "attributes", "events", "links", "status", "flags", "x"]),
)
def test_a_span_of_json_with_any_value_anywhere(value: Any, key: str) -> None:
    """The others are read in any case."""
    document = wire.as_json(wire.request(*(wire.span(_TRACE, n, name=f"good {n}") for n in (1, 2, 3))))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1] |= {"name": "damaged", key: value}

    good, rejected = names(msgspec.json.encode(document), JSON)

    assert [name for name in good if name in {"good 1", "good 3"}] == ["good 1", "good 3"]
    assert len(good) + rejected == 3


@settings(_QUICK, max_examples=400)
@given(body=st.binary(max_size=80))
def test_the_walk_over_any_bytes_ends(body: bytes) -> None:
    """It finds spans or says that it cannot be walked."""
    for wrapped in (body, around(body)[: len(body) + 60]):
        with contextlib.suppress(salvage.Unreadable):
            salvage.protobuf(wrapped, SPANS)
        with contextlib.suppress(CorruptUpload):
            otlp.read(wrapped, PROTOBUF)

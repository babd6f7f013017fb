"""How arguments are read: a good body or value becomes its records, a bad one is named with its place."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.records import Body, Part

from gimbal.kernel.errors import BadInput, UnknownField
from gimbal.kernel.operations import (
    decode_body,
    decode_value,
)  # fmt: skip
from gimbal.kernel.refs import AtVersion, Ref


def test_a_good_body_is_read() -> None:
    """Into its records."""
    body = decode_body(b'{"name": "x", "parts": [{"size": 1, "more": {"a": [1]}}]}', Body)

    assert body == Body(name="x", parts=[Part(size=1, more={"a": [1]})])


@pytest.mark.parametrize(
    ("raw", "error", "where", "word"),
    [
        (b"", BadInput, "name", "name"),
        (b"{}", BadInput, "name", "missing required"),
        (b'{"name": 1}', BadInput, "name", "int"),
        (b'{"name": "x", "nmae": "y"}', UnknownField, "nmae", "unknown field"),
        (b'{"name": "x", "parts": [{"size": 1}, {"size": "2"}]}', BadInput, "parts[1].size", "int"),
        (b'{"name": "x", "parts": [{"size": 1, "sizes": 2}]}', UnknownField, "parts[0].sizes", "unknown field"),
        (b'{"name": "x", "parts": [{}]}', BadInput, "parts[0].size", "missing"),
        (b'{"name": "x", "parts": {}}', BadInput, "parts", "array"),
        (b'{"name": "x", "labels": {"a": "b"}}', BadInput, "labels[...]", "int"),
        (b"[]", BadInput, "body", "object"),
        (b"null", BadInput, "body", "object"),
        (b'"x"', BadInput, "body", "object"),
        (b'{"name": "x"', BadInput, "body", "JSON"),
        (b'{"name": "x"} y', BadInput, "body", "JSON"),
        (b"{'name': 'x'}", BadInput, "body", "JSON"),
        (b'{"name": "\xff"}', BadInput, "body", "JSON"),
        (b'\xef\xbb\xbf{"name": "x"}', BadInput, "body", "JSON"),
        (b'{"name": "\\ud800"}', BadInput, "body", "JSON"),
        (b'{"name": ' + b"[" * 200_000, BadInput, "name", "array"),
        (b'{"name": "x", "parts": [{"size": 1, "more": ' + b"[" * 200_000, BadInput, "body", "nested"),
    ],
)
def test_a_bad_body_says_what_is_wrong_and_where(raw: bytes, error: type, where: str, word: str) -> None:
    """The field's path, and whether it is unknown, missing or of a wrong type."""
    with pytest.raises(BadInput) as caught:
        decode_body(raw, Body)
    assert type(caught.value) is error
    assert caught.value.where == where
    assert word in caught.value.message
    assert caught.value.todo


@given(st.binary() | st.text().map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_body_or_bad_input(raw: bytes) -> None:
    """No other error."""
    try:
        decode_body(raw, Body)
    except BadInput:
        return


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", int, 7),
        ("true", bool, True),
        ("0.5", float, 0.5),
        ("x", str, "x"),
        ("x", str | None, "x"),
        ("2026-05-03T12:00:00Z", datetime, datetime(2026, 5, 3, 12, tzinfo=UTC)),
        (["a", "b"], list[str], ["a", "b"]),
        ("model:a@v7", Ref, Ref("model", "a", AtVersion(7))),
        ("model:a@v7", Ref | None, Ref("model", "a", AtVersion(7))),
        (None, Ref | None, None),
        (7, int | None, 7),
    ],
)
def test_a_value_of_the_address_is_read(text: Any, kind: Any, value: Any) -> None:
    """By the type of its parameter."""
    assert decode_value(text, kind, "query.x") == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", int),
        ("1.5", int),
        ("maybe", bool),
        ("x", float),
        ("yesterday", datetime),
        ("nothing", Ref),
        ("9" * 5000, int),
    ],
)
def test_a_bad_value_of_the_address_is_told(text: str, kind: Any) -> None:
    """With its place."""
    with pytest.raises(BadInput) as caught:
        decode_value(text, kind, "query.x")
    assert caught.value.where in {"query.x", "ref"}

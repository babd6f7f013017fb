"""JSON: what is read as such, what a schema says of it, and which of its leaves are right."""

import time
from typing import Any

import pytest

from gimbal.axis.scores.builtin.json_fields import json_fields
from gimbal.axis.scores.builtin.json_schema import json_schema
from gimbal.axis.scores.builtin.structured import json_of

SCHEMA = {
    "type": "object",
    "required": ["name", "total"],
    "properties": {"name": {"type": "string"}, "total": {"type": "number", "minimum": 0}},
    "additionalProperties": False,
}
ORDER = {"id": "A1", "total": 9.5, "paid": True, "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}], "note": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]\n", [1, 2]),
        ('Sure:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
        ('```\n{"a": 1}```', {"a": 1}),
        ("```python\nx\n```\n```JSON \nfalse\n```", False),
        ('```\nno\n```\n```json\n"yes"\n```', "yes"),
        ("null", None),
    ],
)
def test_json_stands_alone_or_in_a_fence(text: str, value: object) -> None:
    assert json_of(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a: 1",
        "{'a': 1}",
        '{"a": 1} and more',
        "NaN",
        "[1,]",
        "\x00",
        '"\ud800"',
        "[" * 200_000,
        "1" * 9_999,
        "```json\n{",
    ],
)
def test_what_is_no_json_is_unparseable_not_wrong(text: str) -> None:
    """Neither a Python literal nor a beginning of JSON; nothing that is nested or long enough brings the reader down."""
    for found in (json_schema({"schema": {}}, {"text": text}), json_fields({"json": {"a": 1}}, {"text": text})):
        assert (found.value, found.missing) == (None, "unparseable")
        assert found.explanation.startswith("no JSON: ")


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ('{"name": "x", "total": 3}', 1.0, ""),
        ('```json\n{"name": "x", "total": 3}\n```', 1.0, ""),
        ('{"name": 3, "total": 3}', 0.0, "$.name: 3 is not of type 'string'"),
        ('{"name": "x"}', 0.0, "$: 'total' is a required property"),
        ('{"name": "x", "total": -1}', 0.0, "$.total: -1 is less than the minimum of 0"),
        ('{"name": "x", "total": 1, "more": 1}', 0.0, "$: 'more' is not among the properties"),
    ],
)
def test_the_first_errors_of_a_schema_are_told(text: str, value: float, words: str) -> None:
    found = json_schema({"schema": SCHEMA}, {"text": text})

    assert (found.value, found.explanation) == (value, words)


def test_patterns_of_a_schema_are_re2s() -> None:
    """Of strings, of names and of what is not among them; none of them backtracks."""
    rules = {"patternProperties": {"^(a+)+$": {"type": "integer"}}, "additionalProperties": {"pattern": "^(b+)+$"}}
    hostile = f'{{"{"a" * 40}c": "{"b" * 40}c"}}'
    begun = time.monotonic()

    assert json_schema({"schema": rules}, {"text": '{"aa": 1, "c": "bb"}'}).value == 1
    assert json_schema({"schema": rules}, {"text": '{"aa": "1"}'}).value == 0
    assert json_schema({"schema": rules}, {"text": hostile}).value == 0
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"pattern": "(?=x)"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "#/$defs/none"},
        [],
        {"minimum": "a"},
    ],
)
def test_what_is_no_schema_is_a_reason_not_a_miss(schema: object) -> None:
    """A reference that leads out of the schema is not followed."""
    found = json_schema({"schema": schema}, {"text": '"x"'})

    assert (found.value, found.missing) == (None, "bad_expectation")


def test_a_schema_that_has_no_end_ends() -> None:
    assert json_schema({"schema": {"$ref": "#"}}, {"text": "1"}).missing == "too_deep"


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (
            '{"id": "A1", "total": 9.5, "paid": true, "note": null, "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}]}',
            1.0,
            "",
        ),
        ('{"id": "A1"}', 1 / 8, "total: is not there; paid: is not there; items: is not there"),
        (
            '{"id": "A2", "total": 9.5, "paid": 1, "note": null, "items": [{"sku": "x", "n": 1}]}',
            4 / 8,
            "id: 'A2' instead of 'A1'; paid: 1 instead of True; items[1]: is not there",
        ),
        ("[]", 0.0, "$: a list instead of an object"),
        (
            '{"items": {"sku": "x"}, "note": null, "id": 1}',
            1 / 8,
            "id: 1 instead of 'A1'; total: is not there; paid: is not there",
        ),
    ],
)
def test_the_share_of_leaves_that_match_is_counted(text: str, value: float, words: str) -> None:
    """Of eight leaves, by hand; true is not 1, and what is there besides does not count."""
    found = json_fields({"json": ORDER}, {"text": text})

    assert (found.value, found.explanation) == (value, words)


def test_numbers_have_a_tolerance_by_their_path() -> None:
    """Elements of a list share one; `*` is for all that have none of their own."""
    wanted = {"total": 10.0, "items": [{"price": 1.0}, {"price": 2.0}]}
    text = '{"total": 10.4, "items": [{"price": 1.05}, {"price": 2.05}]}'

    assert json_fields({"json": wanted}, {"text": text}).value == 0
    assert json_fields({"json": wanted}, {"text": text}, tolerance={"items.price": 0.1}).value == pytest.approx(2 / 3)
    assert json_fields({"json": wanted}, {"text": text}, tolerance={"*": 0.5}).value == 1
    assert json_fields({"json": wanted}, {"text": text}, tolerance={"*": 0.5, "total": 0.1}).value == pytest.approx(
        2 / 3
    )


def test_lists_without_an_order_are_paired_so_that_most_matches() -> None:
    """Greedy pairing would give the first element away: {a, b} fits both, {a, c} only one of them."""
    wanted: list[Any] = [{"p": 1, "q": 1}, {"p": 1, "q": 2}]
    text = '[{"p": 1, "q": 2}, {"p": 1, "q": 1}]'

    assert json_fields({"json": wanted}, {"text": text}).value == 0.5
    assert json_fields({"json": wanted}, {"text": text}, lists="unordered").value == 1
    assert json_fields({"json": ["a", "b", "b"]}, {"text": '["b", "a"]'}, lists="unordered").value == pytest.approx(
        2 / 3
    )
    assert json_fields({"json": ["a"]}, {"text": "[]"}, lists="unordered").value == 0


def test_texts_are_compared_in_one_form_and_without_case_if_wanted() -> None:
    assert json_fields({"json": {"a": "cafe\u0301"}}, {"text": '{"a": "caf\u00e9"}'}).value == 1
    assert json_fields({"json": {"a": "X"}}, {"text": '{"a": "x"}'}).value == 0
    assert json_fields({"json": {"a": "X"}}, {"text": '{"a": "x"}'}, ignore_case=True).value == 1


def test_an_empty_value_is_one_leaf_and_null_is_an_expectation() -> None:
    assert json_fields({"json": {"a": [], "b": {}}}, {"text": '{"a": [], "b": 1}'}).value == 0.5
    assert json_fields({"json": None}, {"text": "null"}).value == 1
    assert json_fields({}, {"text": "null"}).missing == "no_expectation"
    assert json_schema({"schema": None}, {"text": "null"}).missing == "no_expectation"


def test_what_would_take_too_long_is_not_begun() -> None:
    """Megabytes of JSON, and lists without an order of a thousand elements each."""
    many = list(range(1_000))

    assert json_fields({"json": 1}, {"text": "[" * 5_000_000}).missing == "too_long"
    assert json_schema({"schema": {}}, {"text": "[" * 5_000_000}).missing == "too_long"
    assert json_fields({"json": many}, {"text": str(many)}, lists="unordered").missing == "too_long"
    assert json_fields({"json": many}, {"text": str(many)}).value == 1

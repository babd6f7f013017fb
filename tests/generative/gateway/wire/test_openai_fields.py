"""JSON of strangers: every field once, told where it is wrong, whatever the white space."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.wire.openai_given import json_values, outcome

from gimbal.generative.gateway.wire.fields import Table, fields_of, value_of
from gimbal.kernel.errors import BadInput

spaces = st.sampled_from(["", " ", "\n", "\t \r\n"])
keys = st.sampled_from(["a", "b", "aa", 'q"', "\\", "ä", "\u2028", "", "n\n"]) | st.text(max_size=3)
small = st.sampled_from([1, 12, 123, 1.5, "a", "ab", None, [1], [1, 2], {}]) | json_values


@st.composite
def objects(draw):
    """Draw the text of an object, written in some manner, and its pairs."""
    pairs = draw(st.lists(st.tuples(keys, small), max_size=5))
    plainly = draw(st.booleans())
    gap = [draw(spaces) for _ in range(6)] if not plainly else [""] * 6
    ascii_only = draw(st.booleans())
    rows = [
        f"{gap[0]}{json.dumps(key, ensure_ascii=ascii_only)}{gap[1]}:{gap[2]}"
        f"{json.dumps(value, ensure_ascii=ascii_only)}{gap[3]}"
        for key, value in pairs
    ]
    return (gap[4] + "{" + ",".join(rows) + (gap[5] if not rows else "") + "}" + gap[5]).encode(), pairs


@given(objects())
def test_an_object_is_read_when_each_key_is_there_once_and_only_then(drawn):
    raw, pairs = drawn
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)

    if twice is None:
        assert {name: value_of(value, name) for name, value in fields_of(raw).items()} == dict(pairs)
        return
    with pytest.raises(BadInput, match="there twice"):
        fields_of(raw)


@given(objects())
def test_a_key_twice_is_found_at_any_depth(drawn):
    raw, pairs = drawn
    nested = b'{"x": [ 1, ' + raw + b"]}"
    names = [name for name, _ in pairs]

    if len(set(names)) == len(names):
        assert value_of(nested, "top") == {"x": [1, dict(pairs)]}
        return
    with pytest.raises(BadInput, match="twice") as caught:
        value_of(nested, "top")
    assert caught.value.where.startswith("top.x[1].")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":12,"b":0,"a":1}',
        b'{"a": 12,  "b":0, "a":1}',
        b'{"a":1, "a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":"x\\"","a" : "x"}',
    ],
)
def test_a_value_that_begins_as_its_twin_hides_nothing(raw):
    with pytest.raises(BadInput, match="'a' is there twice"):
        fields_of(raw)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(raw):
    found = outcome(lambda: fields_of(raw))

    assert isinstance(found, dict) or (isinstance(found, BadInput) and found.where)


def deeper(frames, function):
    return function() if not frames else deeper(frames - 1, function)


def test_what_can_be_read_can_be_written_by_whoever_is_called():
    read = 0
    for depth in range(500, 1000, 7):
        raw = b'{"a":' * depth + b"1" + b"}" * depth
        found = outcome(lambda raw=raw: value_of(raw, "x"))
        if not isinstance(found, BadInput):
            read += 1
            deeper(60, lambda found=found: msgspec.json.encode([[found]]))

    assert 0 < read < 70


def test_what_nobody_took_is_told_by_its_place():
    extras = {}
    top = Table({"a": 1, "b": {"c": 2, "d": None}, "e": None, "": 3}, "", extras)

    inner = top.table("b")
    assert inner is not None
    assert top.count("a") == 1
    inner.close()
    top.close()

    assert extras == {"b.c": 2, '""': 3}

"""Route files: a good one means what it says, and every mistake is named with its line."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.gateway.resilience.model import HedgeSettings, RouteRetry
from gimbal.generative.gateway.routes.files import read_route
from gimbal.generative.gateway.routes.model import RouteManifest, Target, decode_manifest
from gimbal.kernel.errors import BadInput

GOOD = """name = "support"
description = "Answers customers."
strategy = "weighted"
sticky = "session"

[[targets]]
model = "openai/gpt-4o-mini"
weight = 9
context_length = 128000

[[targets]]
model = "anthropic/claude-haiku-4-5"
weight = 1
region = "eu"

[[rules]]
name = "long"
targets = ["anthropic/claude-haiku-4-5", "openai/gpt-4.1"]

[rules.when]
tokens_above = 60000

[[rules]]
when = { tag = ["tier:free", "tier:trial*"], stream = true }
strategy = "cheapest"

[shadow]
model = "openai/gpt-5-mini"
share = 0.05

[resilience]
fall_back_on = ["content_filter"]

[resilience.retry]
attempts = 3

[resilience.hedge]
after_s = 1.5
"""


def test_a_good_file_means_what_it_says():
    name, manifest = read_route(GOOD)

    assert name == "support"
    assert manifest.targets[0] == Target(model="openai/gpt-4o-mini", weight=9, context_length=128_000)
    assert [rule.name for rule in manifest.rules] == ["long", ""]
    assert manifest.rules[1].when.tag == ("tier:free", "tier:trial*")
    assert manifest.shadow.share == 0.05
    assert manifest.resilience.retry == RouteRetry(attempts=3)
    assert manifest.resilience.hedge == HedgeSettings(after_s=1.5)
    assert manifest.resilience.fall_back_on == ("content_filter",)


def test_what_is_stored_is_read_back_as_the_same_manifest():
    _, manifest = read_route(GOOD)

    assert decode_manifest(msgspec.to_builtins(manifest)) == manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=RouteManifest) == manifest


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('strategy = "weighted"', 'strategy = "fastest"', 3, "fastest"),
        ('strategy = "weighted"', "strategy = weighted", 3, "TOML"),
        ('name = "support"', 'name = "Support"', 1, "not a name"),
        ('name = "support"', "name = 7", 1, "not text"),
        ("weight = 9", "weight = -9", 8, "float"),
        ("weight = 9", "weight = nan", 8, "float"),
        ("weight = 1\n", "wieght = 1\n", 13, "wieght"),
        ('model = "openai/gpt-4o-mini"', 'model = "gpt-4o-mini"', 6, "not a model"),
        ('model = "anthropic/claude-haiku-4-5"', 'model = "openai/gpt-4o-mini"', 6, "twice"),
        ('model = "openai/gpt-4o-mini"', 'model = "route:other"', 6, "names no other"),
        ("tokens_above = 60000", "tokens_above = -1", 21, "int"),
        ("tokens_above = 60000", "tokens_above = 9\ntokens_up_to = 9", 20, "more than 9"),
        ("tokens_above = 60000", "", 20, "every call"),
        ('strategy = "cheapest"', "", 23, "changes nothing"),
        ("stream = true", "streamed = true", 24, "streamed"),
        ("share = 0.05", "share = 5", 29, "float"),
        ("attempts = 3", "attempts = 30", 35, "int"),
        ("after_s = 1.5", "after_s = 0", 38, "float"),
        ('fall_back_on = ["content_filter"]', 'fall_back_on = ["any"]', 32, "any"),
        ("[resilience.hedge]", "[resilience.hegde]", 37, "hegde"),
    ],
)
def test_a_mistake_is_named_with_its_line(old, new, line, says):
    assert old in GOOD
    with pytest.raises(BadInput) as caught:
        read_route(GOOD.replace(old, new, 1), "support.toml")

    assert says in caught.value.message
    assert caught.value.where == f"support.toml:{line}"


def outcome(text):
    """Return the line at which a file is refused; None when it is taken."""
    try:
        read_route(text, "r.toml")
    except BadInput as problem:
        return int(problem.where.removeprefix("r.toml:"))
    return None


@given(st.text())
def test_any_text_is_refused_with_a_line(text):
    assert 1 <= outcome(text) <= text.count("\n") + 1


@given(st.lists(st.sampled_from(GOOD.split("\n")), max_size=30).map("\n".join))
def test_lines_in_any_order_never_break_the_reader(text):
    line = outcome(text)

    assert line is None or 1 <= line <= text.count("\n") + 1


def test_a_file_without_targets_is_refused():
    assert outcome('name = "x"') == 1


@pytest.mark.parametrize(
    ("manifest", "where"),
    [
        ({"targets": []}, "targets"),
        ({"targets": ["a/b"], "strategy": "weighted", "rules": [{"when": {"user": []}, "targets": ["a/c"]}]}, "rules[0]"),
        ({"targets": [{"model": "a/b", "weight": 0}], "strategy": "weighted"}, "targets"),
        ({"targets": ["a/b"], "regions": ["eu"]}, "targets"),
        ({"targets": [{"model": "a/b", "region": "eu"}], "rules": [{"when": {"user": "x"}, "regions": ["us"]}]}, "rules[0]"),
        ({"targets": ["a/b"], "shadow": {"model": "prompt:x", "share": 1}}, "shadow.model"),
        ({"targets": ["prompt:Bad Name"]}, "name"),
        ({"targets": ["a/ b "]}, "targets"),
        ({"targets": ["a/b"] * 17}, "targets"),
    ],
)  # fmt: skip
def test_a_manifest_whose_parts_do_not_agree_is_refused(manifest, where):
    with pytest.raises(BadInput) as caught:
        decode_manifest(manifest)

    assert caught.value.where.startswith(where)

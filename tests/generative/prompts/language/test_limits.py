"""Templates end: blocks, inclusions, turns, steps and sizes have limits, each an error that names it."""

import pytest

from gimbal.generative.prompts.language import Included, compile_template, render
from gimbal.generative.prompts.language.parse import MAX_INCLUDES, MAX_NESTING
from gimbal.generative.prompts.language.run import MAX_ITERATIONS, MAX_OUTPUT
from gimbal.generative.prompts.model import PromptManifest, PromptMessage, format_messages
from gimbal.kernel.errors import BadInput


def nested(depth: int) -> str:
    """Return blocks inside one another."""
    return "\n".join(["{{#if a}}"] * depth + ["x"] + ["{{/if}}"] * depth)


def test_blocks_inside_one_another_have_a_limit():
    assert render(compile_template(nested(MAX_NESTING)), {"a": 1}) == "x\n"
    with pytest.raises(BadInput, match="inside one another") as caught:
        compile_template(nested(MAX_NESTING + 1))
    assert caught.value.where == f"line {MAX_NESTING + 1}, column 1"


def chain(depth: int) -> tuple[Included, ...]:
    """Return a prompt that includes one that includes one …"""
    one: tuple[Included, ...] = ()
    for number in range(depth, 0, -1):
        text = f"{number}" + ("{{> " + f"p{number + 1}" + "}}" if number < depth else "")
        one = (Included(f"p{number}", f"p{number}@v1", text, one),)
    return one


def test_inclusions_have_a_limit():
    assert render(compile_template("{{> p1}}", chain(MAX_INCLUDES)), {}) == "12345678"
    with pytest.raises(BadInput, match="include one another") as caught:
        compile_template("{{> p1}}", chain(MAX_INCLUDES + 1))
    assert caught.value.where == "line 1, column 2 of p8@v1"


def test_inclusions_that_multiply_have_a_limit():
    inner: tuple[Included, ...] = (Included("p", "p@v1", "x" * 100),)
    for _ in range(MAX_INCLUDES - 1):
        inner = (Included("p", "p@v1", "{{> p}}" * 40, inner),)
    with pytest.raises(BadInput, match="characters with what it includes"):
        compile_template("{{> p}}", inner)


def test_loops_turn_so_often_and_not_more():
    template = compile_template("{{#each xs as x}}{{/each}}")
    assert render(template, {"xs": [0] * MAX_ITERATIONS}) == ""
    with pytest.raises(BadInput, match="100,000 times"):
        render(template, {"xs": [0] * (MAX_ITERATIONS + 1)})
    square = compile_template("{{#each xs as x}}\n  {{#each xs as y}}{{/each}}\n{{/each}}")
    with pytest.raises(BadInput, match="100,000 times") as caught:
        render(square, {"xs": [0] * 400})
    assert caught.value.where == "line 2, column 3"


def test_what_stands_in_a_loop_is_bounded_as_well():
    body = "{{#if x == 1}}{{/if}}" * 100
    with pytest.raises(BadInput, match="steps"):
        render(compile_template("{{#each xs as x}}" + body + "{{/each}}"), {"xs": [0] * MAX_ITERATIONS})


@pytest.mark.parametrize("text", ["{{x}}{{x}}", "{{#each xs as i}}{{x}}{{/each}}"])
def test_the_output_has_a_limit(text):
    template = compile_template(text)
    half = "x" * (MAX_OUTPUT // 2)
    assert len(render(template, {"x": half, "xs": [1, 2]})) == MAX_OUTPUT
    with pytest.raises(BadInput, match="10,000,000 characters"):
        render(template, {"x": half + "x", "xs": [1, 2]})


def test_huge_texts_are_filled():
    text = "word\0 " * 800_000
    assert render(compile_template(text + "{{x}}"), {"x": text}) == text + text
    with pytest.raises(BadInput, match="not a placeholder"):
        compile_template(text + "{{")
    with pytest.raises(BadInput, match="characters with what it includes"):
        compile_template("x" * 10_000_001)


def test_a_template_is_compiled_once():
    assert compile_template("once {{x}}") is compile_template("once {{x}}")


def test_all_messages_together_are_bounded() -> None:
    """Each alone would fit."""
    messages = (PromptMessage(role="user", content="{{x}}"),) * 3
    manifest = PromptManifest(model="local/extractive", messages=messages, variables=("x",))
    assert len(format_messages(manifest, {"x": "y" * (MAX_OUTPUT // 3)})) == 3
    with pytest.raises(BadInput, match="more than 10,000,000 characters"):
        format_messages(manifest, {"x": "y" * (MAX_OUTPUT // 3 + 1)})

"""Front matter: variables with types and defaults, tools, the schema of an answer, owners; mistakes with their line."""

import msgspec
import pytest
from blake3 import blake3

from gimbal.axis.assets.model import canonical
from gimbal.generative.prompts.files import read_prompt, write_prompt
from gimbal.generative.prompts.model import (
    IncludedPrompt,
    PromptManifest,
    PromptMessage,
    PromptVariable,
    check_manifest,
    decode_manifest,
    format_messages,
)
from gimbal.kernel.errors import BadInput

FULL = """+++
model = "openai/gpt-4o-mini"
owners = ["docs@example.com", "Ada"]
notes = "The tone was agreed on in May."

[variables.question]
description = "What the customer asks."

[variables.tone]
default = "friendly"

[variables.orders]
type = "list"
default = [{ id = 7, late = true }]

[variables.limit]
type = "integer"

[[tools]]
name = "search"
description = "Looks in the docs."

[tools.parameters]
type = "object"
required = ["q"]
properties.q.type = "string"

[[tools]]
name = "ask"
parameters = '{"type": "object", "properties": {"to": {"enum": ["team", null]}}}'

[response]
name = "answer"
strict = true
schema = { type = "object", properties = { text = { type = "string" } } }
+++

## system
Be {{tone}}, in at most {{limit}} words.
{{#each orders as order}}
Order {{order.id}}{{#if order.late}} is late{{/if}}.
{{/each}}

## user
{{question}}
"""


def test_front_matter_means_what_it_says():
    manifest = read_prompt(FULL)

    assert manifest.owners == ("docs@example.com", "Ada")
    assert manifest.notes.startswith("The tone")
    assert [(one.name, one.type, one.default) for one in manifest.declared] == [
        ("limit", "integer", None),
        ("orders", "list", [{"id": 7, "late": True}]),
        ("question", "text", None),
        ("tone", "text", "friendly"),
    ]
    assert manifest.tools[0].parameters == {
        "type": "object", "required": ["q"], "properties": {"q": {"type": "string"}},
    }  # fmt: skip
    assert manifest.tools[1].parameters["properties"]["to"]["enum"] == ["team", None]
    assert manifest.response is not None
    assert (manifest.response.name, manifest.response.strict) == ("answer", True)
    assert read_prompt(write_prompt(manifest)) == manifest
    assert decode_manifest(msgspec.json.decode(msgspec.json.encode(manifest))) == manifest


def test_defaults_stand_in_and_types_are_held_to():
    manifest = read_prompt(FULL)
    system, user = format_messages(manifest, {"question": "{{tone}}?", "limit": 9})
    assert system.content == "Be friendly, in at most 9 words.\nOrder 7 is late.\n"
    assert user.content == "{{tone}}?"
    assert "rude" in format_messages(manifest, {"question": "", "limit": 1, "tone": "rude", "orders": []})[0].content
    for name, value in (
        ("limit", "9"),
        ("limit", True),
        ("limit", 1.5),
        ("question", 1),
        ("orders", {}),
        ("tone", None),
    ):
        with pytest.raises(BadInput, match="is not") as caught:
            format_messages(manifest, {"question": "q", "limit": 9, name: value})
        assert caught.value.where == f"variables.{name}"
    with pytest.raises(BadInput, match="'limit' is missing"):
        format_messages(manifest, {"question": "q"})


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('type = "integer"', 'type = "whole"', 17, "variables.limit.type: invalid enum value"),
        ('type = "integer"', 'name = "most"', 17, "called as its table is"),
        ('[variables.tone]\ndefault = "friendly"', '[variables]\ntone = "friendly"', 10, "'tone' is no table"),
        ('default = "friendly"', "default = 1", 10, "is not a text"),
        ('default = "friendly"', "default = 1979-05-27", 10, "nothing that JSON has"),
        ("[variables.limit]", "[variables.most]", 16, "no message uses"),
        ('description = "Looks', 'meaning = "Looks', 21, "unknown field"),
        ('name = "search"', 'name = "look up"', 20, "Expected"),
        ('name = "ask"', 'name = "search"', 19, "one name"),
        ('{"type": "object", "prop', '{"type": "array", "prop', 30, "are an object"),
        ('{"type": "object", "prop', '{"type": "object" "prop', 30, "not JSON"),
        ('name = "answer"\n', "", 32, "missing required field"),
        ("strict = true", "strict = 1", 34, "Expected"),
        ('{ text = { type = "string" } }', "nan", 35, "nothing that JSON has"),
        ('{ text = { type = "string" } }', "9223372036854775808", 35, "nothing that JSON has"),
        ('"Ada"', '"docs@example.com"', 3, "there twice"),
        ("schema = {", "schema = " + "[" * 60 + "]" * 60 + " #", 35, "deep"),
        ("schema = {", "schema = " + "[" * 50_000, 2, "too deeply"),
        ("strict = true", "strict = " + "9" * 5000, 2, "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(old, new, line, says):
    assert old in FULL
    with pytest.raises(BadInput) as caught:
        read_prompt(FULL.replace(old, new, 1), "help/answer.md")

    assert caught.value.where == f"help/answer.md:{line}"
    assert says.lower() in caught.value.message.lower()


def test_a_list_of_variables_must_be_those_that_are_used():
    text = '+++\nmodel = "m"\nvariables = ["a", "b"]\n+++\n## user\n{{a}}{{#if b}}{{/if}}'
    assert read_prompt(text).variables == ("a", "b")
    assert read_prompt(text).declared == ()
    with pytest.raises(BadInput, match="declares the variables") as caught:
        read_prompt(text.replace('"b"', '"c"'), "p.md")
    assert caught.value.where == "p.md:3"


def test_a_manifest_of_before_has_the_digest_that_it_had():
    manifest = PromptManifest(
        messages=(PromptMessage(role="user", content="Hi {{name}}"),), model="m", variables=("name",)
    )
    plain = msgspec.json.decode(msgspec.json.encode(manifest))
    assert plain == {"messages": [{"role": "user", "content": "Hi {{name}}"}], "model": "m", "variables": ["name"]}
    assert (
        blake3(canonical("prompt", plain, [])).hexdigest()
        == blake3(
            b'{"files":[],"kind":"prompt","manifest":{"messages":[{"content":"Hi {{name}}","role":"user"}],"model":"m",'
            b'"variables":["name"]}}'
        ).hexdigest()
    )


def including(*ones: IncludedPrompt, declared: tuple[PromptVariable, ...] = ()) -> PromptManifest:
    """Return a prompt that includes others."""
    content = "".join("{{> " + one.name + "}}" for one in ones)
    return PromptManifest(
        messages=(PromptMessage(role="user", content=content),),
        model="m",
        variables=("x",),
        includes=ones,
        declared=declared,
    )


def test_what_included_prompts_declare_holds_unless_the_prompt_says_otherwise():
    text = PromptVariable(name="x", default="a")
    number = PromptVariable(name="x", type="integer", default=1)
    one = IncludedPrompt(name="one", ref="prompt:one@v1", text="{{x}}", declared=(text,))
    two = IncludedPrompt(name="two", ref="prompt:two@v1", text="{{x}}", declared=(number,))

    assert format_messages(check_manifest(including(one)), {})[0].content == "a"
    with pytest.raises(BadInput, match="declare 'x' as text and as integer"):
        check_manifest(including(one, two))
    own = check_manifest(including(one, two, declared=(PromptVariable(name="x", type="boolean"),)))
    assert format_messages(own, {"x": True})[0].content == "truetrue"


def test_a_manifest_whose_parts_do_not_agree_is_refused():
    one = IncludedPrompt(name="one", ref="prompt:one@v1", text="{{x}}")
    deep: object = []
    for _ in range(50_000):
        deep = [deep]
    user = [{"role": "user", "content": "{{a}}"}]
    for manifest, says in (
        (msgspec.to_builtins(including(one)) | {"includes": []}, "not known"),
        (msgspec.to_builtins(including(one)) | {"variables": []}, "variables"),
        (msgspec.to_builtins(including()) | {"variables": [], "includes": [msgspec.to_builtins(one)]}, "pins"),
        ({"messages": user, "model": "m", "variables": ["a"], "declared": [{"name": "b"}]}, "no message uses"),
        ({"messages": user, "model": "m", "variables": ["a"], "declared": [{"name": "a"}] * 2}, "there twice"),
        ({"messages": user, "model": "m", "variables": ["a"], "tools": deep}, "deeply|Expected"),
    ):
        with pytest.raises(BadInput, match=says):
            decode_manifest(manifest)

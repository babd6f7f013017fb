"""Prompt files: what is read is what was written, and every mistake is named with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.prompts.files import read_prompt, write_prompt
from gimbal.generative.prompts.model import (
    ROLES,
    PromptManifest,
    PromptMessage,
    PromptParams,
    PromptTool,
    PromptVariable,
    ResponseSchema,
    RetrievalSetting,
    decode_manifest,
    format_messages,
    variables_of,
)
from gimbal.kernel.errors import BadInput

GOOD = """+++
model = "local/extractive"
description = "Answers questions."

[params]
temperature = 0.0
max_tokens = 200

[retrieval]
index = "index:help/docs"
k = 4
+++

## system
Answer from the sources only.

### What to do when unsure
Say so.

## user
{{context}}

Question: {{question}}
"""

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
plain = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="{}\\\r"), min_size=1)


@st.composite
def contents(draw):
    """Text with placeholders, escaped braces, headings and lines that look like message headings."""
    parts = draw(
        st.lists(
            st.one_of(
                plain,
                names.map(lambda n: "{{" + n + "}}"),
                st.just("\\{{ not one }}"),
                names.map(lambda n: "{{#if " + n + ".a == 'x'}}\n{{else}}{{! no }}{{/if}}"),
                st.sampled_from(["\n## user\n", "\n\\## system\n", "\n### deep\n", "+++", "\n+++\n"]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    return ("x" + "".join(parts) + "x").strip("\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
schemas = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "type"), json_values, max_size=3)
of_type = {
    "text": st.text(max_size=9), "number": st.floats(allow_nan=False, allow_infinity=False), "integer": st.integers(-9, 9),
    "boolean": st.booleans(), "list": st.lists(json_values, max_size=3),
    "object": st.dictionaries(st.text(max_size=5), json_values, max_size=3),
}  # fmt: skip


@st.composite
def declarations(draw, name):
    kind = draw(st.sampled_from(sorted(of_type)))
    return PromptVariable(
        name=name, type=kind, default=draw(st.none() | of_type[kind]), description=draw(st.text(max_size=9))
    )


@st.composite
def manifests(draw):
    messages = tuple(
        PromptMessage(role=draw(st.sampled_from(ROLES)), content=draw(contents()))
        for _ in range(draw(st.integers(1, 4)))
    )
    params = PromptParams(
        temperature=draw(st.none() | st.floats(0, 2)),
        max_tokens=draw(st.none() | st.integers(1, 10**6)),
        stop=draw(st.none() | st.lists(st.text(max_size=5), max_size=3).map(tuple)),
        seed=draw(st.none() | st.integers(-(2**40), 2**40)),
    )
    used = variables_of(messages)
    retrieval = None
    if used and draw(st.booleans()):
        retrieval = RetrievalSetting(
            index="index:help/docs@v2", k=draw(st.integers(1, 100)), query=used[0], into=used[-1]
        )
    return PromptManifest(
        messages=messages,
        model=draw(st.text(min_size=1).filter(lambda text: text.strip())),
        params=params,
        variables=used,
        retrieval=retrieval,
        description=draw(st.text(max_size=20)),
        declared=tuple(draw(declarations(name)) for name in used if draw(st.booleans())),
        tools=tuple(
            PromptTool(name=name, description=draw(st.text(max_size=9)), parameters=draw(schemas))
            for name in draw(st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True), max_size=2, unique=True))
        ),
        response=draw(
            st.none() | st.builds(ResponseSchema, name=st.just("answer"), schema=schemas, strict=st.booleans())
        ),
        owners=tuple(draw(st.lists(st.text(min_size=1).filter(str.strip), max_size=2, unique=True))),
        notes=draw(st.text(max_size=20)),
    )


@given(manifests())
def test_a_written_file_is_read_back_as_the_same_manifest(manifest):
    assert read_prompt(write_prompt(manifest)) == manifest


def line_of_mistake(text):
    """Return the line at which a file is refused; None when it is not."""
    try:
        read_prompt(text, "p.md")
    except BadInput as problem:
        return int(problem.where.removeprefix("p.md:").partition(":")[0])
    return None


@given(st.text())
def test_any_text_is_refused_with_a_line(text):
    assert line_of_mistake(text) >= 1


@given(st.text(alphabet='+#{}ab \n="[].', max_size=80))
def test_text_made_of_our_own_marks_never_breaks_the_parser(text):
    line = line_of_mistake('+++\nmodel = "m"\n' + text)

    assert line is None or 1 <= line <= text.count("\n") + 3


def test_a_good_file_means_what_it_says():
    manifest = read_prompt(GOOD)

    assert [m.role for m in manifest.messages] == ["system", "user"]
    assert manifest.messages[0].content.endswith("### What to do when unsure\nSay so.")
    assert manifest.variables == ("context", "question")
    assert manifest.params.temperature == 0.0
    assert manifest.retrieval == RetrievalSetting(index="index:help/docs", k=4)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("+++\nmodel", "model", 1, "front matter"),
        ("k = 4\n+++", "k = 4\n", 1, "does not end"),
        ('model = "local/extractive"', "model = local", 2, "TOML"),
        ("temperature = 0.0", "temperature = 9.0", 6, "2"),
        ("temperature = 0.0", "heat = 1", 6, "heat"),
        ("k = 4", "k = 0", 11, "1"),
        ('index = "index:help/docs"', 'index = "model:help/docs"', 10, "not an index"),
        ("## system\n", "text\n## system\n", 14, "before the first message"),
        ("Say so.", "Say {{so so}}.", "18:5", "not a placeholder"),
        ("Answer from the sources only.\n\n### What to do when unsure\nSay so.\n", "", 14, "empty"),
        ("{{context}}", "context", 9, "no message uses"),
    ],
)
def test_a_mistake_is_named_with_its_line(old, new, line, says):
    assert old in GOOD
    with pytest.raises(BadInput) as caught:
        read_prompt(GOOD.replace(old, new, 1), "help/answer.md")

    assert caught.value.where == f"help/answer.md:{line}"
    assert says in str(caught.value)


def test_values_are_inserted_as_they_are_and_never_expanded_again():
    manifest = read_prompt(GOOD)
    values = {"context": "{{question}} \\1 {{", "question": "What is {{context}}?"}

    user = format_messages(manifest, values)[1].content

    assert user == "{{question}} \\1 {{\n\nQuestion: What is {{context}}?"


def test_escaped_braces_are_text():
    manifest = read_prompt('+++\nmodel = "m"\n+++\n## user\nUse \\{{name}} for {{name}}.')

    assert format_messages(manifest, {"name": "Ada"})[0].content == "Use {{name}} for Ada."


@pytest.mark.parametrize(
    ("values", "name"),
    [({"context": "c"}, "question"), ({"context": "c", "question": "q", "more": "m"}, "more")],
)
def test_a_missing_or_unknown_variable_is_named(values, name):
    with pytest.raises(BadInput) as caught:
        format_messages(read_prompt(GOOD), values)

    assert caught.value.where == f"variables.{name}"


def test_a_manifest_whose_variables_do_not_fit_its_messages_is_refused():
    with pytest.raises(BadInput, match="variables"):
        decode_manifest({"messages": [{"role": "user", "content": "{{a}}"}], "model": "m", "variables": []})
    with pytest.raises(BadInput, match="unknown field"):
        decode_manifest({"messages": [{"role": "user", "content": "a"}], "model": "m", "code": "x"})

"""The template language: what each tag does, that values stay what they are, and that nothing else can be reached."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gimbal.generative.prompts.language import Included, compile_template, render
from gimbal.kernel.errors import BadInput

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
# Whatever Python has: also what is no JSON.
any_values = (
    json_values | st.builds(object) | st.just(float("nan")) | st.just(10**5000) | st.just("\ud800") | st.binary()
)


def fill(text: str, /, **values: object) -> str:
    """Compile and render a text."""
    return render(compile_template(text), values)


@given(st.text(alphabet=st.characters(exclude_characters="{")))
@example("\0" * 10)
@example("\ud800}} \\")
def test_a_text_without_braces_is_itself(text):
    assert fill(text) == text


@given(st.text(), st.text())
def test_a_value_is_inserted_as_it_is(value, other):
    assert fill("a{{x}}b{{ y }}", x=value, y=other) == f"a{value}b{other}"
    assert fill("{{#if true}}{{x}}{{/if}}", x="{{y}}{{#if") == "{{y}}{{#if"


@pytest.mark.parametrize(
    ("template", "out"),
    [
        ("{{user.name}} {{items.1}} {{items.0.a}}", "Ada two 1"),
        ("{{n}} {{f}} {{yes}} {{items}}", '3 0.5 true [{"a":1},"two"]'),
        ("{{#if yes}}a{{else}}b{{/if}}{{#if not yes}}c{{/if}}{{#if not not yes}}d{{/if}}", "ad"),
        ('{{#if user.name == "Ada"}}a{{/if}}{{#if n != 3}}b{{/if}}{{#if n == 3.0}}c{{/if}}', "ac"),
        ("{{#if no}}a{{else if n == 4}}b{{else if 'x' == \"x\"}}c{{else}}d{{/if}}", "c"),
        ("{{#if no and no or yes}}a{{/if}}{{#if no and yes or no}}b{{/if}}{{#if not no == yes}}c{{/if}}", "ac"),
        ("{{#if yes == 1}}a{{/if}}{{#if n == '3'}}b{{/if}}{{#if -1 == -1}}c{{/if}}{{#if none}}d{{/if}}", "c"),
        ("{{#each items as i}}{{@index}}{{#if @first}}<{{/if}}{{#if @last}}>{{/if}}{{/each}}", "0<1>"),
        ("{{#each empty as i}}x{{else}}none of {{n}}{{/each}}", "none of 3"),
        ("{{#each rows as row}}{{#each row as cell}}{{cell}}{{@index}}{{/each}};{{/each}}", "a0b1;c0;"),
        ("{{#each items as n}}{{#if @last}}{{n}}{{/if}}{{/each}}{{n}}", "two3"),
        ("a{{! {{ not closed }}b", "ab"),
        ("\\{{n}} \\\\{{n}} {{n}} }}", "{{n}} \\{{n}} 3 }}"),
        ('{{#if "a \\"b" == text}}same{{/if}}', "same"),
    ],
)  # fmt: skip
def test_each_tag_does_what_it_says(template, out):
    values = {
        "user": {"name": "Ada"}, "items": [{"a": 1}, "two"], "n": 3, "f": 0.5, "yes": True, "no": False, "empty": [],
        "rows": [["a", "b"], ["c"]], "none": None, "text": 'a "b',
    }  # fmt: skip
    assert render(compile_template(template), values) == out


def test_what_counts_as_true():
    for value, holds in [
        ("", 0),
        ("0", 1),
        (0, 0),
        (0.0, 0),
        (-1, 1),
        ([], 0),
        ([0], 1),
        ({}, 0),
        ({"a": 0}, 1),
        (None, 0),
    ]:
        assert fill("{{#if x}}1{{else}}0{{/if}}", x=value) == str(holds), value


def test_a_tag_of_a_block_that_is_alone_on_its_line_leaves_no_blank_line():
    text = "Begin\n  {{#if a}}  \nA\n{{else}}\nB\n\t{{/if}}\r\n{{! a remark }}\nx {{#if a}}y{{/if}} z\nEnd"
    assert fill(text, a=True) == "Begin\nA\nx y z\nEnd"
    assert fill(text, a=False) == "Begin\nB\nx  z\nEnd"
    assert fill("{{#each xs as x}}\n- {{x}}\n{{/each}}", xs=["a", "b"]) == "- a\n- b\n"
    # A value that is alone on its line stays on it, and so do two tags on one line.
    assert fill("a\n{{x}}\nb\n{{#if x}}{{/if}}\nc", x="1") == "a\n1\nb\n\nc"


def test_outside_of_blocks_else_is_a_variable_as_it_always_was():
    assert fill("{{else}} {{if}} {{true}}", **{"else": "a", "if": "b", "true": "c"}) == "a b c"


def test_an_included_prompt_stands_where_its_tag_does():
    tone = Included("tone@v1", "tone@v1", "Be {{how}}{{> mark}}", (Included("mark", "mark@v2", "!{{item}}"),))
    template = compile_template("{{#each xs as item}}{{> tone@v1 }} {{/each}}{{> tone@v1}}", (tone,))

    assert template.variables == ("how", "item", "xs")
    assert template.includes == ("tone@v1",)
    # In a loop the text means the loop's item, as if it were written there.
    assert render(template, {"how": "kind", "item": "?", "xs": [1, 2]}) == "Be kind!1 Be kind!2 Be kind!?"
    with pytest.raises(BadInput, match="not known"):
        compile_template("{{> other}}", (tone,))
    assert compile_template("{{a}}{{> other}}", lenient=True).variables == ("a",)


@pytest.mark.parametrize(
    ("template", "where", "says"),
    [
        ("a\nbc{{ so so }}", "line 2, column 3", "not a placeholder"),
        ("{{a", "line 1, column 1", "not a placeholder"),
        ("x{{#if a}}", "line 1, column 2", "does not end"),
        ("{{/if}}", "line 1, column 1", "no block is open"),
        ("{{#if a}}{{/each}}", "line 1, column 10", "{{#if}} is open"),
        ("{{#if}}{{/if}}", "line 1, column 1", "condition ends"),
        ("{{#if a b}}{{/if}}", "line 1, column 1", "'b' stands"),
        ("{{#if a ==}}{{/if}}", "line 1, column 1", "condition ends"),
        ("{{#if 'a}}{{/if}}", "line 1, column 1", "cannot stand"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "line 1, column 18", "behind the last"),
        ("{{#if a}}{{else}}{{else if b}}{{/if}}", "line 1, column 18", "behind the last"),
        ("{{#each a as i}}{{else}}{{else}}{{/each}}", "line 1, column 25", "behind the last"),
        ("{{#each a as i}}{{else if b}}{{/each}}", "line 1, column 17", "no else if"),
        ("{{#each a}}{{/each}}", "line 1, column 1", "no loop"),
        ("{{#each a as i-1}}{{/each}}", "line 1, column 1", "no loop"),
        ("{{#with a}}", "line 1, column 1", "not a placeholder"),
        ("{{@index}}", "line 1, column 1", "outside of every loop"),
        ("{{> Not A Name}}", "line 1, column 1", "not a name"),
        ("{{> model:a/b}}", "line 1, column 1", "no prompt"),
    ],
)
def test_a_mistake_names_line_and_column(template, where, says):
    with pytest.raises(BadInput) as caught:
        compile_template(template)
    assert caught.value.where == where
    assert says in caught.value.message
    assert caught.value.todo


@pytest.mark.parametrize(
    ("template", "value", "says"),
    [
        ("{{x}}", None, "null"),
        ("{{x}}", float("inf"), "no JSON"),
        ("{{x}}", object(), "no JSON value"),
        ("{{x}}", [object()], "no JSON"),
        ("{{x.a}}", {}, "leads nowhere"),
        ("{{x.1}}", ["a"], "leads nowhere"),
        ("{{x.a}}", "text", "leads nowhere"),
        ("{{#each x as i}}{{/each}}", "text", "not a list"),
        ("{{#each x as i}}{{/each}}", {"a": 1}, "not a list"),
        ("{{#if x == 1}}{{/if}}", [1], "cannot be compared"),
        ("{{#if x}}{{/if}}", object(), "no JSON value"),
        ("{{#if x.y}}{{/if}}", {}, "leads nowhere"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_no_hole(template, value, says):
    with pytest.raises(BadInput, match=says) as caught:
        fill(template, x=value)
    assert caught.value.where == "line 1, column 1"


def test_a_variable_that_is_only_used_inside_a_branch_is_one_as_well():
    template = compile_template("{{#if a}}{{b}}{{else if c == d.e}}{{#each f as g}}{{g}}{{h}}{{/each}}{{/if}}")
    assert template.variables == ("a", "b", "c", "d", "f", "h")
    with pytest.raises(BadInput, match="'b' is missing"):
        render(template, {"a": True})


class Secret(dict):
    """An object whose attributes must not be reached."""

    token = "hidden"


@pytest.mark.parametrize("path", ["token", "__class__", "keys", "__init__.__globals__", "pop", "0"])
def test_no_attribute_can_be_reached(path):
    for value in (Secret(a=1), "text", 3, [1][:0], Secret):
        with pytest.raises(BadInput, match="leads nowhere"):
            fill("{{x." + path + "}}", x=value)
    assert fill("{{x.__class__}}", x={"__class__": "a key like others"}) == "a key like others"


pieces = st.sampled_from(
    [
        "{{",
        "}}",
        "{{x}}",
        "{{x.a}}",
        "{{y.0}}",
        "{{#if",
        "x}}",
        "{{#if",
        "not}}",
        "{{else}}",
        "{{else",
        "if",
        "x==y}}",
        "{{/if}}",
        "{{#each",
        "y",
        "as",
        "x}}",
        "{{/each}}",
        "{{@last}}",
        "{{!",
        "!",
        "}}",
        "{{>a/b@v1}}",
        "\\{{",
        "{{{",
        "\n",
        "\r\n",
        "'",
        "==",
        "and",
        "or",
    ]
) | st.text(max_size=5)


@given(st.lists(pieces, max_size=12).map("".join), st.dictionaries(st.sampled_from("xy"), any_values))
def test_nothing_but_bad_input_is_ever_raised(text, values):
    with contextlib.suppress(BadInput):
        assert isinstance(render(compile_template(text), values), str)


@given(json_values)
def test_lists_and_objects_are_inserted_as_json(value):
    if isinstance(value, str | None):
        return
    assert json.loads(fill("{{x}}", x=value)) == json.loads(msgspec.json.encode(value))

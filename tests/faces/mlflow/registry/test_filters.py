"""Filters over the registry: what MLflow's own parser reads, ours reads as the same conditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.assets.registry.model import Clause
from gimbal.faces.mlflow.filters import parse_filter, parse_order
from gimbal.faces.mlflow.logged_models import GRAMMAR as MODELS
from gimbal.faces.mlflow.registered import GRAMMAR as NAMES
from gimbal.faces.mlflow.versions import GRAMMAR as VERSIONS
from gimbal.kernel.errors import BadInput

_words = st.text(st.sampled_from("ab_1"), min_size=1, max_size=4).map(lambda text: f"k{text}")
_keys = _words.flatmap(lambda word: st.sampled_from([f"tags.{word}", f"tag.`{word}.x y`", f'tags."{word}-z"']))
_values = st.text(st.sampled_from("aAbB %_.-é"), max_size=6)
_signs = st.sampled_from(["=", "!=", " = ", " LIKE ", " ilike ", " ILIKE "])
_clauses = st.one_of(
    st.builds(lambda key, sign, value: f"{key}{sign}'{value}'", _keys, _signs, _values),
    st.builds(lambda sign, value: f"name{sign}'{value}'", _signs, _values),
    st.builds(
        lambda values: "name IN ({})".format(", ".join(f"'{one}'" for one in values)), st.lists(_words, min_size=1)
    ),
)


@given(st.lists(_clauses, max_size=4), st.sampled_from([" AND ", " and ", "  And\n"]))
def test_what_mlflow_reads_is_read_alike(clauses: list[str], between: str) -> None:
    """Keys, comparators and values, in their order."""
    utils = pytest.importorskip("mlflow.utils.search_utils")
    text = between.join(clauses)
    theirs = [
        ("tag" if one["type"] == "tag" else "attribute", one["key"], one["comparator"].upper(), _listed(one["value"]))
        for one in utils.SearchModelUtils.parse_search_filter(text)
    ]
    assert [(one.entity, one.key, one.op, _listed(one.value)) for one in parse_filter(text, NAMES)] == theirs


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@given(st.text(st.sampled_from("name='tags.`ab\"%;()AND OR\0\\1,<>!ISNULL "), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but BadInput comes out of it."""
    for grammar in (NAMES, VERSIONS, MODELS):
        try:
            parse_filter(text, grammar)
        except BadInput as problem:
            assert problem.message  # noqa: PT017 - either way is right


def test_numbers_and_lists() -> None:
    """Of fields that are numbers, and of those that lists are for."""
    assert parse_filter("version_number >= 3 AND run_id NOT IN ('a','b')", VERSIONS) == [
        Clause(key="version_number", op=">=", value=3),
        Clause(key="run_id", op="NOT IN", value=["a", "b"]),
    ]
    assert parse_filter("metrics.`a b` < -1.5e3 AND params.x IS NOT NULL", MODELS) == [
        Clause(entity="metric", key="a b", op="<", value=-1500.0),
        Clause(entity="param", key="x", op="IS NOT NULL"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name", "name =", "name = a", "name = 'a", "name = 1", "= 'a'", "name = 'a' name = 'b'", "name = 'a' AND",
        "AND name = 'a'", "name = 'a' OR name = 'b'", "(name = 'a')", "name = 'a';", "name = 'a' -- x", "foo = 'a'",
        "metrics.a > 1", "version_number > 1", "name > 'a'", "name IN 'a'", "name IN ()", "name IN ('a',)", "tags.a IN ('b')",
        "name IS NULL", "name = 'a\0'", "dataset.name = 'a'",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_told(text: str) -> None:
    """With the part that is none."""
    with pytest.raises(BadInput) as caught:
        parse_filter(text, NAMES)
    assert caught.value.where == "filter"


def test_orders() -> None:
    """A field, and which way."""
    fields = frozenset({"name", "creation_timestamp"})
    found = parse_order(["name", "creation_timestamp DESC", "`name` asc"], fields)
    assert [(one.key, one.descending) for one in found] == [
        ("name", False), ("creation_timestamp", True), ("name", False),
    ]  # fmt: skip
    for text in ("", "foo", "name DOWN", "name; DROP TABLE assets"):
        with pytest.raises(BadInput):
            parse_order([text], fields)

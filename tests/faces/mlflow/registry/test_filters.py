"""Filters over experiments, logged models and the registry: what MLflow's own parser reads, ours reads as the same conditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.assets.registry.search import NAME_ORDERS, NAMES, VERSIONS
from gimbal.axis.runs.candidates.search import MODELS
from gimbal.axis.runs.experiments.search import EXPERIMENT_ORDERS, EXPERIMENTS
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause, parse, parse_order

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
    assert [(one.entity, one.key, one.op, _listed(one.value)) for one in parse(text, NAMES)] == theirs


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@given(st.text(st.sampled_from("name='tags.`ab\"%;()AND OR\0\\1,<>!ISNULL "), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but BadInput comes out of it."""
    for spec in (NAMES, VERSIONS, MODELS, EXPERIMENTS):
        try:
            parse(text, spec)
        except BadInput as problem:
            assert problem.message  # noqa: PT017 - either way is right


def test_numbers_and_lists() -> None:
    """Of fields that are numbers, and of those that lists are for."""
    assert parse("version_number >= 3 AND run_id NOT IN ('a','b')", VERSIONS) == [
        Clause(key="version_number", op=">=", value=3),
        Clause(key="run_id", op="NOT IN", value=("a", "b")),
    ]
    for text in (
        "version_number = 1.5",
        "version_number = 1e3",
        "version_number = 99999999999999999",
        "run_id IS NULL",
    ):
        with pytest.raises(BadInput):
            parse(text, VERSIONS)
    assert parse("metrics.`a b` < -1.5e3 AND params.x IS NOT NULL", MODELS) == [
        Clause(entity="metric", key="a b", op="<", value=-1500.0),
        Clause(entity="parameter", key="x", op="IS NOT NULL"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name", "name =", "name = a", "name = 'a", "name = 1", "= 'a'", "name = 'a' name = 'b'", "name = 'a' AND",
        "AND name = 'a'", "name = 'a' OR name = 'b'", "(name = 'a')", "name = 'a';", "name = 'a' -- x", "foo = 'a'",
        "metrics.a > 1", "version_number > 1", "name > 'a'", "name IN 'a'", "name IN ()", "tags.a IN ('b')",
        "name IS NULL", "name = 'a\0'", "dataset.name = 'a'",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_told(text: str) -> None:
    """With the part that is none."""
    with pytest.raises(BadInput) as caught:
        parse(text, NAMES)
    assert caught.value.where == "filter"


def test_orders() -> None:
    """A field, and which way; each once, and only those that can be sorted by."""
    found = parse_order(["name", "attributes.creation_timestamp DESC", "`last_updated_timestamp` asc"], NAME_ORDERS)
    assert [(one.key, one.ascending) for one in found] == [
        ("name", True), ("creation_timestamp", False), ("last_updated_timestamp", True),
    ]  # fmt: skip
    for text in ("", "foo", "name DOWN", "name; DROP TABLE assets", "tags.a", "run_id"):
        for spec in (NAME_ORDERS, EXPERIMENT_ORDERS):
            with pytest.raises(BadInput):
                parse_order([text], spec)
    with pytest.raises(BadInput):
        parse_order(["name", "`name` asc"], NAME_ORDERS)

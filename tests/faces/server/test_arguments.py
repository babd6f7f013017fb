"""What comes from the outside is read strictly: nothing unknown, nothing twice, nothing of a wrong kind, each named."""

import msgspec
import pytest
from tests.faces.server.asking import told

from gimbal.faces.server import arguments
from gimbal.faces.server.exchange import Exchange
from gimbal.kernel.errors import BadInput, UnknownField
from gimbal.kernel.http import BodyRoom
from gimbal.kernel.operations import find
from gimbal.kernel.refs import AtVersion, Ref

RUNS = "/api/v1/projects/default/runs"


def test_an_unknown_query_parameter_is_named_with_the_nearest_known(client):
    error = told(client.get(RUNS, params={"experimnt": "a"}), 400, "unknown_field")

    assert error["where"] == "query.experimnt"
    assert "'experiment'" in error["todo"]


def test_an_unknown_query_parameter_like_none_gets_the_list(client):
    error = told(client.get(RUNS, params={"zzz": ""}), 400, "unknown_field")

    assert error["todo"] == "It takes: cursor, experiment, limit, status."


def test_an_unknown_body_field_is_named_with_the_nearest_known(client):
    error = told(client.post(RUNS, json={"nmae": "x"}), 400, "unknown_field")

    assert error["where"] == "nmae"
    assert "'name'" in error["todo"]


def test_an_unknown_field_deep_in_the_body_is_placed(client):
    body = {"slug": "x", "targets": [{"ref": "model:a@v1"}, {"ref": "model:a@v1", "wieght": 2}]}
    error = told(client.put("/api/v1/projects/default/endpoints", json=body), 400, "unknown_field")

    assert error["where"] == "targets[1].wieght"
    assert "'weight'" in error["todo"]


def test_a_parameter_given_twice_is_refused(client):
    error = told(client.get(f"{RUNS}?limit=5&limit=6"), 400, "bad_input")

    assert error["where"] == "query.limit"
    assert "2 times" in error["message"]


def test_a_list_parameter_may_be_given_twice():
    op = find("datasets.create")
    given = arguments.from_http(op, {"project": "p"}, {"name": ["n"], "inputs": ["a", "b"]}, b"")

    assert given["inputs"] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "where", "words"),
    [
        (f"{RUNS}?limit=many", "query.limit", "int"),
        (f"{RUNS}?limit=0", "limit", "0 items"),
        (f"{RUNS}?limit=1.5", "query.limit", "int"),
        ("/api/v1/projects/default/traces?since=yesterday", "query.since", "RFC3339"),
        ("/api/v1/projects/default/assets?newest=maybe", "query.newest", "bool"),
        ("/api/v1/projects/default/assets/nokind", "ref", "kind"),
        ("/api/v1/projects/default/assets/model:Upper", "name", "not a name"),
        (f"{RUNS}?cursor=forged", "cursor", "not made by this list"),
    ],
)
def test_a_value_of_a_wrong_kind_says_where(client, path, where, words):
    error = told(client.get(path), 400, "bad_input")

    assert error["where"] == where
    assert words in error["message"]


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        ({"name": 5}, "name", "Expected `str`"),
        ({"params": [1]}, "params", "Expected `object`"),
        ([], "body", "Expected `object`"),
        ("x", "body", "Expected `object`"),
        (None, "body", "Expected `object`"),
    ],
)
def test_a_body_of_a_wrong_kind_says_where(client, body, where, words):
    error = told(client.post(RUNS, content=msgspec.json.encode(body)), 400, "bad_input")

    assert error["where"] == where
    assert words in error["message"]


def test_a_missing_parameter_is_named():
    with pytest.raises(BadInput) as problem:
        arguments.from_http(find("evaluations.compare"), {"project": "p", "id": "x"}, {}, b"")

    assert problem.value.where == "query.to"
    assert "'to'" in problem.value.message


def test_a_query_that_is_not_utf8_is_refused(client):
    """It is never read with replacement characters in it."""
    assert told(client.get(f"{RUNS}?experiment=%FF"), 400, "bad_input")["where"] == "query"


def test_a_query_in_plain_utf8_means_the_same_as_encoded():
    """Some clients and HTTP servers let it through as it is."""

    def query(text: bytes) -> dict[str, list[str]]:
        scope = {"method": "GET", "path": "/", "headers": [], "query_string": text}
        return Exchange(scope, receive=None, room=BodyRoom(0)).query()

    assert query("experiment=Schiff+ahoi+Ö".encode()) == {"experiment": ["Schiff ahoi Ö"]}
    assert query(b"experiment=Schiff%20ahoi%20%C3%96") == {"experiment": ["Schiff ahoi Ö"]}


def test_a_thousand_parameters_are_the_most(client):
    assert "too many" in told(client.get(f"{RUNS}?" + "&".join(["a=1"] * 1001)), 400, "bad_input")["message"]


def test_one_object_holds_all_arguments_of_a_tool():
    op = find("endpoints.set")
    given = arguments.from_object(op, {"project": "p", "slug": "s", "targets": [{"ref": "model:a@v1"}]})

    assert given["project"] == "p"
    assert given["body"].slug == "s"
    assert given["body"].targets[0].ref == "model:a@v1"


def test_a_reference_in_an_object_is_read_as_one():
    given = arguments.from_object(find("assets.show"), {"project": "p", "ref": "model:a@v3"})

    assert given["ref"] == Ref("model", "a", AtVersion(3))


@pytest.mark.parametrize(
    ("values", "kind", "where"),
    [
        ({"project": "p", "limit": "x"}, BadInput, "limit"),
        ({"project": "p", "limt": 5}, UnknownField, "limt"),
        ({}, BadInput, "project"),
        ({"project": "p", "limit": [[[]]]}, BadInput, "limit"),
    ],
)
def test_a_tool_is_as_strict_as_http(values, kind, where):
    with pytest.raises(kind) as problem:
        arguments.from_object(find("runs.list"), values)

    assert problem.value.where == where
    if kind is UnknownField:
        assert "'limit'" in problem.value.todo

"""Routes are found on the raw path: a `%2F` is part of a value, a clash is a mistake, and what is not there is told."""

import pytest

from gimbal.faces.server.router import Router
from gimbal.kernel.errors import BadInput, MethodNotAllowed, NotFound


@pytest.fixture
def router() -> Router[str]:
    found: Router[str] = Router()
    found.add("GET", "/assets/{ref}", "show")
    found.add("DELETE", "/assets/{ref}", "remove")
    found.add("GET", "/assets/{ref}/aliases/{alias}", "alias")
    found.add("GET", "/assets/newest", "newest")
    found.add("POST", "/assets/newest/mark", "mark")
    found.add("GET", "/files/{version}/{name*}", "file")
    found.add("GET", "/", "root")
    return found


def test_a_literal_wins_over_a_value_and_a_value_takes_the_rest(router):
    assert router.match("GET", b"/assets/newest") == ("newest", {})
    assert router.match("GET", b"/assets/other") == ("show", {"ref": "other"})
    assert router.match("GET", b"/assets/newest/aliases/x") == ("alias", {"ref": "newest", "alias": "x"})
    assert router.match("DELETE", b"/assets/newest") == ("remove", {"ref": "newest"})
    assert router.match("GET", b"/") == ("root", {})


def test_an_encoded_slash_is_part_of_the_value(router):
    target, values = router.match("GET", b"/assets/model:flights%2Fdelay%40v7/aliases/a%20b")

    assert target == "alias"
    assert values == {"ref": "model:flights/delay@v7", "alias": "a b"}
    with pytest.raises(NotFound):
        router.match("GET", b"/assets/model:flights/delay")


def test_the_rest_of_the_path_may_have_slashes(router):
    assert router.match("GET", b"/files/1/a/b%2Fc.js") == ("file", {"version": "1", "name": "a/b/c.js"})


def test_dots_are_values_like_others(router):
    """Nothing is resolved: `..` never becomes another route, and what reads files must look for itself."""
    assert router.match("GET", b"/assets/..") == ("show", {"ref": ".."})
    assert router.match("GET", b"/files/1/%2e%2e/%2e%2e/etc") == ("file", {"version": "1", "name": "../../etc"})
    with pytest.raises(NotFound):
        router.match("GET", b"/elsewhere/../assets/x")


@pytest.mark.parametrize("path", [b"/assets/%FF", b"/assets/%C3%28", "/assets/é".encode(), b"/assets/\xe9"])
def test_a_path_that_is_not_utf8_is_told(router, path):
    with pytest.raises(BadInput, match="UTF-8"):
        router.match("GET", path)


def test_a_truncated_escape_stands_for_itself(router):
    assert router.match("GET", b"/assets/100%") == ("show", {"ref": "100%"})


def test_an_empty_segment_is_no_value(router):
    with pytest.raises(NotFound, match="nothing at"):
        router.match("GET", b"/assets//aliases/x")


def test_head_is_answered_by_get_and_allowed_methods_are_listed(router):
    assert router.match("HEAD", b"/assets/x") == ("show", {"ref": "x"})
    with pytest.raises(MethodNotAllowed) as told:
        router.match("PATCH", b"/assets/newest")
    assert told.value.where == "DELETE, GET, HEAD"
    with pytest.raises(MethodNotAllowed) as told:
        router.match("GET", b"/assets/newest/mark")
    assert told.value.where == "POST"


def test_what_is_not_there_points_to_the_reference(router):
    with pytest.raises(NotFound) as told:
        router.match("GET", b"/nowhere")
    assert "/docs/api" in told.value.todo


def test_two_routes_for_one_request_are_a_mistake(router):
    with pytest.raises(ValueError, match="two routes"):
        router.add("GET", "/assets/{other}", "clash")
    with pytest.raises(ValueError, match="two routes"):
        router.add("GET", "/files/{version}/{rest*}", "clash")

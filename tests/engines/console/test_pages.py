"""Declaring pages, and the URLs and forms that handlers work with."""

import pytest

from gimbal.engines.console import pages
from gimbal.engines.console.console import navigation
from gimbal.engines.console.pages import Form, PageRequest, PageRow, View, page, parse_form
from gimbal.kernel.context import Permission, Principal, Role
from gimbal.kernel.errors import BadInput

VIEWER = Principal(kind="key", id="k", name="k", roles={"default": Role.VIEWER})


def request(**fields):
    return PageRequest(project="default", **{"principal": VIEWER, **fields})


def row(path, nav, order, allow=Permission.VIEW):
    async def handler(ctx, request):
        return View("x.html")

    return PageRow(path=path, title=path, nav=nav, order=order, icon="dot", allow=allow, handler=handler)


def test_href_fills_places_and_encodes_slashes_of_references():
    here = request()
    url = here.href("/assets/{ref}", ref="model:flights/delay@v1", tab="lineage", empty=None)
    assert url == "/p/default/assets/model:flights%2Fdelay@v1?tab=lineage"
    assert here.href("/") == "/p/default"


def test_url_changes_the_query_and_starts_again_at_the_first_page():
    here = request(current="/p/default/runs", query={"q": "a b", "cursor": "xyz", "sort": "-auc"})
    assert here.url(sort=None) == "/p/default/runs?q=a%20b"
    assert here.url(cursor="next") == "/p/default/runs?q=a%20b&cursor=next&sort=-auc"


def test_url_escapes_what_could_break_out_of_an_attribute():
    here = request(current="/p/default/runs", query={"q": '"><script>'})
    assert '"' not in here.url()
    assert "<" not in here.url()


def test_number_refuses_what_is_no_number():
    assert request(query={"page": "3"}).number("page", 1) == 3
    assert request().number("page", 1) == 1
    with pytest.raises(BadInput, match="not a whole number"):
        request(query={"page": "three"}).number("page", 1)


def test_form_gives_first_values_all_values_and_what_must_be_filled():
    form = parse_form(b"name=a+b&tag=x&tag=y&empty=+")
    assert form["name"] == "a b"
    assert form["tag"] == "x"
    assert form.many("tag") == ["x", "y"]
    with pytest.raises(BadInput, match="empty"):
        form.need("empty")


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"a=%ff", b"&".join(b"a=1" for _ in range(1001))])
def test_form_that_cannot_be_read_is_bad_input(body):
    with pytest.raises(BadInput):
        parse_form(body)


def test_sidebar_groups_pages_by_order_and_marks_the_nearest():
    rows = [
        row("/", "Home", 0),
        row("/runs", "Runs", 20),
        row("/gates", "Gates", 50),
        row("/settings", "Settings", 92, Permission.ADMIN),
        row("/runs/{id}", None, 20),
    ]
    groups = navigation(rows, request(current="/p/default/runs/123"))
    assert [(name, [item.label for item in items]) for name, items in groups] == [
        ("", ["Home"]),
        ("Develop", ["Runs"]),
        ("Release", ["Gates"]),
    ]
    assert [item.label for _, items in groups for item in items if item.current] == ["Runs"]


def test_two_handlers_on_one_path_are_refused_at_import():
    async def first(ctx, request): ...

    async def second(ctx, request): ...

    try:
        page("/test-claimed", title="First")(first)
        page("/test-claimed", title="First")(first)
        with pytest.raises(RuntimeError, match="both claim"):
            page("/test-claimed", title="Second")(second)
    finally:
        pages._pages.pop("/test-claimed", None)


def test_form_is_a_plain_dict_for_handlers():
    assert Form([("a", "1"), ("a", "2"), ("b", "3")]) == {"a": "1", "b": "3"}

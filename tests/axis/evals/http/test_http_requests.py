"""Files of HTTP services, and the requests that examples become by them."""

import pytest

from gimbal.axis.evals.http.files import read_service
from gimbal.axis.evals.http.filling import body_of, filled, target_of
from gimbal.axis.evals.http.model import HttpManifest, check_manifest, decode_manifest
from gimbal.axis.evals.http.paths import NOTHING, found_at, steps_of
from gimbal.kernel.errors import BadInput

URL = 'url = "https://help.example.com/answer"\n'


def test_a_file_becomes_a_manifest() -> None:
    text = f'name = "help/answer"\n{URL}price = 0.002\n[body]\nq = "{{{{question}}}}"\n[answer]\ntext = "$.answer"\n'
    name, manifest = read_service(text)

    assert (name, manifest.body, manifest.answer.text) == ("help/answer", {"q": "{{question}}"}, "$.answer")
    assert str(manifest.price) == "0.002"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "required field `url`"),
        ('url = "ftp://x/y"', 1, "not one of HTTP"),
        ('url = "https:///y"', 1, "not one of HTTP"),
        ('url = "https://h:99999/y"', 1, "address is none"),
        ('url = "https://me:word@h/y"', 1, "credentials"),
        ('url = "https://{{host}}/y"', 1, "place in its host"),
        ('url = "https://h/y#z"', 1, "fragment"),
        ('url = "https://h/a b"', 1, "percent-encoded"),
        ('url = "https://h/\\u00e9"', 1, "percent-encoded"),
        ('url = "https://h/\\r\\nx"', 1, "percent-encoded"),
        (f'{URL}method = "TRACE"', 2, "TRACE"),
        (f'{URL}method = "GET"\nbody = "x"', 3, "GET has no body"),
        (f'{URL}media_type = "text/plain"', 2, "There is no body"),
        (f'{URL}media_type = "text/plain"\nbody = 5', 3, "is a text"),
        (f'{URL}media_type = "a/b\\r\\nx: y"', 2, "no media type"),
        (f"{URL}price = -1", 2, "amount from 0"),
        (f"{URL}price = nan", 2, "amount from 0"),
        (f"{URL}timeout_s = 0", 2, "> 0"),
        (f'{URL}[headers]\nx-a = "b\\r\\nx-c: d"', 3, "line break"),
        (f'{URL}[headers]\n"x a" = "b"', 2, "no header"),
        (f'{URL}[headers]\nHost = "b"', 3, "set by Gimbal itself"),
        (f'{URL}[headers]\nx-a = "b"\nX-A = "c"', 4, "stands twice"),
        (f'{URL}[headers]\nauthorization = "Bearer abc"', 3, "credential"),
        (f'{URL}[secrets]\nauthorization = "Bearer abc"', 3, "no variable"),
        (f'{URL}[answer]\ntext = "$.a..b"', 3, "no path"),
        (f'{URL}[answer]\ntext = "$.a[?(@.b)]"', 3, "no path"),
        (f"{URL}colour = 1", 2, "unknown field"),
        (f"{URL}[body", 2, "not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_service(text, "s.toml")

    assert says in str(caught.value)
    assert caught.value.where in {f"s.toml:{line}", "s.toml:1"}  # the line, or the file where a line has no name


def test_a_manifest_is_the_same_after_it_was_stored() -> None:
    _, manifest = read_service(f"{URL}price = 0.5\n[secrets]\nx-key = '$A $B_2'\n")
    stored = {"url": manifest.url, "price": "0.5", "secrets": {"x-key": "$A $B_2"}}

    assert decode_manifest(stored) == manifest
    with pytest.raises(BadInput, match="not an HTTP service's"):
        decode_manifest({"url": 5})


def test_places_keep_the_type_of_a_value_where_they_stand_alone() -> None:
    given = {"n": 3, "ok": True, "rows": [1, "a"], "none": None, "a": {"b": "deep"}, "a.c": "dotted", "t": "{{n}}"}
    template = {
        "n": "{{n}}",
        "in": ["{{ ok }}", "{{rows}}", "{{none}}"],
        "text": "{{n}} of {{rows}}, {{a.b}}",
        "t": "{{t}} {{a.c}}",
        "{{n}}": 1,
        "loose": "{{ }} {n} {{}}",
    }

    assert filled(template, given) == {
        "n": 3,
        "in": [True, [1, "a"], None],
        "text": '3 of [1,"a"], deep',
        "t": "{{n}} dotted",
        "{{n}}": 1,
        "loose": "{{ }} {n} {{}}",
    }


def test_a_body_is_of_its_type() -> None:
    given = {"q": 'say "hi" & go', "k": 2}

    assert body_of(None, "application/json", given) == b'{"q":"say \\"hi\\" & go","k":2}'
    assert body_of({"q": "{{q}}"}, "application/problem+json", given) == b'{"q":"say \\"hi\\" & go"}'
    assert body_of("q={{q}}&k={{k}}", "application/x-www-form-urlencoded", given) == b"q=say+%22hi%22+%26+go&k=2"
    assert body_of("{{q}}\n{{k}}", "text/plain", given) == b'say "hi" & go\n2'


def test_a_value_stays_within_its_part_of_an_address() -> None:
    assert target_of("/a/{{q}}?x={{q}}", {"q": "../b?c#d&e é"}) == (
        "/a/..%2Fb%3Fc%23d%26e%20%C3%A9?x=..%2Fb%3Fc%23d%26e%20%C3%A9"
    )
    for dots in (".", ".."):
        with pytest.raises(BadInput, match="no value for a place"):
            target_of("/a/{{q}}", {"q": dots})


@pytest.mark.parametrize("name", ["missing", "a.missing", "a.b.c", "rows.0"])
def test_a_place_without_a_value_is_told_by_its_name(name: str) -> None:
    with pytest.raises(BadInput, match=rf"no value for {{{{{name}}}}}"):
        filled({"x": f"{{{{{name}}}}}"}, {"a": {"b": "text"}, "rows": [1]})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", {"a": [{"b": 1}, {"c": 2}, {"b": None}], "x.y": "z", "e": {}}),
        ("$.a[0].b", 1),
        ("a[0].b", 1),
        ("$.a[-1].b", None),
        ("$.a[*].b", [1, None]),
        ("$['x.y']", "z"),
        ('$["x.y"]', "z"),
        ("$.e", {}),
        ("$.a[9]", NOTHING),
        ("$.a[-4]", NOTHING),
        ("$.a.b", NOTHING),
        ("$.nobody", NOTHING),
        ("$.e[*]", NOTHING),
        ("$.e[0]", NOTHING),
    ],
)
def test_a_path_finds_what_stands_there_and_nothing_else(path: str, found: object) -> None:
    value = {"a": [{"b": 1}, {"c": 2}, {"b": None}], "x.y": "z", "e": {}}

    assert found_at(value, steps_of(path)) == found


def test_a_body_that_is_too_deep_is_refused() -> None:
    deep: object = "{{q}}"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(BadInput, match="too deeply"):
        check_manifest(HttpManifest(url="https://h/x", body=deep))

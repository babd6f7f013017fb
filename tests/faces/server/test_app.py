"""The door: what is not there, what goes wrong inside, and how every error looks on every face."""

import gzip
import json
import logging
import re

import httpx
import pytest
from tests.faces.server.asking import told

from gimbal.faces.server.app import plain_error
from gimbal.faces.server.downloads import disposition
from gimbal.kernel import errors

RUNS = "/api/v1/projects/default/runs"


def test_an_unknown_path_is_not_found_with_a_hint(client):
    error = told(client.get("/api/v1/nowhere"), 404, "not_found")

    assert "/api/v1/nowhere" in error["message"]
    assert "/docs/api" in error["todo"]


def test_an_unknown_path_is_a_page_for_a_browser(client):
    reply = client.get("/no<where>", headers={"accept": "text/html"})

    assert reply.status_code == 404
    assert reply.headers["content-type"].startswith("text/html")
    assert "no&lt;where&gt;" in reply.text
    assert "<where>" not in reply.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", RUNS, "GET, HEAD, POST"),
        ("PATCH", "/api/v1/projects", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", RUNS, "GET, HEAD, POST"),
        ("PROPFIND", RUNS, "GET, HEAD, POST"),
        ("GET", "/sign-out", "POST"),
    ],
)
def test_a_wrong_method_is_told_with_those_that_are_allowed(client, method, path, allow):
    reply = client.request(method, path)

    error = told(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == allow
    assert error["todo"] == f"Use {allow.replace(', ', ' or ')}."
    page = client.request(method, path, headers={"accept": "text/html"})
    assert (page.status_code, page.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path",
    [
        "/static/v/..%2f..%2fapp.py",
        "/static/v/%2e%2e/%2e%2e/app.py",
        "/static/v/..%5c..%5capp.py",
        "/static/../../etc/passwd",
        f"{RUNS}/x/artifacts/..%2f..%2fcatalog.sqlite",
        "/api/v1/projects/..%2fdefault",
        "/api/v1/projects/default%00",
    ],
)
def test_a_path_that_climbs_finds_nothing(client, path):
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    reply = client.send(request)

    assert reply.status_code in {400, 404}
    assert b"SQLite format" not in reply.content
    assert "error" in reply.json()


def test_a_project_that_is_not_there_is_told_before_anything_else(client):
    error = told(client.post("/api/v1/projects/nobody/runs", content=b"not json"), 404, "not_found")

    assert "'nobody'" in error["message"]


def test_what_nobody_foresaw_gets_an_id_and_tells_nothing(client, caplog):
    """The answer carries an id; the log has the id and everything else."""
    with caplog.at_level(logging.ERROR):
        reply = client.get("/test/broken")

    error = told(reply, 500, "internal")
    assert "hunter2" not in reply.text
    assert "RuntimeError" not in reply.text
    assert re.fullmatch(r"[0-9a-f-]{36}", error["where"])
    record = next(r for r in caplog.records if error["where"] in r.getMessage())
    assert "hunter2" in str(record.exc_info[1])


def test_a_stream_that_breaks_is_not_taken_for_whole(client, caplog):
    """The status is out already, so the connection ends without the last chunk."""
    with caplog.at_level(logging.ERROR), pytest.raises(httpx.RemoteProtocolError):
        client.get("/test/torn")

    assert any("incident" in record.getMessage() for record in caplog.records)


def test_a_stream_that_fails_before_its_first_chunk_has_its_own_status(client):
    assert told(client.get("/test/refusing"), 500, "error")["message"] == "Not even one byte."


def test_a_header_with_a_line_break_is_never_sent(client):
    reply = client.get("/test/injecting")

    told(reply, 500, "internal")
    assert "set-cookie" not in reply.headers


ALL = sorted(errors.error_kinds().items())


@pytest.mark.parametrize(("code", "kind"), ALL, ids=[code for code, _ in ALL])
def test_every_error_has_one_form(code, kind):
    """Code, message, where, kept and to-do, with the status of its class; what is empty is left out."""
    reply = plain_error(kind("It broke.", where="here", kept="half", todo="Try again."), None)
    error = json.loads(reply.body)["error"]

    assert reply.status == kind.status
    assert 400 <= kind.status < 600
    assert error == {"code": code, "message": "It broke.", "where": "here", "kept": "half", "todo": "Try again."}
    assert json.loads(plain_error(kind("It broke."), None).body) == {"error": {"code": code, "message": "It broke."}}


def test_when_to_come_again_is_in_the_header():
    assert plain_error(errors.Busy("Full.", retry_after=2.6), None).headers == {"retry-after": "3"}
    assert plain_error(errors.Busy("Full.", retry_after=0.01), None).headers == {"retry-after": "1"}
    assert plain_error(errors.NotAuthenticated("Who?"), None).headers == {"www-authenticate": "Bearer"}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("", "attachment"),
        ("a b.csv", 'attachment; filename="a b.csv"'),
        ('say "hi".txt', "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("Größe €.txt", "attachment; filename=\"Gr__e _.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%82%AC.txt"),
        ("a\r\nset-cookie: x=y", 'attachment; filename="a__set-cookie: x=y"'),
        ("../../etc/passwd", 'attachment; filename=".._.._etc_passwd"'),
        ("a\\b", 'attachment; filename="a_b"'),
        ("\ud800.txt", 'attachment; filename="_.txt"'),
    ],
)
def test_a_file_name_is_written_as_browsers_read_it(name, header):
    """RFC 6266 and 8187; nothing in a name can end the header or the quotes."""
    assert disposition(name) == header


@pytest.mark.parametrize("name", ["plain.txt", "Größe €.txt", 'a"b.txt', "line\nbreak.txt"])
def test_an_artifact_of_any_name_comes_back(client, name):
    run = client.post(RUNS, json={"name": "names"}).json()["id"]
    path = httpx.URL(f"{client.base_url}{RUNS}/{run}/artifacts/").copy_with(
        raw_path=f"{RUNS}/{run}/artifacts/{''.join(f'%{b:02X}' for b in name.encode())}".encode()
    )
    put = client.put(path, content=b"content", headers={"content-type": "text/html"})
    if name.isprintable():
        put.raise_for_status()
        got = client.get(path)
        assert got.content == b"content"
        assert got.headers["content-disposition"] == disposition(name)
        assert got.headers["content-security-policy"] == "sandbox"
        assert got.headers["x-content-type-options"] == "nosniff"
    else:
        assert put.status_code == 400


def test_pages_load_only_what_we_serve(client):
    """Content-Security-Policy, no sniffing, no framing: on pages, errors and API answers alike."""
    for path, accept in (("/p/default", "text/html"), ("/nowhere", "text/html"), (RUNS, "*/*"), ("/docs/api", "*/*")):
        headers = client.get(path, headers={"accept": accept}).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'"
        assert policy["object-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"


async def test_an_operation_that_takes_too_long_is_given_up(small):
    """What it says names the setting."""
    async with small.client(request_timeout_s=1e-9) as client:
        error = told(await client.get("/api/v1/projects"), 504, "deadline_exceeded")

    assert "projects.list" in error["message"]
    assert "server.request_timeout_s" in error["todo"]


def test_a_packed_request_is_an_ordinary_one(client):
    sent = gzip.compress(json.dumps({"name": "packed", "experiment": "e"}).encode())
    reply = client.post(RUNS, content=sent, headers={"content-encoding": "gzip", "content-type": "application/json"})

    assert reply.status_code == 200
    assert reply.json()["experiment"] == "e"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/p/default", "/nowhere"])
def test_whoever_asks_for_the_head_alone_gets_it(client, path):
    """On a real socket, as load balancers and link checkers ask; the connection serves on."""
    head, whole = client.head(path), client.get(path)
    assert head.status_code == whole.status_code
    assert head.content == b""
    assert client.get("/healthz").status_code == 200

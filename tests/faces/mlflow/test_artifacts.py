"""Files by MLflow's face: its own client puts, lists and gets them; what it would never send is refused in its words."""

import gzip
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from bench.bar import Running, gimbal_up
from tests.faces.mlflow.conftest import SCRIPTS
from tests.mlflow_clients import MlflowClient

PROXY = "/api/2.0/mlflow-artifacts"


@pytest.fixture
def asked(up: Running) -> Iterator[httpx.Client]:
    """Ask with paths as they are: httpx would clean them."""
    with httpx.Client(base_url=up.url, timeout=30) as made:
        yield made


@pytest.fixture
def run(asked: httpx.Client) -> str:
    """Begin a run; return the root of its files in the proxy."""
    found = asked.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).raise_for_status().json()["run"]
    return found["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")


def sent(up: Running, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request as it is written, hang up when that has a body, and return status and body of the answer."""
    parts = urlsplit(up.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if body:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return (int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]) if answer else (0, b"")


def test_files_go_as_with_mlflows_own_server(each_client: MlflowClient, up: Running) -> None:
    """One by one, by folder, odd names, lists, downloads, deletes."""
    assert each_client.run(SCRIPTS / "artifacts.py", up.url, str(uuid4())).endswith("ok\n")


def test_a_large_file_goes_in_parts(each_client: MlflowClient, up: Running) -> None:
    """Parts and ranges by the client's own threads, with small ones so that it takes a moment only."""
    told = {
        "BIG_MB": "40",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(6 << 20),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(6 << 20),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(7 << 20),
    }
    assert each_client.run(SCRIPTS / "artifacts.py", up.url, str(uuid4()), **told).endswith("ok\n")


UNSAFE = (
    "..%2fb", "%2e%2e/b", "a/%2e%2e/b", "a/%252e%252e/b", "a/%25252e%25252e/b", "..%5cb", "a%5c..%5cb", "%2fetc/passwd",
    "%252fetc/passwd", "C:%5cwindows", "c:/windows", "a%00b", "a%2500b", "a%23b", "a%2523b", "a//b", "./a", "a/./b", "a%0ab",
    "file:///etc/passwd", "x" * 1001,
)  # fmt: skip


def places(run: str) -> dict[str, str]:
    """Return where the files of a run are: by MLflow's calls, and by ours."""
    own = UUID(run.split("/")[1])
    return {"mlflow": f"{PROXY}/artifacts/{run}", "native": f"/api/v1/projects/default/runs/{own}/artifacts"}


# A `#` leads nowhere: it is MLflow alone that refuses it.
@pytest.mark.parametrize("path", [path for path in UNSAFE if not path.endswith("23b")])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_no_path_leads_out_of_a_run_by_our_own_calls(up: Running, run: str, method: str, path: str) -> None:
    """The same as by MLflow's, in our words; our paths are one segment, its slashes encoded."""
    host, one = f"Host: {urlsplit(up.url).netloc}", path.replace("/", "%2F")
    head = f"{method} {places(run)['native']}/{one} HTTP/1.1\n{host}\nContent-Length: 0\nConnection: close"
    status, body = sent(up, head)

    assert (status, b"bad_input" in body) == (400, True), (status, body)


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_no_path_leads_out_of_a_run(up: Running, run: str, method: str, path: str) -> None:
    """Whatever its encoding: 400 in MLflow's words, as its own server says."""
    head = f"{method} {PROXY}/artifacts/{run}/{path} HTTP/1.1\nHost: {urlsplit(up.url).netloc}\nContent-Length: 0\nConnection: close"
    status, body = sent(up, head)

    assert (status, b"INVALID_PARAMETER_VALUE" in body, b"Invalid path" in body) == (400, True, True), (status, body)


@pytest.mark.parametrize("path", UNSAFE)
def test_no_list_leads_out_of_a_run(asked: httpx.Client, run: str, path: str) -> None:
    """The same for paths in a query."""
    for url in (f"{PROXY}/artifacts?path={run}/{path}", f"/get-artifact?run_id={run.split('/')[1]}&path={path}"):
        answer = asked.get(url)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), url


@pytest.mark.parametrize("caller", ["mlflow", "native"])
def test_a_part_of_a_file_is_had_by_range(asked: httpx.Client, run: str, caller: str) -> None:
    """206 with the bytes, 416 behind the end, 304 for who has it, the whole for what is no range."""
    content, url = bytes(range(256)) * 100, f"{places(run)[caller]}/a.bin"
    asked.put(url, content=content).raise_for_status()

    whole = asked.get(url)
    part = asked.get(url, headers={"range": "bytes=100-299"})
    last = asked.get(url, headers={"range": "bytes=-10"})
    behind = asked.get(url, headers={"range": f"bytes={len(content)}-"})
    several = asked.get(url, headers={"range": "bytes=0-1,4-5"})
    tag = whole.headers["etag"]
    same = asked.get(url, headers={"if-none-match": tag})
    other = asked.get(url, headers={"range": "bytes=0-9", "if-range": '"other"'})
    head = asked.head(url)

    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["content-disposition"] == 'attachment; filename="a.bin"'
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206, content[100:300], f"bytes 100-299/{len(content)}",
    )  # fmt: skip
    assert (last.status_code, last.content) == (206, content[-10:])
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert (several.status_code, several.content) == (200, content)
    assert (same.status_code, same.content) == (304, b"")
    assert (other.status_code, other.content) == (200, content)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(content)), b"")


@pytest.mark.parametrize("caller", ["mlflow", "native"])
def test_what_does_not_come_whole_leaves_nothing(up: Running, asked: httpx.Client, run: str, caller: str) -> None:
    """A body shorter than announced, and one that hangs up in a chunk."""
    host, base = f"Host: {urlsplit(up.url).netloc}", places(run)[caller]
    sent(up, f"PUT {base}/short.bin HTTP/1.1\n{host}\nContent-Length: 9000000", b"x" * 5_000_000)
    sent(up, f"PUT {base}/cut.bin HTTP/1.1\n{host}\nTransfer-Encoding: chunked", b"4\r\nwhol\r\n")

    for name in ("short.bin", "cut.bin"):
        assert asked.get(f"{base}/{name}").status_code == 404


def test_parts_that_are_wrong_keep_nothing(asked: httpx.Client, run: str) -> None:
    """A missing part, a part of another size, one that is none, another digest, another file; the right ones then do."""
    begun = asked.post(f"{PROXY}/mpu/create/{run}/in", json={"path": "/home/me/big.bin", "num_parts": 3}).json()
    upload, urls = begun["upload_id"], [one["url"] for one in begun["credentials"]]

    def complete(parts: list[dict[str, object]], folder: str = "in") -> httpx.Response:
        body = {"path": "big.bin", "upload_id": upload, "parts": parts}
        return asked.post(f"{PROXY}/mpu/complete/{run}/{folder}", json=body)

    tags = [asked.put(url, content=bytes([at]) * size).headers["etag"] for at, (url, size) in
            enumerate(zip(urls[::-1], (7, 10, 10), strict=True))][::-1]  # fmt: skip
    named = [{"part_number": at, "etag": tag} for at, tag in enumerate(tags, start=1)]
    other_size = asked.put(urls[0], content=b"x" * 11)
    no_part = asked.put(urls[0].removesuffix("/1") + "/9", content=b"x" * 10)
    wrong = complete([*named[:2], {"part_number": 3, "etag": "0" * 64}])
    few = complete(named[:2])
    none = complete([])
    elsewhere = complete(named, "out")
    missing = asked.get(f"{PROXY}/artifacts/{run}/in/big.bin")
    done = complete(named)
    again = complete(named)

    for answer in (other_size, no_part, wrong, few, none, elsewhere):
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert missing.status_code == 404
    assert done.status_code == 200, done.text
    assert asked.get(f"{PROXY}/artifacts/{run}/in/big.bin").content == b"\2" * 10 + b"\1" * 10 + b"\0" * 7
    assert again.status_code == 404
    for bad in ({"path": "x", "num_parts": 0}, {"path": "x", "num_parts": 10_001}, {"path": "x/..", "num_parts": 1}):
        assert asked.post(f"{PROXY}/mpu/create/{run}", json=bad).status_code == 400
    gone = asked.post(f"{PROXY}/mpu/abort/{run}", json={"path": "x", "upload_id": "none"})
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_files_of_others_are_not_there(asked: httpx.Client, run: str) -> None:
    """A run of another project, of no project, in another experiment; a workspace that is not that of the request."""
    asked.post("/api/v1/projects", json={"slug": "art-other"})
    url = f"{PROXY}/artifacts/{run}/a.txt"
    asked.put(url, content=b"a").raise_for_status()
    other = {"x-mlflow-workspace": "art-other"}
    experiment, run_id, _ = run.split("/")

    assert asked.get(url, headers=other).status_code == 404
    assert asked.put(url, content=b"b", headers=other).status_code == 404
    assert asked.get(f"{PROXY}/artifacts/{experiment}/{uuid4().hex}/artifacts/a.txt").status_code == 404
    assert asked.get(f"{PROXY}/artifacts/123456/{run_id}/artifacts/a.txt").status_code == 404
    assert asked.get(f"{PROXY}/artifacts/workspaces/art-other/{run}/a.txt").status_code == 400
    assert asked.get(f"{PROXY}/artifacts/workspaces/default/{run}/a.txt").content == b"a"
    # A file that belongs to no run is one of its project.
    asked.put(f"{PROXY}/artifacts/some/where.txt", content=b"free").raise_for_status()
    assert asked.get(f"{PROXY}/artifacts/some/where.txt").content == b"free"
    assert asked.get(f"{PROXY}/artifacts/some/where.txt", headers=other).status_code == 404


def test_a_file_is_no_folder(asked: httpx.Client, run: str) -> None:
    """One name is not both."""
    asked.put(f"{PROXY}/artifacts/{run}/a/b.txt", content=b"b").raise_for_status()

    for name in ("a", "a/b.txt/c"):
        answer = asked.put(f"{PROXY}/artifacts/{run}/{name}", content=b"x")
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_urls_of_an_object_store_are_refused_by_name(asked: httpx.Client, run: str) -> None:
    """Files go through Gimbal: there is no other place to which a client could be sent."""
    for way in ("upload", "download"):
        answer = asked.post(f"/api/2.0/mlflow/artifacts/presigned-{way}-url", json={"run_id": "x", "path": "y"})
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert "presigned" in answer.json()["message"]


def test_pages_of_mlflow_send_and_get_small_files(asked: httpx.Client, run: str) -> None:
    """By run and path in the query."""
    query = {"run_uuid": run.split("/")[1], "path": "notes/a.txt"}
    put = asked.post("/ajax-api/2.0/mlflow/upload-artifact", params=query, content=b"note")
    large = asked.post("/ajax-api/2.0/mlflow/upload-artifact", params=query, content=b"x" * (10 << 20) + b"x")

    assert (put.status_code, put.content) == (200, b"{}")
    assert (large.status_code, large.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert asked.get("/get-artifact", params=query).content == b"note"


def test_a_packed_body_that_grows_without_end_is_refused() -> None:
    """It stops at the limit: nothing is kept, the disk is as it was, and the memory of the server too."""
    limits = {"GIMBAL_SERVER_MAX_UPLOAD_BYTES": str(8 << 20), "GIMBAL_SERVER_MAX_BODY_BYTES": str(4 << 20)}
    with gimbal_up(**limits) as small, httpx.Client(base_url=small.url, timeout=30) as asked:
        root = asked.post("/api/2.0/mlflow/runs/create", json={}).json()["run"]["info"]["artifact_uri"]
        url = f"{PROXY}/artifacts/{root.removeprefix('mlflow-artifacts:/')}/bomb"
        bomb = gzip.compress(b"\0" * (64 << 20))
        packed = asked.put(url, content=bomb, headers={"content-encoding": "gzip"})
        plain = asked.put(url, content=b"x" * (9 << 20))
        fits = asked.put(url + ".gz", content=gzip.compress(b"fits"), headers={"content-encoding": "gzip"})
        broken = asked.put(url, content=gzip.compress(b"y" * 9000)[:-9], headers={"content-encoding": "gzip"})

        assert (packed.status_code, packed.json()["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
        assert (plain.status_code, plain.json()["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
        assert (broken.status_code, broken.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert asked.get(url).status_code == 404
        assert (fits.status_code, asked.get(url + ".gz").content) == (200, b"fits")

"""`gimbal eval run --target route:… | http:… | endpoint:…`: suites are put through more than prompts."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bench.bar import Running
from tests.faces.cli.conftest import Cli

import gimbal
from gimbal.axis.evals.model import Example
from gimbal.kernel.ids import new_id


class Asked(BaseHTTPRequestHandler):
    """A service that answers with the question's number, in its own words."""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))["q"]
        body = json.dumps({"reply": {"text": f"The number is {question.split()[-1]}."}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_route_and_a_service_are_evaluated_and_compared(cli: Cli, up: Running, tmp_path: Path, address: str) -> None:
    name = f"t{new_id()[-8:]}"
    with gimbal.Client(up.url) as client:
        rows = [
            Example(id=f"q{i}", input={"question": f"Which number? {i}"}, expected={"answer": f"The number is {i}."})
            for i in range(40)
        ]
        client.suites.create(name=name, examples=rows, scorers=["exact_match"], task=f"http:{name}")
    route, service = tmp_path / "route.toml", tmp_path / "service.toml"
    route.write_text(f'name = "{name}"\ntargets = ["local/extractive"]\n')
    service.write_text(
        f'name = "{name}"\nurl = "{address}/ask"\nprice = 0\n[body]\nq = "{{{{question}}}}"\n[answer]\ntext = "$.reply.text"\n'
    )
    published = [cli("routes", "publish", str(route)), cli("http-services", "publish", str(service))]
    listed = cli("http-services", "list")
    compared = cli("eval", "run", f"suite:{name}", "--against", f"route:{name}")
    missing = cli("eval", "run", f"suite:{name}", "--target", "endpoint:nobody")
    unknown = cli("eval", "run", f"suite:{name}", "--target", "planet:mars")

    assert [done.code for done in published] == [0, 0], published[1].err
    assert f"http:{name}@v1" in published[1].out
    assert name in listed.out
    assert compared.code == 0, compared.err + compared.out
    assert f"http:{name}@v1 is better than route:{name}@v1." in compared.out
    assert [missing.code, unknown.code] == [3, 3]
    assert "There is no endpoint 'nobody'" in missing.err
    assert all(kind in unknown.err for kind in ("endpoint", "http", "model", "prompt", "route"))

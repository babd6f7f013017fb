"""Redaction proved where it counts: real doors, then every byte that a server has left on its disk.

A project with a policy and one without are sent the same, each with a word of its own in all that is personal. A backup
holds the rows of all tables as they are, uncompressed, so that looking for the word in it means something: the one word is
found, the other is nowhere.
"""

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from bench.bar import answers, free_port
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.axis.traces import wire

KEYS = "k1:" + base64.b64encode(bytes(range(48))).decode()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


class Word(NamedTuple):
    """What is personal in what a project is sent."""

    name: str
    digits: str

    @property
    def email(self) -> str:
        return f"{self.name}@lovelace-mail.example"

    @property
    def card(self) -> str:
        """A Visa number of the word's digits that passes Luhn."""
        body = f"4929{self.digits}"
        total = sum(
            d if place % 2 else (2 * d if d < 5 else 2 * d - 9) for place, d in enumerate(map(int, reversed(body)))
        )
        return body + str(-total % 10)

    @property
    def key(self) -> str:
        return f"sk-proj-{self.name.capitalize()}Xy7Zw9Qa3Lm5"

    def needles(self) -> list[bytes]:
        """Return the word in any case, the card's digits, and both as base64 has them at each of three places."""
        plain = [self.name.encode(), self.name.capitalize().encode(), self.card.encode(), self.digits.encode()]
        encoded: list[bytes] = []
        for one in (self.email.encode(), self.card.encode()):
            for shift in range(3):
                whole = base64.b64encode(b"\0" * shift + one)
                encoded.append(whole[4 if shift else 0 : -4])
        return [*plain, *encoded]


HIDDEN, SHOWN = Word("zqcanary", "71830592846"), Word("zqcontrol", "60284917355")


def everywhere(word: Word) -> dict[str, Any]:
    """Return attributes with the word in every shape, by the names of every dialect."""
    messages = [{"role": "user", "content": f"I am {word.email}, card {word.card}.\nKey: {word.key}"}]
    long = f"{'Nothing to see. ' * 6000}{word.email} {'and more ' * 100}"
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": word.email}]}]
        ),
        "gen_ai.system_instructions": messages,
        "llm.input_messages.0.message.content": f"mail {word.email}",
        "input.value": json.dumps({"messages": messages, "number": int(word.card)}),
        "langfuse.observation.input": json.dumps({"deep": json.dumps({"er": word.email})}),
        "traceloop.entity.input": json.dumps({"kwargs": {word.email: True}}),
        "ai.prompt": json.dumps({"prompt": f"to {word.email}"}, ensure_ascii=True).replace("@", "\\u0040"),
        "mlflow.spanInputs": json.dumps({"q": word.email}),
        "retrieval.documents.0.document.content": f"{word.email} wrote",
        "user.id": word.name,
        "session.id": f"session-{word.name}",
        "metadata": json.dumps({"userId": word.name}),
        "number": int(word.card),
        "real": float(word.card),
        "bytes": f"from {word.email}".encode(),
        "list": ["a", word.email, [word.card]],
        word.email: "a name of a field",
        "long": long,
        "cut": json.dumps({"text": long})[:-3],
        "document": f"data:text/plain;base64,{base64.b64encode(long.encode()).decode()}",
        "image": {"caption": f"of {word.email}", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        "wide": word.email.replace("@", "\uff20"),
    }


def spans(word: Word) -> ExportTraceServiceRequest:
    trace = wire.trace_id()
    error = {
        "exception.type": "E",
        "exception.message": f"no {word.email}",
        "exception.stacktrace": f"at x\n {word.email}",
    }
    whole = wire.span(trace, 1, name=f"chat {word.email}", attributes=everywhere(word))
    whole.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=f"refused {word.email}"))
    whole.events.append(Span.Event(name="exception", time_unix_nano=1, attributes=wire.pairs(error)))
    whole.events.append(Span.Event(name=f"about {word.email}", time_unix_nano=2))
    whole.links.append(
        Span.Link(trace_id=bytes(15) + b"1", span_id=bytes(7) + b"1", attributes=wire.pairs({"x": word.email}))
    )
    told = wire.span(trace, 2, 1, attributes={})
    result = {
        "gen_ai.evaluation.name": "kind",
        "gen_ai.evaluation.score.label": "no",
        "gen_ai.evaluation.explanation": word.email,
    }
    told.events.append(Span.Event(name="gen_ai.evaluation.result", time_unix_nano=1, attributes=wire.pairs(result)))
    bad = wire.span(trace, 3, name=f"bad {word.email}", trace_id=b"short")
    cut = wire.span(trace, 4, name=f"{'x' * 92} {word.email}", trace_id=b"short")
    return wire.request(whole, told, bad, cut, resource={"service.name": "shop", "owner": word.email})


def logs(word: Word) -> ExportLogsServiceRequest:
    trace = bytes.fromhex(wire.trace_id())
    message = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": word.email}]), "user.id": word.name}
    judged = {
        "gen_ai.evaluation.name": "kind",
        "gen_ai.evaluation.score.label": "no",
        "gen_ai.evaluation.explanation": word.email,
    }
    request = ExportLogsServiceRequest()
    found = request.resource_logs.add()
    found.resource.attributes.extend(wire.pairs({"owner": word.email}))
    for name, said in (("gen_ai.client.inference.operation.details", message), ("gen_ai.evaluation.result", judged)):
        found.scope_logs.add().log_records.append(
            LogRecord(
                trace_id=trace,
                span_id=bytes(7) + b"1",
                time_unix_nano=1_770_000_000_000_000_000,
                event_name=name,
                attributes=wire.pairs(said),
                body=wire.value({"text": f"body {word.email}"}),
            )
        )
    found.scope_logs[0].log_records.append(LogRecord(event_name=f"app {word.email}"))
    return request


class Site(NamedTuple):
    url: str
    grpc: str
    log: Path


@contextlib.contextmanager
def up(folder: Path) -> Iterator[Site]:
    """Run Gimbal on a folder, saying all that it ever says."""
    port, grpc_port, log = free_port(), free_port(), folder / "said.log"
    environment = {
        "PATH": "/usr/bin:/bin",
        "GIMBAL_LOG_LEVEL": "debug",
        "GIMBAL_REDACTION_KEY_ENV": "KEYS",
        "KEYS": KEYS,
    }
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "up", "--data", str(folder / "data")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--grpc-port", str(grpc_port)],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        while not answers(f"http://127.0.0.1:{port}"):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield Site(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", log)
    finally:
        process.terminate()
        process.wait(30)


def send(site: Site, project: str, word: Word) -> str:
    """Send what has the word through every door; return all that was answered to what was wrong with it."""
    told: list[str] = []
    with httpx.Client(base_url=site.url, headers={"x-gimbal-project": project}, timeout=60) as client:

        def post(path: str, **given: Any) -> httpx.Response:
            answer = client.post(path, **given)
            if path.startswith(("/v1/traces", "/v1/logs")) or answer.is_error:
                told.append(answer.text)
            return answer

        assert post(
            "/v1/traces", content=spans(word).SerializeToString(), headers={"content-type": wire.PROTOBUF}
        ).is_success
        assert post("/v1/traces", json=wire.as_json(spans(word))).is_success
        assert post(
            "/v1/logs", content=logs(word).SerializeToString(), headers={"content-type": wire.PROTOBUF}
        ).is_success
        assert (
            post(
                "/v1/traces", content=f'{{"resourceSpans": ["{word.email}"]}}', headers={"content-type": wire.JSON}
            ).status_code
            == 400
        )
        wrong = {"name": word.email, "startTimeUnixNano": word.email, "traceId": "01" * 16, "spanId": "01" * 8}
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [wrong]}]}]}
        assert post("/v1/traces", json=body).status_code in {200, 400}
        asked = {
            "model": "local/extractive",
            "messages": [{"role": "user", "content": f"Who is {word.email}? {word.key}"}],
        }
        for more in ({}, {"stream": True}, {"user": word.email, "response_format": {"type": word.email}}):
            post("/v1/chat/completions", json=asked | more)
        score = {
            "target_kind": "session", "target_id": f"session-{word.name}", "name": "kind", "label": word.email,
            "explanation": f"says {word.email}", "metadata": {"who": word.email},
        }  # fmt: skip
        assert client.post(f"/api/v1/projects/{project}/scores", json={"scores": [score]}).is_success
        note = {"name": "kind", "annotator_kind": "HUMAN", "trace_id": "01" * 16, "result": {"explanation": word.email}}
        assert client.post("/v1/trace_annotations", json={"data": [note]}).is_success
    with grpc.insecure_channel(site.grpc) as channel:
        call = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            request_serializer=ExportTraceServiceRequest.SerializeToString,
        )
        told.append(str(call(spans(word), metadata=(("x-gimbal-project", project),), timeout=30)))
    return "\n".join(told)


def found(folder: Path, word: Word) -> dict[str, bytes]:
    """Return the files that hold the word, and what of it."""
    hits: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for needle in word.needles():
                if needle in content:
                    hits[str(path.relative_to(folder))] = content[max(0, content.index(needle) - 80) :][:160]
    return hits


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path, dict[str, str]]]:
    """Give a server with a policy for one of two projects that were sent the same, and what was answered."""
    folder = tmp_path_factory.mktemp("redaction")
    with up(folder) as site, httpx.Client(base_url=f"{site.url}/api/v1", timeout=60) as client:
        for project in ("hidden", "shown"):
            assert client.post("/projects", json={"slug": project}).is_success
        policy = {
            "detectors": ["contact", "payment", "national_id", "secret"],
            "actions": {"email": "token", "card": "hash"},
            "users": "hash",
            "sessions": "hash",
        }
        assert client.put("/projects/hidden/redaction", json=policy).json()["detectors"]
        told = {project: send(site, project, word) for project, word in (("hidden", HIDDEN), ("shown", SHOWN))}
        assert client.post("/backups", json={"target": str(folder / "backup")}).is_success
        yield site, folder, told


def test_what_the_policy_takes_out_is_on_no_byte_of_the_disk(sent: tuple[Site, Path, dict[str, str]]) -> None:
    """Neither catalog and its log, nor columns, blobs, backup, or what the server said at its most talkative."""
    _, folder, _ = sent

    assert found(folder, HIDDEN) == {}
    control = found(folder, SHOWN)
    assert any(name.endswith("spans.native") for name in control)
    assert any(name.endswith("span_events.native") for name in control)
    assert any(name.endswith("scores.native") for name in control)
    assert any("blobs" in name for name in control)


def test_it_is_in_no_answer_and_no_metric(sent: tuple[Site, Path, dict[str, str]]) -> None:
    """What names a rejected span or says what is wrong with a request does so without values."""
    site, _, told = sent
    metrics = httpx.get(f"{site.url}/metrics").text

    assert not [one for one in HIDDEN.needles() if one.decode() in told["hidden"] + metrics]
    assert SHOWN.name in told["shown"]
    for kind in ("email", "card", "secret", "user", "session"):
        assert f'gimbal_redactions_total{{detector="{kind}"}}' in metrics


def test_what_is_stored_is_still_whole(sent: tuple[Site, Path, dict[str, str]]) -> None:
    """The same spans are there with the same shape; users and sessions are told apart; the image is as it was."""
    site, _, _ = sent
    traces: dict[str, Any] = {}
    with httpx.Client(base_url=f"{site.url}/api/v1", timeout=60) as client:
        for project in ("hidden", "shown"):
            listed = client.get(f"/projects/{project}/traces", params={"limit": 100}).json()["items"]
            whole = [client.get(f"/projects/{project}/traces/{row['trace_id']}").json()["spans"] for row in listed]
            traces[project] = sorted(
                (span["dialect"], span["kind"], span.get("model", ""), len(span.get("events", [])))
                for spans in whole
                for span in spans
            )
            span = next(s for spans in whole for s in spans if "image" in s.get("attributes", {}))
            traces[f"{project} span"] = span
        assert traces["hidden"] == traces["shown"]
        hidden, shown = traces["hidden span"], traces["shown span"]
        assert hidden["attributes"]["image"]["data"] == shown["attributes"]["image"]["data"]
        assert json.loads(hidden["attributes"]["gen_ai.input.messages"])[0]["content"].startswith("I am [email:tok_k1_")
        assert set(hidden["attributes"]["gimbal.redaction"]) >= {"email", "card", "secret", "user", "session"}
        assert hidden["user_id"].startswith("[user:id_k1_")
        same = client.get("/projects/hidden/traces", params={"user": hidden["user_id"]}).json()["items"]
        assert len(same) >= 3
        renormalised = client.post("/projects/hidden/traces/renormalise", json={"since": "2020-01-01T00:00:00Z"}).json()
        assert renormalised["changed"] == 0
        asked = {"reason": "a test", "trace_id": hidden["trace_id"], "span_id": hidden["span_id"]}
        values = client.post("/projects/hidden/redaction/reveal", json=asked).json()["values"]
        assert HIDDEN.email in values.values()

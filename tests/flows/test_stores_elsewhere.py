"""Outgrowing a laptop is three URLs: the same server over PostgreSQL, columns at an address, and S3."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pandas as pd
import pytest
import sqlalchemy as sa
import uvicorn
from bench.bar import answers, free_port, gimbal_up
from moto.server import ThreadedMotoServer
from sklearn.tree import DecisionTreeClassifier

import gimbal
from gimbal.axis.endpoints.model import Target
from gimbal.axis.evals.model import Example
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.dialect import ColumnsEndpoint
from gimbal.generative.prompts.model import PromptFile

_numbers = itertools.count(1)
TOKEN = "a-word-that-only-the-two-know"

PROMPT = """+++
model = "local/extractive"
+++

## user
[1] gate.md
A gate is the rule that lets an alias move.

Question: {{question}}
"""
# What a training job does; it knows the server's address and nothing of its stores.
JOB = """
import gimbal
with gimbal.run("elsewhere") as run:
    run.log(params={"depth": 3})
    run.log({"auc": 0.81}, step=1)
    run.artifact("notes.txt", "kept in the object store")
with gimbal.trace("question", user="ada") as span:
    span.set(output="An answer.")
print(run.id, span.trace_id)
"""


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it did not come up"


@contextlib.contextmanager
def columns_at_an_address(folder: Path) -> Iterator[str]:
    """Serve the session's columns in ClickHouse's HTTP dialect from a thread, as a machine of their own would."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        endpoint = ColumnsEndpoint(folder, TOKEN)
        server = uvicorn.Server(uvicorn.Config(endpoint, lifespan="off", log_config=None))
        server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await serving
        await endpoint.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://gimbal:{TOKEN}@127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(10)


@pytest.fixture
def bucket() -> Iterator[str]:
    """Give the address of an S3 that speaks the true wire, with an empty bucket."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    yield url
    server.stop()


@pytest.fixture
def elsewhere(
    postgres: sa.URL, postgres_admin: sa.Engine, columns: Columns, bucket: str
) -> Iterator[tuple[dict[str, str], sa.URL]]:
    """Give the variables that put every store elsewhere, and the address of the catalog."""
    name = f"elsewhere_{next(_numbers)}"
    with postgres_admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    s3(bucket).create_bucket(Bucket="gimbal")
    catalog = postgres.set(database=name)
    with columns_at_an_address(Path(columns.url.removeprefix("chdb://"))) as columns_url:
        yield (
            {
                "GIMBAL_CATALOG_URL": catalog.render_as_string(hide_password=False),
                "GIMBAL_COLUMNS_URL": columns_url,
                "GIMBAL_BLOBS_URL": "s3://gimbal/all",
                "GIMBAL_BLOBS_ENDPOINT": bucket,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
            },
            catalog.set(drivername="postgresql+psycopg"),
        )


def s3(bucket: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=bucket, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def test_the_same_server_over_stores_at_addresses(
    elsewhere: tuple[dict[str, str], sa.URL], columns: Columns, bucket: str, tmp_path: Path
) -> None:
    """A run, its artifact and a trace are in PostgreSQL, S3 and the columns; the data folder holds no store."""
    stores, catalog = elsewhere
    with gimbal_up(**stores) as up:
        done = subprocess.run(
            [sys.executable, "-c", JOB], cwd=tmp_path, env=os.environ | {"GIMBAL_URL": up.url},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        run_id, trace_id = done.stdout.split()
        with httpx.Client(base_url=f"{up.url}/api/v1/projects/default", timeout=30) as http:
            assert http.get(f"/runs/{run_id}").json()["metrics"] == {"auc": 0.81}
            assert http.get(f"/runs/{run_id}/artifacts/notes.txt").text == "kept in the object store"
            assert http.get(f"/traces/{trace_id}").json()["spans"][0]["user_id"] == "ada"
        assert httpx.get(f"{up.url}/p/default/runs/{run_id}", timeout=30).status_code == 200
        folder = next(Path(w) for w in up.process.args if str(w).endswith("/data"))  # type: ignore[union-attr]
        assert not {"catalog.sqlite", "columns", "blobs"} & {p.name for p in folder.iterdir()}

    with sa.create_engine(catalog).connect() as connection:
        assert connection.scalar(sa.text("SELECT status FROM runs WHERE id = :id"), {"id": run_id}) == "finished"
    assert s3(bucket).list_objects_v2(Bucket="gimbal", Prefix="all/")["KeyCount"] >= 1
    counted = asyncio.run(columns.query("SELECT count() AS n FROM spans WHERE trace_id = {t:String}", {"t": trace_id}))
    assert counted == [{"n": 1}]


@contextlib.contextmanager
def one_role(role: str, folder: Path, environment: dict[str, str], *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one process of an installation by itself, as on a machine of its own."""
    command = [sys.executable, "-m", "gimbal", "up", "--role", role, "--data", str(folder), *more]
    with (folder.parent / f"{role}.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_each_role_by_itself(elsewhere: tuple[dict[str, str], sa.URL], tmp_path: Path) -> None:
    """A server with a model process beside it, a worker and a gateway elsewhere: all do their work and stop well."""
    stores, _ = elsewhere
    here, there, port = tmp_path / "here" / "data", tmp_path / "there" / "data", free_port()
    for folder in (here, there):
        folder.parent.mkdir()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(one_role("server", here, stores, "--port", str(port), "--grpc-port", "0"))
        until(lambda: answers(url) or server.poll() is not None)
        assert server.poll() is None, (here.parent / "server.log").read_text()
        stack.enter_context(one_role("model", here, stores))
        stack.enter_context(one_role("worker", there, stores))
        doors = free_port()
        stack.enter_context(one_role("gateway", there, stores, "--port", str(doors)))
        with gimbal.Client(url) as client:
            file = PromptFile(path="a.md", text=PROMPT)
            prompt = client.prompts.sync(files=[file]).prompts[0].ref
            example = Example(id="1", input={"question": "What lets an alias move?"}, expected={"answer": "A gate"})
            client.suites.create(name="s", examples=[example], scorers=["token_f1"])
            run = gimbal.evaluate("suite:s", prompt, client=client, timeout=60)
            assert (run.status, run.done) == ("done", 1)

            rows = {"x": [0.0, 1.0, 2.0, 3.0]}
            fitted = DecisionTreeClassifier(random_state=0).fit(pd.DataFrame(rows), [0, 0, 1, 1])
            made = gimbal.log_model("tree", fitted, example=pd.DataFrame(rows), client=client)
            client.endpoints.set(slug="tree", targets=[Target(ref=f"model:tree@v{made.number}")])
            answer = gimbal.predict("tree", pd.DataFrame({"x": [0.5, 2.5]}), client=client)
            assert [str(p) for p in answer.predict] == ["0", "1"]

            until(lambda: answers(f"http://127.0.0.1:{doors}"))
            body = {
                "model": "local/extractive",
                "messages": [{"role": "user", "content": "[1] a.md\nA gate. Question: What?"}],
            }
            asked = httpx.post(
                f"http://127.0.0.1:{doors}/v1/chat/completions", json=body, timeout=30
            ).raise_for_status()
            trace = f"{url}/api/v1/projects/default/traces/{asked.headers['x-gimbal-trace-id']}"
            until(lambda: httpx.get(trace, timeout=30).is_success)


def test_a_role_alone_needs_stores_that_others_reach(tmp_path: Path) -> None:
    """Two processes over one embedded store would harm each other: it is refused, and nothing is made."""
    command = [sys.executable, "-m", "gimbal", "up", "--role", "worker", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "catalog.url, columns.url, blobs.url" in done.stderr
    assert not (tmp_path / "data").exists()

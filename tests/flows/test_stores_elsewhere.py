"""Outgrowing a laptop is three URLs: the same server over PostgreSQL, columns at an address, and S3."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from bench.bar import gimbal_up
from moto.server import ThreadedMotoServer

from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.dialect import ColumnsEndpoint

TOKEN = "a-word-that-only-the-two-know"

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


def test_the_same_server_over_stores_at_addresses(
    postgres: sa.URL, postgres_admin: sa.Engine, columns: Columns, bucket: str, tmp_path: Path
) -> None:
    """A run, its artifact and a trace are in PostgreSQL, S3 and the columns; the data folder holds no store."""
    with postgres_admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE elsewhere")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    client = boto3.client(
        "s3", endpoint_url=bucket, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    client.create_bucket(Bucket="gimbal")
    with columns_at_an_address(Path(columns.url.removeprefix("chdb://"))) as columns_url:
        stores = {
            "GIMBAL_CATALOG_URL": postgres.set(database="elsewhere").render_as_string(hide_password=False),
            "GIMBAL_COLUMNS_URL": columns_url,
            "GIMBAL_BLOBS_URL": "s3://gimbal/all",
            "GIMBAL_BLOBS_ENDPOINT": bucket,
        }
        with gimbal_up(**stores, **keys) as up:
            done = subprocess.run(
                [sys.executable, "-c", JOB], cwd=tmp_path, env=os.environ | {"GIMBAL_URL": up.url},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            run_id, trace_id = done.stdout.split()
            with httpx.Client(base_url=f"{up.url}/api/v1/projects/default", timeout=30) as http:
                assert http.get(f"/runs/{run_id}").json()["metrics"] == {"auc": 0.81}
                kept = http.get(f"/runs/{run_id}/artifacts/notes.txt")
                assert kept.text == "kept in the object store"
                assert http.get(f"/traces/{trace_id}").json()["spans"][0]["user_id"] == "ada"
            assert httpx.get(f"{up.url}/p/default/runs/{run_id}", timeout=30).status_code == 200
            folder = next(Path(w) for w in up.process.args if str(w).endswith("/data"))  # type: ignore[union-attr]
            assert not {"catalog.sqlite", "columns", "blobs"} & {p.name for p in folder.iterdir()}

    with sa.create_engine(postgres.set(drivername="postgresql+psycopg", database="elsewhere")).connect() as connection:
        assert connection.scalar(sa.text("SELECT status FROM runs WHERE id = :id"), {"id": run_id}) == "finished"
    listed = client.list_objects_v2(Bucket="gimbal", Prefix="all/")
    assert listed["KeyCount"] >= 1
    assert asyncio.run(
        columns.query("SELECT count() AS n FROM spans WHERE trace_id = {t:String}", {"t": trace_id})
    ) == [{"n": 1}]

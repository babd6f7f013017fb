"""Model processes crash, hang, refuse and are replaced; callers of the endpoint see as little of it as can be."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer
from tests.predictive.serving.conftest import House, classifier, flights

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.errors import BadInput, DeadlineExceeded, Forbidden, Unavailable, Unprocessable
from gimbal.predictive.flavors.sklearn import save
from gimbal.predictive.serving import wire
from gimbal.predictive.serving.evidence import labelled_scores
from gimbal.predictive.serving.host import ModelHost, run_folder
from gimbal.predictive.serving.pool import ModelPool

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


def line(top: float = 1.0) -> tuple[Any, pd.DataFrame]:
    """Return a line through 0 at 0 and nearly 1 at `top`, and its example."""
    rows = pd.DataFrame({"x0": [0.0, top]})
    return Ridge(alpha=1e-6).fit(rows, [0.0, 1.0]), rows


async def version_of(house: House, name: str = "flights/delay") -> Version:
    return await house.assets.resolve(house.context(), f"model:{name}@v1")


async def test_a_process_that_is_killed_in_flight_costs_no_answer(house: House) -> None:
    """The request that it had is asked again of the next process; the ones after are answered as ever."""
    assert (await house.infer("delay", flights(1))).status_code == 200
    version = await version_of(house)
    pid = await house.state(version, "ready")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that the request is surely in flight when the process dies
    asked = asyncio.create_task(house.infer("delay", flights(3)))
    await _taken(house, version)
    os.kill(pid, signal.SIGKILL)
    answer = await asked
    assert answer.status_code == 200
    assert len(set(answer.json()["parameters"]["prediction_ids"])) == 3
    assert await house.state(version, "ready", not_pid=pid) != pid
    assert (await house.infer("delay", flights(1))).status_code == 200


async def _taken(house: House, version: Version) -> None:
    """Wait until a connection of the pool is in use: none is idle any more."""
    async with asyncio.timeout(60):
        while house.pool.idle(version):  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)


class Peer:
    """What stands in for a process on a version's socket: it answers so many requests and dies of the next ones."""

    def __init__(self, pool_folder: Path, version: Version, answers: int) -> None:
        self.path = wire.socket_path(run_folder(pool_folder), version.digest)
        self.answers = answers
        self.died = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while (asked := await wire.read_request(reader)) is not None and self.answers:
            self.answers -= 1
            await wire.send_answer(writer, asked[0])
        self.died += asked is not None
        writer.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give a folder with a short name: the path of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="g-") as folder:
        yield Path(folder)


class TestDeaths:
    """A process that dies under a request, as the pool sees it."""

    async def test_a_request_that_each_process_dies_of_is_given_up(self, tmp_path: Path) -> None:
        """Twice is enough: it is not handed to process after process."""
        version, pool = _version({}, "b3:" + "0" * 64, 1), ModelPool(tmp_path)
        peer = Peer(tmp_path, version, answers=0)
        peer.path.parent.mkdir(parents=True)
        async with await asyncio.start_unix_server(peer, path=str(peer.path)):
            with pytest.raises(Unavailable, match="died 2 times of this request") as told:
                await pool.infer(version, pa.table({"x0": [1.0]}))
        assert peer.died == 2
        assert (told.value.retry_after, told.value.kept) == (1.0, "nothing")
        assert pool.idle(version) == 0

    async def test_connections_to_a_process_that_died_before_do_not_count(self, tmp_path: Path) -> None:
        """However many are idle when it dies, the next request is simply answered by the next process."""
        version, pool = _version({}, "b3:" + "0" * 64, 1), ModelPool(tmp_path)
        peer = Peer(tmp_path, version, answers=100)
        peer.path.parent.mkdir(parents=True)
        rows = pa.table({"x0": [1.0]})
        async with await asyncio.start_unix_server(peer, path=str(peer.path)):
            await asyncio.gather(*(pool.infer(version, rows) for _ in range(8)))
            assert pool.idle(version) == 4
            for writer in peer.writers:
                writer.close()
            assert (await pool.infer(version, rows)).equals(rows)
            assert pool.idle(version) == 1


async def test_no_answer_in_time_is_a_deadline(house: House) -> None:
    """A caller with a deadline gets it; once the process moves again it answers again."""
    await house.infer("minutes", pd.DataFrame({"hour": [1]}))
    version = await version_of(house, "flights/minutes")
    pid = await house.state(version, "ready")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s") as told:
            await house.pool.infer(version, pa.table({"hour": [1]}), timeout_s=0.2)
        assert told.value.kept == "nothing"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await house.infer("minutes", pd.DataFrame({"hour": [1]}))).status_code == 200


class TestRefused:
    """What cannot be loaded is set aside with the reason, and nobody else notices."""

    async def test_a_version_whose_types_are_not_allowed(self, house: House) -> None:
        """The endpoint says so at once each time, without another process for every call."""
        _, manifest = save(*line())
        bad = skops.io.dumps(FunctionTransformer(os.system))
        version = await house.add_file("bad/types", bad, msgspec.to_builtins(manifest))
        await house.endpoint("bad", "model:bad/types@v1")
        for _ in range(2):
            answer = await house.infer("bad", pd.DataFrame({"x0": [0.5]}))
            assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable")
            assert "types that are not allowed here: posix.system" in answer.json()["error"]
            assert "model:bad/types@v1 cannot be served" in answer.json()["error"]
        assert (await house.http.get("/v2/models/bad/ready")).status_code == 422
        assert (await house.http.get("/v2/models/bad")).status_code == 200
        state = house.pool.state(version)
        assert state is not None
        assert (state.state, state.restarts) == ("refused", 0)
        wanted = run_folder(house.data) / "wanted" / f"{wire.key(version.digest)}.json"
        assert not wanted.exists()  # the second call asked for no process
        assert (await house.infer("delay", flights(1))).status_code == 200

    async def test_a_version_that_fails_on_its_own_example(self, house: House) -> None:
        """A signature that is not the model's is found before anyone is served."""
        content, manifest = save(*line())
        plain = msgspec.to_builtins(manifest)
        plain["signature"]["inputs"].append({"name": "x1", "datatype": "FP64", "shape": [-1], "optional": True})
        plain["example"]["x1"] = [1.0, 2.0]
        version = await house.add_file("bad/example", content, plain)
        with pytest.raises(Unprocessable, match="fails on its own example: ValueError"):
            await house.pool.infer(version, pa.table({"x0": [1.0], "x1": [1.0]}))

    async def test_a_file_that_is_damaged(self, house: House) -> None:
        """Not a zip; the reason is in words."""
        _, manifest = save(*line())
        version = await house.add_file("bad/file", b"not a model", msgspec.to_builtins(manifest))
        with pytest.raises(Unprocessable, match="not a skops file that can be read"):
            await house.pool.infer(version, pa.table({"x0": [1.0]}))

    async def test_a_blob_that_no_longer_has_its_digest(self, house: House) -> None:
        """Damage in the store is not handed to a model process; it is waited for, for it can be restored."""
        content, manifest = save(*line(5.0))
        version = await house.add_file("bad/blob", content, msgspec.to_builtins(manifest))
        path = house.services.get(Blobs).local_path(version.files[0].digest)
        assert path is not None
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        waiting = asyncio.create_task(house.pool.infer(version, pa.table({"x0": [5.0]})))
        await house.state(version, "restarting")
        state = house.pool.state(version)
        assert state is not None
        assert "do not have their digest" in state.error
        path.write_bytes(content)
        assert (await waiting)["predict"].to_pylist() == pytest.approx([1.0], abs=0.1)

    async def test_pickled_files_are_never_given_to_a_process(self, house: House) -> None:
        """Quarantined by their name, with what to do instead."""
        _, manifest = save(*line())
        version = await house.add_file("bad/pickle", b"\x80\x04", msgspec.to_builtins(manifest), path="model.pkl")
        await house.endpoint("pickled", "model:bad/pickle@v1")
        answer = await house.infer("pickled", pd.DataFrame({"x0": [1.0]}))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "model.pkl" in answer.json()["error"]
        assert house.pool.state(version) is None
        with pytest.raises(Forbidden):
            house.pool.require_ready(version)


async def test_an_alias_moves_without_a_dropped_request(house: House) -> None:
    """Callers in a loop: each is answered, by the old version and then by the new one, never by the old one again."""
    rows = flights()
    first = await house.add("flights/moving", classifier(), rows)
    second = await house.add("flights/moving", classifier(flip=True), rows)
    await house.move("flights/moving", "production", first)
    await house.endpoint("moving", "model:flights/moving@production")
    assert (await house.infer("moving", rows.head(2))).json()["model_version"] == "1"
    answers: list[list[httpx.Response]] = [[], []]
    done = asyncio.Event()

    async def caller(found: list[httpx.Response]) -> None:
        while not done.is_set():
            found.append(await house.infer("moving", rows.head(2)))

    callers = [asyncio.create_task(caller(found)) for found in answers]
    await house.move("flights/moving", "production", second)
    await house.state(second, "ready")
    async with asyncio.timeout(60):
        while not all(len(found) > 3 and found[-1].json()["model_version"] == "2" for found in answers):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*callers)
    late = (rows["hour"].head(2) > 11).tolist()
    for found in answers:
        assert {answer.status_code for answer in found} == {200}
        numbers = [answer.json()["model_version"] for answer in found]
        assert numbers == sorted(numbers)
        assert {"1", "2"} >= set(numbers) >= {"2"}
        said = {(n, *a.json()["outputs"][0]["data"]) for n, a in zip(numbers, found, strict=True)}
        expected = {"1": ["true" if x else "false" for x in late], "2": ["false" if x else "true" for x in late]}
        assert said <= {(n, *data) for n, data in expected.items()}


async def test_scores_on_a_labelled_data_set(house: House) -> None:
    """Evidence for gates and baselines goes through the same process; rows without a label are left out."""
    rows = flights(60, seed=5).assign(late=lambda f: (f["hour"] > 11).astype(float))
    rows.loc[::10, "late"] = None
    await house.services.get(Datasets).snapshot(house.context(), "flights/judged", pa.Table.from_pandas(rows))
    scored = await labelled_scores(house.context(), await version_of(house), "dataset:flights/judged@v1")
    kept = rows[rows["late"].notna()]
    assert scored.labels.tolist() == (kept["late"] > 0.5).tolist()
    assert ((scored.probabilities > 0.5) == scored.labels).all()
    minutes = await version_of(house, "flights/minutes")
    with pytest.raises(BadInput, match="does not score two classes"):
        await labelled_scores(house.context(), minutes, "dataset:flights/judged@v1", "late")


@pytest.mark.asyncio(loop_scope="function")
async def test_a_host_leaves_nothing_behind(tmp_path: Path, blobs: Blobs) -> None:
    """It starts over what a killed one left, serves, and takes its processes with it."""
    content, manifest = save(*line())
    blob = await blobs.put(content)
    pool = ModelPool(tmp_path)
    version = _version(msgspec.to_builtins(manifest), blob.digest, len(content))
    folder = run_folder(tmp_path)
    folder.mkdir(parents=True)
    stale = wire.ProcessState(ref="model:a@v1", state="ready", pid=1)
    (folder / f"{wire.key(version.digest)}.state").write_bytes(msgspec.json.encode(stale))
    (folder / f"{wire.key(version.digest)}.sock").touch()
    stop = asyncio.Event()
    host = asyncio.create_task(ModelHost(tmp_path, blobs).run(stop))
    answer = await pool.infer(version, pa.table({"x0": [1.0]}), timeout_s=60)
    assert answer.num_rows == 1
    state = pool.state(version)
    assert state is not None
    assert state.state == "ready"
    assert state.pid is not None
    process = psutil.Process(state.pid)
    stop.set()
    await asyncio.wait_for(host, 60)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert list(folder.glob("*.sock")) == []
    with pytest.raises(DeadlineExceeded):
        await pool.infer(version, pa.table({"x0": [1.0]}), timeout_s=0.2)


def _version(manifest: dict[str, Any], digest: str, size: int) -> Version:
    return Version(
        id="v", project="default", kind="model", name="a", number=1, digest="b3:" + "a" * 64, manifest=manifest,
        files=[FileEntry(path="model.skops", digest=digest, size=size)], created_at=datetime.now(UTC), created_by="me",
    )  # fmt: skip


@pytest.mark.asyncio(loop_scope="function")
async def test_without_a_host_readiness_says_that_it_starts(tmp_path: Path) -> None:
    """Not ready is unavailable with a time to come back, and the wish is left for the host."""
    pool = ModelPool(tmp_path)
    version = _version({}, "b3:" + "0" * 64, 1)
    with pytest.raises(Unavailable, match="model:a@v1 is starting") as told:
        pool.require_ready(version)
    assert told.value.retry_after == 1.0
    assert (run_folder(tmp_path) / "wanted" / f"{wire.key(version.digest)}.json").exists()

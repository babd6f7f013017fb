"""A real installation, its disk and its backups: what was erased is in no file of them, whatever was killed meanwhile."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.bar import free_port
from tests.axis.retention.disk import files_with
from tests.axis.traces import wire

pytestmark = pytest.mark.alone

READY_S, DONE_S = 60.0, 240.0
LONG = 300_000


class Installation:
    """`gimbal up` in a process group of its own, so that all of it can be killed at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*GIMBAL, "up", "--data", str(self.folder), "--port", str(self.port), "--grpc-port", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            # Nothing else is put here while a user is erased: there is no upload to wait half a minute for.
            env={**os.environ, "GIMBAL_RETENTION_GRACE_S": "2"},
        )  # fmt: skip
        until(self.ready, READY_S, "it does not come up")

    def ready(self) -> bool:
        try:
            return self.client.get("/readyz", timeout=1).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        # Its children go a moment later.
        until(lambda: not self.ready(), 10, "it is still there")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.client.request(method, f"/api/v1/projects/default{path}", json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def chat(self, said: str, user: str, **attributes: str) -> str:
        trace = secrets.token_hex(16)
        given = {"user.id": user, "gen_ai.input.messages": said, **attributes}
        body = wire.request(wire.chat(trace, 1, attributes=given)).SerializeToString()
        self.client.post("/v1/traces", content=body, headers={"content-type": wire.PROTOBUF}).raise_for_status()
        return trace

    def erase(self, user: str) -> str:
        return self.call("POST", "/retention/erasures", {"user": user, "reason": "a request"})["id"]

    def proof(self, erasure: str) -> dict[str, Any]:
        """Return the certificate once the erasure is done."""
        until(lambda: self.call("GET", f"/retention/erasures/{erasure}")["status"] == "done", DONE_S, "it is not done")
        return self.call("GET", f"/retention/proofs/{self.call('GET', f'/retention/erasures/{erasure}')['proof_id']}")


GIMBAL = [sys.executable, "-m", "gimbal.faces.cli.main"]


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    found = Installation(tmp_path / "data")
    found.start()
    yield found
    found.stop()
    found.client.close()


def test_nothing_of_an_erased_user_is_in_any_file(installation: Installation, tmp_path: Path) -> None:
    """Columns with their inactive parts, catalog with its log and free pages, blobs, backups: all searched as bytes."""
    user, said, other = (f"c-{secrets.token_hex(16)}" for _ in range(3))
    data, kept = installation.folder, tmp_path / "backup"
    installation.chat(said, user, long=said + "x" * LONG)
    installation.chat(other, "bob", long=other + "y" * LONG)
    taken = installation.client.post("/api/v1/backups", json={"target": str(kept)})
    assert taken.is_success, taken.text
    # Controls: the search finds what is there, in the columns, the blobs and the backup.
    assert any("columns" in name for name in files_with(data, user))
    assert any("blobs" in name for name in files_with(data, said))
    assert {name.partition("/")[0] for name in files_with(kept, said)} == {"columns", "blobs"}

    before = files_with(data, other)
    proof = installation.proof(installation.erase(user))
    assert all(one["gone_at"] for one in proof["tables"] if one["rows_before"])
    assert files_with(data, user) == files_with(data, said) == []
    assert len(files_with(data, other)) >= len([name for name in before if "blobs" in name]) > 0
    check = installation.call("POST", f"/retention/proofs/{proof['id']}/verify")
    assert check["holds"], check

    # The backup has it still, and the proof says so; restored from there it is erased before anything serves it.
    assert any(str(kept) in note for note in proof["notes"])
    assert files_with(kept, said)
    assert_restored_without(kept, tmp_path / "before", other, user, said)

    # Scrubbed it has it no longer and is sound.
    scrubbed = installation.client.post("/api/v1/backups/scrub", json={"path": str(kept)})
    assert scrubbed.is_success, scrubbed.text
    done = scrubbed.json()["backups"][0]
    assert (done["rows"]["spans"], done["blobs"]) == (1, 1)
    assert files_with(kept, said) == files_with(kept, user) == []
    assert files_with(kept, other)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("backup")] == ["backup"]
    assert_restored_without(kept, tmp_path / "after", other, user, said)


def assert_restored_without(kept: Path, restored: Path, there: str, *gone: str) -> None:
    subprocess.run([*GIMBAL, "restore", str(kept), "--data", str(restored)], check=True, capture_output=True)
    assert files_with(restored, there)
    assert [files_with(restored, one) for one in gone] == [[]] * len(gone)


def test_killed_in_mid_erasure_it_goes_on(installation: Installation) -> None:
    user, said = (f"c-{secrets.token_hex(16)}" for _ in range(2))
    for _ in range(3):
        installation.chat(said, user, long=said + "x" * LONG)
    erasures = []
    for pause in (0.3, 0.9):
        erasures.append(installation.erase(user))
        time.sleep(pause)  # whatever moment of the erasure this is
        installation.kill()
        installation.start()
    for one in erasures:
        installation.proof(one)
    assert files_with(installation.folder, said) == []
    assert files_with(installation.folder, user) == []
    left = installation.client.get("/api/v1/projects/default/traces", params={"user": user}).json()
    assert left["items"] == []

"""Models are served from data folders whose paths leave no room for a socket's, by a short folder that nobody else may enter."""

import asyncio
import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import Ridge

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.errors import DeadlineExceeded, Unavailable
from gimbal.predictive.flavors.sklearn import save
from gimbal.predictive.serving.host import ModelHost, run_folder
from gimbal.predictive.serving.pool import ModelPool
from gimbal.predictive.serving.sockets import MOST, Sockets

_DIGEST = "b3:" + "a" * 64


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="g-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def deep(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data folder whose path alone is longer than that of a socket may be; temporary files are in `short`."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    data = short / ("d" * 60) / ("e" * 60)
    run_folder(data).mkdir(parents=True)
    assert len(str(data)) > MOST
    return data


def _privates(short: Path) -> list[Path]:
    return list(short.glob("gimbal-*"))


@pytest.mark.alone
class TestServing:
    """Pool, host and the model's own process."""

    async def test_models_are_served_from_a_very_long_data_folder(self, deep: Path, short: Path, blobs: Blobs) -> None:
        """Their answers come; the folder of the sockets is private, and it is gone at the end."""
        pool, version = ModelPool(deep), await _version(blobs)
        stop = asyncio.Event()
        host = asyncio.create_task(ModelHost(deep, blobs).run(stop))
        try:
            answer = await pool.infer(version, pa.table({"x0": [1.0]}))
            assert answer["predict"].to_pylist() == [pytest.approx(1.0, abs=1e-3)]
            (folder,) = _privates(short)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert [one.suffix for one in folder.iterdir()] == [".sock"]
        finally:
            stop.set()
            await asyncio.wait_for(host, 60)
        assert _privates(short) == []
        with pytest.raises(DeadlineExceeded):
            await pool.infer(version, pa.table({"x0": [1.0]}), timeout_s=0.2)

    async def test_without_any_folder_for_sockets_the_state_says_so(
        self, deep: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever looks at why a model does not start reads what to do."""
        monkeypatch.setattr(tempfile, "mkdtemp", _full)
        pool, version = ModelPool(deep), await _version(blobs)
        stop = asyncio.Event()
        host = asyncio.create_task(ModelHost(deep, blobs).run(stop))
        try:
            with pytest.raises(DeadlineExceeded):
                await pool.infer(version, pa.table({"x0": [1.0]}), timeout_s=2)
            state = pool.state(version)
            assert state is not None
            assert (state.state, "too long for sockets" in state.error) == ("restarting", True)
        finally:
            stop.set()
            await asyncio.wait_for(host, 60)


def _full(**_: Any) -> str:
    raise OSError(28, "No space left on device")


async def _version(blobs: Blobs) -> Version:
    rows = pd.DataFrame({"x0": [0.0, 1.0]})
    content, manifest = save(Ridge(alpha=1e-6).fit(rows, [0.0, 1.0]), rows)
    blob = await blobs.put(content)
    return Version(
        id="v", project="default", kind="model", name="a", number=1, digest=_DIGEST,
        manifest=msgspec.to_builtins(manifest), created_at=datetime.now(UTC), created_by="me",
        files=[FileEntry(path="model.skops", digest=blob.digest, size=len(content))],
    )  # fmt: skip


class TestPlaces:
    """Where a socket is."""

    def test_a_short_data_folder_keeps_its_own_sockets(self, short: Path) -> None:
        """No other folder is made, and there is nothing to look up."""
        run = run_folder(short)
        run.mkdir(parents=True)
        path = Sockets(run).make(_DIGEST)
        assert path.parent == run
        assert Sockets(run).find(_DIGEST) == path
        assert _privates(short) == []

    def test_the_path_is_measured_in_bytes(self, short: Path) -> None:
        """Names of other letters take more than one byte each."""
        room = MOST - len(str(run_folder(short / "x"))) - len("/.sock") - 20 + 1
        for name, near in (("x" * room, True), ("x" * (room + 1), False), ("é" * room, False)):
            run = run_folder(short / name)
            run.mkdir(parents=True)
            sockets = Sockets(run)
            path = sockets.make(_DIGEST)
            assert (path.parent == run) is near
            assert len(os.fsencode(path)) <= MOST
            sockets.remove()

    def test_a_pool_finds_nothing_before_there_is_a_host(self, deep: Path) -> None:
        assert Sockets(run_folder(deep)).find(_DIGEST) is None

    def test_pool_and_next_host_find_what_a_killed_host_made(
        self, deep: Path, short: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Wherever they have temporary files themselves. It is used again and emptied, not left beside a second one."""
        run = run_folder(deep)
        path = Sockets(run).make(_DIGEST)
        path.touch()
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        assert Sockets(run).find(_DIGEST) == path
        again = Sockets(run)
        again.empty()
        assert not path.exists()
        assert again.make(_DIGEST) == path
        assert len(_privates(short)) == 1

    def test_a_folder_that_was_swept_away_is_made_anew(self, deep: Path) -> None:
        """Temporary folders are cleaned by age."""
        sockets = Sockets(run_folder(deep))
        first = sockets.make(_DIGEST)
        first.parent.rmdir()
        assert sockets.find(_DIGEST) is None
        second = sockets.make(_DIGEST)
        assert second.parent.is_dir()
        assert sockets.find(_DIGEST) == second

    @pytest.mark.parametrize("how", ["open", "link", "other"])
    def test_a_folder_that_others_may_enter_is_not_trusted(self, deep: Path, short: Path, how: str) -> None:
        """Nothing is sent to a socket that somebody else could have put there, and nothing of theirs is removed."""
        run = run_folder(deep)
        sockets = Sockets(run)
        first = sockets.make(_DIGEST).parent
        if how == "open":
            first.chmod(0o770)
        elif how == "link":
            first.rmdir()
            (short / "theirs").mkdir(mode=0o700)
            first.symlink_to(short / "theirs")
        else:
            (short / "theirs").mkdir(mode=0o700)
            (run / "sockets").write_text(str(short / "theirs"))
        assert sockets.find(_DIGEST) is None
        second = sockets.make(_DIGEST)
        assert second.parent not in {first, short / "theirs"}
        sockets.remove()
        assert not second.parent.exists()
        assert first.exists()

    def test_a_long_folder_for_temporary_files_is_passed_over(
        self, deep: Path, short: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A user's own folder for running programs is taken before it, and /tmp after it."""
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        found = Sockets(run_folder(deep))
        path = found.make(_DIGEST)
        try:
            assert path.parent.parent == Path("/tmp")
        finally:
            found.remove()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
        assert found.make(_DIGEST).parent.parent == short

    def test_where_none_can_be_made_the_error_says_what_to_do(
        self, deep: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "mkdtemp", _full)
        with pytest.raises(Unavailable, match="too long for sockets") as told:
            Sockets(run_folder(deep)).make(_DIGEST)
        assert "TMPDIR" in told.value.todo

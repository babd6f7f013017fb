"""What is wrong at the start is named plainly, with what to do, and nothing is touched."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gimbal.faces.server import preflight
from gimbal.kernel.errors import ConfigurationError, CorruptSettings, DataFolderLocked, DiskFull, PortInUse
from gimbal.kernel.settings import MIB, ServerSettings, Settings, load_settings
from gimbal.kernel.settings_gateway import GatewaySettings


@pytest.fixture
def taken() -> int:
    """Give a port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings(folder: Path, **server: object) -> Settings:
    return Settings(data=str(folder), server=ServerSettings(**{"port": free(), "grpc_port": 0, **server}))


def test_a_new_folder_is_for_its_owner_only(tmp_path):
    folder = preflight.make_folder(settings(tmp_path / "a" / "data"))

    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(ConfigurationError, match="cannot be written") as problem:
        preflight.make_folder(settings(tmp_path / "data"))

    assert problem.value.where == str(tmp_path / "data")
    assert "--data" in problem.value.todo
    assert (tmp_path / "data").read_text() == "mine"


def test_a_locked_folder_names_who_holds_it(tmp_path):
    """Two of one process are two as well; when the first lets go, the next one may."""
    mine = settings(tmp_path / "data")
    with preflight.folder_lock(mine) as folder:
        with pytest.raises(DataFolderLocked, match=f"process {os.getpid()}") as problem, preflight.folder_lock(mine):
            pass
        assert problem.value.where == str(folder)
        assert problem.value.kept == "everything as it was"
        assert (folder / "lock").read_text() == str(os.getpid())
    with preflight.folder_lock(mine):
        pass


def test_a_lock_does_not_outlive_its_process(tmp_path):
    """However it ended: the file stays, the lock does not."""
    mine = settings(tmp_path / "data")
    code = (
        "import os, sys; from gimbal.faces.server import preflight; from gimbal.kernel.settings import Settings\n"
        "held = preflight.folder_lock(Settings(data=sys.argv[1])); held.__enter__(); os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "data")], check=False)
    assert ended.returncode == 9
    assert (tmp_path / "data" / "lock").read_text() != str(os.getpid())

    with preflight.folder_lock(mine):
        assert (tmp_path / "data" / "lock").read_text() == str(os.getpid())


def test_a_lock_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "data" / "lock").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="lock of the data folder") as problem:
        preflight.folder_lock(settings(tmp_path / "data")).__enter__()

    assert problem.value.where.endswith("data/lock")


def test_a_full_disk_is_named_with_what_is_free(tmp_path, monkeypatch):
    """More than this disk has is asked for."""
    monkeypatch.setattr(preflight, "LEAST_FREE", shutil.disk_usage(tmp_path).total + MIB)
    with pytest.raises(DiskFull, match="MB are free") as problem:
        preflight.check_disk(settings(tmp_path))

    assert problem.value.where == str(tmp_path)
    assert "Make room" in problem.value.todo


def test_enough_room_is_told_in_bytes(tmp_path):
    free_bytes = preflight.check_disk(settings(tmp_path))

    assert preflight.LEAST_FREE <= free_bytes <= shutil.disk_usage(tmp_path).total


def test_the_room_for_a_folder_that_is_not_there_is_that_of_its_nearest_parent(tmp_path):
    assert preflight.nearest(tmp_path / "not" / "there") == tmp_path
    assert preflight.check_disk(settings(tmp_path / "not" / "there")) >= preflight.LEAST_FREE


def test_a_port_in_use_is_named_with_its_flag(taken):
    with pytest.raises(PortInUse, match=f"127.0.0.1:{taken}") as problem:
        preflight.check_port("127.0.0.1", taken, "server.grpc_port")

    assert problem.value.where == "server.grpc_port"
    assert "--grpc-port" in problem.value.todo


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_named(host):
    with pytest.raises(ConfigurationError, match=host) as problem:
        preflight.check_port(host, free(), "server.port")

    assert "--host" in problem.value.todo


def test_everything_is_checked_before_anything_starts(tmp_path, taken):
    with pytest.raises(PortInUse) as problem:
        preflight.check(settings(tmp_path, port=taken))
    assert problem.value.where == "server.port"
    with pytest.raises(PortInUse) as problem:
        preflight.check(settings(tmp_path, grpc_port=taken))
    assert problem.value.where == "server.grpc_port"
    preflight.check(settings(tmp_path))


def test_whether_a_server_answers(served, tmp_path, taken):
    port = int(served.url.rpartition(":")[2])

    assert preflight.answers(settings(tmp_path, port=port), "/readyz")
    assert preflight.answers(settings(tmp_path, port=port, host="0.0.0.0"), "/readyz")
    assert not preflight.answers(settings(tmp_path, port=port), "/nowhere")
    assert not preflight.answers(settings(tmp_path, port=free()), "/readyz")
    assert not preflight.answers(settings(tmp_path, port=taken), "/readyz", timeout=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server\nport = 1", "line 1"),
        ("[server]\nport = 70000", "server.port"),
        ("[server]\nprot = 1", "server.prot"),
        ('log = "text"', "log"),
        ("\x00", "TOML"),
    ],
)
def test_a_corrupt_settings_file_is_named_with_the_place(tmp_path, text, words):
    path = tmp_path / "gimbal.toml"
    path.write_text(text)
    with pytest.raises(CorruptSettings) as problem:
        load_settings(path, environ={})

    assert words in str(problem.value)
    assert str(path) in str(problem.value)
    assert problem.value.todo


def test_gateway_processes_need_a_port_of_their_own(tmp_path, taken):
    """Not the server's, and not one that another program has."""
    plain = settings(tmp_path)
    same = msgspec.structs.replace(plain, gateway=GatewaySettings(processes=1, port=plain.server.port))
    with pytest.raises(ConfigurationError, match="cannot both listen"):
        preflight.check(same)
    with pytest.raises(PortInUse) as raised:
        preflight.check(msgspec.structs.replace(plain, gateway=GatewaySettings(processes=1, port=taken)))
    assert "gateway.port in gimbal.toml" in raised.value.todo
    preflight.check(msgspec.structs.replace(plain, gateway=GatewaySettings(processes=0, port=taken)))

"""Commands of this machine: settings, doctor, backup and restore."""

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from bench.bar import Running

import gimbal
from gimbal.kernel.settings import load_settings

from .conftest import Cli

pytestmark = pytest.mark.alone

GIMBAL = [sys.executable, "-m", "gimbal"]


def test_settings_say_value_source_and_meaning(alone: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, on 80 columns; what comes from a file or a variable says so; passwords are masked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gimbal.toml").write_text('[server]\nport = 9000\n[catalog]\nurl = "postgresql://u:opensesame@db/g"\n')
    monkeypatch.setenv("GIMBAL_LOG_LEVEL", "debug")
    monkeypatch.setenv("GIMBAL_SERVER_PROT", "1")

    done = alone("settings")

    assert done.code == 0
    assert "server.port = 9000   (from gimbal.toml)" in done.lines
    assert "log.level = debug   (from GIMBAL_LOG_LEVEL)" in done.lines
    assert "server.grpc_port = 4317" in done.lines
    assert "server.max_body_bytes = 67108864 (67.1 MB)" in done.lines
    assert "opensesame" not in done.out
    assert "GIMBAL_SERVER_PROT names no setting" in done.out
    for row in load_settings(environ={}).values():
        assert any(line.startswith(f"{row.path} = ") for line in done.lines)
        assert row.meaning.split()[0] in done.out
    assert max(map(len, done.lines)) <= 80
    values = {row["path"]: row["value"] for row in json.loads(alone("settings", "--json").out)}
    assert values["server.port"] == 9000


def test_a_settings_file_that_cannot_be_read_is_named(
    alone: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every command that reads it, with the place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gimbal.toml").write_text("[server\nport = 9000\n")
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads((tmp_path / "gimbal.toml").read_text())
    for words in (("settings",), ("doctor",), ("up",)):
        done = alone(*words)
        assert (done.code, done.out) == (1, "")
        assert "gimbal.toml" in done.err
        assert "[corrupt_settings]" in done.err


def test_the_doctor_finds_a_sound_machine(alone: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each thing, aligned, and a word at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIMBAL_SERVER_GRPC_PORT", "0")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = str(probe.getsockname()[1])
    monkeypatch.setenv("GIMBAL_SERVER_PORT", free)

    done = alone("doctor")

    assert (done.code, done.lines[-1]) == (0, "all well")
    assert {line[:4] for line in done.lines[:-1]} == {"ok  "}
    for part in ("python", "chdb", "sqlite", "data folder", "disk", "port", "clock", "catalog", "columns", "blobs"):
        assert any(line[6:25].strip() == part for line in done.lines), part
    assert " GB free" in done.out


def test_the_doctor_says_how_to_mend(alone: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken, a folder that is a file: each with what to do, and exit code 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIMBAL_SERVER_GRPC_PORT", "0")
    (tmp_path / "data").write_text("a file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GIMBAL_SERVER_PORT", str(taken.getsockname()[1]))
        done = alone("doctor", "--data", str(tmp_path / "data"))

    failed = [line[6:25].strip() for line in done.lines if line.startswith("FAIL")]
    assert done.code == 1
    assert "port" in failed
    assert "data folder" in failed
    assert done.out.count("to do: ") == len(failed)
    assert done.lines[-1] == f"{len(failed)} to mend"


def test_a_backup_is_restored_into_a_new_folder(
    cli: Cli, up: Running, client: gimbal.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken while the server runs, by a path relative to here; refused where something is already."""
    monkeypatch.chdir(tmp_path)
    run = client.runs.create(name="to be kept")
    client.runs.artifact_put(run.id, "a.txt", b"kept")

    taken = cli("backup", "copy")
    assert taken.code == 0, taken.err
    assert f"target  {tmp_path / 'copy'}" in taken.out
    assert cli("backup", "copy").code == 1, "an older backup is never overwritten"

    # chDB opens one folder in a process, so that restoring has one of its own.
    environment = os.environ | {"COLUMNS": "80"}
    restore = [*GIMBAL, "restore", "copy", "--data", "new"]
    done = subprocess.run(restore, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("files")
    assert (tmp_path / "new" / "catalog.sqlite").stat().st_size > 0
    again = subprocess.run(restore, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "to do: " in again.stderr
    assert "Traceback" not in again.stderr

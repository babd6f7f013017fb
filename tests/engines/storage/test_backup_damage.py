"""What was changed in a backup, taken out of it or slipped into it is found and named before anything is restored."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gimbal.engines.storage import backup
from gimbal.faces.server import safekeeping
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings import Settings


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1])


HARM: dict[str, Callable[[Path], None]] = {"changed": _flip, "cut": _cut, "gone": Path.unlink}


async def test_a_damaged_file_is_found_and_named(taken: Path, tmp_path: Path) -> None:
    """One bit, one byte or the whole file; nothing is restored."""
    blob = max((p for p in (taken / "blobs").rglob("*") if p.is_file()), key=lambda path: path.stat().st_size)
    settings = Settings(data=str(tmp_path / "new"))
    for name in ("catalog.sqlite", "columns/labels.native", blob.relative_to(taken).as_posix()):
        for kind, harm in HARM.items():
            copy = Path(shutil.copytree(taken, tmp_path / "copies" / kind / Path(name).name))
            backup.check(copy)
            harm(copy / name)
            with pytest.raises(ConfigurationError) as caught:
                await asyncio.to_thread(safekeeping.restore, copy, settings)
            assert caught.value.message == f"{name} is missing or was changed."
            assert caught.value.kept == "nothing was restored"
    assert not (tmp_path / "new").exists()


async def test_what_was_slipped_in_is_found_and_named(taken: Path) -> None:
    """A file that the manifest does not know, and a file that has become a link."""
    extra = taken / "columns" / "scores2.native"
    extra.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"scores2\.native does not belong"):
        backup.check(taken)
    extra.unlink()
    catalog = taken / "catalog.sqlite"
    catalog.rename(taken.parent / "elsewhere")
    catalog.symlink_to(taken.parent / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"catalog\.sqlite is missing or was changed"):
        backup.check(taken)


async def test_a_manifest_that_says_less_is_no_way_round(taken: Path) -> None:
    """Without its lines the files are strangers; without files there is no catalog."""
    manifest = msgspec.json.decode((taken / "manifest.json").read_bytes(), type=backup.Manifest)
    bare = msgspec.structs.replace(manifest, files={})
    (taken / "manifest.json").write_bytes(msgspec.json.encode(bare))
    with pytest.raises(ConfigurationError, match="does not belong"):
        backup.check(taken)
    for path in taken.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "manifest.json":
            path.unlink()
    with pytest.raises(ConfigurationError, match=r"catalog\.sqlite is missing"):
        backup.check(taken)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe"])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A folder without a manifest, or with something else by that name."""
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a backup"):
        backup.check(tmp_path)


async def test_a_backup_in_another_format_is_refused(taken: Path) -> None:
    """With the version that wrote it."""
    manifest = msgspec.json.decode((taken / "manifest.json").read_bytes(), type=backup.Manifest)
    (taken / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, format=1)))
    with pytest.raises(ConfigurationError, match="format 1") as caught:
        backup.check(taken)

    assert "9.9" in caught.value.todo

"""Uploads that stop at their limit, loopback names, registries."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gimbal.kernel.errors import ConfigurationError, NotFound, TooLarge
from gimbal.kernel.http import Upload, is_loopback
from gimbal.kernel.plugins import Registry


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_upload_is_read_up_to_its_limit() -> None:
    """Exactly the limit is fine, one byte more is not, and what came before was handed on."""
    assert await Upload(chunks(b"ab", b"cd"), limit=4).read() == b"abcd"
    assert await Upload(chunks(), limit=0).read() == b""
    upload = Upload(chunks(b"ab", b"cd", b"ef"), limit=3)
    stream = aiter(upload)
    assert await anext(stream) == b"ab"
    with pytest.raises(TooLarge):
        await anext(stream)
    assert upload.received == 4


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("[::1]", True), ("localhost", True), ("LOCALHOST", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False), ("localhost.example.org", False),
        ("127.0.0.1.example.org", False), ("", False), ("127.1", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_only(host: str, local: bool) -> None:
    """Names that only begin so are not."""
    assert is_loopback(host) is local


def test_a_registry_names_what_it_has() -> None:
    """Listed by name; a second thing of a name is refused, the same one again is not."""
    things: Registry[object] = Registry("things")
    one, two = object(), object()
    things.add("b", one)
    things.add("a", two)
    assert things.add("b", one) is one

    assert list(things) == ["a", "b"]
    assert things.get("b") is one
    assert "a" in things
    assert "c" not in things
    with pytest.raises(NotFound, match="There are: a, b"):
        things.get("c")
    with pytest.raises(ConfigurationError, match="Two things"):
        things.add("a", one)


def installed(folder: Path, name: str, points: str) -> None:
    """Write what pip would leave of a package with entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


def test_an_installed_package_adds_its_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a package names in its entry points is found without a change of ours."""
    installed(tmp_path, "more-things", "[gimbal.odd_things]\nhalf = math:tau\n")
    monkeypatch.syspath_prepend(tmp_path)
    things: Registry[float] = Registry("odd_things")

    assert things.get("half") == math.tau
    assert list(things) == ["half"]


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which package and why, each time somebody asks."""
    installed(tmp_path, "broken-things", "[gimbal.sad_things]\nhalf = math:nothing_of_the_sort\n")
    monkeypatch.syspath_prepend(tmp_path)
    things: Registry[float] = Registry("sad_things")

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="one of the sad things, cannot be loaded: AttributeError") as told:
            list(things)
        assert told.value.where == "broken-things"

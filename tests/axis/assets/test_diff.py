"""Differences: of manifests by path, of text files as patches."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.assets.model import AssetDiff, FileEntry, ManifestChange, diff_text, diff_values
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, CorruptUpload, NotFound, TooLarge
from gimbal.kernel.http import Upload
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref


def changes(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    return [(c.path, c.change, c.before, c.after) for c in diff_values(before, after)]


def test_a_difference_names_its_path() -> None:
    """Changed, added and removed, inside objects and lists; odd keys are quoted."""
    before = {"params": {"depth": 3, "old": 1}, "tags": ["a", "b"], "same": [1], "a.b": 1, "none": None}
    after = {"params": {"depth": 4, "new": 2}, "tags": ["a", "c", "d"], "same": [1], "a.b": 2, "none": 0}

    assert changes(before, after) == [
        ('["a.b"]', "changed", 1, 2),
        ("none", "changed", None, 0),
        ("params.depth", "changed", 3, 4),
        ("params.new", "added", None, 2),
        ("params.old", "removed", 1, None),
        ("tags[1]", "changed", "b", "c"),
        ("tags[2]", "added", None, "d"),
    ]


def test_one_true_and_one_point_zero_differ() -> None:
    """JSON tells them apart, so we do."""
    assert [c[0] for c in changes({"a": 1, "b": 1, "c": 0}, {"a": True, "b": 1.0, "c": None})] == ["a", "b", "c"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.[", max_size=2), inner, max_size=3),
    max_leaves=8,
)
_manifest = st.dictionaries(st.text("ab.[", max_size=2), _json, max_size=4)


@given(_manifest, _manifest)
def test_no_difference_means_equal_and_the_way_back_mirrors(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Nothing is reported of equal values; every path once; added and removed change places."""
    assert changes(before, copy.deepcopy(before)) == []
    there, back = list(diff_values(before, after)), list(diff_values(after, before))
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    assert bool(there) == (before != after or (repr(before) != repr(after) and bool(there)))
    assert len({c.path for c in there}) == len(there)
    assert back == [ManifestChange(path=c.path, change=mirror[c.change], before=c.after, after=c.before) for c in there]


def patched(before: str, patch: str) -> str:
    """Apply a unified diff the way `patch` does, strictly: context and removed lines must be there."""
    *whole, rest = before.split("\n")
    source = [line + "\n" for line in whole] + [rest]
    rows: list[str] = []
    for line in patch.split("\n")[2:]:
        if line.startswith("\\"):
            rows[-1] = rows[-1].removesuffix("\n")
        elif line:
            rows.append(line + "\n")
    out: list[str] = []
    at = 0
    for row in rows:
        if row.startswith("@@"):
            start, _, size = row.split()[1][1:].partition(",")
            begin = int(start) - (0 if size == "0" else 1)
            out += source[at:begin]
            at = begin
        elif row.startswith("+"):
            out.append(row[1:])
        else:
            assert source[at] == row[1:]
            at += 1
            out += [row[1:]] if row.startswith(" ") else []
    return "".join(out + source[at:])


_line = st.sampled_from(["a", "b", "", "x\u2028y", "é\f"])


@settings(max_examples=200)
@given(st.lists(_line), st.lists(_line), st.booleans(), st.booleans())
def test_a_text_difference_is_a_patch(before: list[str], after: list[str], left_ends: bool, right_ends: bool) -> None:
    """Applied to the first text it gives the second, also without a newline at the end of either."""
    left = "\n".join(before) + ("\n" if left_ends else "")
    right = "\n".join(after) + ("\n" if right_ends else "")
    text = diff_text(left, right, "note.txt")

    assert bool(text) == (left != right)
    assert patched(left, text) == right


async def difference(ctx: Context, ref: str, to: str) -> AssetDiff:
    return await invoke(find("assets.diff"), ctx, {"project": "default", "ref": Ref.parse(ref), "to": to})


async def test_two_versions_are_compared(assets: Assets, ctx: Context, blobs: Blobs) -> None:
    """Manifest and files: text as a patch, other bytes by name only, equal files not at all."""

    async def entry(path: str, content: bytes) -> FileEntry:
        stored = await blobs.put(content)
        return FileEntry(path=path, digest=stored.digest, size=stored.size)

    same, nul = await entry("same.txt", b"same"), await entry("nul.txt", b"a\0b")
    first = [
        same,
        nul,
        await entry("a.txt", b"one\ntwo\n"),
        await entry("gone.txt", b"x\n"),
        await entry("m.bin", b"\xff1"),
    ]
    second = [same, await entry("nul.txt", b"a\0c"), await entry("a.txt", b"one\n2\n"), await entry("new.txt", b"y"), await entry("m.bin", b"\xff2")]  # fmt: skip
    for manifest, files in (({"depth": 3}, first), ({"depth": 4}, second)):
        await assets.add_version(ctx, kind="note", name="a", manifest=manifest, files=files)

    found = await difference(ctx, "note:a@v1", "a@v2")

    assert (found.before, found.after) == ("note:a@v1", "note:a@v2")
    assert [(c.path, c.before, c.after) for c in found.manifest] == [("depth", 3, 4)]
    assert [(f.path, f.change) for f in found.files] == [
        ("a.txt", "changed"), ("gone.txt", "removed"), ("m.bin", "changed"), ("new.txt", "added"), ("nul.txt", "changed"),
    ]  # fmt: skip
    texts = {f.path: f.text for f in found.files}
    assert texts["a.txt"] == "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    assert texts["new.txt"] == "--- a/new.txt\n+++ b/new.txt\n@@ -0,0 +1 @@\n+y\n\\ No newline at end of file\n"
    assert texts["m.bin"] is texts["nul.txt"] is None
    same_again = await difference(ctx, "note:a@v2", "note:a@v2")
    assert (same_again.manifest, same_again.files) == ([], [])
    with pytest.raises(NotFound):
        await difference(ctx, "note:a@v1", "note:a@v3")


async def chunks(*parts: bytes) -> Any:
    for part in parts:
        yield part


async def test_bytes_go_up_and_come_down(assets: Assets, ctx: Context, blobs: Blobs) -> None:
    """Uploaded in pieces, named by a version, downloaded as they were, under a name that is safe in a header."""
    put = {"project": "default", "body": Upload(chunks(b"on", b"e"), limit=10)}
    stored = await invoke(find("blobs.put"), ctx, put)
    entry = FileEntry(path='a/b "é.txt', digest=stored.digest, size=stored.size, media_type="text/plain")
    await assets.add_version(ctx, kind="note", name="a", manifest={}, files=[entry])
    asked = {"project": "default", "ref": Ref("note", "a"), "path": entry.path}

    got = await invoke(find("assets.file"), ctx, asked)

    assert b"".join([c async for c in got.chunks]) == b"one"
    assert (got.media_type, got.filename, got.size) == ("text/plain", "b __.txt", 3)
    with pytest.raises(NotFound, match="It has: a/b"):
        await invoke(find("assets.file"), ctx, asked | {"path": "b.txt"})


async def test_bytes_that_are_not_what_was_announced_are_refused(assets: Assets, ctx: Context, tmp_path: Path) -> None:
    """Another digest, or more than the limit; nothing is kept."""
    wrong = {"project": "default", "body": Upload(chunks(b"one"), limit=10), "digest": "b3:" + "0" * 64}
    with pytest.raises(CorruptUpload):
        await invoke(find("blobs.put"), ctx, wrong)
    with pytest.raises(TooLarge):
        await invoke(
            find("blobs.put"), ctx, {"project": "default", "body": Upload(chunks(b"x" * 6, b"x" * 6), limit=10)}
        )
    with pytest.raises(BadInput):
        Ref.parse("note:")
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []

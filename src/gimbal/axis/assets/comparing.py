"""What differs between two versions: paths of the manifest, and files as text where both sides are text."""

import asyncio

from gimbal.axis.assets.model import AssetDiff, FileDiff, FileEntry, Version, diff_text, diff_values
from gimbal.engines.storage.blobs import Blobs

_LONGEST_TEXT = 512_000
_MOST_LINES = 10_000


async def compare(blobs: Blobs, before: Version, after: Version) -> AssetDiff:
    """Return what `after` has that `before` has not, and the other way round."""
    return AssetDiff(
        before=str(before.ref),
        after=str(after.ref),
        manifest=list(diff_values(before.manifest, after.manifest)),
        files=[await _file(blobs, path, before, after) for path in changed_paths(before, after)],
    )


def changed_paths(before: Version, after: Version) -> list[str]:
    """Return the paths of files that are not the same on both sides."""
    left, right = ({f.path: f.digest for f in version.files} for version in (before, after))
    return sorted(path for path in {*left, *right} if left.get(path) != right.get(path))


async def _file(blobs: Blobs, path: str, before: Version, after: Version) -> FileDiff:
    left, right = before.file(path), after.file(path)
    change = "changed" if left and right else "added" if right else "removed"
    texts = await text_of(blobs, left), await text_of(blobs, right)
    if texts[0] is None or texts[1] is None:
        return FileDiff(path=path, change=change)
    # Comparing long texts takes a while; the server goes on meanwhile.
    return FileDiff(path=path, change=change, text=await asyncio.to_thread(diff_text, texts[0], texts[1], path))


async def text_of(blobs: Blobs, entry: FileEntry | None) -> str | None:
    """Return the text of a file, "" for one that is not there, None for one that is long or no text."""
    if entry is None:
        return ""
    if entry.size > _LONGEST_TEXT:
        return None
    content = await blobs.get(entry.digest)
    if b"\0" in content or content.count(b"\n") > _MOST_LINES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None

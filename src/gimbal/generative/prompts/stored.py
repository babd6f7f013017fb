"""What is stored of prompts, read at once for many names: the newest versions, and which digests there are."""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.store import assets, versions
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.prompts.files import write_prompt
from gimbal.generative.prompts.model import SOURCE, PromptManifest
from gimbal.kernel.context import Context

_CHUNK = 500


class StoredPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a prompt, and all that there are."""

    number: int
    digest: str
    manifest: dict[str, object]
    source: FileEntry | None
    """The file that it was made of."""
    digests: Mapping[str, int]
    """Version number by digest."""


class StoredPrompts(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored in a project."""

    names: tuple[str, ...]
    """Of all prompts, sorted."""
    prompts: Mapping[str, StoredPrompt]
    """Those that were asked for, by name."""


async def stored_prompts(ctx: Context, names: Sequence[str]) -> StoredPrompts:
    """Return what is stored of the prompts of these names, and the names of all: a few statements for however many."""
    mine = sa.select(assets.c.id, assets.c.name).where(
        assets.c.project == (ctx.project or "default"), assets.c.kind == "prompt", assets.c.last_number > 0
    )
    wanted = set(names)
    prompts: dict[str, StoredPrompt] = {}
    async with ctx.get(Catalog).read() as tx:
        ids: dict[str, str] = {row.id: row.name for row in (await tx.execute(mine)).all()}
        asked = [id_ for id_, name in ids.items() if name in wanted]
        for start in range(0, len(asked), _CHUNK):
            chunk = asked[start : start + _CHUNK]
            digests: dict[str, dict[str, int]] = {}
            known = sa.select(versions.c.asset_id, versions.c.digest, versions.c.number)
            for id_, digest, number in (await tx.execute(known.where(versions.c.asset_id.in_(chunk)))).all():
                digests.setdefault(id_, {})[digest] = number
            newest = (
                sa.select(
                    versions.c.asset_id, versions.c.number, versions.c.digest, versions.c.manifest, versions.c.files
                )
                .join(assets, sa.and_(assets.c.id == versions.c.asset_id, assets.c.last_number == versions.c.number))
                .where(versions.c.asset_id.in_(chunk))
            )
            for id_, number, digest, manifest, files in (await tx.execute(newest)).all():
                entries = msgspec.convert(files, list[FileEntry])
                prompts[ids[id_]] = StoredPrompt(
                    number=number,
                    digest=digest,
                    manifest=manifest,
                    source=next((entry for entry in entries if entry.path == SOURCE), None),
                    digests=digests[id_],
                )
    return StoredPrompts(names=tuple(sorted(ids.values())), prompts=prompts)


def source_of(version: Version) -> FileEntry | None:
    """Return the file that a version was made of, or None."""
    return version.file(SOURCE)


async def content_of(blobs: Blobs, entry: FileEntry | None, manifest: PromptManifest) -> bytes:
    """Return a version's file; one that was made without a file is written."""
    return write_prompt(manifest).encode() if entry is None else await blobs.get(entry.digest)


async def text_of(blobs: Blobs, entry: FileEntry | None, manifest: PromptManifest) -> str:
    """Return the text of a version's file, to be compared: what is no UTF-8, which no sync ever stored, is marked."""
    return (await content_of(blobs, entry, manifest)).decode(errors="replace")

"""The verbs of assets: add, resolve, list and move; each within one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import (
    KINDS,
    AliasMove,
    AliasMoved,
    FileEntry,
    GatePolicy,
    Permit,
    Version,
    VersionAdded,
    canonical,
)
from gimbal.axis.assets.reading import AssetReader
from gimbal.axis.assets.store import alias_moves, aliases, assets, uses, versions
from gimbal.engines.storage.blobs import PREFIX, Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GateRefused, StaleVersion, TooLarge
from gimbal.kernel.ids import new_id
from gimbal.kernel.refs import (
    KIND,
    Ref,
    ResolvedRef,
    Selector,
    check_alias,
    check_name,
    parse_selector,
)

MAX_MANIFEST = 1 << 20
MAX_FILES = 10_000


class Assets(AssetReader):
    """Assets on the catalog; their files are in the blobs."""

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        super().__init__(catalog)
        self._blobs = blobs

    async def add_version(
        self,
        ctx: Context,
        *,
        kind: str,
        name: str,
        manifest: Mapping[str, Any],
        files: Sequence[FileEntry] = (),
        inputs: Sequence[ResolvedRef] = (),
        run_id: str | None = None,
        note: str = "",
    ) -> Version:
        """Add a version, or return the one that has this content already.

        Raise BadInput when the manifest does not fit its kind or a file's blob is missing; then nothing is stored.
        """
        owner = KINDS.get(kind) if KIND.fullmatch(kind) and kind in set(KINDS) else None
        if owner is None:
            raise BadInput(f"{kind!r} is not a kind of asset.", where="kind", todo=f"Kinds are: {', '.join(KINDS)}.")
        check_name(name)
        plain: dict[str, Any] = msgspec.to_builtins(dict(manifest), enc_hook=str)
        entries = sorted(files, key=lambda f: f.path)
        await self._check_content(plain, entries)
        if owner.check:
            owner.check(plain, entries)
        digest = PREFIX + blake3(canonical(kind, plain, entries)).hexdigest()
        project = ctx.project or "default"
        async with self._catalog.write(ctx) as tx:
            asset = await self._asset_for_update(tx, ctx, project, kind, name)
            found = await self._one(tx, assets.c.id == asset["id"], versions.c.digest == digest)
            if found is not None:
                return found
            values: dict[str, Any] = {
                "id": new_id(),
                "asset_id": asset["id"],
                "number": asset["last_number"] + 1,
                "digest": digest,
                "manifest": plain,
                "files": entries,
                "inputs": list(inputs),
                "run_id": run_id,
                "created_at": ctx.now(),
                "created_by": ctx.principal.name,
                "note": note,
            }
            await tx.execute(versions.insert().values(values))
            await tx.execute(
                assets.update()
                .where(assets.c.id == asset["id"])
                .values(last_number=values["number"], latest_at=values["created_at"])
            )
            del values["asset_id"]
            version = Version(project=project, kind=kind, name=name, **values)
            ctx.emit(VersionAdded(project=project, version=version))
        return version

    async def _check_content(self, manifest: dict[str, Any], files: list[FileEntry]) -> None:
        size = len(msgspec.json.encode(manifest))
        if size > MAX_MANIFEST:
            raise TooLarge(
                f"The manifest has {size} bytes; {MAX_MANIFEST} is the most.",
                where="manifest",
                todo="Put long content into a file of the version.",
            )
        if len(files) > MAX_FILES:
            raise TooLarge(f"{len(files)} files are too many.", where="files", todo="Pack them into one archive.")
        seen: set[str] = set()
        for entry in files:
            parts = entry.path.split("/")
            if (
                not entry.path
                or entry.path.startswith("/")
                or ".." in parts
                or "\\" in entry.path
                or entry.path in seen
            ):
                raise BadInput(
                    f"{entry.path!r} is not a path inside the version, or is there twice.",
                    where="files",
                    todo="Mend it.",
                )
            seen.add(entry.path)
            if not await self._blobs.exists(entry.digest):
                raise BadInput(
                    f"The bytes of {entry.path!r} ({entry.digest}) have not been uploaded.",
                    where="files",
                    todo="Upload them with blobs.put first.",
                )

    async def _asset_for_update(
        self, tx: AsyncConnection, ctx: Context, project: str, kind: str, name: str
    ) -> Mapping[str, Any]:
        same = sa.and_(assets.c.project == project, assets.c.kind == kind, assets.c.name == name)
        query = sa.select(assets).where(same).with_for_update()
        row = (await tx.execute(query)).mappings().first()
        if row is not None:
            return dict(row)
        values = {
            "id": new_id(), "project": project, "kind": kind, "name": name, "last_number": 0, "latest_at": ctx.now(),
        }  # fmt: skip
        if tx.dialect.name == "postgresql":
            # Two first versions at once: the second waits for the first one's row and then uses it.
            from sqlalchemy.dialects.postgresql import insert

            await tx.execute(insert(assets).values(values).on_conflict_do_nothing())
            return dict((await tx.execute(query)).mappings().one())
        await tx.execute(assets.insert().values(values))
        return values

    async def move_alias(
        self,
        ctx: Context,
        kind: str,
        name: str,
        alias: str,
        to: str | Selector | None,
        *,
        permit: Permit | None = None,
        reason: str = "",
        expected: int | None = None,
    ) -> AliasMove:
        """Let an alias stand on a version (None: remove it), history and audit in the same transaction.

        Raise GateRefused when a gate guards it and `permit` is not for exactly this move, StaleVersion when it does
        not stand on `expected` (0: nowhere).
        """
        check_alias(alias)
        project = ctx.project or "default"
        selector = parse_selector(to) if isinstance(to, str) else to
        gated = ctx.services.has(GatePolicy) and await ctx.get(GatePolicy).is_gated(ctx, kind, name, alias)
        async with self._catalog.write(ctx) as tx:
            row = await self._asset(tx, project, kind, name)
            # The asset's row is the lock: two moves of one alias come one after the other.
            await tx.execute(sa.select(assets.c.id).where(assets.c.id == row["id"]).with_for_update())
            stood = (
                await tx.execute(
                    sa.select(aliases.c.number).where(aliases.c.asset_id == row["id"], aliases.c.alias == alias)
                )
            ).scalar()
            if expected is not None and (stood or 0) != expected:
                raise StaleVersion(
                    f"{alias} stands on {f'v{stood}' if stood else 'nothing'}, not on v{expected}.",
                    where="expected",
                    todo="Read it again and decide anew.",
                )
            target = await self._resolve(tx, project, Ref(kind, name, selector)) if selector is not None else None
            if gated:
                _check_permit(permit, project, f"{kind}:{name}", alias, target)
            move = AliasMove(
                id=new_id(),
                kind=kind,
                name=name,
                alias=alias,
                from_number=stood,
                to_number=target.number if target else None,
                at=ctx.now(),
                by=ctx.principal.name,
                reason=reason,
                decision_id=permit.decision_id if permit else None,
            )
            await self._write_move(tx, row["id"], move)
            ctx.audit(moved=f"{kind}:{name}@{alias}", from_number=stood, to_number=move.to_number)
            ctx.emit(
                AliasMoved(
                    project=project,
                    kind=kind,
                    name=name,
                    alias=alias,
                    from_version=stood,
                    to_version=move.to_number,
                    decision_id=move.decision_id,
                )
            )
        return move

    @staticmethod
    async def _write_move(tx: AsyncConnection, asset_id: str, move: AliasMove) -> None:
        here = sa.and_(aliases.c.asset_id == asset_id, aliases.c.alias == move.alias)
        if move.to_number is None:
            await tx.execute(aliases.delete().where(here))
        elif move.from_number is None:
            await tx.execute(
                aliases.insert().values(
                    asset_id=asset_id, alias=move.alias, number=move.to_number, moved_at=move.at, moved_by=move.by
                )
            )
        else:
            await tx.execute(
                aliases.update().where(here).values(number=move.to_number, moved_at=move.at, moved_by=move.by)
            )
        await tx.execute(
            alias_moves.insert().values(
                id=move.id,
                asset_id=asset_id,
                alias=move.alias,
                from_number=move.from_number,
                to_number=move.to_number,
                at=move.at,
                by=move.by,
                reason=move.reason,
                decision_id=move.decision_id,
            )
        )

    async def record_use(
        self, ctx: Context, user_kind: str, user_id: str, refs: Sequence[ResolvedRef], *, relation: str = "used"
    ) -> None:
        """Note that a run, trace, decision or endpoint used these versions; a second time changes nothing."""
        project = ctx.project or "default"
        async with self._catalog.write() as tx:
            for ref in refs:
                key = (
                    uses.c.project == project,
                    uses.c.user_kind == user_kind,
                    uses.c.user_id == user_id,
                    uses.c.ref == str(ref),
                    uses.c.relation == relation,
                )
                if (await tx.execute(sa.select(uses.c.ref).where(*key))).first() is None:
                    await tx.execute(
                        uses.insert().values(
                            project=project,
                            user_kind=user_kind,
                            user_id=user_id,
                            ref=str(ref),
                            relation=relation,
                            at=ctx.now(),
                        )
                    )


def _check_permit(permit: Permit | None, project: str, asset: str, alias: str, target: Version | None) -> None:
    if permit is None:
        raise GateRefused(
            f"A gate guards {asset}@{alias}; it moves by the gate's decision only.",
            kept="the alias where it stood",
            todo="Ask for it with `gimbal gates promote`, which collects the evidence and decides.",
        )
    digest = target.digest if target else ""
    if (permit.project, permit.asset, permit.alias, permit.to_digest) != (project, asset, alias, digest):
        raise GateRefused("The permit is for another move.", kept="the alias where it stood", todo="Ask the gate anew.")

"""The verbs of assets: add a version or many, move an alias, note a use; each within one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets import adding, content
from gimbal.axis.assets.adding import Checked
from gimbal.axis.assets.model import AliasMove, AliasMoved, FileEntry, GatePolicy, Permit, Version, VersionDraft
from gimbal.axis.assets.reading import AssetReader
from gimbal.axis.assets.store import alias_moves, aliases, assets, uses
from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GateRefused, NotFound, StaleVersion
from gimbal.kernel.ids import new_id
from gimbal.kernel.refs import Ref, ResolvedRef, Selector, check_alias, check_name, parse_selector

_TICK = timedelta(microseconds=1)


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
        after: int | None = None,
        also: Callable[[AsyncConnection, Version], Awaitable[None]] | None = None,
    ) -> Version:
        """Add a version, or return the one that has this content already; lineage is noted in both cases.

        `also` writes what belongs to it in the same transaction. Raise BadInput when the manifest does not fit its kind or
        a file's blob is missing, StaleVersion when the newest version is not `after` any more; then nothing is stored.
        """
        new = VersionDraft(
            name=name, manifest=manifest, files=files, inputs=inputs, run_id=run_id, note=note, after=after
        )
        checked = await self._checked(kind, new, {})
        async with self._catalog.write(ctx) as tx:
            (version,) = await adding.add(tx, ctx, kind, [checked])
            ctx.audit(version=str(version.ref))
            if also is not None:
                await also(tx, version)
        return version

    async def add_versions(
        self, ctx: Context, *, kind: str, new: Sequence[VersionDraft], stored: Sequence[BlobRef] = ()
    ) -> list[Version]:
        """Add versions of one kind, all or none, as `add_version` would one after the other; return them in that order.

        `stored` are blobs that the caller has put just now. Raises what `add_version` raises, and nothing is stored.
        """
        sizes = {blob.digest: blob.size for blob in stored}
        checked = [await self._checked(kind, one, sizes) for one in new]
        async with self._catalog.write(ctx) as tx:
            found = await adding.add(tx, ctx, kind, checked)
            ctx.audit(versions=[str(version.ref) for version in found])
        return found

    async def _checked(self, kind: str, new: VersionDraft, stored: Mapping[str, int]) -> Checked:
        owner = content.known_kind(kind)
        check_name(new.name)
        content.check_note(new.note, "note")
        plain = content.plain(new.manifest)
        entries = await content.check_files(self._blobs, new.files, stored)
        if owner.check:
            owner.check(plain, entries)
        return Checked(new=new, manifest=plain, files=entries, digest=content.digest(kind, plain, entries))

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

        Where it stands there already, nothing changes and the move that put it there is returned. Raise GateRefused
        when a gate guards it and `permit` is not for exactly this move or was used, StaleVersion when it does not
        stand on `expected` (0: nowhere), NotFound without the version or, to remove, the alias.
        """
        check_alias(alias)
        content.check_note(reason, "reason")
        project = ctx.project or "default"
        selector = parse_selector(to) if isinstance(to, str) else to
        gated = ctx.services.has(GatePolicy) and await ctx.get(GatePolicy).is_gated(ctx, kind, name, alias)
        async with self._catalog.write(ctx) as tx:
            row = await self._asset(tx, project, kind, name)
            # The asset's row is the lock: two moves of one alias come one after the other.
            await tx.execute(sa.select(assets.c.id).where(assets.c.id == row["id"]).with_for_update())
            last = await self._last_move(tx, row["id"], Ref(kind, name), alias)
            stood = last.to_number if last else None
            target = await self._resolve(tx, project, Ref(kind, name, selector)) if selector is not None else None
            same_decision = permit is None or (last is not None and permit.decision_id == last.decision_id)
            if last and target and stood == target.number and same_decision:
                return last
            if expected is not None and (stood or 0) != expected:
                raise StaleVersion(
                    f"{alias} stands on {f'v{stood}' if stood else 'nothing'}, not on v{expected}.",
                    where="expected",
                    todo="Read it again and decide anew.",
                )
            if target is None and stood is None:
                raise NotFound(f"{kind}:{name} has no alias {alias!r}.", where="alias", todo="Nothing to remove.")
            if gated or permit is not None:
                await _check_permit(tx, permit, project, f"{kind}:{name}", alias, target)
            now = ctx.now()
            move = AliasMove(
                id=new_id(),
                kind=kind,
                name=name,
                alias=alias,
                from_number=stood,
                to_number=target.number if target else None,
                # Clocks step back and two moves can fall into one microsecond; the history of an alias does neither.
                at=max(now, last.at + _TICK) if last else now,
                by=ctx.principal.name,
                reason=reason,
                decision_id=permit.decision_id if permit else None,
            )
            await _write_move(tx, row["id"], move)
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

    async def record_use(
        self, ctx: Context, user_kind: str, user_id: str, refs: Sequence[ResolvedRef], *, relation: str = "used"
    ) -> None:
        """Note that a run, decision, evaluation or endpoint used these versions; a second time changes nothing.

        `made` as the relation says the opposite: that it made them. Single traces are not noted here: their spans
        carry their references.
        """
        if not user_kind.isidentifier() or user_kind == "version" or not user_id or "@" in user_id:
            raise BadInput(f"{user_kind}:{user_id} cannot use a version.", where="user", todo="Give a kind and an id.")
        if not refs:
            return
        async with self._catalog.write() as tx:
            for ref in refs:
                await _note(tx, ctx.project or "default", ctx.now(), user_kind, user_id, ref, relation)


async def _note(
    tx: AsyncConnection, project: str, at: datetime, user_kind: str, user_id: str, ref: ResolvedRef, relation: str
) -> None:
    row: dict[str, Any] = {
        "project": project, "user_kind": user_kind, "user_id": user_id, "ref": str(ref), "relation": relation, "at": at,
    }  # fmt: skip
    await insert_missing(tx, uses, row)


async def _write_move(tx: AsyncConnection, asset_id: str, move: AliasMove) -> None:
    here = sa.and_(aliases.c.asset_id == asset_id, aliases.c.alias == move.alias)
    await tx.execute(aliases.delete().where(here))
    if move.to_number is not None:
        await tx.execute(
            aliases.insert().values(
                asset_id=asset_id, alias=move.alias, number=move.to_number, moved_at=move.at, moved_by=move.by
            )
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


async def _check_permit(
    tx: AsyncConnection, permit: Permit | None, project: str, asset: str, alias: str, target: Version | None
) -> None:
    kept = "the alias where it stood"
    if permit is None:
        raise GateRefused(
            f"A gate guards {asset}@{alias}; it moves by the gate's decision only.",
            kept=kept,
            todo="Ask for it with `gimbal gates promote`, which collects the evidence and decides.",
        )
    digest = target.digest if target else ""
    if (permit.project, permit.asset, permit.alias, permit.to_digest) != (project, asset, alias, digest):
        raise GateRefused("The permit is for another move.", kept=kept, todo="Ask the gate anew.")
    used = sa.select(alias_moves.c.id).where(alias_moves.c.decision_id == permit.decision_id)
    if (await tx.execute(used)).first() is not None:
        raise GateRefused("The permit was used already.", kept=kept, todo="Ask the gate anew.")

"""Assets: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Alias, AliasMove, Asset, AssetDiff, FileEntry, Lineage, Version
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref


class Assets(Group):
    """Named things with immutable versions: aliases, history, lineage, differences."""

    def add(
        self,
        ref: Ref | str,
        *,
        manifest: dict[str, Any],
        files: list[FileEntry] | UnsetType = UNSET,
        inputs: list[str] | UnsetType = UNSET,
        run_id: str | None | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Version:
        """Add a version; the same content again is the same version.

        Args:
            ref: Reference such as model:flights/delay@production.
            manifest: What the kind's owner asks for.
            files: Files by path; their blobs must be there.
            inputs: References of the versions that it was made from.
            run_id: The run that made it.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/assets/{ref}/versions",
            Version,
            path={"project": project, "ref": ref},
            body={"manifest": manifest, "files": files, "inputs": inputs, "run_id": run_id, "note": note},
        )

    def aliases(self, ref: Ref | str, *, project: str | None = None) -> list[Alias]:
        """List the aliases of an asset.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/assets/{ref}/aliases", list[Alias], path={"project": project, "ref": ref}
        )

    def diff(self, ref: Ref | str, *, to: str, project: str | None = None) -> AssetDiff:
        """Compare two versions: what `to` has that `ref` has not, and the other way round.

        Args:
            ref: Reference such as model:flights/delay@production.
            to: Reference of the other version.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/assets/{ref}/diff",
            AssetDiff,
            path={"project": project, "ref": ref},
            query={"to": to},
        )

    def file(self, ref: Ref | str, path: str, *, project: str | None = None) -> Iterator[bytes]:
        """Download one file of a version.

        Args:
            ref: Reference such as model:flights/delay@production.
            path: Path of the file inside the version.
        """
        return self._transport.download(
            "/projects/{project}/assets/{ref}/files/{path}", path={"project": project, "ref": ref, "path": path}
        )

    def history(self, ref: Ref | str, *, alias: str | None = None, project: str | None = None) -> list[AliasMove]:
        """List every move of the aliases of an asset, newest first.

        Args:
            ref: Reference such as model:flights/delay@production.
            alias: Only this alias.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/assets/{ref}/history",
            list[AliasMove],
            path={"project": project, "ref": ref},
            query={"alias": alias},
        )

    def lineage(self, ref: Ref | str, *, depth: int = 3, project: str | None = None) -> Lineage:
        """Show what a version was made from and what was made from it.

        Args:
            ref: Reference such as model:flights/delay@production.
            depth: How many steps away, 1 to 6.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/assets/{ref}/lineage",
            Lineage,
            path={"project": project, "ref": ref},
            query={"depth": depth},
        )

    def list(
        self,
        *,
        kind: str | None = None,
        search: str | None = None,
        newest: bool = False,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[Asset]:
        """List assets with their aliases.

        Args:
            kind: Only this kind: model, dataset, prompt …
            search: Only names that contain this.
            newest: Those with the newest version first, instead of by kind and name.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/assets",
            Page[Asset],
            path={"project": project},
            query={"kind": kind, "search": search, "newest": newest, "cursor": cursor, "limit": limit},
        )

    def move_alias(
        self,
        ref: Ref | str,
        alias: str,
        *,
        to: str,
        reason: str | UnsetType = UNSET,
        expected: int | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> AliasMove:
        """Let an alias stand on a version; one that a gate guards moves by `gates.promote` only.

        Args:
            ref: Reference such as model:flights/delay@production.
            alias: Name of the alias.
            to: A selector of the same asset: `v7`, `b3:9f2c1d07…`, another alias or `latest`.
            reason: Why; kept in the history.
            expected: Version number on which it stands as far as you know; StaleVersion when it does not. 0
                means nowhere yet.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/assets/{ref}/aliases/{alias}",
            AliasMove,
            path={"project": project, "ref": ref, "alias": alias},
            body={"to": to, "reason": reason, "expected": expected},
        )

    def moves(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[AliasMove]:
        """List the moves of all aliases in the project, newest first: what went into production, and what left it.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/alias-moves",
            Page[AliasMove],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def remove_alias(
        self, ref: Ref | str, alias: str, *, reason: str = "", expected: int | None = None, project: str | None = None
    ) -> AliasMove:
        """Remove an alias; its history stays.

        Args:
            ref: Reference such as model:flights/delay@production.
            alias: Name of the alias.
            reason: Why.
            expected: Version number on which it stands as far as you know.
        """
        return self._transport.call(
            "DELETE",
            "/projects/{project}/assets/{ref}/aliases/{alias}",
            AliasMove,
            path={"project": project, "ref": ref, "alias": alias},
            query={"reason": reason, "expected": expected},
        )

    def show(self, ref: Ref | str, *, project: str | None = None) -> Version:
        """Show the version that a reference means.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/assets/{ref}", Version, path={"project": project, "ref": ref}
        )

    def versions(
        self, ref: Ref | str, *, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Version]:
        """List the versions of an asset, newest first.

        Args:
            ref: Reference such as model:flights/delay@production.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/assets/{ref}/versions",
            Page[Version],
            path={"project": project, "ref": ref},
            query={"cursor": cursor, "limit": limit},
        )

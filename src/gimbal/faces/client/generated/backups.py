"""Backups: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Any

from gimbal.axis.retention.model import Proof, Tombstone
from gimbal.faces.client.group import Group


class Backups(Group):
    """Copies of the whole embedded installation."""

    def erasures(self) -> list[Tombstone]:
        """List what is known of all erasures, for `gimbal restore --erasures` of a backup that lay elsewhere.

        A tombstone has salted hashes and moments, and no user id. Backups that still lie where they were written have them.
        """
        return self._transport.call("GET", "/backups/erasures", list[Tombstone], path={})

    def scrub(self, *, path: str) -> Proof:
        """Write a backup anew without the data of users that were erased, in the place of the old one; return the proof.

        Every digest is checked before, and the new backup is sealed like any other. Where it fails the old one stays.

        Args:
            path: Absolute path of a folder on the server's machine that a backup wrote.
        """
        return self._transport.call("POST", "/backups/scrub", Proof, path={}, body={"path": path})

    def take(self, *, target: str) -> dict[str, Any]:
        """Copy catalog, columns and blobs of the embedded set into a new folder, while everything runs.

        Args:
            target: Absolute path of a folder on the server's machine that does not exist yet.
        """
        return self._transport.call("POST", "/backups", dict[str, Any], path={}, body={"target": target})

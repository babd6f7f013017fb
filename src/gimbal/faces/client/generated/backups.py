"""Backups: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Any

from gimbal.faces.client.group import Group


class Backups(Group):
    """Copies of the whole embedded installation."""

    def take(self, *, target: str) -> dict[str, Any]:
        """Copy catalog, columns and blobs of the embedded set into a new folder, while everything runs.

        Args:
            target: Absolute path of a folder on the server's machine that does not exist yet.
        """
        return self._transport.call("POST", "/backups", dict[str, Any], path={}, body={"target": target})

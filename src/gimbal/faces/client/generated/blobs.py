"""Blobs: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.engines.storage.blob_ref import BlobRef
from gimbal.faces.client.group import Group
from gimbal.faces.client.transport import RawBody


class Blobs(Group):
    """Raw content by its digest: what versions are made of."""

    def put(self, content: RawBody, *, digest: str | None = None, project: str | None = None) -> BlobRef:
        """Upload bytes; the answer is their digest, by which versions name them.

        Args:
            digest: Digest that the bytes must have; they are refused otherwise.
            content: The raw bytes, a file, or chunks.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/blobs",
            BlobRef,
            path={"project": project},
            query={"digest": digest},
            raw=content,
        )

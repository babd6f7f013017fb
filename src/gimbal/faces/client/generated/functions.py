"""Functions: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Version
from gimbal.faces.client.group import Group


class Functions(Group):
    """Code of programs outside, as versions that answers can be of."""

    def register(
        self,
        *,
        name: str,
        function: str,
        module: str | UnsetType = UNSET,
        language: str | UnsetType = UNSET,
        signature: str | UnsetType = UNSET,
        python: str | UnsetType = UNSET,
        bytecode: str | UnsetType = UNSET,
        source: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Version:
        """Store a function of a program outside as a version; its code is kept and never run. The same again is the same version.

        Args:
            name: Name of the asset: `help/answer`.
            function: Its name in its module: `answer`.
            module: The module: `shop.help`.
            language: `python`, or `external` for what runs in another tool.
            signature: What it takes and returns: `(question: str) -> str`.
            python: Major and minor version of Python: `3.11`.
            bytecode: Digest of what was compiled, where the source cannot be read.
            source: Its source, where it can be read; at most a million characters.
            note: A remark for people.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/functions",
            Version,
            path={"project": project},
            body={
                "name": name,
                "function": function,
                "module": module,
                "language": language,
                "signature": signature,
                "python": python,
                "bytecode": bytecode,
                "source": source,
                "note": note,
            },
        )

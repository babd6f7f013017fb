"""What differs between two prompts: line by line in their files, and in what they mean."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from gimbal.axis.assets.model import diff_text, diff_values
from gimbal.generative.prompts.model import PromptChange, PromptManifest
from gimbal.generative.prompts.model.exchange import Part

_LONGEST = 200_000
_MOST_LINES = 5_000


def text_diff(before: str, after: str, path: str) -> str | None:
    """Return a unified diff, empty where nothing differs; None for texts that would take long to compare."""
    if before == after:
        return ""
    if max(len(before), len(after)) > _LONGEST or max(before.count("\n"), after.count("\n")) > _MOST_LINES:
        return None
    return diff_text(before, after, path)


def changes(before: PromptManifest, after: PromptManifest) -> list[PromptChange]:
    """Return what `after` means that `before` does not, and the other way round; one change where only the files differ."""
    left, right = _parts(before), _parts(after)
    parts: tuple[Part, ...] = get_args(Part)
    found = [change for part in parts for change in _changes(part, left.get(part), right.get(part))]
    return found or [PromptChange(part="formatting", path="", change="changed")]


def _changes(part: Part, before: Any, after: Any) -> Iterator[PromptChange]:
    for one in diff_values(before, after):
        yield PromptChange(part=part, path=one.path, change=one.change, before=one.before, after=one.after)


def _parts(manifest: PromptManifest) -> dict[Part, Any]:
    """Return what a prompt says by part; what has a name of its own is found by it, wherever it stands."""
    declared = {one.name: one for one in manifest.declared}
    return {
        "model": manifest.model,
        "parameters": msgspec.to_builtins(manifest.params),
        "variables": {name: _named(declared.get(name)) for name in manifest.variables},
        "tools": {one.name: _named(one) for one in manifest.tools},
        "response": msgspec.to_builtins(manifest.response) or {},
        "retrieval": msgspec.to_builtins(manifest.retrieval) or {},
        "messages": [{"role": one.role, "content": one.content} for one in manifest.messages],
        "includes": {one.name: one.ref for one in manifest.includes},
        "description": manifest.description,
        "owners": list(manifest.owners),
        "notes": manifest.notes,
    }


def _named(record: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {} if record is None else msgspec.to_builtins(record)
    if record is not None and "parameters" not in getattr(record, "__struct_fields__", ()):
        # A declared text has its type left out; that it is declared is a difference all the same.
        rows["type"] = record.type
    return {key: value for key, value in rows.items() if key != "name"}

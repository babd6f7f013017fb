"""Which policies can be carried out, and the kind of asset that they are; apart from the records, which clients read without RE2."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.engines.text.custom import check_speed, custom
from gimbal.engines.text.registry import chosen
from gimbal.generative.guards.model import Guard, PolicyManifest
from gimbal.kernel.errors import BadInput


def check_manifest(manifest: PolicyManifest) -> PolicyManifest:
    """Return a manifest whose guards can be carried out; raise BadInput naming the part that cannot."""
    seen: set[str] = set()
    for number, guard in enumerate(manifest.guards):
        where = f"guards[{number}]"
        if guard.name in seen:
            raise BadInput(
                f"Two guards are called {guard.name!r}.", where=f"{where}.name", todo="Name each its own way."
            )
        seen.add(guard.name)
        if not (guard.detectors or guard.patterns or guard.words or guard.max_characters):
            raise BadInput(
                f"The guard {guard.name!r} looks for nothing.",
                where=where,
                todo="Give it detectors, patterns, words or max_characters.",
            )
        if guard.action == "mask" and guard.max_characters is not None:
            raise BadInput(
                "What is too long cannot be masked.", where=f"{where}.max_characters", todo="Choose block or flag."
            )
        _check_parts(guard, where)
    return manifest


def _check_parts(guard: Guard, where: str) -> None:
    with _at(f"{where}.detectors"):
        chosen(guard.detectors)
    for number, one in enumerate(guard.patterns):
        with _at(f"{where}.patterns[{number}]"):
            custom(one.kind, one.pattern)
    for word in guard.words:
        if not any(sign.isalnum() for sign in word):
            raise BadInput(f"{word!r} is no word.", where=f"{where}.words", todo="Use letters or digits.")


class _at:  # noqa: N801 - reads as a word of the `with` statement
    """Names the place in the manifest in the errors of a block."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, BadInput):
            raise BadInput(problem.message, where=self._where, todo=problem.todo) from None


def check_speeds(manifest: PolicyManifest) -> None:
    """Raise BadInput for a pattern that is too slow; for what is new, since machines differ."""
    for number, guard in enumerate(manifest.guards):
        for place, one in enumerate(guard.patterns):
            with _at(f"guards[{number}].patterns[{place}]"):
                check_speed(custom(one.kind, one.pattern))


def decode_manifest(manifest: Mapping[str, object]) -> PolicyManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), PolicyManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not a policy's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="policy", title="Policies", ring="generative", check=_check, template="guards/policy.html")
)

"""The asset kind `function`: code of somebody else's program as a version, so that what was evaluated has a name for good.

Gimbal keeps what it is told of it, and never runs it.
"""

from typing import Annotated, Any

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, Version, register_kind
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

SOURCE_FILE = "source.py"
EXTERNAL = "external"
"""The language of what runs in another tool: a model that somebody asked there."""
_SHOWN = 100_000
"""Characters of source that a page shows."""
_MOST = 1_000_000
_Word = Annotated[str, msgspec.Meta(max_length=500)]


class FunctionManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `function`."""

    language: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    """`python`, or `external` for what runs in another tool."""
    module: _Word = ""
    """Where it is written: `shop.help`; of an external one the tool."""
    function: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    """Its name there: `answer`, `Bot.__call__`; of an external one the model."""
    signature: Annotated[str, msgspec.Meta(max_length=5_000)] = ""
    """What it takes and returns."""
    python: _Word = ""
    """Major and minor version of Python: `3.11`."""
    bytecode: _Word = ""
    """Digest of what was compiled, where the source cannot be read."""
    source: Annotated[str, msgspec.Meta(max_length=_SHOWN)] = ""
    """The source, where it is there and not too long to be shown; the file has all of it."""


class RegisterFunction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function to store as a version; its code stays where it is."""

    name: str
    """Name of the asset: `help/answer`."""
    function: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    """Its name in its module: `answer`."""
    module: _Word = ""
    """The module: `shop.help`."""
    language: Annotated[str, msgspec.Meta(min_length=1, max_length=50)] = "python"
    """`python`, or `external` for what runs in another tool."""
    signature: Annotated[str, msgspec.Meta(max_length=5_000)] = ""
    """What it takes and returns: `(question: str) -> str`."""
    python: _Word = ""
    """Major and minor version of Python: `3.11`."""
    bytecode: _Word = ""
    """Digest of what was compiled, where the source cannot be read."""
    source: Annotated[str, msgspec.Meta(max_length=_MOST)] = ""
    """Its source, where it can be read; at most a million characters."""
    note: str = ""
    """A remark for people."""


async def register(ctx: Context, body: RegisterFunction) -> Version:
    """Store a function; the same name and source again are the same version. Raise BadInput."""
    files: list[FileEntry] = []
    if body.source:
        content = body.source.encode()
        blob = await ctx.get(Blobs).put(content)
        files = [FileEntry(path=SOURCE_FILE, digest=blob.digest, size=blob.size, media_type="text/x-python")]
    manifest = FunctionManifest(
        language=body.language,
        module=body.module,
        function=body.function,
        signature=body.signature,
        python=body.python,
        bytecode=body.bytecode,
        source=body.source if len(body.source) <= _SHOWN else "",
    )
    return await ctx.get(Assets).add_version(
        ctx, kind="function", name=body.name, manifest=msgspec.to_builtins(manifest), files=files, note=body.note
    )


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    try:
        msgspec.convert(manifest, FunctionManifest)
    except msgspec.ValidationError as problem:
        raise BadInput(
            f"This is not the manifest of a function: {problem}.", where="manifest", todo="Use functions.register."
        ) from None


register_kind(AssetKind(name="function", title="Functions", ring="axis", check=_check, template="evals/function.html"))

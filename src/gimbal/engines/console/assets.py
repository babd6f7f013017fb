"""The static files: bundled once at start, addressed by the digest of them all, cached for ever by the browser."""

import gzip
import hashlib
from pathlib import Path

import msgspec

from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import HttpReply

FOLDER = Path(__file__).parent / "static"
MOUNT = "/static/{version}/{name*}"
# Order is meaning: what comes later may refine what came before.
STYLES = (
    "tokens",
    "base",
    "layout",
    "components",
    "tables",
    "views",
    "forms",
    "traces",
    "finding",
    "costs",
    "gateway",
    "runs",
    "prompts",
)
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".json": "application/json",
}


class _File(msgspec.Struct, frozen=True, kw_only=True):
    raw: bytes
    packed: bytes
    media_type: str


class Assets:
    """Every static file of the console, in memory (under 100 KiB), raw and packed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        styles = [contents.pop(f"css/{name}.css") for name in STYLES]
        contents["console.css"] = b"\n".join(styles)
        self._files: dict[str, _File] = {}
        digest = hashlib.sha256()
        for name, raw in sorted(contents.items()):
            digest.update(name.encode() + b"\0" + raw)
            self.add(name, raw)
        self.version = digest.hexdigest()[:12]
        """Changes with any of the files, so that the answer may be cached for ever."""

    def add(self, name: str, raw: bytes) -> None:
        """Serve `raw` as `name` too, for files that are made at run time."""
        media_type = _TYPES[Path(name).suffix]
        self._files[name] = _File(raw=raw, packed=gzip.compress(raw, 6, mtime=0), media_type=media_type)

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return name in self._files

    def url(self, name: str) -> str:
        """Return the address of a file, as pages write it."""
        return f"/static/{self.version}/{name}"

    def reply(self, version: str, name: str, accept_encoding: str = "") -> HttpReply:
        """Return the answer for a file; an old version gets the present file, not to be kept."""
        try:
            file = self._files[name]
        except KeyError:
            raise NotFound(f"There is no static file {name!r}.", todo="Reload the page.") from None
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if version == self.version else "no-cache",
            "vary": "accept-encoding",
        }
        if "gzip" in accept_encoding:
            headers["content-encoding"] = "gzip"
            return HttpReply(body=file.packed, media_type=file.media_type, headers=headers)
        return HttpReply(body=file.raw, media_type=file.media_type, headers=headers)

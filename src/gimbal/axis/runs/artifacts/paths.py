"""Where a file may be: inside what it belongs to, however its path was written."""

import re
from urllib.parse import unquote

from gimbal.kernel.errors import BadInput

MAX_PATH = 1_000
# So often is a path decoded; one that changes still is made to deceive.
_DECODINGS = 10
_DRIVE = re.compile(r"[A-Za-z]:")


def decoded(path: str) -> str:
    """Return a path percent-decoded until nothing changes any more; raise BadInput for one that never ends."""
    for _ in range(_DECODINGS):
        plain = unquote(path)
        if plain == path:
            return path
        path = plain
    raise _unsafe(path)


def safe_path(path: str) -> str:
    """Return the path of a file as it was written; raise BadInput for one that might lead elsewhere when it is decoded.

    Refused are `..`, `.` and empty segments, absolute paths and drives, backslashes and control characters.
    """
    plain = decoded(path)
    odd = any(ord(c) < 32 or ord(c) == 127 or c == "\\" for c in plain)
    if odd or len(plain) > MAX_PATH or _DRIVE.match(plain) or any(part in {"", ".", ".."} for part in plain.split("/")):
        raise _unsafe(path)
    return path


def safe_folder(path: str) -> str:
    """Return the path of a folder without a slash at its end; empty for the root. Raise BadInput as `safe_path` does."""
    path = path.rstrip("/") if path != "/" else ""
    return safe_path(path) if path else ""


def _unsafe(path: str) -> BadInput:
    return BadInput(
        f"Invalid path {path[:80]!r}.",
        where="path",
        kept="nothing",
        todo=f"Give a relative path of at most {MAX_PATH} characters with '/', such as plots/roc.png.",
    )

"""Whose seal it is that stands on a thought, where the seal itself does not tell.

Signatures and ciphers of thoughts are handed to callers and come back to whichever provider answers next; one who did not
make them refuses the whole request. Each is marked with its maker when it is read, before the cipher. What has no mark came as
the bytes of a provider of the caller's own wire, or from elsewhere: then it is tried.
"""

import base64
import binascii
import re

CHAT, CLAUDE, GEMINI = "chat", "claude", "gemini"
_MARKED = re.compile(r"(chat|claude|gemini|rs_[\w-]{1,128}):", re.ASCII)
"""The responses' mark is the id of the thought's item, which must be handed back with it."""


def marked(mark: str, cipher: str) -> str:
    """Return a seal with its mark; nothing where there is none."""
    return f"{mark}:{cipher}" if cipher else ""


def opened(seal: str) -> tuple[str, str]:
    """Return the mark of a seal and its cipher; an empty mark where it has none."""
    match = _MARKED.match(seal)
    return (match[1], seal[match.end() :]) if match else ("", seal)


def claimed(maker: str, seal: str) -> str:
    """Return a seal with a mark: with that of the caller's wire where it has none."""
    return seal if opened(seal)[0] else marked(maker, seal)


def own(maker: str, seal: str) -> str:
    """Return the cipher of a seal for who may have made it; nothing for the seal of another."""
    mark, cipher = opened(seal)
    return cipher if mark in {"", maker} else ""


def sealed(raw: bytes) -> bool:
    """Tell whether there may be a marked seal in JSON."""
    return b'"chat:' in raw or b'"claude:' in raw or b'"gemini:' in raw or b'"rs_' in raw


_HEAD = b"gimbal seal:"
"""Its length is a multiple of three, so that all that begins with it begins with the same letters in base64."""
_HEAD_64 = base64.b64encode(_HEAD).decode()
_HIDDEN = "hidden:"


def packed(seal: str, *, hidden: bool = False) -> str:
    """Return a marked seal in base64, for wires whose seals are bytes; `hidden` says that it is all of a thought."""
    return base64.b64encode(_HEAD + f"{_HIDDEN if hidden else ''}{seal}".encode()).decode()


def unpacked(given: str) -> tuple[str, bool]:
    """Return the seal that was packed, in either alphabet, and whether it hides; what was not packed is as it came."""
    if not given.startswith(_HEAD_64):
        return given, False
    whole = given.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        seal = base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True)[len(_HEAD) :].decode()
    except (binascii.Error, ValueError):
        return given, False
    return seal.removeprefix(_HIDDEN), seal.startswith(_HIDDEN)


def has_packed(raw: bytes) -> bool:
    """Tell whether there may be a packed seal in JSON."""
    return _HEAD_64.encode() in raw

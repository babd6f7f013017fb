"""Downloads as answers: saved under their name, whole or the part that the caller asks for. Source: RFC 9110, RFC 6266."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from gimbal.engines.storage.ranges import Part, Unsatisfiable, asked_part, is_among
from gimbal.kernel.http import Download, HttpReply

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)


def downloaded(found: Download, method: str, asked: Mapping[str, str]) -> HttpReply:
    """Return the answer to a request with these headers, by lower-case name."""
    # What was uploaded is saved and never shown: as a page of ours it could act as whoever looks at it.
    headers = {"content-disposition": disposition(found.filename), "content-security-policy": "sandbox"}
    media_type = found.media_type if _MEDIA_TYPE.fullmatch(found.media_type) else "application/octet-stream"
    tag = f'"{found.etag}"' if found.etag else ""
    if tag:
        headers["etag"] = tag
        if is_among(tag, asked.get("if-none-match", "")):
            return HttpReply(status=304, headers={"etag": tag})
    if found.size is None:
        return HttpReply(body=found.chunks, media_type=media_type, headers=headers)
    part: Part | Unsatisfiable | None = None
    if found.between is not None:
        headers["accept-ranges"] = "bytes"
        condition = asked.get("if-range")
        if method == "GET" and "range" in asked and (condition is None or is_among(tag, condition, weak=False)):
            part = asked_part(asked["range"], found.size)
    if isinstance(part, Unsatisfiable):
        return HttpReply(status=416, media_type=media_type, headers={"content-range": f"bytes */{found.size}"})
    if part is None or found.between is None:
        headers["content-length"] = str(found.size)
        return HttpReply(body=found.chunks, media_type=media_type, headers=headers)
    headers["content-length"] = str(part.end - part.start)
    headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{found.size}"
    return HttpReply(status=206, body=found.between(part.start, part.end), media_type=media_type, headers=headers)


def disposition(filename: str) -> str:
    """Return the Content-Disposition with which a browser saves `filename`, or a name of its choice for an empty one.

    Source: RFC 6266 with the `ext-value` of RFC 8187; the plain form beside it is for programs that read only that.
    """
    if not filename:
        return "attachment"
    name = "".join("_" if c in "/\\" or not c.isprintable() else c for c in filename).encode(errors="replace").decode()
    plain = "".join(c if c.isascii() and c not in '"%' else "_" for c in name)
    return f'attachment; filename="{plain}"' + ("" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}")

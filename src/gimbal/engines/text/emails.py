"""Email addresses: a local part, `@`, and a domain whose last label is a name and no file's ending."""

from collections.abc import Iterator

from gimbal.engines.text.matching import matches, pattern
from gimbal.engines.text.model import Detector, Extent

# Latin with its accents: an address stands unseparated between signs of other scripts, which write addresses in Latin too.
_WORD = r"A-Za-z0-9\x{C0}-\x{24F}"
_LABEL = rf"[{_WORD}](?:[{_WORD}-]{{0,61}}[{_WORD}])?"
_email = pattern(
    rf"[{_WORD}_%+'-](?:[{_WORD}._%+'-]{{0,62}}[{_WORD}_%+-])?"
    rf"@(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[A-Za-z\x{{C0}}-\x{{24F}}]{{2,24}})"
)
# `image@2x.png` is a file, `git@github.com:team/it.git` an address of no person.
_ENDINGS = (
    "png jpg jpeg gif svg webp avif ico bmp tiff mp3 mp4 webm wav css js mjs cjs jsx ts tsx json html htm txt csv yaml yml "
    "toml lock whl tgz"
)
_FILES = frozenset(_ENDINGS.split())


def _accept(data: bytes, extent: Extent) -> bool:
    if data[max(0, extent.start - 1) : extent.start].isalnum():
        return False
    local, _, domain = data[extent.start : extent.end].partition(b"@")
    if local == b"git" and data[extent.end : extent.end + 1] in {b":", b"/"}:
        return False
    return domain.rpartition(b".")[2].decode().lower() not in _FILES


def find(data: bytes) -> Iterator[Extent]:
    """Yield the addresses."""
    return matches(_email, data, lambda extent: _accept(data, extent))


EMAIL = Detector(
    name="email",
    kind="email",
    family="contact",
    description="email addresses",
    rank=30,
    gate=lambda data: b"@" in data,
    find=find,
)

"""The body of an answer out of its encoding, with errors that name who sent it."""

from collections.abc import Iterator

from gimbal.engines.http import problems
from gimbal.engines.http.unpack import ENCODINGS, Undecodable, Unpacking

_OTHER_NAMES = {"x-gzip": "gzip", "identity": ""}


class Decoding:
    """One body on its way out of its encoding."""

    def __init__(self, encoding: str, where: str) -> None:
        self._unpacking = Unpacking(encoding)
        self._where = where

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in steps of bounded size; raise Upstream when it stands for nothing."""
        try:
            yield from self._unpacking.feed(data)
        except Undecodable as problem:
            raise problems.undecodable(self._where, str(problem)) from None

    def end(self) -> None:
        """Raise Upstream when the body ended before what is in it did."""
        try:
            self._unpacking.end()
        except Undecodable as problem:
            raise problems.undecodable(self._where, str(problem)) from None

    def whole(self, parts: list[bytes], limit: int) -> bytes:
        """Return what all parts stand for; raise Upstream when it has more than `limit` bytes."""
        pieces: list[bytes] = []
        room = limit
        for part in parts:
            for piece in self.feed(part):
                room -= len(piece)
                if room < 0:
                    raise problems.too_large(self._where, limit)
                pieces.append(piece)
        self.end()
        return b"".join(pieces)


def decoding(header: bytes, where: str) -> Decoding | None:
    """Return what undoes the encoding that a header names, None for none; raise Upstream when it is not known here."""
    if not header:
        return None
    name = header.decode("latin-1").strip().lower()
    encoding = _OTHER_NAMES.get(name, name)
    if not encoding:
        return None
    if encoding not in ENCODINGS:
        raise problems.undecodable(where, f"{name!r} is no encoding that is read here")
    return Decoding(encoding, where)

"""Undoes the encoding of a request body in steps of bounded size, with errors that tell the caller what is wrong."""

from collections.abc import Iterator

from gimbal.engines.http.unpack import ENCODINGS, STEP, Undecodable
from gimbal.engines.http.unpack import Unpacking as Steps
from gimbal.kernel.errors import CorruptUpload, WrongMediaType

__all__ = ["STEP", "Unpacking"]


class Unpacking:
    """One body on its way out of its encoding; raise WrongMediaType for an encoding that is not read here."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ENCODINGS:
            raise WrongMediaType(
                f"The encoding {encoding!r} is not read here.",
                where="Content-Encoding",
                todo=f"Send {', '.join(ENCODINGS)} or identity.",
            )
        self._encoding = encoding
        self._steps = Steps(encoding)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in small steps; raise CorruptUpload when it is not what it says."""
        try:
            yield from self._steps.feed(data)
        except Undecodable as problem:
            raise self._corrupt(str(problem)) from None

    def end(self) -> None:
        """Raise CorruptUpload when the body ended before its last stream did."""
        try:
            self._steps.end()
        except Undecodable as problem:
            raise self._corrupt(str(problem)) from None

    def _corrupt(self, why: str) -> CorruptUpload:
        return CorruptUpload(f"The body is not valid {self._encoding}: {why}.", where="body", todo="Send it again.")

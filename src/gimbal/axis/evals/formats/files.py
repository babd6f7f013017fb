"""Opening files of others: lines and whole texts within bounds, in UTF-8 or UTF-16 with a mark, and JSON that names its line."""

import codecs
import json
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from gimbal.kernel.errors import BadInput, TooLarge

MIB = 2**20
MOST_LINE = 64 * MIB
"""Characters of a line, or of a cell."""
_CHUNK = MIB
_DEEPEST = 200
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@contextmanager
def opened(path: Path) -> Generator[BinaryIO]:
    """Open a file to read; raise BadInput where there is none that can be read."""
    try:
        if not path.is_file():
            raise BadInput(f"There is no file {path}.", where=str(path), todo="Give the path of a file.")
        with path.open("rb") as file:
            yield file
    except OSError as problem:
        raise BadInput(
            f"{path} cannot be read: {problem.strerror or problem}.", where=str(path), todo="Check the path."
        ) from None


def lines(path: Path, most: int = MOST_LINE) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line with its end, as they come; raise BadInput for other bytes than text, TooLarge.

    Only a line feed ends a line: separators of Unicode may stand in a text.
    """
    with opened(path) as file:
        head = file.read(4)
        mark, encoding = next(((m, e) for m, e in _MARKS if head.startswith(m)), (b"", "utf-8"))
        file.seek(len(mark))
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        number, rest = 1, ""
        while True:
            chunk = file.read(_CHUNK)
            try:
                rest += decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as problem:
                before = problem.object[: problem.start].decode(encoding, "ignore")
                line = number + rest.count("\n") + before.count("\n")
                raise BadInput(
                    f"Line {line} is not {encoding.upper()}: {problem.reason}.",
                    where=f"{path}:{line}",
                    todo="Save the file in UTF-8.",
                ) from None
            *whole, rest = rest.split("\n")
            for text in whole:
                yield number, text + "\n"
                number += 1
            if len(rest) > most:
                raise TooLarge(
                    f"Line {number} has more than {most // MIB} million characters.",
                    where=f"{path}:{number}",
                    todo="Check that it is a file of lines.",
                )
            if not chunk:
                break
        if rest:
            yield number, rest


def whole(path: Path, most: int) -> str:
    """Return the text of a file of at most so many bytes; raise BadInput, TooLarge."""
    with opened(path) as file:
        size = len(file.read(most + 1))
    if size > most:
        raise TooLarge(f"{path} has more than {most // MIB} MiB.", where=str(path), todo="Split it.")
    return "".join(text for _, text in lines(path, most))


def decoded(text: str | bytes, where: str) -> Any:
    """Return a JSON value; raise BadInput that says what is wrong and where."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        problem = "it is nested too deeply"
    except (msgspec.DecodeError, UnicodeError) as failure:
        problem = str(failure)
    raise BadInput(f"This is not JSON: {problem}.", where=where, todo="Mend it.")


def decoded_leniently(text: str | bytes, where: str) -> Any:
    """Return a JSON value as programs in Python write it: NaN and infinities are numbers, lone surrogates are `�`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return _mended(json.loads(text))
    except (ValueError, RecursionError):
        return decoded(text, where)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Return a value as JSON has it: times as texts, keys as texts, NaN as null; raise BadInput for what cannot be."""
    if depth > _DEEPEST:
        raise BadInput("It is nested too deeply.", where=where, todo="Make it flatter.")
    if isinstance(value, str):
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
            raise BadInput("A text has half of a character (a lone surrogate).", where=where, todo="Mend it.")
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key): plain(item, where, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item, where, depth + 1) for item in cast("list[Any]", value)]
    raise BadInput(
        f"A value is {type(value).__name__}, which JSON does not have.", where=where, todo="Write it as a text."
    )


def kind_of(value: Any) -> str:
    """Return what sort of JSON value it is, in a word."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "nothing" if value is None else "a list" if isinstance(value, list) else "an object"


def finite(value: Any) -> float | None:
    """Return a value as a finite number; None for what is none."""
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value) if isinstance(value, int | float | str | Decimal) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None

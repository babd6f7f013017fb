"""Reading files: JSON pages of buckets as usage APIs answer them, and tables as dashboards export them."""

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from gimbal.kernel.errors import BadInput, CorruptUpload, TooLarge

MOST_LINES = 500_000
# Amounts keep every digit.
_decoder = msgspec.json.Decoder(type=Any, float_hook=Decimal)


def is_json(text: str) -> bool:
    """Tell whether a file is JSON and no table."""
    return text.lstrip()[:1] in {"{", "["}


def text_of(body: bytes) -> str:
    """Return the text of a file; raise CorruptUpload."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CorruptUpload("The file is not UTF-8.", where="body", todo="Export it as CSV or JSON in UTF-8.") from None


def buckets(text: str) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Yield the number of each result, its bucket and itself; raise CorruptUpload or BadInput.

    A file may be one page, a list of pages, or a list of buckets.
    """
    try:
        whole = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise CorruptUpload(
            f"The file is not JSON: {problem}.", where="body", todo="Save the answer as it came."
        ) from None
    pages: list[Any] = cast("list[Any]", whole) if isinstance(whole, list) else [whole]
    found: list[dict[str, Any]] = []
    goes_on = False
    for page in pages:
        data = cast("dict[str, Any]", page).get("data") if isinstance(page, dict) else None
        if isinstance(data, list):
            found += [one for one in cast("list[Any]", data) if isinstance(one, dict)]
            goes_on = bool(cast("dict[str, Any]", page).get("has_more"))
        elif isinstance(page, dict) and "results" in page:
            found.append(cast("dict[str, Any]", page))
        else:
            raise CorruptUpload(
                "The file has no buckets: neither `data` nor `results`.",
                where="body",
                todo="Give the answer of the provider's usage or cost API, or a list of its pages.",
            )
    if goes_on:
        raise BadInput(
            "The export goes on: its last page says `has_more`.",
            where="body",
            kept="everything as it was",
            todo="Fetch the other pages, too, and put them all into one JSON list.",
        )
    number = 0
    for bucket in found:
        results = bucket.get("results")
        for result in cast("list[Any]", results) if isinstance(results, list) else []:
            number += 1
            _check(number)
            yield number, bucket, cast("dict[str, Any]", result) if isinstance(result, dict) else {}


def table(text: str, needed: Sequence[str], what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line and its cells by their column; raise BadInput for a table without the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        heading = [name.strip() for name in next(reader, [])]
        missing = [name for name in needed if name not in heading]
        if missing:
            raise BadInput(
                f"{what} has a column {missing[0]!r}, this file has not: it has {', '.join(heading[:20]) or 'none'}.",
                where="body",
                todo="Choose another format, or `csv` and say which columns mean what.",
            )
        for number, cells in enumerate(reader, 1):
            if any(cell.strip() for cell in cells):
                _check(number)
                # A line that is too short says so by its missing cells.
                yield reader.line_num, dict(zip(heading, cells, strict=False))
    except csv.Error as problem:
        raise CorruptUpload(f"The table cannot be read: {problem}.", where="body", todo="Export it anew.") from None


def _delimiter(text: str) -> str:
    heading = text.partition("\n")[0]
    return max((",", ";", "\t"), key=heading.count)


def _check(number: int) -> None:
    if number > MOST_LINES:
        raise TooLarge(
            f"The file has more than {MOST_LINES:,} lines.",
            where="body",
            kept="everything as it was",
            todo="Export a shorter stretch of time, or by day instead of by hour.",
        )

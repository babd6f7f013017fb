"""Images, tables, histograms and texts of a run, from what libraries have: arrays, figures, frames. None is imported here."""

import importlib
import io
import math
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from gimbal.axis.runs.media import MOST_ROWS, Histogram, Table, media_path
from gimbal.faces.client.run_values import unfit, whole_step
from gimbal.faces.client.wire import jsonable, text

_MAGIC = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif"}
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
_MOST_BINS = 1_000


class Media:
    """The verbs for what is not a number; they do not wait for the server."""

    def put_later(self, path: str, content: bytes) -> None:
        """Store a file with the run without waiting for the server."""
        raise NotImplementedError

    def image(self, key: str, image: Any, *, step: int = 0, caption: str = "") -> None:
        """Keep an image at a step.

        It may be a NumPy array or a tensor (height × width, with 1 to 4 channels behind; 0 to 255, or floats from 0 to
        1), a Matplotlib figure, a Pillow image, or the bytes or path of a PNG, JPEG, GIF or WebP file.
        """
        content = _image(image)
        at = whole_step(step)
        self.put_later(media_path(key, at, _ending(content)), content)
        if caption:
            self.put_later(media_path(key, at, ".caption.txt"), text(caption).encode())

    def table(self, key: str, rows: Any, *, step: int = 0) -> None:
        """Keep a table at a step: a DataFrame, a list of mappings, or a mapping of columns; 10,000 rows at most."""
        made = msgspec.json.encode(_table(rows))
        self.put_later(media_path(key, whole_step(step), ".table.json"), made)

    def histogram(self, key: str, values: Iterable[float], *, bins: int = 64, step: int = 0) -> None:
        """Keep how values are spread at a step; those that are not finite are counted apart."""
        made = msgspec.json.encode(_histogram(values, bins))
        self.put_later(media_path(key, whole_step(step), ".histogram.json"), made)

    def text(self, key: str, words: str, *, step: int = 0) -> None:
        """Keep a text at a step: a sample that was generated, a report."""
        self.put_later(media_path(key, whole_step(step), ".txt"), text(str(words)).encode())


def _ending(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    for magic, ending in _MAGIC.items():
        if content.startswith(magic):
            return ending
    raise unfit(
        "These bytes are no PNG, JPEG, GIF or WebP.", "image", "Give a file of one of these kinds, or an array."
    )


def _image(image: Any) -> bytes:
    if isinstance(image, Path):
        return image.read_bytes()
    if isinstance(image, bytes):
        return image
    for verb in ("savefig", "save"):
        if callable(save := getattr(image, verb, None)):
            into = io.BytesIO()
            save(into, format="png")
            return into.getvalue()
    if callable(getattr(image, "detach", None)):
        image = image.detach().cpu()
    if callable(getattr(image, "__array__", None)):
        return _png(image)
    raise unfit(
        f"A {type(image).__name__} is no image.", "image", "Give an array, a figure, a Pillow image, bytes or a Path."
    )


def _png(image: Any) -> bytes:
    """Return an array as PNG; the format needs no library but zlib."""
    numpy: Any = importlib.import_module("numpy")
    array = numpy.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in _COLOURS or 0 in array.shape:
        raise unfit(f"An array of shape {array.shape} is no image.", "image", "Give height × width × 1 to 4 channels.")
    if array.dtype.kind == "f":
        array = numpy.nan_to_num(array, nan=0.0).clip(0.0, 1.0) * 255.0 + 0.5
    pixels = array.clip(0, 255).astype("uint8") if array.dtype.kind != "b" else array.astype("uint8") * 255
    height, width, channels = pixels.shape
    lines = numpy.concatenate([numpy.zeros((height, 1), "uint8"), pixels.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    made = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return made


def _table(rows: Any) -> Table:
    if callable(getattr(rows, "to_dict", None)) and hasattr(rows, "columns"):
        total = len(rows)
        found = cast("dict[str, Any]", rows.head(MOST_ROWS).to_dict("split"))
        columns, lists = list(found["columns"]), cast("list[list[Any]]", found["data"])
    elif isinstance(rows, Mapping):
        named: dict[str, list[Any]] = {
            str(name): list(column) for name, column in cast("Mapping[Any, Iterable[Any]]", rows).items()
        }
        lengths = {len(column) for column in named.values()}
        if len(lengths) > 1:
            raise unfit("The columns are of different lengths.", "rows", "Give each column one entry per row.")
        total = lengths.pop() if lengths else 0
        columns, lists = (
            list(named),
            [[column[place] for column in named.values()] for place in range(min(total, MOST_ROWS))],
        )
    else:
        every = list(cast("Iterable[Any]", rows))
        if not all(isinstance(row, Mapping) for row in every):
            raise unfit(
                "A table is a frame, a list of mappings, or a mapping of columns.", "rows", "Give one of these."
            )
        total = len(every)
        columns = list(dict.fromkeys(name for row in every for name in row))
        lists = [[row.get(name) for name in columns] for row in every[:MOST_ROWS]]
    plain = cast("list[list[Any]]", jsonable(lists, "rows"))
    return Table(columns=[text(str(name)) for name in columns], rows=plain, left_out=max(0, total - MOST_ROWS))


def _histogram(values: Iterable[float], bins: int) -> Histogram:
    if not 1 <= bins <= _MOST_BINS:
        raise unfit(f"{bins} bins cannot be made.", "bins", f"Use 1 to {_MOST_BINS}.")
    listed = getattr(values, "flatten", None)
    flat = cast("Iterable[float]", listed() if callable(listed) else values)
    every = [float(one) for one in flat]
    finite = [one for one in every if math.isfinite(one)]
    missing = len(every) - len(finite)
    if not finite:
        return Histogram(edges=[0.0, 1.0], counts=[0], missing=missing)
    low, high = min(finite), max(finite)
    width = (high / bins - low / bins) or 1.0
    counts = [0] * (bins if high > low else 1)
    for one in finite:
        counts[min(int((one / width) - (low / width)), len(counts) - 1)] += 1
    edges = [low + place * width for place in range(len(counts))] + [high if high > low else low + width]
    return Histogram(edges=edges, counts=counts, missing=missing)

"""Images, tables, histograms, texts and notes of a run: they arrive as what they were."""

import math
import struct
import zlib
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gimbal
from gimbal.axis.runs.media import Histogram, Table, media_kind
from gimbal.faces.client.run_media import _histogram, _png, _table  # pyright: ignore[reportPrivateUsage]
from gimbal.kernel.errors import BadInput


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    """Return what a PNG without filters shows, checking every sum in it."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        parts[name] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), "uint8").reshape(height, 1 + width * channels)
    assert depth == 8
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 2), (3, 5, 3), (3, 5, 4)])
def test_arrays_are_images(shape: tuple[int, ...]) -> None:
    """Bytes as they are, floats from 0 to 1 as 256 steps, what is outside at the ends, NaN as black."""
    array = np.random.default_rng(7).integers(0, 256, shape, dtype="uint8")
    assert (pixels(_png(array)).reshape(shape) == array).all()
    floats = array / 255.0
    assert (pixels(_png(floats)).reshape(shape) == array).all()
    floats[0, 0], floats[1, 1], floats[2, 2] = np.nan, 7.0, -1.0
    shown = pixels(_png(floats))
    assert (shown[0, 0].max(), shown[1, 1].min(), shown[2, 2].max()) == (0, 255, 0)
    assert pixels(_png(array > 128)).reshape(shape).max() in {0, 255}


@pytest.mark.parametrize("image", [np.zeros(3), np.zeros((0, 4)), np.zeros((2, 2, 5)), "a.png", b"no image", 7])
def test_what_is_no_image_is_refused(client: gimbal.Client, image: object) -> None:
    """Where it is logged, and nothing of it is kept."""
    with gimbal.run("no image", environment=False, client=client) as run, pytest.raises(BadInput):
        run.image("x", image, caption="c")

    assert client.runs.artifacts(run.id) == []


def test_media_arrive_as_they_were(client: gimbal.Client) -> None:
    """Each has a place by key and step, and an ending that says what it is."""
    with gimbal.run("media", environment=False, client=client) as run:
        run.image("samples/cat", np.zeros((2, 2)), step=1, caption="a cat, at night")
        run.image("samples/cat", b"\xff\xd8\xff\xe0 a photograph", step=2)
        run.table("errors", pd.DataFrame({"id": [1, 2], "loss": [0.5, math.nan]}))
        run.histogram("weights", np.array([[0.0, 1.0], [np.nan, 1.0]]), bins=2)
        run.text("sample", "Grüße\ud800", step=3)
        run.note("# It works\n*mostly*")

    def read(path: str) -> bytes:
        return b"".join(client.runs.artifact(run.id, f"media/{path}"))

    kept = {each.path: media_kind(each.path) for each in client.runs.artifacts(run.id)}
    assert kept == {
        "media/samples/cat/1.png": "image",
        "media/samples/cat/1.caption.txt": "caption",
        "media/samples/cat/2.jpg": "image",
        "media/errors/0.table.json": "table",
        "media/weights/0.histogram.json": "histogram",
        "media/sample/3.txt": "text",
    }
    assert pixels(read("samples/cat/1.png")).shape == (2, 2, 1)
    table = msgspec.json.decode(read("errors/0.table.json"), type=Table)
    assert (table.columns, table.rows) == (["id", "loss"], [[1, 0.5], [2, "NaN"]])
    histogram = msgspec.json.decode(read("weights/0.histogram.json"), type=Histogram)
    assert (histogram.edges, histogram.counts, histogram.missing) == ([0.0, 0.5, 1.0], [1, 2], 1)
    assert read("sample/3.txt").decode() == "Grüße\\ud800"
    assert client.runs.show(run.id).note == "# It works\n*mostly*"


@pytest.mark.parametrize("key", ["", "..", "a/../b", "/a", "a\\b", "a\nb", "x" * 1000])
def test_a_key_stays_inside_the_run(client: gimbal.Client, key: str) -> None:
    """No file is put anywhere else."""
    with gimbal.run("keys", environment=False, client=client) as run, pytest.raises(BadInput):
        run.text(key, "x")


def test_tables_come_in_several_forms() -> None:
    """Rows with different names have gaps; long ones are cut, and it is told how much."""
    assert _table([{"a": 1}, {"b": 2}]) == Table(columns=["a", "b"], rows=[[1, None], [None, 2]])
    assert _table({"a": range(3)}) == Table(columns=["a"], rows=[[0], [1], [2]])
    assert _table([]) == Table(columns=[], rows=[])
    long = _table({"a": range(10_007)})
    assert (len(long.rows), long.left_out) == (10_000, 7)
    for bad in ([1, 2], {"a": [1], "b": []}):
        with pytest.raises(BadInput):
            _table(bad)


@given(st.lists(st.floats(), max_size=200), st.integers(1, 50))
def test_a_histogram_counts_every_value_once(values: list[float], bins: int) -> None:
    """Whatever the values are: those that are finite lie between the edges, which go up."""
    made = _histogram(values, bins)
    finite = [value for value in values if math.isfinite(value)]

    assert sum(made.counts) == len(finite)
    assert made.missing == len(values) - len(finite)
    assert len(made.edges) == len(made.counts) + 1
    assert made.edges == sorted(made.edges)
    if finite:
        assert made.edges[0] == min(finite)
        assert made.edges[-1] >= max(finite)

"""A snapshot is the table that was given, stored once however often and by whomever it is written."""

import datetime as dt
import io
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gimbal.axis.assets.model import FileEntry
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.model import DATA_FILE, ColumnProfile
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, CorruptUpload, NotFound, TooLarge

UTC = dt.UTC
TABLE = pa.table(
    {
        "n": pa.array([3, 1, 2, None], pa.int64()),
        "x": pa.array([0.5, float("nan"), float("inf"), None], pa.float64()),
        "flag": pa.array([True, False, None, True]),
        "name": pa.array(["b", "a", None, "<i>é</i>"]),
        "at": pa.array([dt.datetime(2026, 1, d, tzinfo=UTC) for d in (2, 1, 3, 4)], pa.timestamp("us", tz="UTC")),
        "day": pa.array([dt.date(2026, 1, 1), None, None, None]),
        "price": pa.array([Decimal("1.10"), None, Decimal("2.20"), Decimal("-3.00")], pa.decimal128(10, 2)),
        "raw": pa.array([b"\x00\xff", None, b"", b"x"]),
        "vector": pa.array([[1.0, 2.0], [], None, [3.0]], pa.list_(pa.float64())),
        "place": pa.array([{"lat": 1.5, "tags": ["a"]}, None, {"lat": None, "tags": []}, {"lat": 2.0, "tags": None}]),
    }
)


def parquet(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


async def profile(datasets: Datasets, ctx: Context, values: Any, kind: pa.DataType | None = None) -> ColumnProfile:
    await datasets.snapshot(ctx, "one", pa.table({"c": pa.array(values, kind)}))
    found = (await datasets.show(ctx, "one")).manifest.column("c")
    assert found is not None
    return found


async def test_what_is_read_is_what_was_written(datasets: Datasets, ctx: Context) -> None:
    """Every type, nested ones too: order, gaps, NaN and infinity are kept."""
    version = await datasets.snapshot(ctx, "all/types", TABLE)
    assert str(version.ref) == "dataset:all/types@v1"
    found = await datasets.read(ctx, "all/types@v1")
    assert found.schema.equals(TABLE.schema)
    for name in TABLE.column_names:
        assert repr(found[name].to_pylist()) == repr(TABLE[name].to_pylist()), name
    assert (await datasets.read(ctx, version.ref, ["name", "n"])).column_names == ["name", "n"]
    assert (await datasets.head(ctx, "all/types", 2)).num_rows == 2
    with pytest.raises(NotFound, match="no column 'N'"):
        await datasets.read(ctx, "all/types", ["N"])


async def test_the_schema_and_the_count_are_in_the_manifest(datasets: Datasets, ctx: Context) -> None:
    """Name, Arrow's type and whether it may have gaps, in the order of the table."""
    await datasets.snapshot(ctx, "all/types", TABLE)
    view = await datasets.show(ctx, "all/types@latest")
    assert view.manifest.rows == 4
    assert [(c.name, c.type) for c in view.manifest.schema] == [
        ("n", "int64"), ("x", "double"), ("flag", "bool"), ("name", "string"), ("at", "timestamp[us, tz=UTC]"),
        ("day", "date32[day]"), ("price", "decimal128(10, 2)"), ("raw", "binary"), ("vector", "list<element: double>"),
        ("place", "struct<lat: double, tags: list<element: string>>"),
    ]  # fmt: skip
    assert view.bytes == view.version.files[0].size > 0


class TestOneDigest:
    """The same data is the same version, whoever wrote the file and however it came."""

    async def test_whatever_wrote_it(self, datasets: Datasets, ctx: Context) -> None:
        """Row groups, compression, chunks, metadata, dictionaries and large strings do not show."""
        table = TABLE.drop_columns(["vector", "place"])
        first = await datasets.snapshot(ctx, "same", table)
        forms = [
            parquet(table, row_group_size=1, compression="none", version="1.0", coerce_timestamps="us"),
            parquet(table, compression="gzip", use_dictionary=False, write_statistics=False),
            pa.concat_tables([table.slice(0, 1), table.slice(1, 2), table.slice(3)]),
            table.replace_schema_metadata({"author": "someone"}),
            table.set_column(3, "name", table["name"].cast(pa.large_string())),
            table.set_column(3, "name", table["name"].dictionary_encode()),
        ]
        for form in forms:
            again = await datasets.snapshot(ctx, "same", form)
            assert (again.number, again.digest) == (1, first.digest)

    async def test_however_a_long_table_is_cut(self, datasets: Datasets, ctx: Context) -> None:
        """Over several row groups of the stored file."""
        table = pa.table({"i": np.arange(300_000), "r": np.random.default_rng(0).random(300_000)})
        first = await datasets.snapshot(ctx, "long", table)
        assert (await datasets.snapshot(ctx, "long", parquet(table, row_group_size=70_001))).digest == first.digest
        assert (await datasets.read(ctx, "long")).equals(table)

    async def test_other_data_is_another_version(self, datasets: Datasets, ctx: Context) -> None:
        """Another value, another order of rows, another type."""
        base = pa.table({"a": [1, 2, 3]})
        forms = [base, pa.table({"a": [1, 2, 4]}), pa.table({"a": [3, 2, 1]}), pa.table({"a": [1.0, 2.0, 3.0]})]
        found = [await datasets.snapshot(ctx, "other", form) for form in forms]
        assert [v.number for v in found] == [1, 2, 3, 4]
        assert len({v.digest for v in found}) == 4

    async def test_pandas(self, datasets: Datasets, ctx: Context) -> None:
        """A frame's private metadata is left out: its file is the same as the plain table's."""
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
        first = await datasets.snapshot(ctx, "frame", frame.to_parquet(index=False))
        plain = pa.table({"a": [1, 2], "b": pa.array(["x", None], pa.string())})
        assert (await datasets.snapshot(ctx, "frame", plain)).digest == first.digest


class TestProfile:
    """The profile says what is in a column, exactly; what is unknown is null and never 0."""

    async def test_numbers(self, datasets: Datasets, ctx: Context) -> None:
        """Moments and quantiles of the finite values; gaps and infinities are counted beside."""
        values = [4.0, 2.0, None, float("nan"), float("inf"), float("-inf"), 8.0, 2.0]
        found = await profile(datasets, ctx, values, pa.float64())
        finite = np.array([4.0, 2.0, 8.0, 2.0])
        assert (found.count, found.missing, found.infinite, found.distinct) == (6, 2, 2, 5)
        assert (found.min, found.max, found.mean) == (2.0, 8.0, 4.0)
        assert found.std == pytest.approx(finite.std(ddof=1))
        assert found.quantiles["0.5"] == 3.0
        assert found.top == []

    async def test_a_large_offset_does_not_eat_the_spread(self, datasets: Datasets, ctx: Context) -> None:
        """Epoch times in microseconds, a second apart at most."""
        found = await profile(datasets, ctx, [1.7e15 + k for k in (0.0, 250_000.0, 500_000.0)])
        assert found.std == pytest.approx(250_000.0)
        assert found.mean == pytest.approx(1.7e15 + 250_000.0, abs=1)

    async def test_only_gaps(self, datasets: Datasets, ctx: Context) -> None:
        """Nothing to describe: nulls."""
        found = await profile(datasets, ctx, [None, float("nan")], pa.float64())
        assert (found.count, found.missing, found.distinct) == (0, 2, 0)
        assert (found.min, found.max, found.mean, found.std, found.quantiles) == (None, None, None, None, {})

    async def test_one_value_has_no_spread(self, datasets: Datasets, ctx: Context) -> None:
        """A sample of one has no standard deviation."""
        assert (await profile(datasets, ctx, [7.0])).std is None

    async def test_whole_numbers_of_few_values_are_codes_too(self, datasets: Datasets, ctx: Context) -> None:
        """Both views are given, up to fifty values."""
        found = await profile(datasets, ctx, [1, 1, 2, None])
        assert [(c.value, c.count) for c in found.top] == [("1", 2), ("2", 1)]
        assert found.mean == pytest.approx(4 / 3)
        assert (await profile(datasets, ctx, list(range(51)))).top == []

    async def test_whole_numbers_past_53_bits(self, datasets: Datasets, ctx: Context) -> None:
        """Identifiers of 64 bits are counted exactly."""
        found = await profile(datasets, ctx, [2**62, 2**62 + 1, -(2**63)])
        assert (found.count, found.distinct) == (3, 3)

    async def test_text(self, datasets: Datasets, ctx: Context) -> None:
        """Most frequent first, ties by value, long values cut; the empty text is a value."""
        values = ["b", "a", "b", "a", "c" * 500, "", None]
        found = await profile(datasets, ctx, values)
        assert (found.count, found.missing, found.distinct) == (6, 1, 4)
        assert [(c.value, c.count) for c in found.top] == [("a", 2), ("b", 2), ("", 1), ("c" * 100, 1)]

    async def test_the_order_of_rows_does_not_show(self, datasets: Datasets, ctx: Context) -> None:
        """Shuffled rows have the same profile, though another digest."""
        values = [f"v{i % 30}" for i in range(100)]
        first = await profile(datasets, ctx, values)
        random.Random(1).shuffle(values)
        assert await profile(datasets, ctx, values) == first

    async def test_times_and_truth_and_money(self, datasets: Datasets, ctx: Context) -> None:
        """Ends as ISO 8601, shares of truth, numbers of decimals."""
        await datasets.snapshot(ctx, "all/types", TABLE)
        manifest = (await datasets.show(ctx, "all/types")).manifest
        at, flag, price = (manifest.column(name) for name in ("at", "flag", "price"))
        assert at is not None
        assert flag is not None
        assert price is not None
        assert (at.min, at.max) == ("2026-01-01T00:00:00+00:00", "2026-01-04T00:00:00+00:00")
        assert [(c.value, c.count) for c in flag.top] == [("true", 2), ("false", 1)]
        assert (price.min, price.max, price.missing) == (-3.0, 2.2, 1)

    async def test_nested_columns_are_counted_only(self, datasets: Datasets, ctx: Context) -> None:
        """How many different lists there are is not known: null."""
        await datasets.snapshot(ctx, "all/types", TABLE)
        manifest = (await datasets.show(ctx, "all/types")).manifest
        for name in ("vector", "place"):
            found = manifest.column(name)
            assert found is not None
            assert (found.count, found.missing, found.distinct) == (3, 1, None)

    async def test_a_column_of_nothing(self, datasets: Datasets, ctx: Context) -> None:
        """No type and no value: as many different values as there are, which is none."""
        found = await profile(datasets, ctx, pa.nulls(3))
        assert (found.count, found.missing, found.distinct) == (0, 3, 0)

    async def test_zones_and_spans_of_time(self, datasets: Datasets, ctx: Context) -> None:
        """Durations and times of day have ends too."""
        found = await profile(datasets, ctx, [dt.timedelta(seconds=2), dt.timedelta(days=1)], pa.duration("s"))
        assert (found.min, found.max) == ("0:00:02", "1 day, 0:00:00")
        found = await profile(datasets, ctx, [dt.time(1, 2), None], pa.time64("us"))
        assert (found.min, found.missing) == ("01:02:00", 1)


def _broken(table: pa.Table) -> bytes:
    """Return a Parquet file with a damaged data page behind a sound footer."""
    content = bytearray(parquet(table, compression="snappy", use_dictionary=False))
    content[60:200] = b"\xff" * 140
    return bytes(content)


def _not_utf8() -> pa.Table:
    text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.array([0, 2, 4], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfeab")]
    )
    return pa.table({"t": text})


class TestRefused:
    """What cannot be a snapshot is refused with the place and what to do; nothing is kept."""

    @pytest.mark.parametrize(
        ("content", "error", "said"),
        [
            (b"", CorruptUpload, "body is empty"),
            (b"PAR1", CorruptUpload, "not a Parquet file"),
            (b"a,b\n1,2\n", CorruptUpload, "not a Parquet file"),
            (parquet(TABLE)[:-20], CorruptUpload, "not a Parquet file"),
            (parquet(TABLE)[:200] + parquet(TABLE)[-30:], CorruptUpload, "not a Parquet file"),
            (_broken(pa.table({"a": [f"text {i}" for i in range(500)]})), CorruptUpload, "not a Parquet file"),
            (parquet(_not_utf8()), BadInput, "UTF-?8"),
            (_not_utf8(), BadInput, "UTF-?8"),
            (pa.table({"a": pa.array([], pa.int64())}), BadInput, "no rows"),
            (pa.table({}), BadInput, "no columns"),
            (parquet(pa.table({"a": pa.array([], pa.int64())})), BadInput, "no rows"),
            (pa.table([[1], [2]], names=["a", "a"]), BadInput, "Two columns are called 'a'"),
            (parquet(pa.table([[1], [2]], names=["a", "a"])), BadInput, "Two columns are called 'a'"),
            (pa.table([[1]], names=[""]), BadInput, "has no name"),
            (pa.table({f"c{i}": [1] for i in range(1_001)}), TooLarge, "1001 columns"),
            (pa.table({"a": pa.array([dt.timedelta(1)], pa.month_day_nano_interval())}), BadInput, "stored as Parquet"),
        ],
        ids=[
            "empty", "magic only", "text", "cut", "middle missing", "damaged page", "file not UTF-8",
            "table not UTF-8", "no rows", "no columns", "file without rows", "names twice", "file with names twice",
            "no name", "too many columns", "a type of no Parquet",
        ],
    )  # fmt: skip
    async def test_and_nothing_is_kept(
        self, datasets: Datasets, ctx: Context, tmp_path: Path, content: Any, error: type[Exception], said: str
    ) -> None:
        """No version, no blob, no file on the way."""
        with pytest.raises(error, match=said) as told:
            await datasets.snapshot(ctx, "bad", content)
        assert told.value.kept == "nothing"  # type: ignore[attr-defined]
        with pytest.raises(NotFound):
            await datasets.show(ctx, "bad")
        assert list((tmp_path / "spool").iterdir()) == []
        assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []

    @pytest.mark.parametrize("name", ["", "Flights", "../up", "a b", "a/", "a" * 65])
    async def test_names(self, datasets: Datasets, ctx: Context, name: str) -> None:
        """A name follows the grammar of references."""
        with pytest.raises(BadInput):
            await datasets.snapshot(ctx, name, TABLE)

    async def test_versions_of_another_kind_or_form(self, datasets: Datasets, ctx: Context, blobs: Blobs) -> None:
        """A dataset version that could not be read later is not taken by the assets either."""
        blob = await blobs.put(b"x")
        entry = FileEntry(path="other.bin", digest=blob.digest, size=blob.size)
        good = (await datasets.snapshot(ctx, "good", TABLE)).manifest
        assets = ctx.get(Assets)
        for manifest, files in ((good, [entry]), (good, []), ({"rows": 1}, [entry]), (good | {"extra": 1}, [entry])):
            with pytest.raises(BadInput):
                await assets.add_version(ctx, kind="dataset", name="crafted", manifest=manifest, files=files)

    async def test_another_project_does_not_see_it(self, datasets: Datasets, ctx: Context) -> None:
        """The same name elsewhere is another dataset."""
        await datasets.snapshot(ctx, "mine", TABLE)
        with pytest.raises(NotFound):
            await datasets.read(Context(ctx.services, ctx.principal, "flights"), "mine")

    async def test_a_file_that_claims_to_be_one(self, datasets: Datasets, ctx: Context, blobs: Blobs) -> None:
        """A version made by hand, of bytes that are no Parquet, is told when it is read."""
        good = await datasets.snapshot(ctx, "good", TABLE)
        blob = await blobs.put(b"not parquet")
        entry = FileEntry(path=DATA_FILE, digest=blob.digest, size=blob.size)
        await ctx.get(Assets).add_version(ctx, kind="dataset", name="fake", manifest=good.manifest, files=[entry])
        with pytest.raises(CorruptUpload, match="not a Parquet file"):
            await datasets.read(ctx, "fake")
        with pytest.raises(CorruptUpload, match="not a Parquet file"):
            await datasets.head(ctx, "fake")

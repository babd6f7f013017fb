"""Newer books: taken whole or not at all, kept for ever, and pricing that goes on whatever the source does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gimbal.axis.pricing import store, work
from gimbal.axis.pricing.book import SHIPPED, read_book
from gimbal.axis.pricing.finding import FindPrice
from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.refreshing import Refreshes, samples
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage import backup
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotReady, StaleVersion, TooLarge, Upstream
from gimbal.kernel.settings import PricesSettings
from gimbal.testing.clock import FrozenClock

SHIPPED_VERSION = read_book(SHIPPED.read_text(encoding="utf-8"), "shipped").version
AT = datetime(2027, 1, 5, tzinfo=UTC)
ONE = Usage(input=1_000_000)
Reply = tuple[int, dict[str, str], bytes]


def toml(version: str = "2027-01-02", price: str = "1.25", model: str = "gpt-4o", more: str = "") -> str:
    return f"""version = "{version}"
[[price]]
provider = "openai"
model = "{model}"
valid_from = 2024-01-01
input = "{price}"
output = "10"
{more}
"""


@pytest.fixture
def later(clock: FrozenClock) -> FrozenClock:
    """Give a clock that stands after the shipped book."""
    clock.move_to(AT)
    return clock


@pytest.fixture
def refreshes(prices: Prices, catalog: Catalog, later: FrozenClock) -> Callable[..., Refreshes]:
    """Give what refreshes from a source."""

    def made(**settings: Any) -> Refreshes:
        return Refreshes(catalog, later, prices.snapshot, PricesSettings(**settings))

    return made


class Source:
    """A web server on this machine that answers with whatever is put into `reply`."""

    def __init__(self) -> None:
        self.reply: Reply = (200, {}, toml().encode())
        self.asked: list[str] = []
        self.stall = False
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status, headers, content = self.reply
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{head}\r\n".encode())
        if self.stall:
            await writer.drain()
            await reader.read()
        with contextlib.suppress(ConnectionError):
            writer.write(content)
            await writer.drain()
        writer.close()


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    """Serve a price book on a loopback port."""
    found = Source()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/prices.toml"
    yield found
    server.close()


async def dollars(prices: Prices, model: str = "gpt-4o") -> tuple[Decimal | None, str]:
    found = (await prices.of("default")).price("openai", model, AT, ONE)
    return found.amount, found.book_version


async def test_a_newer_book_counts_at_once_and_the_shipped_one_below_it(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, source: Source
) -> None:
    """What the newer one does not have is asked of the shipped one, and each names itself."""
    before = await dollars(prices, "gpt-4o-mini")
    found = await refreshes(url=source.url).refresh(ctx)
    assert (found.outcome, found.version, found.before, found.prices) == ("taken", "2027-01-02", SHIPPED_VERSION, 1)
    assert (found.added, found.changed) == (1, 0)
    assert await dollars(prices) == (Decimal("1.25"), "2027-01-02")
    assert await dollars(prices, "gpt-4o-mini") == before
    await prices.set(ctx, SetPrice(provider="openai", model="gpt-4o", factor=Decimal("0.8")))
    assert await dollars(prices) == (1, "2027-01-02+p1")


async def test_a_book_is_kept_for_those_who_were_counted_with_it(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context
) -> None:
    """Through newer ones and a start anew; no statement changes it."""
    await refreshes().take(ctx, toml("2027-01-02", "1.25"), source="upload")
    await refreshes().take(ctx, toml("2027-01-03", "1.5"), source="upload")
    asked = FindPrice(provider="openai", model="gpt-4o", input=1_000_000)
    for version, expected in (("2027-01-02", "1.25"), ("2027-01-03", "1.5"), (SHIPPED_VERSION, "2.5")):
        found = await prices.find(ctx, FindPrice(provider="openai", model="gpt-4o", input=1_000_000, version=version))
        assert (found.cost, found.version) == (Decimal(expected), version)
    assert (await prices.find(ctx, asked)).cost == Decimal("1.5")
    anew = Prices(prices._catalog, prices.snapshot._clock)
    assert await dollars(anew) == (Decimal("1.5"), "2027-01-03")
    versions = (await anew.versions()).items
    assert [(v.version, v.in_force, v.origin) for v in versions] == [
        ("2027-01-03", True, "upload"), ("2027-01-02", False, "upload"), (SHIPPED_VERSION, True, "shipped")
    ]  # fmt: skip
    first = await prices.versions(limit=2)
    assert [v.version for v in (await prices.versions(cursor=first.next)).items] == [SHIPPED_VERSION]
    for statement in (store.price_books.delete(), store.price_books.update().values(text="")):
        with pytest.raises(sa.exc.DBAPIError):
            async with prices._catalog.write() as tx:
                await tx.execute(statement)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", BadInput, "is not a day"),
        ("version = 3 = 4", BadInput, "not TOML"),
        (toml("2029-01-01"), BadInput, "has not come yet"),
        (toml(price="-1"), BadInput, "-1"),
        (toml(price="NaN"), BadInput, "NaN"),
        (toml(more='inputs = "1"'), BadInput, "there is no such field"),
        (toml(more='currency = "EUR"'), BadInput, "exchange rate"),
        (toml() + toml().partition("\n")[2], BadInput, "overlaps"),
        (toml("2026-01-01"), StaleVersion, "older than"),
        (toml(SHIPPED_VERSION), Conflict, "has the version"),
        (toml() + "#" * (4 << 20), TooLarge, "larger than"),
    ],
)
async def test_a_book_with_anything_wrong_changes_nothing(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, text: str, kind: type[GimbalError], words: str
) -> None:
    """It is refused with the reason, counted, and the old one goes on to hold."""
    before = await dollars(prices)
    with pytest.raises(kind) as refused:
        await refreshes().take(ctx, text, source="upload")
    assert words in refused.value.message
    assert refused.value.kept.startswith("the prices")
    assert await dollars(prices) == before
    state = prices.snapshot.state.refresh
    assert (state.outcome, state.counts) == ("refused", {"refused": 1})
    assert words in state.message


async def test_going_back_must_be_meant_and_holds_until_something_newer_comes(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context
) -> None:
    """An older book is taken by force; one version is never two texts, not even so."""
    take = refreshes().take
    await take(ctx, toml("2027-01-02", "1.25"), source="upload")
    await take(ctx, toml("2027-01-03", "1.5"), source="upload")
    with pytest.raises(StaleVersion):
        await take(ctx, toml("2027-01-02", "1.25"), source="upload")
    assert (await take(ctx, toml("2027-01-02", "1.25"), source="upload", force=True)).outcome == "taken"
    assert await dollars(prices) == (Decimal("1.25"), "2027-01-02")
    assert (await take(ctx, toml("2027-01-02", "1.25"), source="upload")).outcome == "unchanged"
    with pytest.raises(Conflict):
        await take(ctx, toml("2027-01-02", "9"), source="upload", force=True)
    # Older than what is shipped, too, and still asked first.
    await take(ctx, toml("2026-01-01", "0.5"), source="upload", force=True)
    assert await dollars(prices) == (Decimal("0.5"), "2026-01-01")
    await take(ctx, toml("2027-01-02.2", "1.75"), source="upload")
    assert await dollars(prices) == (Decimal("1.75"), "2027-01-02.2")


async def test_an_upgrade_that_ships_a_newer_book_is_asked_first(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, tmp_path: Path, catalog: Catalog
) -> None:
    """Until the next refresh; and a shipped text that changed under its version gets a name of its own."""
    await refreshes().take(ctx, toml("2027-01-02", "1.25"), source="upload")
    newer = tmp_path / "prices.toml"
    newer.write_text(toml("2027-01-04", "3"))
    upgraded = Prices(catalog, prices.snapshot._clock)
    upgraded.snapshot = type(upgraded.snapshot)(catalog, prices.snapshot._clock, shipped=newer)
    assert await dollars(upgraded) == (3, "2027-01-04")
    newer.write_text(toml("2027-01-04", "4"))
    changed = Prices(catalog, prices.snapshot._clock)
    changed.snapshot = type(changed.snapshot)(catalog, prices.snapshot._clock, shipped=newer)
    amount, version = await dollars(changed)
    assert amount == 4
    assert version.startswith("2027-01-04~")
    assert (await changed.at("default", "2027-01-04")).price("openai", "gpt-4o", AT, ONE).amount == 3


async def test_a_source_that_says_it_is_as_before_is_believed(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, source: Source
) -> None:
    """By its tag, and by the text when it has none; `force` reads it anew."""
    found = refreshes(url=source.url)
    source.reply = (200, {"etag": '"a1"'}, toml().encode())
    await found.refresh(ctx)
    source.reply = (304, {"etag": '"a1"'}, b"")
    assert (await found.refresh(ctx)).outcome == "unchanged"
    assert 'if-none-match: "a1"' in source.asked[-1]
    source.reply = (200, {}, toml().encode())
    assert (await found.refresh(ctx, force=True)).outcome == "unchanged"
    assert "if-none-match" not in source.asked[-1]
    await prices.of("default")
    assert prices.snapshot.state.refresh.counts == {"taken": 1, "unchanged": 2}
    await prices.of("default")
    told = {s.labels.get("outcome", ""): s.value for s in samples(prices.snapshot, prices.snapshot._clock)}
    assert (told["taken"], told["unchanged"], told["refused"]) == (1, 2, 0)
    assert told[""] == (prices.snapshot._clock.now() - datetime(2027, 1, 2, tzinfo=UTC)).total_seconds()


@pytest.mark.parametrize(
    "reply",
    [
        (500, {}, b""),
        (404, {}, b""),
        (301, {"location": "http://169.254.169.254/latest"}, b""),
        (302, {"location": "file:///etc/passwd"}, b""),
        (304, {}, b""),
        (204, {}, b""),
    ],
)
async def test_a_source_that_does_not_give_a_book_breaks_nothing(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, source: Source, reply: Reply
) -> None:
    """No redirect is followed; the old book stays, the failure is counted and shown."""
    before = await dollars(prices)
    source.reply = reply
    with pytest.raises(Upstream) as refused:
        await refreshes(url=source.url).refresh(ctx)
    assert str(reply[0]) in refused.value.message
    assert len(source.asked) == 1
    assert await dollars(prices) == before
    await prices.of("default")
    assert prices.snapshot.state.refresh.counts == {"unreachable": 1}


async def test_a_source_that_stalls_or_never_ends_is_given_up(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, source: Source
) -> None:
    """By the clock and by the size; so is one that is not there, and an address that is none."""
    source.stall = True
    with pytest.raises(Upstream, match=r"longer than 0\.2 s"):
        await refreshes(url=source.url, timeout_s=0.2).refresh(ctx)
    source.stall = False
    source.reply = (200, {}, b"#" * 100_000)
    with pytest.raises(BadInput, match="larger than 1000 bytes"):
        await refreshes(url=source.url, max_bytes=1000).refresh(ctx)
    source.reply = (200, {}, b"\xff\xfe")
    with pytest.raises(BadInput, match="not UTF-8"):
        await refreshes(url=source.url).refresh(ctx)
    for nowhere in ("http://127.0.0.1:1/prices.toml", "https://127.0.0.1:1/prices.toml"):
        with pytest.raises(Upstream):
            await refreshes(url=nowhere).refresh(ctx)
    for wrong in ("http://prices.example/prices.toml", "ftp://127.0.0.1/x", "file:///etc/hosts", "//x", "gopher:x"):
        with pytest.raises(BadInput, match="only https"):
            await refreshes(url=wrong).refresh(ctx)
    assert (await dollars(prices))[1] == SHIPPED_VERSION


async def test_a_password_of_the_source_is_shown_nowhere(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, source: Source
) -> None:
    """Neither in what it answers nor in errors nor in the list of versions."""
    secret = source.url.replace("://", "://me:hunter2@")
    found = await refreshes(url=secret).refresh(ctx)
    assert found.source == source.url.replace("://", "://me:***@")
    source.reply = (500, {}, b"")
    with pytest.raises(Upstream) as refused:
        await refreshes(url=secret).refresh(ctx)
    await prices.of("default")
    told = f"{refused.value}{prices.snapshot.state}{(await prices.versions()).items}"
    assert "hunter2" not in told


async def test_a_file_is_a_source_too(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, tmp_path: Path
) -> None:
    """For those whose servers reach nothing; without any source it says what to set."""
    path = tmp_path / "prices.toml"
    path.write_text(toml())
    assert (await refreshes(file=str(path)).refresh(ctx)).outcome == "taken"
    assert (await dollars(prices))[0] == Decimal("1.25")
    for wrong in (str(tmp_path), str(tmp_path / "none"), "a\0b"):
        with pytest.raises(Upstream):
            await refreshes(file=wrong).refresh(ctx)
    with pytest.raises(NotReady, match=r"No source"):
        await refreshes().refresh(ctx)


@pytest.mark.parametrize("catalog_address", ["sqlite"], indirect=True)
async def test_a_backup_has_every_price_and_every_book(
    prices: Prices, refreshes: Callable[..., Refreshes], ctx: Context, columns: Columns, tmp_path: Path
) -> None:
    """What is restored counts the same, explains the same, and numbers go on."""
    await refreshes().take(ctx, toml("2027-01-02", "1.25"), source="upload")
    await prices.set(ctx, SetPrice(provider="openai", model="gpt-4o", factor=Decimal("0.8")))
    before = await dollars(prices)
    await prices.remove(ctx, "p1")
    await prices.set(ctx, SetPrice(provider="openai", model="gpt-4o", factor=Decimal("0.4")))
    clock, folder, target = prices.snapshot._clock, tmp_path / "restored", tmp_path / "backup"
    (tmp_path / "blobs").mkdir(exist_ok=True)
    await backup.backup(
        catalog=tmp_path / "catalog.sqlite",
        columns=columns,
        blobs=tmp_path / "blobs",
        target=target,
        version="1",
        at=clock.now(),
    )
    folder.mkdir()
    backup.lay(target, folder)
    catalog = Catalog.open(sqlite_url(folder / backup.CATALOG))
    restored = Prices(catalog, clock)
    assert await dollars(restored) == (Decimal("0.5"), "2027-01-02+p2")
    again = (await restored.at("default", before[1])).price("openai", "gpt-4o", AT, ONE)
    assert (again.amount, again.book_version) == before
    assert (await restored.set(ctx, SetPrice(provider="openai", model="o1", factor=Decimal(1)))).price.name == "p3"
    await catalog.close()


async def test_the_schedule_is_what_the_settings_say(
    axis: Any, ctx: Context, catalog: Catalog, clock: FrozenClock
) -> None:
    """Set where there is a source, left alone where it is right, gone where there is none."""
    jobs = Jobs(catalog, clock)
    axis.register(Jobs, jobs)
    axis.register(Schedules, Schedules(catalog, clock, jobs))

    async def rules() -> list[tuple[str, datetime]]:
        return [(each.cron, each.next_at) for each in await ctx.get(Schedules).all(ctx)]

    await work.follow_settings(ctx, PricesSettings())
    assert await rules() == []
    await work.follow_settings(ctx, PricesSettings(url="https://prices.example/p.toml"))
    first = await rules()
    assert [cron for cron, _ in first] == ["20 4 * * *"]
    clock.advance(hours=1)
    await work.follow_settings(ctx, PricesSettings(url="https://prices.example/p.toml"))
    assert await rules() == first
    await work.follow_settings(ctx, PricesSettings(file="/p.toml", refresh="0 * * * *"))
    assert [cron for cron, _ in await rules()] == ["0 * * * *"]
    await work.follow_settings(ctx, PricesSettings(file="/p.toml", refresh=""))
    assert await rules() == []


@pytest.mark.parametrize("catalog_address", ["sqlite"], indirect=True)
async def test_a_worker_refreshes_for_the_installation_alone(
    axis: Any, refreshes: Callable[..., Refreshes], prices: Prices, ctx: Context, admin: Context, tmp_path: Path
) -> None:
    """Not for an admin of one project, who may set a schedule there: it is refused, and nothing changes."""
    path = tmp_path / "prices.toml"
    path.write_text(toml())
    axis.register(Refreshes, refreshes(file=str(path)))
    jobs = Jobs(axis.get(Catalog), axis.get(Clock))
    axis.register(Jobs, jobs)
    axis.register(Schedules, Schedules(axis.get(Catalog), axis.get(Clock), jobs))
    worker = Worker(axis, name="w", concurrency=1, grace_s=1)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    for who, status, version in ((admin, "failed", SHIPPED_VERSION), (ctx, "succeeded", "2027-01-02")):
        job = await jobs.enqueue(who, "prices.refresh", work.RefreshPrices())
        async with asyncio.timeout(20):
            while (job := await jobs.get(ctx, job.id)).status not in {"failed", "succeeded"}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert job.status == status, job.error
        assert (await dollars(prices))[1] == version
    stop.set()
    await running


def test_the_shipped_book_is_not_of_the_future() -> None:
    """Else no book of its day could ever be taken."""
    assert date.fromisoformat(SHIPPED_VERSION[:10]) <= datetime.now(UTC).date()

"""The tables of providers on both engines: what is kept comes back, and revisions count changes in order."""

import asyncio
from datetime import UTC, datetime

from tests.conftest import catalog_address  # noqa: F401 - on both engines

from gimbal.generative.gateway.providers import store
from gimbal.kernel.settings_gateway import ProviderSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SETTINGS = ProviderSettings(
    name="x", kind="azure", base_url="https://r.openai.azure.com", deployments={"a": "b"}, models=("ü",), timeout_s=0.5
)


def row(**fields):
    return store.Row(**{"scope": "p", "settings": SETTINGS, "updated_at": NOW, "updated_by": "ada", **fields})


async def test_what_is_kept_comes_back(catalog):
    kept = row(seal="gk1.k1.AAAA", key_set_at=NOW, key_set_by="eve", revision=2**40)
    async with catalog.write() as tx:
        assert await store.insert(tx, kept)
        assert not await store.insert(tx, row())
        assert await store.insert(tx, row(scope=""))
        assert await store.one(tx, "p", "x") == kept
        assert await store.one(tx, "q", "x") is None
        await store.put(tx, row(seal="", updated_by="bob"))
        assert [(one.scope, one.updated_by) for one in await store.everything(tx)] == [("", "ada"), ("p", "bob")]
        assert await store.remove(tx, "p", "x")
        assert not await store.remove(tx, "p", "x")
    async with catalog.read() as tx:
        assert [one.scope for one in await store.everything(tx)] == [""]


async def test_changes_at_the_same_time_have_revisions_of_their_own(catalog):
    seen = []

    async def change(number):
        async with catalog.write() as tx:
            found = await store.raised(tx)
            assert await store.insert(tx, row(scope=f"p{number}", revision=found))
            seen.append(found)

    async with catalog.read() as tx:
        assert await store.revision(tx) == 0
    await asyncio.gather(*(change(number) for number in range(12)))

    assert sorted(seen) == list(range(1, 13))
    async with catalog.read() as tx:
        assert await store.revision(tx) == 12
        assert sorted(one.revision for one in await store.everything(tx)) == list(range(1, 13))


async def test_a_change_that_fails_raises_nothing(catalog):
    try:
        async with catalog.write() as tx:
            await store.raised(tx)
            raise RuntimeError  # noqa: TRY301 - as if the change went wrong
    except RuntimeError:
        pass

    async with catalog.read() as tx:
        assert await store.revision(tx) == 0

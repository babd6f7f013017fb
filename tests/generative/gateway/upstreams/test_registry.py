"""Which provider answers for a name, in which project, and how soon a change in the catalog counts."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Plain, Reply, call, texts, until

from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers import registry, store
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.upstreams.kinds import kinds
from gimbal.kernel.errors import ConfigurationError, NotFound, Unavailable
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

MASTER = "k1:" + "A" * 43 + "="
NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GIMBAL_DEMO_LLM_URL": "http://127.0.0.1:9/v1"}


def providers(http_client, environ=None, catalog=None, *configured):
    settings = GatewaySettings(providers=configured, key_env="MASTER" if catalog else "")
    return Providers(settings, http_client, catalog=catalog, environ={"MASTER": MASTER, **(environ or {})}, wires=Plain)


async def keep(catalog, scope, name, url="", key=KEY, kind="vllm", **settings):
    seals = Seals({"k1": b"\0" * 32})
    row = store.Row(
        scope=scope,
        settings=ProviderSettings(name=name, kind=kind, base_url=url, **settings),
        seal=seals.seal(Secret(key), scope, name) if key else "",
        updated_at=NOW,
        updated_by="ada",
    )
    async with catalog.write() as tx:
        number = await store.raised(tx)
        await store.remove(tx, scope, name)
        row = store.Row(**{**{f: getattr(row, f) for f in row.__struct_fields__}, "revision": number})
        assert await store.insert(tx, row)


async def drop(catalog, scope, name):
    async with catalog.write() as tx:
        await store.raised(tx)
        assert await store.remove(tx, scope, name)


async def test_the_environment_is_enough(http_client):
    found = providers(http_client, KEYS)

    assert list(await found.entries("p")) == ["openai", "anthropic", "demo", "local"]
    assert list(await providers(http_client).entries("p")) == ["local"]
    for asked, name, model in [
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("text-embedding-3-small", "openai", "text-embedding-3-small"),
        ("claude-sonnet-4", "anthropic", "claude-sonnet-4"),
        ("demo/org/model-7b", "demo", "org/model-7b"),
        ("local/extractive", "local", "extractive"),
    ]:
        provider, rest = await found.route("p", asked)
        assert (provider.name, rest) == (name, model)
    assert [card.id for card in await providers(http_client).models("p")] == ["local/extractive"]


@pytest.mark.parametrize("kind", [kind.name for kind in kinds().values() if kind.found])
async def test_each_makers_own_variable_is_enough(http_client, kind):
    found = kinds()[kind]
    environ = {found.key_env[-1]: KEY} | ({found.url_env: "https://r.openai.azure.com"} if kind == "azure" else {})

    provider, model = await providers(http_client, environ).route("p", f"{kind}/m")

    assert (provider.name, model, provider.pricing) == (kind, "m", found.pricing)
    for claim in found.claims:
        assert (await providers(http_client, environ).route("p", f"{claim}x"))[0].name == kind


async def test_another_address_by_the_variable_is_still_that_provider(up, http_client):
    found = providers(http_client, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{up.url}/v1"})

    provider, model = await found.route("p", "gpt-x")
    await provider.open(call(), model, DEADLINES)

    assert (up.last.target, up.last.header("authorization")) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert provider.pricing == "openai"


async def test_a_makers_key_is_not_sent_to_another_address(up, http_client):
    mine = ProviderSettings(name="mine", kind="openai", base_url=f"{up.url}/v1")
    found = providers(http_client, {"OPENAI_API_KEY": KEY}, None, mine)

    provider, _ = await found.route("p", "mine/m")
    await provider.open(call(), "m", DEADLINES)

    assert up.last.header("authorization") is None
    assert provider.pricing == "mine"
    assert (await found.route("p", "gpt-x"))[0].name == "openai"


async def test_settings_win_over_the_environment_and_listed_models_need_no_prefix(http_client):
    mine = ProviderSettings(name="openai", kind="openai", base_url="http://127.0.0.1:9/v1", models=("llama", "gpt-4o"))
    found = providers(http_client, KEYS, None, mine)

    provider, model = await found.route("p", "llama")
    assert (provider.name, model) == ("openai", "llama")
    assert await provider.models() == ["llama", "gpt-4o"]
    assert provider is await found.get("p", "openai")
    claimed = ProviderSettings(name="c", kind="compatible", base_url="http://a/v1", claims=("gpt-",))
    assert (await providers(http_client, KEYS, None, claimed).route("p", "gpt-9"))[0].name == "c"


@pytest.mark.parametrize("model", ["gpt-4o", "nobody/x", "local/", "/x", "extractive", ""])
async def test_a_name_that_nobody_serves_is_not_found(http_client, model):
    with pytest.raises(NotFound) as caught:
        await providers(http_client).route("p", model)

    assert caught.value.where == "model"
    assert "local" in caught.value.todo


async def test_what_cannot_be_is_told(http_client):
    one = ProviderSettings(name="a", kind="openai", base_url="http://x/v1", api_key_env="NOT_SET")
    with pytest.raises(ConfigurationError, match="Two providers"):
        providers(http_client, {}, None, one, one)
    with pytest.raises(ConfigurationError, match="no kind"):
        providers(http_client, {}, None, ProviderSettings(name="a", kind="opnai"))
    with pytest.raises(ConfigurationError, match="not set") as caught:
        await providers(http_client, {}, None, one).route("p", "a/m")

    assert caught.value.where == "NOT_SET"
    assert [card.id for card in await providers(http_client, {}, None, one).models("p")] == ["local/extractive"]
    bare = ProviderSettings(name="g", kind="groq")
    with pytest.raises(ConfigurationError) as caught:
        await providers(http_client, {}, None, bare).route("p", "g/m")
    assert caught.value.where == "GROQ_API_KEY"
    with pytest.raises(ConfigurationError, match="not set"):
        await providers(http_client, {}, None, ProviderSettings(name="g", kind="openai")).route("p", "g/m")


async def test_vertex_and_bedrock_take_what_their_makers_programs_take(http_client, tmp_path):
    aws = {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
        "AWS_REGION": "eu-west-1",
    }
    found = providers(http_client, aws, None, ProviderSettings(name="b", kind="bedrock"))
    provider, _ = await found.route("p", "b/m")
    assert provider._origin.host == "bedrock-runtime.eu-west-1.amazonaws.com"
    assert provider._aws.held == ("AKID", "s", "t")
    assert "bedrock" not in await providers(http_client, aws).entries("p")

    vertex = ProviderSettings(name="v", kind="vertex")
    for value in (str(tmp_path / "missing.json"), json.dumps({"client_email": "a"})):
        with pytest.raises(ConfigurationError):
            await providers(http_client, {"GOOGLE_APPLICATION_CREDENTIALS": value}, None, vertex).route("p", "v/m")


async def test_projects_have_providers_of_their_own(up, http_client, catalog):
    await keep(catalog, "", "shared", f"{up.url}/shared", models=("m",))
    await keep(catalog, "a", "shared", f"{up.url}/a", key="sk-of-a-0123456789")
    await keep(catalog, "a", "own", f"{up.url}/own")
    found = providers(http_client, KEYS, catalog)

    assert list(await found.entries("a")) == ["own", "shared", "openai", "anthropic", "demo", "local"]
    assert list(await found.entries("b")) == ["shared", "openai", "anthropic", "demo", "local"]
    for project, target, key in [("a", "/a", "sk-of-a-0123456789"), ("b", "/shared", KEY)]:
        provider, model = await found.route(project, "shared/m")
        await provider.open(call(), model, DEADLINES)
        assert up.last.target == f"{target}/chat/completions"
        assert up.last.header("authorization") == f"Bearer {key}"
    with pytest.raises(NotFound):
        await found.route("b", "own/m")
    assert (await found.route("a", "own/m"))[0].scope == "a"


async def test_a_change_counts_within_a_second_in_every_process(up, http_client, catalog_address):
    mine, theirs = Catalog.open(catalog_address), Catalog.open(catalog_address)
    found = providers(http_client, {}, theirs)
    stop = asyncio.Event()

    async def is_there(wanted):
        return ("new" in await found.entries("p")) == wanted

    async def is_another():
        return (await found.route("p", "new/m"))[0] is not first

    following = asyncio.create_task(found.follow(stop))
    with pytest.raises(NotFound):
        await found.route("p", "new/m")

    await keep(mine, "", "new", f"{up.url}/one")
    began = asyncio.get_running_loop().time()
    await until(lambda: is_there(True))
    took = asyncio.get_running_loop().time() - began
    first, _ = await found.route("p", "new/m")
    await keep(mine, "", "new", f"{up.url}/two")
    await until(is_another)
    second, _ = await found.route("p", "new/m")
    await second.open(call(), "m", DEADLINES)
    assert up.last.target == "/two/chat/completions"
    await drop(mine, "", "new")
    await until(lambda: is_there(False))
    with pytest.raises(NotFound):
        await found.route("p", "new/m")
    stop.set()
    await following

    assert took < 3.0
    assert found.behind_s() < 3.0
    await mine.close()
    await theirs.close()


async def test_without_anybody_who_follows_a_change_counts_within_a_second_too(up, http_client, catalog):
    found = providers(http_client, {}, catalog)
    await found.entries("p")

    await keep(catalog, "", "new", up.url)

    async def is_there():
        return "new" in await found.entries("p")

    await asyncio.wait_for(until(is_there), 3.0)


async def test_who_follows_looks_without_being_asked(up, http_client, catalog):
    found = providers(http_client, {}, catalog)
    stop = asyncio.Event()
    following = asyncio.create_task(found.follow(stop))
    await found.entries("p")

    await keep(catalog, "", "new", up.url)

    async def is_there():
        return "new" in found._common.entries

    await asyncio.wait_for(until(is_there), 3.0)
    stop.set()
    await following


async def test_who_follows_reads_nothing_where_nothing_was_committed(up, http_client, catalog_address, monkeypatch):
    """What was read goes on to be new; where commits cannot be told, with PostgreSQL, it is read each time."""
    monkeypatch.setattr(registry, "_LOOK_S", 0.02)
    catalog = Catalog.open(catalog_address)
    reads = 0

    async def counted(tx):
        nonlocal reads
        reads += 1
        return await revision(tx)

    revision = store.revision
    monkeypatch.setattr(store, "revision", counted)
    found = providers(http_client, {}, catalog)
    stop = asyncio.Event()
    following = asyncio.create_task(found.follow(stop))
    await asyncio.sleep(0.3)  # to open a file is a commit where it was not in the mode that we use
    before = reads
    await asyncio.sleep(1.2)  # longer than what was read is taken for new
    await found.entries("p")
    assert found.behind_s() < 0.5
    assert reads == before if catalog.commits() is not None else reads > before + 5
    stop.set()
    await following
    await catalog.close()


async def test_a_call_in_flight_ends_with_what_it_began_with(up, http_client, catalog):
    await keep(catalog, "", "x", f"{up.url}/one")
    found = providers(http_client, {}, catalog)
    gate = asyncio.Event()
    up.replies = [Reply(body=b'{"text":"a"}\n', headers=((b"content-type", b"text/event-stream"),), gate=gate)]
    provider, model = await found.route("p", "x/m")
    answer = await provider.open(call(stream=True), model, DEADLINES)

    await drop(catalog, "", "x")
    await found.look()
    with pytest.raises(NotFound):
        await found.route("p", "x/m")
    gate.set()

    assert await texts(answer) == ["a"]


async def test_what_did_not_change_is_not_loaded_again(up, http_client, catalog):
    await keep(catalog, "", "x", up.url)
    await keep(catalog, "a", "y", up.url)
    found = providers(http_client, KEYS, catalog)
    before = [(await found.route("a", f"{name}/m"))[0] for name in ("x", "y", "openai")]

    await keep(catalog, "b", "z", up.url)
    await found.look()

    assert "z" in await found.entries("b")
    assert [(await found.route("a", f"{name}/m"))[0] for name in ("x", "y", "openai")] == before


async def test_a_row_of_another_place_does_not_open(up, http_client, catalog):
    await keep(catalog, "a", "x", up.url)
    async with catalog.write() as tx:
        seal = (await store.one(tx, "a", "x")).seal
    for scope, name in (("b", "x"), ("a", "y"), ("", "x")):
        async with catalog.write() as tx:
            settings = ProviderSettings(name=name, kind="vllm", base_url=up.url)
            number = await store.raised(tx)
            row = store.Row(
                scope=scope, settings=settings, revision=number, seal=seal, updated_at=NOW, updated_by="eve"
            )
            await store.insert(tx, row)
    found = providers(http_client, {}, catalog)

    for project, name in (("b", "x"), ("a", "y"), ("c", "x")):
        with pytest.raises(ConfigurationError, match="another provider"):
            await found.route(project, f"{name}/m")
    await found.route("a", "x/m")
    assert up.sent == []


async def test_a_projects_provider_sees_no_variable_of_the_server(http_client, catalog):
    await keep(catalog, "a", "g", key="", kind="groq")
    await keep(catalog, "a", "b", key="", kind="bedrock", region="us-east-1")
    await keep(catalog, "a", "e", "http://127.0.0.1:9", key="", api_key_env="GROQ_API_KEY")
    environ = {"GROQ_API_KEY": KEY, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}
    found = providers(http_client, environ, catalog)

    for name in ("g", "b", "e"):
        with pytest.raises(ConfigurationError, match="not set"):
            await found.route("a", f"{name}/m")


async def test_what_was_known_goes_on_to_hold_while_the_catalog_is_away(up, http_client, tmp_path, catalog):
    await keep(catalog, "", "x", up.url)
    found = providers(http_client, {}, catalog)
    provider, _ = await found.route("p", "x/m")
    found._catalog = Catalog.open(f"sqlite:///{tmp_path}/not/there.sqlite")
    found.forget()

    assert (await found.route("p", "x/m"))[0] is provider
    unknown = providers(http_client, {}, found._catalog)
    with pytest.raises(Unavailable):
        await unknown.route("p", "x/m")


async def test_those_who_ask_at_once_load_a_provider_once(up, http_client, catalog):
    await keep(catalog, "", "x", up.url)
    found = providers(http_client, {}, catalog)

    routed = await asyncio.gather(*(found.route("p", "x/m") for _ in range(50)))

    assert len({id(provider) for provider, _ in routed}) == 1


async def test_a_row_that_this_version_does_not_know_is_left_out(up, http_client, catalog):
    await keep(catalog, "", "future", up.url, kind="of-tomorrow")
    await keep(catalog, "", "x", up.url)
    found = providers(http_client, {}, catalog)

    assert list(await found.entries("p")) == ["x", "local"]


async def test_names_of_models_do_not_fill_the_memory(up, http_client):
    found = providers(http_client, {}, None, ProviderSettings(name="x", kind="vllm", base_url=up.url))

    for number in range(10_000):
        await found.route("p", f"x/{number}")
    assert len(found._common.routes) <= 4096

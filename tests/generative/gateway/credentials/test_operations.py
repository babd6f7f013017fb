"""Providers are made, changed, checked and deleted; each change counts at once, is audited, and shows no key."""

import json

import pytest
import sqlalchemy as sa
from tests.generative.gateway.credentials.conftest import registry
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply

from gimbal.axis.projects.store import audit
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.providers import store
from gimbal.generative.gateway.providers.model import ChangeProvider, CreateProvider
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NameTaken, NotFound, NotReady
from gimbal.kernel.operations import find, invoke

OTHER = "sk-another-0123456789abc"


async def run(ctx, operation, **arguments):
    if "{project}" in find(operation).path:
        arguments["project"] = ctx.project
        return await invoke(find(operation), ctx, arguments)
    return await invoke(find(operation), ctx.within(None), arguments)


def new(url="", name="mine", kind="vllm", **more):
    return CreateProvider(name=name, kind=kind, base_url=url, **{"key": KEY, **more})


async def called(ctx, model):
    provider, rest = await ctx.get(Providers).route(ctx.project, model)
    wire = wire_named("openai.chat")
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    answer = await provider.open(Call(wire, wire.asked(body, {})), rest, DEADLINES)
    await answer.aclose()
    return answer


OPENAI = Reply(
    body=json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    ).encode()
)


async def test_a_provider_is_there_at_once_and_its_key_is_used_and_not_shown(ctx, up):
    up.replies = [OPENAI]
    card = await run(ctx, "providers.create", body=new(up.url, models=("m",)))

    assert (card.name, card.source, card.key, card.master_key, card.problem) == ("mine", "project", "sealed", "k1", "")
    assert (card.key_set_by, card.updated_by) == ("local owner", "local owner")
    await called(ctx, "m")
    assert up.last.header("authorization") == f"Bearer {KEY}"
    listed = await run(ctx, "providers.list")
    assert [row.name for row in listed] == ["mine", "given", "openai", "local"]
    assert [row.source for row in listed] == ["project", "settings", "environment", "built in"]
    assert await run(ctx, "providers.show", name="mine") == card
    with pytest.raises(NotFound):
        await run(ctx, "providers.show", name="other")


async def test_a_change_keeps_what_is_not_given(ctx, up):
    up.replies = [OPENAI]
    await run(ctx, "providers.create", body=new(up.url, models=("m",), timeout_s=5.0))

    card = await run(ctx, "providers.update", name="mine", body=ChangeProvider(claims=("x-",), key=OTHER))
    assert (card.models, card.claims, card.timeout_s, card.base_url) == (("m",), ("x-",), 5.0, up.url)
    await called(ctx, "x-1")
    assert up.last.header("authorization") == f"Bearer {OTHER}"
    card = await run(ctx, "providers.update", name="mine", body=ChangeProvider(key=""))
    assert (card.key, card.key_set_at) == ("none", None)
    await called(ctx, "x-1")
    assert up.last.header("authorization") is None
    with pytest.raises(NotFound):
        await run(ctx, "providers.update", name="other", body=ChangeProvider())
    await run(ctx, "providers.create", body=new(kind="bedrock", name="aws", region="us-east-1"))
    with pytest.raises(BadInput) as caught:
        await run(ctx, "providers.update", name="aws", body=ChangeProvider(region="else.where/"))
    assert caught.value.where == "region"


async def test_a_deleted_one_is_gone_with_its_key(ctx, up):
    up.replies = [OPENAI]
    await run(ctx, "providers.create", body=new(up.url))
    await called(ctx, "mine/m")
    await run(ctx, "providers.delete", name="mine")

    with pytest.raises(NotFound):
        await called(ctx, "mine/m")
    with pytest.raises(NotFound):
        await run(ctx, "providers.delete", name="mine")
    async with ctx.get(Catalog).read() as tx:
        assert (await tx.execute(sa.select(store.providers))).all() == []


async def test_a_key_goes_to_nobody_for_whom_it_was_not_given(ctx, up):
    await run(ctx, "providers.create", body=new("https://api.example.com/v1"))

    for change in (ChangeProvider(base_url=up.url), ChangeProvider(token_url=up.url)):
        with pytest.raises(BadInput, match="needs the key again"):
            await run(ctx, "providers.update", name="mine", body=change)
    card = await run(ctx, "providers.update", name="mine", body=ChangeProvider(base_url=up.url, key=OTHER))
    assert card.base_url == up.url
    assert up.sent == []


async def test_an_admin_of_one_project_brings_keys_for_known_makers_only(admin, up):
    card = await run(admin, "providers.create", body=new(kind="openai", name="a"))
    assert card.base_url == "https://api.openai.com/v1"
    await run(admin, "providers.create", body=new("https://r.openai.azure.com", kind="azure", name="b"))
    await run(admin, "providers.create", body=new(kind="bedrock", name="c", region="us-east-1"))

    for refused in (
        new(up.url, kind="openai"),
        new(kind="vllm"),
        new("https://api.openai.com.evil.com/v1", kind="openai"),
        new("http://api.openai.com/v1", kind="openai"),
        new("https://evil.com/x.openai.azure.com", kind="azure"),
        new("https://evil.com.openai.azure.com.evil.com", kind="azure"),
        new("https://r.openai.azure.com:8443", kind="azure"),
        new("https://ec2-1-2-3-4.compute.amazonaws.com", kind="bedrock", region="us-east-1"),
        new("https://api.openai.com/v1", kind="anthropic"),
        new(kind="vertex", token_url=up.url, key="{}"),
        new(kind="openai", key="", key_env="OPENAI_API_KEY"),
    ):
        with pytest.raises(Forbidden):
            await run(admin, "providers.create", body=refused)
    with pytest.raises(Forbidden):
        await run(admin, "providers.update", name="a", body=ChangeProvider(base_url=up.url, key=KEY))
    assert up.sent == []


async def test_only_admins_change_and_only_those_of_the_installation_change_it(admin, developer, ctx, up):
    for name, arguments in [
        ("providers.create", {"body": new(up.url)}),
        ("providers.update", {"name": "x", "body": ChangeProvider()}),
        ("providers.delete", {"name": "x"}),
    ]:
        with pytest.raises(Forbidden):
            await run(developer, name, **arguments)
    for name, arguments in [
        ("providers.create_everywhere", {"body": new(up.url)}),
        ("providers.update_everywhere", {"name": "x", "body": ChangeProvider()}),
        ("providers.delete_everywhere", {"name": "x"}),
        ("providers.reseal", {}),
    ]:
        with pytest.raises(Forbidden):
            await run(admin, name, **arguments)
    assert [card.name for card in await run(developer, "providers.list")] == ["given", "openai", "local"]


async def test_those_of_the_installation_count_in_every_project(ctx, up):
    up.replies = [OPENAI]
    card = await run(ctx, "providers.create_everywhere", body=new(up.url, name="all"))
    assert card.source == "installation"
    await called(ctx, "all/m")
    await run(ctx, "providers.create", body=new(up.url, name="all", key=OTHER))
    await called(ctx, "all/m")
    assert up.last.header("authorization") == f"Bearer {OTHER}"
    await run(ctx, "providers.update_everywhere", name="all", body=ChangeProvider(models=("m",)))
    await run(ctx, "providers.delete_everywhere", name="all")
    assert [row.source for row in await run(ctx, "providers.list")][:2] == ["project", "settings"]


async def test_a_variable_of_the_server_holds_a_key_of_the_installation(ctx, up):
    up.replies = [OPENAI]
    card = await run(ctx, "providers.create_everywhere", body=new(up.url, key="", key_env="OPENAI_API_KEY"))

    assert (card.key, card.key_env) == ("variable", "OPENAI_API_KEY")
    await called(ctx, "mine/m")
    assert up.last.header("authorization") == "Bearer sk-o"
    card = await run(ctx, "providers.update_everywhere", name="mine", body=ChangeProvider(key_env="NOT_SET"))
    assert "not set" in card.problem


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (new("http://a/v1", kind="nothing"), "kind"),
        (new("http://a/v1", kind="local"), "kind"),
        (new(kind="compatible"), "base_url"),
        (new(kind="azure"), "base_url"),
        (new("ftp://a"), "base_url"),
        (new("http://u:p@a/v1"), "base_url"),
        (new("http://a/v1", headers={"authorization": "x"}), "headers"),
        (new("http://a/v1", key_env="X"), "key_env"),
        (new(kind="groq", key=""), "key"),
        (new(kind="vertex", key="no json"), "key"),
        (new(kind="bedrock"), "region"),
        (new("https://r.openai.azure.com", kind="azure", api_version="&"), "api_version"),
        (new("http://a/v1", models=tuple(f"m{n}" for n in range(201))), "models"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(ctx, body, where):
    with pytest.raises((BadInput, Forbidden)) as caught:
        await run(ctx, "providers.create", body=body)

    assert caught.value.where == where
    assert await run(ctx, "providers.list") == [
        row for row in await run(ctx, "providers.list") if row.source != "project"
    ]


async def test_names_are_taken_once(ctx, up):
    await run(ctx, "providers.create", body=new(up.url))
    with pytest.raises(NameTaken):
        await run(ctx, "providers.create", body=new(up.url))
    with pytest.raises(NameTaken):
        await run(ctx, "providers.create_everywhere", body=new(up.url, name="given"))
    with pytest.raises(Conflict):
        await run(ctx, "providers.create", body=new(up.url, name="local"))


async def test_without_a_master_key_no_key_is_kept(ctx, up, catalog, http_client):
    bare = registry(catalog, http_client, "")
    ctx.services.register(Providers, bare)
    ctx.services.register(ProviderService, ProviderService(catalog, bare))

    with pytest.raises(NotReady, match="master key"):
        await run(ctx, "providers.create", body=new(up.url))
    assert (await run(ctx, "providers.create", body=new(up.url, key=""))).key == "none"


async def test_keys_are_sealed_anew_under_a_new_master_key(ctx, up, catalog, http_client):
    up.replies = [OPENAI]
    await run(ctx, "providers.create", body=new(up.url))
    await run(ctx, "providers.create_everywhere", body=new(up.url, name="all"))
    await run(ctx, "providers.create", body=new(up.url, name="bare", key=""))
    rotated = registry(catalog, http_client, "ROTATED")
    ctx.services.register(Providers, rotated)
    ctx.services.register(ProviderService, ProviderService(catalog, rotated))
    async with catalog.write() as tx:
        lost = (await store.one(tx, "default", "mine")).seal.replace("gk1.k1.", "gk1.k9.")
        values = {"scope": "default", "name": "lost", "revision": 9, "document": {"name": "lost", "kind": "vllm"}}
        more = {"seal": lost, "key_set_by": "", "updated_at": ctx.now(), "updated_by": "x"}
        await tx.execute(store.providers.insert().values(**values, **more))

    done = await run(ctx, "providers.reseal")
    assert (done.sealed, done.already, done.closed, done.master_key) == (2, 0, ("default/lost",), "k2")
    assert (await run(ctx, "providers.reseal")).already == 2
    cards = {card.name: card for card in await run(ctx, "providers.list")}
    assert (cards["mine"].master_key, cards["all"].master_key, cards["lost"].master_key) == ("k2", "k2", "k9")
    assert "master key" in cards["lost"].problem
    await called(ctx, "mine/m")
    assert up.last.header("authorization") == f"Bearer {KEY}"


async def test_a_check_tells_what_is_wrong(ctx, up):
    up.replies = [Reply(body=b'{"data":[{"id":"m1"},{"id":"m2"}]}')]
    await run(ctx, "providers.create", body=new(up.url))

    found = await run(ctx, "providers.check", name="mine")
    assert (found.ok, found.asked, found.models, found.sample) == (True, "models", 2, ("m1", "m2"))
    assert up.last.target == "/models"
    up.replies = [Reply(401, f'{{"error":{{"message":"no such key {KEY}"}}}}'.encode())]
    found = await run(ctx, "providers.check", name="mine")
    assert (found.ok, found.problem) == (False, "mine answered 401: no such key ***")
    assert "key" in found.todo
    up.replies = [Reply(404, b"not here")]
    assert not (await run(ctx, "providers.check", name="mine")).ok
    up.replies = [Reply(body=b"<html>")]
    assert "base_url" in (await run(ctx, "providers.check", name="mine")).todo
    assert (await run(ctx, "providers.check", name="given")).code == "unreachable"
    assert (await run(ctx, "providers.check", name="local")).sample == ("extractive",)
    with pytest.raises(NotFound):
        await run(ctx, "providers.check", name="other")


async def test_a_check_of_a_model_asks_for_a_word(ctx, up):
    up.replies = [OPENAI]
    await run(ctx, "providers.create", body=new(up.url))

    found = await run(ctx, "providers.check", name="mine", model="m")
    assert (found.ok, found.asked) == (True, "m")
    assert (up.last.target, up.last.json["max_tokens"]) == ("/chat/completions", 16)
    up.replies = [Reply(404, b'{"error":{"message":"no model m"}}')]
    found = await run(ctx, "providers.check", name="mine", model="m")
    assert (found.ok, found.code) == (False, "not_found")


async def test_the_audit_says_who_did_what_and_no_key(ctx, up):
    await run(ctx, "providers.create", body=new(up.url))
    await run(ctx, "providers.update", name="mine", body=ChangeProvider(key=OTHER, models=("m",)))
    await run(ctx, "providers.delete", name="mine")

    rows = await _audited(ctx)
    text = json.dumps(rows, default=str) + f"{new()!r}{ChangeProvider(key=OTHER)!r}"
    assert [row["action"] for row in rows] == ["providers.create", "providers.update", "providers.delete"]
    assert rows[1]["details"]["key"] == "changed"
    assert KEY not in text
    assert OTHER not in text


async def _audited(ctx):
    async with ctx.get(Catalog).read() as tx:
        rows = (await tx.execute(sa.select(audit))).mappings().all()
    return [dict(row) for row in rows if str(row["action"]).startswith("providers.")]


async def test_every_kind_is_shown_with_its_quirks(ctx):
    listed = {row.name: row for row in await run(ctx, "providers.kinds")}

    assert listed["mistral"].variables == ("MISTRAL_API_KEY",)
    assert "422" in listed["mistral"].quirks[0]
    assert listed["anthropic"].wires == ("anthropic.messages",)

"""Azure by Entra: a client's secret, the machine's identity, a federated token; when each is asked, and what is said."""

import asyncio
import json
from urllib.parse import parse_qs, quote

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply, call, loopback, make, texts

from gimbal.generative.gateway.provider import Refusal
from gimbal.kernel.errors import ConfigurationError, Upstream

TOKEN = "eyJ0.entra-token-0123456789"
FEDERATED = "eyJh.federated-0123456789"
OF = {"tenant": "11111111-2222-3333-4444-555555555555", "client_id": "client-1"}


def token(number=0, expires_in=3600):
    return Reply(body=json.dumps({"access_token": f"{TOKEN}-{number}", "expires_in": expires_in}).encode())


@pytest.fixture
async def entra():
    async with loopback() as app:
        app.replies = [token(number) for number in range(20)]
        yield app


@pytest.fixture
def clock():
    return [1_000_000.0]


@pytest.fixture
def by_secret(up, entra, http_client, clock):
    provider = make("azure", http_client, up.url, KEY, identity="client", token_url=f"{entra.url}/token", **OF)
    provider._tokens._now = lambda: clock[0]
    return provider


async def used(provider, up):
    await texts(await provider.open(call(), "gpt-x", DEADLINES))
    assert up.last.header("api-key") is None
    return up.last.header("authorization")


async def test_a_clients_secret_is_changed_for_a_token(by_secret, up, entra):
    assert await used(by_secret, up) == f"Bearer {TOKEN}-0"
    form = {name: value[0] for name, value in parse_qs(entra.last.body.decode()).items()}
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": KEY,
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    assert up.last.target == "/openai/v1/chat/completions"
    assert KEY not in str(up.last.headers)


async def test_the_tokens_address_is_the_tenants(http_client):
    provider = make("azure", http_client, "https://r.openai.azure.com", KEY, identity="client", **OF)

    assert provider._tokens._desk.url == f"https://login.microsoftonline.com/{OF['tenant']}/oauth2/v2.0/token"


async def test_what_is_passed_through_has_a_token_too(by_secret, up):
    response = await by_secret.pass_through(
        "GET", "files", [(b"authorization", b"Bearer the-callers")], b"", deadlines=DEADLINES
    )
    await response.aclose()

    assert up.last.header("authorization") == f"Bearer {TOKEN}-0"


async def test_a_machine_asks_its_metadata_and_names_one_of_several_identities(up, entra, http_client):
    entra.replies = [
        Reply(body=json.dumps({"access_token": TOKEN, "expires_in": "86399", "token_type": "Bearer"}).encode())
    ]
    provider = make("azure", http_client, up.url, "", identity="managed", client_id="c/1", metadata_url=entra.url)

    assert await used(provider, up) == f"Bearer {TOKEN}"
    assert entra.last.target == (
        "/metadata/identity/oauth2/token?api-version=2018-02-01"
        "&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=c%2F1"
    )
    assert (entra.last.method, entra.last.header("metadata")) == ("GET", "true")


@pytest.mark.parametrize(("ending", "path"), [("/msi/token", "/msi/token"), ("/MSI/token/", "/MSI/token/"), ("", "/")])
async def test_an_app_asks_beside_itself_and_proves_that_it_is_the_app(up, entra, http_client, clock, ending, path):
    def lasts(token, until):
        return Reply(body=json.dumps({"access_token": token, "expires_on": str(until), "resource": "x"}).encode())

    entra.replies = [lasts(TOKEN, 1_000_000 + 3600), lasts("another-0123456789", 1_000_000 + 7200)]
    provider = make("azure", http_client, up.url, KEY, identity="app_service", metadata_url=entra.url + ending)
    provider._tokens._now = lambda: clock[0]

    assert await used(provider, up) == f"Bearer {TOKEN}"
    query = "?api-version=2019-08-01&resource=https%3A%2F%2Fcognitiveservices.azure.com"
    assert (entra.last.method, entra.last.target) == ("GET", path + query)
    assert entra.last.header("x-identity-header") == KEY
    assert KEY not in str(up.last.headers)
    clock[0] += 3600 - 121
    assert await used(provider, up) == f"Bearer {TOKEN}"
    clock[0] += 2
    assert await used(provider, up) == "Bearer another-0123456789"
    assert len(entra.sent) == 2


async def test_of_an_apps_identities_one_is_named(up, entra, http_client):
    entra.replies = [Reply(body=json.dumps({"access_token": TOKEN, "expires_on": 4e9}).encode())]
    provider = make(
        "azure", http_client, up.url, KEY, identity="app_service", client_id="c/1", metadata_url=entra.url + "/t"
    )
    await used(provider, up)
    assert entra.last.target.endswith("&client_id=c%2F1")


@pytest.mark.parametrize(
    "reply",
    [Reply(400, json.dumps({"message": f"no identity for {KEY}"}).encode()), Reply(body=b'{"access_token":"t"}')],
)
async def test_an_app_without_an_identity_is_told_so_and_shows_no_secret(up, entra, http_client, reply):
    entra.replies = [reply]
    provider = make("azure", http_client, up.url, KEY, identity="app_service", metadata_url=entra.url + "/t")
    with pytest.raises(Upstream, match="up gets no token of this app") as caught:
        await used(provider, up)

    assert KEY not in f"{caught.value}{caught.value.todo}{provider!r}"
    assert up.sent == []


GOV = "https://cognitiveservices.azure.us"


@pytest.mark.parametrize(
    ("base_url", "more", "host", "scope"),
    [
        ("https://r.openai.azure.us", {}, "login.microsoftonline.us", GOV),
        ("https://r.openai.azure.cn/", {}, "login.chinacloudapi.cn", "https://cognitiveservices.azure.cn"),
        (
            "https://proxy.example",
            {"authority_host": "login.microsoftonline.us"},
            "login.microsoftonline.us",
            GOV,
        ),
        (
            "https://proxy.example",
            {"authority_host": "https://login.partner.microsoftonline.cn/"},
            "login.partner.microsoftonline.cn",
            "https://cognitiveservices.azure.cn",
        ),
        (
            "https://r.openai.azure.us",
            {"authority_host": "https://entra.example", "token_scope": "api://mine/.default"},
            "entra.example",
            "api://mine",
        ),
        ("https://r.openai.azure.us.example", {}, "login.microsoftonline.com", "https://cognitiveservices.azure.com"),
    ],
)
async def test_a_sovereign_cloud_has_an_entra_and_a_scope_of_its_own(
    up, entra, http_client, base_url, more, host, scope
):
    provider = make("azure", http_client, base_url, KEY, identity="client", **OF, **more)
    assert provider._tokens._desk.url == f"https://{host}/{OF['tenant']}/oauth2/v2.0/token"

    provider = make("azure", http_client, base_url, KEY, identity="client", token_url=entra.url, **OF, **more)
    assert await provider._tokens.current() == f"{TOKEN}-0"
    assert parse_qs(entra.last.body.decode())["scope"] == [f"{scope}/.default"]
    provider = make("azure", http_client, base_url, "", identity="managed", metadata_url=entra.url, **more)
    await provider._tokens.current()
    assert f"&resource={quote(scope, safe='')}" in entra.last.target


async def test_a_federated_token_is_read_anew_for_each_token(up, entra, http_client, tmp_path, clock):
    file = tmp_path / "token"
    file.write_text(FEDERATED + "\n")
    provider = make(
        "azure", http_client, up.url, "", identity="workload", identity_file=str(file), token_url=entra.url, **OF
    )
    provider._tokens._now = lambda: clock[0]
    await used(provider, up)
    form = parse_qs(entra.last.body.decode())
    assert form["client_assertion"] == [FEDERATED]
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert "client_secret" not in form

    file.write_text("another")
    clock[0] += 3599
    assert await used(provider, up) == f"Bearer {TOKEN}-1"
    assert parse_qs(entra.last.body.decode())["client_assertion"] == ["another"]
    file.unlink()
    clock[0] += 3600
    with pytest.raises(ConfigurationError, match="cannot read") as caught:
        await used(provider, up)
    assert caught.value.where == "identity_file"


async def test_a_token_is_renewed_before_it_ends_and_kept_while_no_other_is_given(by_secret, up, entra, clock):
    entra.replies = [token(0), Reply(503, b"{}"), token(1)]
    assert [await used(by_secret, up) for _ in range(2)] == [f"Bearer {TOKEN}-0"] * 2
    clock[0] += 3600 - 60
    assert await used(by_secret, up) == f"Bearer {TOKEN}-0"
    assert len(entra.sent) == 2
    assert await used(by_secret, up) == f"Bearer {TOKEN}-0"
    assert len(entra.sent) == 2
    clock[0] += 6
    assert await used(by_secret, up) == f"Bearer {TOKEN}-1"


async def test_a_renewal_that_hangs_holds_nobody_up_while_the_old_token_is_good(by_secret, up, entra, clock):
    gate = asyncio.Event()
    entra.replies = [token(0), Reply(body=token(1).body, gate=gate)]
    await used(by_secret, up)
    clock[0] += 3600 - 60

    found = await asyncio.wait_for(asyncio.gather(*(used(by_secret, up) for _ in range(10))), 5)
    assert set(found) == {f"Bearer {TOKEN}-0"}
    assert len(entra.sent) == 2
    gate.set()
    await by_secret._tokens._fetching
    assert await used(by_secret, up) == f"Bearer {TOKEN}-1"


async def test_a_token_that_is_short_is_not_fetched_for_every_call(by_secret, up, entra, clock):
    entra.replies = [token(0, 60), token(1, 60)]
    assert [await used(by_secret, up) for _ in range(3)] == [f"Bearer {TOKEN}-0"] * 3
    clock[0] += 31
    assert await used(by_secret, up) == f"Bearer {TOKEN}-1"


async def test_those_who_need_a_token_at_once_wait_for_one_fetch(by_secret, up, entra):
    gate = asyncio.Event()
    entra.replies = [Reply(body=token(0).body, gate=gate)]
    calls = [asyncio.create_task(by_secret.open(call(), "gpt-x", DEADLINES)) for _ in range(20)]
    await asyncio.wait_for(entra.arrived.wait(), 5)
    calls[0].cancel()
    gate.set()
    done = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(done[0], asyncio.CancelledError)
    assert not any(isinstance(one, BaseException) for one in done[1:])
    assert len(entra.sent) == 1


async def test_a_token_that_is_refused_is_fetched_anew_once(by_secret, up):
    up.replies = [Reply(401, b"{}"), Reply(), Reply(401, b"{}"), Reply(401, b'{"error":{"message":"no"}}')]
    assert await used(by_secret, up) == f"Bearer {TOKEN}-1"
    with pytest.raises(Refusal):
        await used(by_secret, up)
    assert len(up.sent) == 4


@pytest.mark.parametrize(
    ("code", "todo"),
    [
        ("AADSTS7000222", "expired"),
        ("AADSTS7000215", "value"),
        ("AADSTS700016", "client_id"),
        ("AADSTS90002", "tenant"),
        ("AADSTS1", "tenant, client_id"),
    ],
)
async def test_what_entra_refuses_says_what_to_do_and_shows_no_secret(by_secret, up, entra, code, todo):
    said = {"error": "invalid_client", "error_description": f"{code}: no such secret {KEY}"}
    entra.replies = [Reply(401, json.dumps(said).encode())]
    with pytest.raises(Upstream, match="up gets no token of Entra") as caught:
        await used(by_secret, up)

    assert f"invalid_client: {code}: no such secret ***" in caught.value.message
    assert todo in caught.value.todo
    assert KEY not in f"{caught.value}{caught.value.todo}{by_secret!r}"
    assert up.sent == []


async def test_garbage_for_a_token_is_none(by_secret, up, entra):
    for body in (b"<html>", b'{"token":1}', b"[]"):
        entra.replies = [Reply(body=body)]
        with pytest.raises(Upstream, match="none"):
            await used(by_secret, up)


async def test_a_machine_that_is_not_azures_is_told_so(up, http_client):
    provider = make("azure", http_client, up.url, "", identity="managed", metadata_url="http://127.0.0.1:9")
    with pytest.raises(Exception, match="gets no token of this machine") as caught:
        await used(provider, up)
    assert "Azure" in caught.value.todo


async def test_the_token_is_in_nothing_that_is_said(by_secret, up):
    up.replies = [Reply(400, f'{{"error":{{"message":"bad {TOKEN}-0 {KEY}"}}}}'.encode())]
    with pytest.raises(Refusal) as caught:
        await used(by_secret, up)

    assert TOKEN not in f"{caught.value}{caught.value.body_sent!r}"
    assert KEY not in f"{caught.value}{caught.value.body_sent!r}"


@pytest.mark.parametrize(
    ("key", "settings", "where"),
    [
        (KEY, {"identity": "client", "client_id": "c"}, "tenant"),
        (KEY, {"identity": "client", "tenant": "t"}, "client_id"),
        (KEY, {"identity": "client", "tenant": "evil.com/x", "client_id": "c"}, "tenant"),
        ("", {"identity": "client", **OF}, "key"),
        (KEY, {"identity": "managed"}, "key"),
        ("", {"identity": "workload", **OF}, "identity_file"),
        (KEY, {"identity": "instance"}, "identity"),
        ("", {"identity": "app_service", "metadata_url": "http://127.0.0.1:9/t"}, "key"),
        (KEY, {"identity": "app_service"}, "metadata_url"),
        (KEY, {"identity": "client", **OF, "authority_host": "ftp://x"}, "authority_host"),
        (KEY, {"identity": "client", **OF, "token_scope": "two words"}, "token_scope"),
        (KEY, {"identity": "client", **OF, "token_url": "ftp://x"}, "token_url"),
    ],
)
async def test_what_cannot_prove_who_asks_is_told_before_any_call(http_client, key, settings, where):
    with pytest.raises(ConfigurationError) as caught:
        make("azure", http_client, "https://r.openai.azure.com", key, **settings)

    assert caught.value.where == where
    assert KEY not in f"{caught.value}"

"""Ways to prove who asks besides a key: who may choose which, what the clouds' variables say, and what is shown."""

import json

import pytest
from tests.generative.gateway.credentials.test_operations import called, new, run
from tests.generative.gateway.upstreams.loopback import KEY, Reply, loopback

from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.generative.gateway.providers.entries import completed, entry, key_of, variable_of
from gimbal.generative.gateway.providers.model import ChangeProvider
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.errors import BadInput, ConfigurationError, Forbidden
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

TENANT = {"tenant": "t-1", "client_id": "c-1"}
ROLE = "arn:aws:iam::123456789012:role/gimbal"
AZURE = "https://r.openai.azure.com"


async def test_a_project_has_a_client_of_its_own_and_never_the_servers_identity(admin, ctx):
    card = await run(admin, "providers.create", body=new(AZURE, kind="azure", identity="client", **TENANT))
    assert (card.identity, card.tenant, card.client_id, card.key, card.problem) == (
        "client",
        "t-1",
        "c-1",
        "sealed",
        "",
    )
    assert KEY not in str(card)
    own = [
        new(AZURE, name="a", kind="azure", key="", identity="managed"),
        new(AZURE, name="a", kind="azure", key="", identity="workload", identity_file="/etc/passwd", **TENANT),
        new(AZURE, name="a", kind="azure", identity="app_service"),
        *[
            new(name="a", kind="bedrock", key="", region="eu-west-1", identity=identity, role=ROLE, identity_file="/x")
            for identity in ("web", "container", "instance", "profile")
        ],
    ]
    for body in own:
        for who in (admin, ctx):
            with pytest.raises(Forbidden) as caught:
                await run(who, "providers.create", body=body)
            assert caught.value.where == "identity"
    with pytest.raises(Forbidden):
        await run(admin, "providers.update", name="mine", body=ChangeProvider(identity="managed", key=""))
    body = new(AZURE, name="a", kind="azure", identity="client", metadata_url="http://10.0.0.1", **TENANT)
    with pytest.raises(Forbidden) as caught:
        await run(admin, "providers.create", body=body)
    assert caught.value.where == "metadata_url"
    body = new(AZURE, name="a", kind="azure", identity="client", authority_host="evil.example", **TENANT)
    with pytest.raises(Forbidden) as caught:
        await run(admin, "providers.create", body=body)
    assert caught.value.where == "authority_host"


async def test_a_role_is_for_a_projects_own_key(admin):
    key = json.dumps({"access_key_id": "AKID", "secret_access_key": KEY})
    body = new(kind="bedrock", key=key, region="eu-west-1", role=ROLE, external_id="x-1")
    card = await run(admin, "providers.create", body=body)

    assert (card.role, card.external_id, card.problem) == (ROLE, "x-1", "")


async def test_what_cannot_prove_who_asks_is_refused_when_it_is_given(ctx):
    for body, where in (
        (new(AZURE, kind="azure", identity="client"), "tenant"),
        (new(AZURE, kind="azure", identity="sorcery"), "identity"),
        (new(kind="openai", identity="client"), "identity"),
        (new(AZURE, kind="azure", identity="client", authority_host="two words", **TENANT), "authority_host"),
        (new(kind="bedrock", region="eu-west-1", role=ROLE), "role"),
        (new(AZURE, kind="azure", metadata_url="nowhere", **TENANT, identity="client"), "base_url"),
    ):
        with pytest.raises(BadInput) as caught:
            await run(ctx, "providers.create", body=body)
        assert caught.value.where == where


async def test_the_secret_stays_with_where_it_was_given_for(ctx):
    await run(ctx, "providers.create", body=new(AZURE, kind="azure", identity="client", **TENANT))
    for change in (
        {"token_url": "https://evil.example/token"},
        {"metadata_url": "https://evil.example"},
        {"authority_host": "evil.example"},
    ):
        with pytest.raises(BadInput, match="needs the key again"):
            await run(ctx, "providers.update", name="mine", body=ChangeProvider(**change))


async def test_an_installations_provider_by_the_machines_identity_answers(ctx, up):
    async with loopback() as metadata:
        metadata.replies = [Reply(body=b'{"access_token":"of-the-machine-0123","expires_in":"3600"}')]
        up.replies = [Reply(500, b"{}")]
        body = new(up.url, name="az", kind="azure", key="", identity="managed", metadata_url=metadata.url)
        card = await run(ctx, "providers.create_everywhere", body=body)
        assert (card.key, card.identity, card.problem) == ("none", "managed", "")
        with pytest.raises(Exception, match="500"):
            await called(ctx, "az/gpt-x")
        assert up.last.header("authorization") == "Bearer of-the-machine-0123"
        checked = await run(ctx, "providers.check", name="az", model="gpt-x")
        assert "of-the-machine" not in str(checked)


def made(environ, **settings):
    found = entry(ProviderSettings(name="p", **settings), "settings")
    key = key_of(found, Seals({}), environ).reveal()
    return completed(found, environ), key


def test_the_clouds_own_variables_count_where_nothing_is_said():
    azure = {
        "AZURE_TENANT_ID": "t",
        "AZURE_CLIENT_ID": "c",
        "AZURE_CLIENT_SECRET": "s",
        "AZURE_FEDERATED_TOKEN_FILE": "/f",
        "AZURE_OPENAI_API_KEY": "of-the-resource",
    }
    settings, key = made(azure, kind="azure", base_url=AZURE, identity="client")
    assert (settings.tenant, settings.client_id, key) == ("t", "c", "s")
    settings, key = made(azure, kind="azure", base_url=AZURE, identity="workload", tenant="mine")
    assert (settings.tenant, settings.identity_file, key) == ("mine", "/f", "")
    settings, key = made(azure, kind="azure", base_url=AZURE, identity="managed")
    assert (settings.client_id, key) == ("", "")
    settings, key = made(azure, kind="azure", base_url=AZURE)
    assert (settings.tenant, key) == ("", "of-the-resource")
    # Nor does what is meant for Entra go anywhere else.
    assert made(azure, kind="azure", base_url=AZURE, identity="client", token_url="https://other.example")[1] == ""
    assert made(azure, kind="azure", base_url=AZURE, identity="client", authority_host="other.example")[1] == ""

    cloud = azure | {"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us/"}
    for identity in ("client", "managed", "workload"):
        settings, _ = made(cloud, kind="azure", base_url=AZURE, identity=identity)
        assert settings.authority_host == "https://login.microsoftonline.us/"
    given = "login.chinacloudapi.cn"
    settings, key = made(cloud, kind="azure", base_url=AZURE, identity="client", authority_host=given)
    assert (settings.authority_host, key) == (given, "s")

    app = {"IDENTITY_ENDPOINT": "http://127.0.0.1:41741/msi/token", "IDENTITY_HEADER": "proof", **azure}
    settings, key = made(app, kind="azure", base_url=AZURE, identity="app_service")
    assert (settings.metadata_url, key) == ("http://127.0.0.1:41741/msi/token", "proof")
    there = "http://10.0.0.1/token"
    settings, key = made(app, kind="azure", base_url=AZURE, identity="app_service", metadata_url=there)
    assert (settings.metadata_url, key) == (there, "")

    amazon = {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/w",
        "AWS_ROLE_SESSION_NAME": "pod",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "auth",
        "AWS_PROFILE": "team",
    }
    settings, key = made(amazon, kind="bedrock", identity="web")
    assert (settings.role, settings.identity_file, settings.session_name, settings.region, key) == (
        ROLE,
        "/w",
        "pod",
        "eu-west-1",
        "",
    )
    settings, key = made(amazon, kind="bedrock", identity="container")
    assert (settings.metadata_url, settings.role, key) == ("http://169.254.170.2/v2/credentials/x", "", "auth")
    full = amazon | {
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
    }
    assert made(full, kind="bedrock", identity="container")[0].metadata_url == "http://169.254.170.23/v1/credentials"
    assert made(amazon, kind="bedrock", identity="profile")[0].profile == "team"
    assert "AKID" in made(amazon, kind="bedrock")[1]


def test_which_variable_holds_a_key_is_told():
    def told(environ, **settings):
        return variable_of(entry(ProviderSettings(name="p", **settings), "settings"), environ)

    google = {"GOOGLE_APPLICATION_CREDENTIALS": "/sa.json", "VERTEX": "x"}
    assert told(google, kind="vertex", region="eu") == "GOOGLE_APPLICATION_CREDENTIALS"
    assert told(google, kind="vertex", api_key_env="VERTEX") == "VERTEX"
    assert told(google, kind="vertex", base_url="https://elsewhere.example") == ""
    assert told({"IDENTITY_HEADER": "x"}, kind="azure", base_url=AZURE, identity="app_service") == "IDENTITY_HEADER"
    amazon = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}
    assert told(amazon, kind="bedrock") == "AWS_ACCESS_KEY_ID"
    assert told(amazon | {"AWS_BEARER_TOKEN_BEDROCK": "b"}, kind="bedrock") == "AWS_BEARER_TOKEN_BEDROCK"
    assert told(amazon, kind="bedrock", identity="instance") == ""
    assert told({}, kind="openai") == ""
    own = entry(ProviderSettings(name="p", kind="vertex"), "project", scope="default")
    assert variable_of(own, google) == ""


def test_a_projects_provider_takes_nothing_of_the_servers_variables():
    found = entry(ProviderSettings(name="p", kind="azure", identity="client"), "project", scope="default")
    assert completed(found, {"AZURE_TENANT_ID": "t"}).tenant == ""
    assert key_of(found, Seals({}), {"AZURE_CLIENT_SECRET": "s"}).reveal() == ""


async def test_a_secret_that_no_variable_holds_is_asked_for_by_name(http_client):
    settings = ProviderSettings(name="p", kind="azure", base_url=AZURE, identity="client", **TENANT)
    found = Providers(GatewaySettings(providers=(settings,)), http_client, environ={})
    with pytest.raises(ConfigurationError, match="no client secret"):
        await found.get("default", "p")
    settings = ProviderSettings(name="p", kind="azure", base_url=AZURE, identity="client", api_key_env="S", **TENANT)
    found = Providers(GatewaySettings(providers=(settings,)), http_client, environ={"S": "secret"})
    assert (await found.get("default", "p")).signs

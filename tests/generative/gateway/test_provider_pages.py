"""The page of providers takes and shows all that a provider may be, but for its key."""

import html
import re

import msgspec
import pytest
from tests.browser import OpenPage, at_both_widths, browser_page
from tests.generative.gateway.test_pages import KEY, at, ctx, page, post, site, words

from gimbal.axis.projects.model import CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.generative.gateway.provider_form import PROOFS
from gimbal.generative.gateway.providers.model import ChangeProvider, CreateProvider
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.generative.gateway.providers.upstreams.identities import IDENTITIES
from gimbal.kernel.context import Role

__all__ = ["browser_page", "ctx", "site"]

AWS = {
    "scope": "installation",
    "name": "aws",
    "kind": "bedrock",
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/gimbal",
    "key": f'{{"access_key_id":"AKID","secret_access_key":"{KEY}"}}',
}


def fields(text: str, action: str) -> dict[str, str]:
    """Return what a form of the page would send as it stands."""
    form = next(one for one in re.findall(r"<form.*?</form>", text, re.DOTALL) if f'{action}"' in one)
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        said = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        found[said["name"]] = html.unescape(said.get("value", ""))
    for name, value in re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        found[name] = html.unescape(value)
    for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        found[name] = chosen[1] if chosen else ""
    return found


CLIENT = {
    "name": "az", "kind": "azure", "scope": "installation", "key": KEY, "base_url": "https://r.openai.azure.us",
    "identity": "client", "tenant": "t-1", "client_id": "c-1", "authority_host": "login.microsoftonline.us",
    "token_scope": "https://cognitiveservices.azure.us", "api_version": "2024-10-21",
    "deployments": "gpt-4o = gpt-4o-eu\r\n\r\nmini=m-1", "headers": "x-team: a:b", "timeout_s": "20",
    "models": "gpt-4o, mini", "claims": "gpt-", "pricing": "openai",
}  # fmt: skip


async def test_the_form_sets_what_the_api_can_and_the_page_shows_it_but_the_key(site, ctx):
    """Every field of a provider is in the form, is kept, and is shown; so it is in the form for a change."""
    empty = fields(await page(site, "/providers"), "/gateway/providers")
    assert empty.keys() == set(CreateProvider.__struct_fields__) | {"scope"}
    assert "is added" in (await post(site, "/providers", **CLIENT)).text

    card = await ctx.get(ProviderService).show(ctx, "az")
    assert (card.identity, card.tenant, card.client_id, card.key) == ("client", "t-1", "c-1", "sealed")
    assert card.deployments == {"gpt-4o": "gpt-4o-eu", "mini": "m-1"}
    assert (card.headers, card.timeout_s, card.models) == ({"x-team": "a:b"}, 20, ("gpt-4o", "mini"))
    listed = words(await page(site, "/providers"))
    assert re.search(r"sealed .*client secret client c-1", listed)
    shown = words(await page(site, "/providers?show=az"))
    for one in (
        "Azure: a client's secret",
        "login.microsoftonline.us",
        "x-team: a:b",
        "gpt-4o = gpt-4o-eu",
        "Timeout 20",
    ):
        assert one in html.unescape(shown)
    form = fields(await page(site, "/providers?change=az"), "/az/change")
    assert form.pop("key") == ""
    assert {"models": "gpt-4o mini", "deployments": "gpt-4o = gpt-4o-eu\nmini = m-1"}.items() <= form.items()
    assert form.keys() == {*ChangeProvider.__struct_fields__, "source", "as_of"} - {"key"}


async def test_a_form_that_is_sent_as_it_stands_changes_nothing_else(site, ctx):
    """Neither does it set what is the kind's own, nor does it ask for the key again."""
    await post(site, "/providers", **{**AWS, "scope": "project"})
    await post(site, "/providers", scope="project", name="oa", kind="openai", key=KEY)
    before = [await ctx.get(ProviderService).show(ctx, name) for name in ("aws", "oa")]
    assert f"role {AWS['role']}" in words(await page(site, "/providers"))

    for card in before:
        form = fields(await page(site, f"/providers?change={card.name}"), f"/{card.name}/change")
        assert "is changed" in (await post(site, f"/providers/{card.name}/change", **form)).text
        after = await ctx.get(ProviderService).show(ctx, card.name)
        assert msgspec.structs.replace(after, updated_at=card.updated_at) == card

    form = fields(await page(site, "/providers?change=aws"), "/aws/change")
    changed = {**form, "external_id": "x-1", "session_name": "here", "timeout_s": "", "models": "a"}
    assert "is changed" in (await post(site, "/providers/aws/change", **changed)).text
    card = await ctx.get(ProviderService).show(ctx, "aws")
    assert (card.external_id, card.session_name, card.models, card.role) == ("x-1", "here", ("a",), AWS["role"])
    # What was shown before that is not what is there now.
    assert "was changed meanwhile" in (await post(site, "/providers/aws/change", **form)).text
    form = fields(await page(site, "/providers?change=aws"), "/aws/change")
    assert "is changed" in (await post(site, "/providers/aws/change", **{**form, "external_id": ""})).text
    assert (await ctx.get(ProviderService).show(ctx, "aws")).external_id == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"role": "arn:nothing"}, "The role of the provider 'aws' cannot be one"),
        ({"token_url": "https://evil.example/"}, "needs the key again"),
        ({"timeout_s": "soon"}, "'soon' is no number"),
        ({"timeout_s": "nan"}, "cannot be the timeout_s"),
        ({"headers": "authorization: Bearer x"}, "cannot be set"),
        ({"deployments": "no sign"}, "Write each line as name = value"),
        ({"identity": "sorcery"}, "cannot prove who asks"),
    ],
)
async def test_a_change_that_cannot_be_is_told_beside_its_field(site, change, told):
    await post(site, "/providers", **AWS)
    form = fields(await page(site, "/providers?change=aws"), "/aws/change")

    reply = await post(site, "/providers/aws/change", **{**form, **change, "external_id": "kept"})

    assert reply.status_code == 400
    assert told in words(html.unescape(reply.text))
    assert 'aria-invalid="true"' in reply.text
    assert fields(reply.text, "/aws/change")["external_id"] == "kept"
    assert "kept" not in await page(site, "/providers?change=aws")


async def test_a_projects_admin_is_offered_no_identity_of_the_servers(site, ctx):
    key = await ctx.get(Projects).create_key(ctx, CreateKey(name="boss", role=Role.ADMIN), ctx.project)
    theirs = {"authorization": f"Bearer {key.secret}"}
    form = fields(await page(site, "/providers", **theirs), "/gateway/providers")
    assert form.keys() & {"key_env", "token_url", "metadata_url", "identity_file", "profile", "authority_host"} == set()
    text = await page(site, "/providers", **theirs)
    assert 'value="client"' in text
    assert 'value="managed"' not in text

    asked = {"name": "m", "kind": "azure", "base_url": "https://r.openai.azure.com", "identity": "managed"}
    origin = {"origin": str(site.base_url).rstrip("/")}
    reply = await site.post(at(site, "/providers"), data=asked, headers=theirs | origin)
    assert reply.status_code == 403
    assert "what the server is trusted with" in words(reply.text)
    reply = await site.post(at(site, "/providers/up/change"), data={"source": "settings"}, headers=theirs | origin)
    assert reply.status_code in {303, 403}


def test_every_identity_has_words_of_its_own():
    assert PROOFS.keys() == {name for known in IDENTITIES.values() for name in known}


@pytest.mark.browser
async def test_the_page_of_one_provider_fits_its_window(site, browser_page: OpenPage):
    await post(site, "/providers", **AWS)

    async def look(width: int, theme: str) -> None:
        tab = None
        for path in ("/providers?show=aws", "/providers?change=aws"):
            tab = await browser_page(f"{site.base_url}{at(site, path)}", width=width, theme=theme, tab=tab)
            assert tab.complaints == [], path
            assert await tab.overflow() == [], path

    await at_both_widths(look)

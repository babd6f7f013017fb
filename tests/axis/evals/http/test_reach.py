"""Where HTTP services may be called: public addresses, what the operator lists, and nearby only for a single owner."""

import pytest
from tests.axis.evals.http.conftest import Service

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.http import service as services_of_http
from gimbal.axis.evals.http.model import HttpManifest, PublishHttpService
from gimbal.axis.evals.http.reach import addresses, as_address, check
from gimbal.axis.evals.http.target import HTTP_SERVICES
from gimbal.axis.evals.model import Example
from gimbal.axis.projects.model import AddMember, CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import Forbidden, Unavailable
from gimbal.kernel.settings import ServerSettings, Settings
from gimbal.kernel.settings_evals import EvalsSettings

NEAR = ("127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1", "0x7f000001", "::ffff:10.0.0.1", "localhost")
NEVER = ("169.254.169.254", "fe80::1", "224.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "240.0.0.1")


def settle(axis: Services, *hosts: str, host: str = "127.0.0.1") -> None:
    axis.register(Settings, Settings(server=ServerSettings(host=host), evals=EvalsSettings(http_hosts=hosts)))


@pytest.mark.parametrize("host", NEAR)
async def test_a_single_owner_on_loopback_may_call_what_is_near(axis: Services, ctx: Context, host: str) -> None:
    settle(axis)
    assert await addresses(ctx, host, 80)


@pytest.mark.parametrize("host", [*NEAR, *NEVER])
async def test_a_server_for_others_calls_nothing_in_its_own_network(axis: Services, ctx: Context, host: str) -> None:
    """It listens on other addresses, where everybody with a key could have its worker look around."""
    settle(axis, host="0.0.0.0")
    with pytest.raises(Forbidden, match=r"evals\.http_hosts"):
        await addresses(ctx, host, 80)


@pytest.mark.parametrize("host", NEVER)
async def test_link_local_addresses_are_never_called_unasked(axis: Services, ctx: Context, host: str) -> None:
    settle(axis)
    with pytest.raises(Forbidden):
        await addresses(ctx, host, 80)


async def test_an_installation_with_members_has_no_single_owner(axis: Services, ctx: Context) -> None:
    settle(axis)
    assert await addresses(ctx, "127.0.0.1", 80) == ["127.0.0.1"]
    await ctx.get(Projects).create_key(ctx, CreateKey(name="admin", role=Role.ADMIN), None)
    await ctx.get(Projects).add_member(ctx, "default", AddMember(name="Ada", email="ada@example.com"))
    with pytest.raises(Forbidden):
        await addresses(ctx, "127.0.0.1", 80)


@pytest.mark.parametrize(
    ("listed", "host", "open_"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("10.2.0.0/16", "10.2.9.9", True),
        ("10.2.0.0/16", "10.3.9.9", False),
        ("localhost", "LOCALHOST", True),
        ("*.localhost", "localhost", False),
        ("::1", "::1", True),
        ("", "127.0.0.1", False),
        ("169.254.169.254", "169.254.169.254", True),
    ],
)
async def test_what_the_operator_lists_is_called(
    axis: Services, ctx: Context, listed: str, host: str, open_: bool
) -> None:
    settle(axis, listed, host="10.0.0.5")
    if open_:
        assert await addresses(ctx, host, 80)
    else:
        with pytest.raises(Forbidden):
            await addresses(ctx, host, 80)


async def test_public_addresses_are_called_by_everybody(axis: Services, ctx: Context) -> None:
    settle(axis, host="10.0.0.5")

    assert await addresses(ctx, "93.184.215.14", 443) == ["93.184.215.14"]
    assert await addresses(ctx, "2606:4700::1111", 443) == ["2606:4700::1111"]
    assert str(as_address("2002:0a00:0001::")) == "10.0.0.1"


async def test_a_name_that_means_nothing_is_told_at_the_call_and_not_before(axis: Services, ctx: Context) -> None:
    for host in ("nobody.invalid", "a" * 300 + ".invalid", "x..y"):
        with pytest.raises(Unavailable, match="not known"):
            await addresses(ctx, host, 80)
    await check(ctx, HttpManifest(url="http://nobody.invalid/x"))


async def test_what_is_barred_is_noted_when_published_and_stops_a_plan(
    calling: Services, ctx: Context, service: Service
) -> None:
    settle(calling, host="10.0.0.5")
    text = f'name = "near"\nurl = "{service.url}/x"\n'
    made = await services_of_http.publish(ctx, PublishHttpService(text=text))
    version = (await ctx.get(Assets).page(ctx, kind="http")).items[0]
    found = await ctx.get(Assets).add_version(ctx, kind="http", name=version.name, manifest={"url": f"{service.url}/y"})
    with pytest.raises(Forbidden):
        await HTTP_SERVICES.foresee(ctx, found, [])
    output = await HTTP_SERVICES(ctx, found, Example(id="1", input={}))

    assert "evals.http_hosts" in made.notes[0]
    assert "not called in" in output.error
    assert service.asked == []

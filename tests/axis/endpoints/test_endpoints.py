"""Endpoints: set, resolved live, kept apart by project."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.axis.endpoints.conftest import AddModel

from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.service import Endpoints
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, Forbidden, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import AtVersion, Ref


def to(ref: str, slug: str = "delay", **more: Any) -> SetEndpoint:
    return SetEndpoint(slug=slug, targets=[Target(ref=ref)], **more)


async def test_an_endpoint_is_set_shown_listed_replaced_and_removed(
    endpoints: Endpoints, ctx: Context, add_model: AddModel
) -> None:
    """One slug is one endpoint; the last setting counts."""
    await add_model("a", "1")
    await add_model("a", "2")
    made = await endpoints.set(ctx, to("model:a@v1"))
    assert (str(made.resolved), made.capture, made.updated_by) == ("model:a@v1", True, "local owner")
    await endpoints.set(ctx, to("model:a@v1", slug="another"))
    again = await endpoints.set(ctx, to("model:a@v2", capture=False))
    assert (str(again.resolved), again.capture) == ("model:a@v2", False)
    assert [e.slug for e in await endpoints.all(ctx)] == ["another", "delay"]
    assert await endpoints.get(ctx, "delay") == again
    await endpoints.remove(ctx, "delay")
    for missing in (endpoints.get(ctx, "delay"), endpoints.remove(ctx, "delay"), endpoints.resolve(ctx, "delay")):
        with pytest.raises(NotFound, match="no endpoint 'delay'"):
            await missing


async def test_two_who_set_the_same_at_once_leave_one(endpoints: Endpoints, ctx: Context, add_model: AddModel) -> None:
    """Neither fails for the other: both settings are valid, one of them is last."""
    await add_model("a", "1")
    await add_model("a", "2")
    both = [endpoints.set(ctx, to(f"model:a@v{n}")) for n in (1, 2, 1, 2)]
    found = await asyncio.gather(*both)
    assert {e.slug for e in found} == {"delay"}
    (left,) = await endpoints.all(ctx)
    assert str(left.resolved) in {"model:a@v1", "model:a@v2"}


async def test_an_alias_is_followed_at_once(endpoints: Endpoints, ctx: Context, add_model: AddModel) -> None:
    """Resolved from memory, and anew as soon as the alias has moved."""
    for text in "12":
        await add_model("a", text)
    assets = ctx.get(Assets)
    await assets.move_alias(ctx, "model", "a", "production", AtVersion(1))
    await endpoints.set(ctx, to("model:a@production"))
    assert (await endpoints.resolve(ctx, "delay"))[1].number == 1
    await assets.move_alias(ctx, "model", "a", "production", AtVersion(2))
    await ctx.settle()
    endpoint, version = await endpoints.resolve(ctx, "delay")
    assert (endpoint.slug, version.number) == ("delay", 2)
    await assets.move_alias(ctx, "model", "a", "production", None)
    await ctx.settle()
    with pytest.raises(NotFound):
        await endpoints.resolve(ctx, "delay")
    assert (await endpoints.get(ctx, "delay")).resolved is None


async def test_what_it_serves_is_in_the_lineage(endpoints: Endpoints, ctx: Context, add_model: AddModel) -> None:
    """From the model one finds the endpoint."""
    await add_model("a")
    await endpoints.set(ctx, to("model:a@v1"))
    found = await ctx.get(LineageQuery).around(ctx, Ref.parse("model:a@v1"), depth=1)
    assert "delay" in msgspec.json.encode(found).decode()


@pytest.mark.parametrize(
    ("body", "error", "where"),
    [
        (to("model:nothing@v1"), NotFound, ""),
        (to("model:a@v9"), NotFound, ""),
        (to("model:a@production"), NotFound, ""),
        (to("prompt:a@v1"), BadInput, "targets[0].ref"),
        (to("a@v1"), BadInput, "ref"),
        (to("model:a@V1"), BadInput, "selector"),
        (to("model:a@v1", slug="Delay"), BadInput, "slug"),
        (to("model:a@v1", slug=""), BadInput, "slug"),
        (to("model:a@v1", slug="a/b"), BadInput, "slug"),
        (SetEndpoint(slug="delay", targets=[]), BadInput, "targets"),
        (SetEndpoint(slug="delay", targets=[Target(ref="model:a@v1")] * 2), BadInput, "targets"),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_kept(
    endpoints: Endpoints, ctx: Context, add_model: AddModel, body: SetEndpoint, error: type[Exception], where: str
) -> None:
    """Unknown targets, other kinds, bad slugs, none or several targets."""
    await add_model("a")
    with pytest.raises(error) as told:
        await endpoints.set(ctx, body)
    if where:
        assert told.value.where == where  # type: ignore[attr-defined]
    assert await endpoints.all(ctx) == []


async def test_projects_do_not_see_each_other(endpoints: Endpoints, ctx: Context, add_model: AddModel) -> None:
    """The same slug in two projects means two things, in memory too."""
    elsewhere = Context(ctx.services, ctx.principal, "flights")
    await add_model("a", "here")
    theirs = await add_model("a", "there", "flights")
    await endpoints.set(ctx, to("model:a@v1"))
    assert await endpoints.all(elsewhere) == []
    with pytest.raises(NotFound):
        await endpoints.resolve(elsewhere, "delay")
    await endpoints.set(elsewhere, to("model:a@v1"))
    assert (await endpoints.resolve(elsewhere, "delay"))[1].digest == theirs.digest
    assert (await endpoints.resolve(ctx, "delay"))[1].digest != theirs.digest
    await endpoints.remove(elsewhere, "delay")
    assert (await endpoints.resolve(ctx, "delay"))[0].slug == "delay"


async def test_setting_takes_the_right_to_release(endpoints: Endpoints, ctx: Context, add_model: AddModel) -> None:
    """A developer may call and look, not set."""
    await add_model("a")
    developer = Principal(kind="member", id="m", name="Dev", roles={"default": Role.DEVELOPER})
    theirs = Context(ctx.services, developer, "default")
    with pytest.raises(Forbidden):
        await invoke(find("endpoints.set"), theirs, {"project": "default", "body": to("model:a@v1")})
    await invoke(find("endpoints.set"), ctx, {"project": "default", "body": to("model:a@v1")})
    (shown,) = await invoke(find("endpoints.list"), theirs, {"project": "default"})
    assert shown.slug == "delay"
    with pytest.raises(Forbidden):
        await invoke(find("endpoints.remove"), theirs, {"project": "default", "slug": "delay"})

"""The pages of assets and of the audit, served by the real application; in a browser where there is one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.browser import OpenPage, at_both_widths, browser_page
from tests.served import serve
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.assets.pages
import gimbal.axis.projects.operations
import gimbal.axis.projects.pages  # noqa: F401 - fill the tables
from gimbal.axis.assets.model import FileEntry, GatePolicy, MoveAlias
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Services
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref
from gimbal.testing.clock import FrozenClock

__all__ = ["browser_page"]

REF = "note%3Aflights%2Fdelay"
PATHS = {
    "list": "/assets",
    "none": "/assets?q=zzz",
    "overview": f"/assets/{REF}",
    "versions": f"/assets/{REF}?tab=versions",
    "history": f"/assets/{REF}?tab=history",
    "lineage": f"/assets/{REF}@v2?tab=lineage",
    "files": f"/assets/{REF}?tab=files",
    "compare": f"/assets/{REF}@v3/compare?to=v1",
    "bare": "/assets/draft%3Ahelp%2Fdocs?tab=history",
    "audit": "/audit?check=1",
}


@pytest.fixture
async def site(
    assets: Assets, services: Services, ctx: Context, blobs: Blobs, clock: FrozenClock, tmp_path: Path
) -> AsyncIterator[str]:
    """Serve a project with some assets; yield the address of its console."""
    data = await assets.add_version(ctx, kind="draft", name="flights/train", manifest={"rows": 80789})
    await assets.add_version(ctx, kind="draft", name="help/docs", manifest={})
    for depth in (3, 4, 5):
        clock.advance(hours=5)
        text = await blobs.put(f"depth = {depth}\nrate = 0.1\n".encode())
        noise = await blobs.put(bytes([0, depth]))
        files = [
            FileEntry(path="conf/settings.toml", digest=text.digest, size=text.size, media_type="text/plain"),
            FileEntry(path="model.bin", digest=noise.digest, size=noise.size),
        ]
        manifest = {
            "params": {"depth": depth, "rate": 0.1},
            "prompt": "Answer briefly.\n" + "Use the context.\n" * depth,
            "metrics": {"auc": 0.7 + depth / 100, "log_loss": None},
        }
        made = await assets.add_version(
            ctx,
            kind="note",
            name="flights/delay",
            manifest=manifest,
            files=files,
            inputs=[data.ref],
            run_id="r1",
            note=f"depth {depth}",
        )
        await assets.record_use(ctx, "endpoint", "delay", [made.ref])
        body = MoveAlias(to=f"v{made.number}", reason="a <b>better</b> AUC on April, and no worse log loss")
        given = {"project": "default", "ref": Ref("note", "flights/delay"), "alias": "production", "body": body}
        await invoke(find("assets.move-alias"), ctx, given)
    await assets.record_use(ctx, "run", "r1", [data.ref])
    clock.advance(minutes=3)
    async with serve(services, tmp_path / "cache") as url:
        yield url


@pytest.mark.parametrize("name", PATHS)
async def test_every_page_answers(site: str, name: str) -> None:
    """With its content, and with what comes from people escaped."""
    async with httpx.AsyncClient(base_url=site) as client:
        reply = await client.get(f"/p/default{PATHS[name]}")

    assert reply.status_code == 200
    assert "<b>better" not in reply.text
    words = {
        "list": ["flights/delay", "flights/train", "help/docs", "production"],
        "none": ["Nothing fits"],
        "overview": ["v3 of 3", "0.75", "Answer briefly", "Move the alias", "draft:flights/train@v1"],
        "versions": ["depth 5", "depth 3", "Compare"],
        "history": ["production moved from v2 to v3", "first stood on v1", "&lt;b&gt;better"],
        "lineage": ["flights/train", "delay", "graph-edge"],
        "files": ["conf/settings.toml", "model.bin", "files/conf%2Fsettings.toml"],
        "compare": ["params.depth", "depth = 3", "depth = 5", "Not text"],
        "bare": ["No alias has moved yet"],
        "audit": ["The chain is whole", "assets.move-alias", "local owner"],
    }
    assert [word for word in words[name] if word not in reply.text] == []


async def test_a_file_is_downloaded_from_the_page(site: str) -> None:
    """By the address that the page shows, as an attachment."""
    async with httpx.AsyncClient(base_url=site) as client:
        text = (await client.get(f"/p/default{PATHS['files']}")).text
        address = next(part for part in text.split('"') if part.endswith("settings.toml") and part.startswith("/api"))
        reply = await client.get(address)

    assert (reply.status_code, reply.content) == (200, b"depth = 5\nrate = 0.1\n")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/assets/nothing", "/assets/note%3Anothing", f"/assets/{REF}@v9", f"/assets/{REF}@production~x", "/assets?kind=modle", "/assets?cursor=x", f"/assets/{REF}/compare?to=v77", "/audit?cursor=x", "/audit?since=soon", "/audit?check=1&anchor=x"])  # fmt: skip
async def test_a_page_of_something_that_is_not_there_says_so(site: str, path: str) -> None:
    """As a page, with a status that fits."""
    async with httpx.AsyncClient(base_url=site) as client:
        reply = await client.get(f"/p/default{path}")

    assert reply.status_code in {400, 404}
    assert "text/html" in reply.headers["content-type"]


async def test_an_alias_is_moved_from_the_page(site: str, assets: Assets, ctx: Context, services: Services) -> None:
    """Forward, back, away; a gate's refusal is told where it was asked for."""
    action = f"/p/default/assets/{REF}@v2/aliases"
    async with httpx.AsyncClient(base_url=site, follow_redirects=True) as client:
        moved = await client.post(action, data={"alias": "staging", "to": "v2", "reason": "try"})
        same = (await assets.aliases(ctx, "note", "flights/delay"))[1]
        removed = await client.post(action, data={"alias": "staging", "remove": "yes"})

        class Gate:
            async def is_gated(self, ctx: Context, kind: str, name: str, alias: str) -> bool:
                return True

        services.register(GatePolicy, Gate())
        refused = await client.post(action, data={"alias": "production", "to": "v1"})
        wrong = await client.post(action, data={"alias": "latest", "to": "v1"})
        foreign = await client.post(
            action, data={"alias": "staging", "to": "v2"}, headers={"origin": "http://evil.example"}
        )

    assert "staging stands on v2." in moved.text
    assert (same.alias, same.number) == ("staging", 2)
    assert "staging was removed" in removed.text
    assert refused.status_code == 200
    assert "A gate guards" in refused.text
    assert wrong.status_code == 400
    assert foreign.status_code == 403


@pytest.mark.browser
@pytest.mark.parametrize("name", PATHS)
async def test_pages_fit_their_window_and_nothing_complains(site: str, browser_page: OpenPage, name: str) -> None:
    """At 1280 pixels in the light and 390 in the dark: no overflow, no error in the browser's console."""

    async def look(width: int, theme: str) -> None:
        opened = await browser_page(f"{site}/p/default{PATHS[name]}", width=width, theme=theme)
        assert opened.complaints == []
        assert await opened.overflow() == []

    await at_both_widths(look)

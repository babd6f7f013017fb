"""What went to the blobs is read back through its trace, by nobody else, and can do nothing in a browser."""

import json
import random

import httpx
import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_media import JPEG, PNG, WAV, reference, text_of, url_of

from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.settings import LimitSettings, Settings

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>" + b" " * 2000


async def take(here: Context, attributes: dict[str, object]) -> str:
    """Take one span in; return its trace."""
    trace = wire.trace_id()
    assert await ingest(here, wire.request(wire.chat(trace, 1, attributes=attributes))) == []
    return trace


async def get(site: httpx.AsyncClient, here: Context, trace: str, digest: str) -> httpx.Response:
    return await site.get(f"/api/v1/projects/{here.project}/traces/{trace}/payloads/{digest}")


@pytest.mark.parametrize(
    ("content", "told", "served"),
    [
        (PNG, "image/png", "image/png"),
        (JPEG, "image/jpg", "image/jpeg"),
        (WAV, "audio/x-wav", "audio/wav"),
        (SVG, "image/svg+xml", "application/octet-stream"),
        (SVG, "text/html", "application/octet-stream"),
        (SVG, "application/xhtml+xml", "application/octet-stream"),
        (SVG, "text/javascript", "application/octet-stream"),
    ],
)
async def test_media_is_downloaded_as_what_is_harmless(
    site: httpx.AsyncClient, here: Context, content: bytes, told: str, served: str
) -> None:
    """The bytes as they were; what could run is never named so, is saved and not shown, and is sandboxed."""
    trace = await take(here, {"picture": url_of(content, told)})
    reply = await get(site, here, trace, digest_of(content))
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, content, served)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "sandbox"


async def test_long_values_the_rest_and_vectors_are_read_back(
    site: httpx.AsyncClient, here: Context, services: Services, traces: Traces
) -> None:
    """Whole; so nothing that a span says is lost to who may read it."""
    services.register(Settings, Settings(limits=LimitSettings(span_attribute_bytes=2000, span_attributes=20)))
    long, nested, vector = "ä" * 1500, {"deep": ["word " * 1000]}, [0.5] * 500
    many = {f"z{i}": i for i in range(30)}
    trace = await take(here, {"long": long, "nested": nested, "vector": vector, **many})
    span = (await traces.get(here, trace)).spans[0]
    mark = span.attributes["gimbal.ingest"]
    assert len(mark["payloads"]) == 4

    told = await get(site, here, trace, span.attributes["long"]["blob"])
    assert (told.text, told.headers["content-type"]) == (long, "text/plain; charset=utf-8")
    assert (await get(site, here, trace, span.attributes["nested"]["blob"])).json() == nested
    digest = span.attributes["vector"].removeprefix("gimbal-media:").partition(";")[0]
    assert (await get(site, here, trace, digest)).json() == vector
    assert set((await get(site, here, trace, mark["rest"]["blob"])).json()["attributes"]) <= set(many)


async def test_what_a_resource_and_an_event_left_is_read_back(site: httpx.AsyncClient, here: Context) -> None:
    """They have marks of their own, or that of their span."""
    trace = wire.trace_id()
    given = wire.span(trace, 1)
    given.events.add(name="e", attributes=wire.pairs({"content": url_of(PNG, "image/png")}))
    await ingest(here, wire.request(given, resource={"logo": url_of(JPEG, "image/jpeg")}))
    for content in (PNG, JPEG):
        assert (await get(site, here, trace, digest_of(content))).content == content


async def test_nobody_learns_the_content_of_a_digest_that_is_not_theirs(
    site: httpx.AsyncClient, here: Context, services: Services, blobs: Blobs
) -> None:
    """Not in another trace, not in another project, and not by writing the digest, a reference or a mark into a span."""
    secret = random.Random(1).randbytes(4000)
    digest = (await blobs.put(secret)).digest
    other = Context(services, here.principal, f"t{new_id()[-12:]}")
    await services.get(Projects).create(here.within(None), CreateProject(slug=str(other.project)))
    theirs = await take(other, {"picture": url_of(b"\x89PNG\r\n\x1a\n" + secret, "image/png")})
    forged = {
        "digest": digest,
        "picture": reference(secret, "image/png"),
        "value": {"blob": digest, "size": 4000, "start": "x"},
        "gimbal.ingest": {"cut": {"values": 1}, "payloads": {digest: "image/png"}},
        "ours": url_of(PNG, "image/png"),
    }
    mine = await take(here, forged)
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.span(trace, 1), resource=forged))

    held = digest_of(b"\x89PNG\r\n\x1a\n" + secret)
    asked = [(mine, digest), (trace, digest), (mine, held), (theirs, held), (theirs, digest), ("x", digest), (mine, "x"), (mine, "%27"),
             (mine, ""), (mine, digest.upper()), ("0" * 32, held)]  # fmt: skip
    for trace_id, wanted in asked:
        reply = await get(site, here, trace_id, wanted)
        assert reply.status_code == 404, (trace_id, wanted)
        assert secret[:20] not in reply.content
    assert (await get(site, other, theirs, held)).status_code == 200
    assert (await get(site, here, mine, digest_of(PNG))).status_code == 200


async def test_the_page_of_a_trace_shows_media_and_leads_to_whole_values(
    site: httpx.AsyncClient, here: Context
) -> None:
    """Images and sounds where they were said, files and long values as links; what a sender writes is never an address."""
    said = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": url_of(PNG, "image/png")}},
                {"type": "input_audio", "input_audio": {"data": text_of(WAV), "format": "wav"}},
                {"type": "file", "file": {"file_data": url_of(SVG, "image/x-svg"), "filename": "plan.svg"}},
                {"type": "image_url", "image_url": {"url": "javascript:alert(1)"}},
                {"type": "image_url", "image_url": {"url": "https://elsewhere.example/x.png"}},
            ],
        },
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": '{"at": "sky"}'}}]},
    ]
    trace = await take(here, {"gen_ai.input.messages": json.dumps(said), "gen_ai.output.messages": "word " * 20_000})
    page = (await site.get(f"/p/{here.project}/traces/{trace}")).text
    at = f"/api/v1/projects/{here.project}/traces/{trace}/payloads"
    assert "What is this?" in page
    assert f'<img src="{at}/{digest_of(PNG)}"' in page
    assert f'<audio controls preload="none" src="{at}/{digest_of(WAV)}"' in page
    assert "plan.svg" in page
    assert "calls look" in page
    assert 'href="https://elsewhere.example/x.png" rel="noreferrer"' in page
    assert 'src="https://elsewhere' not in page
    assert 'href="javascript' not in page
    assert f'href="{at}/{digest_of(b"word " * 20_000)}"' in page
    assert "the whole value" in page
    for address in (f"{at}/{digest_of(PNG)}", f"{at}/{digest_of(b'word ' * 20_000)}"):
        assert (await site.get(address)).status_code == 200

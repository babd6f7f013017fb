"""The doors of other products: the official exporter with each one's address and headers lands in the right project."""

import asyncio
import base64

import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.projects.model import CreateKey, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.dialect import PATHS
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.status import reply as written
from gimbal.kernel import errors
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import new_id


def basic(public: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{public}:{secret}".encode()).decode()


# Address and headers as each product's documentation has them; KEY is ours.
DOORS = {
    "langfuse": (PATHS[1], {"authorization": "basic pk-lf-1:KEY", "x-langfuse-ingestion-version": "4"}),
    "langfuse, public": (PATHS[1], {"authorization": "basic KEY:sk-lf-1"}),
    "opik": (PATHS[2], {"authorization": "KEY", "projectName": "Default Project", "Comet-Workspace": "ann"}),
    "langsmith": (PATHS[3], {"x-api-key": "KEY", "Langsmith-Project": "some project of theirs"}),
    "weave": (PATHS[3], {"wandb-api-key": "KEY", "project_id": "ann/never-made"}),
    "weave, basic": (PATHS[3], {"authorization": "basic api:KEY", "project_id": "ann/never-made"}),
    "braintrust": (PATHS[3], {"authorization": "Bearer KEY", "x-bt-parent": "project_name:never-made"}),
}


def headers_of(door: str, key: str) -> dict[str, str]:
    found = {name: value.replace("KEY", key) for name, value in DOORS[door][1].items()}
    scheme, _, pair = found.get("authorization", "").partition(" ")
    return found | {"authorization": basic(*pair.split(":"))} if scheme == "basic" else found


def export(url: str, headers: dict[str, str]) -> str:
    """Send one span with the official exporter; return its trace id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "moved"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=url, headers=headers)))
    with provider.get_tracer("t").start_as_current_span("hello") as span:
        trace = span.get_span_context().trace_id
    provider.shutdown()
    return f"{trace:032x}"


@pytest.mark.parametrize("door", DOORS)
async def test_moving_is_a_change_of_address_and_key(
    site: httpx.AsyncClient, services: Services, here: Context, traces: Traces, door: str
) -> None:
    """The key of a project decides the project, wherever the vendor's client puts it."""
    key = await services.get(Projects).create_key(here, CreateKey(name="moved", role=Role.DEVELOPER), here.project)

    trace = await asyncio.to_thread(export, f"{site.base_url}{DOORS[door][0]}", headers_of(door, key.secret))

    assert [s.name for s in (await traces.get(here, trace)).spans] == ["hello"]
    with pytest.raises(NotFound):
        await traces.get(here.within("default"), trace)


@pytest.mark.parametrize("door", DOORS)
async def test_a_wrong_key_is_refused_at_every_door(site: httpx.AsyncClient, door: str) -> None:
    """None of the places for a key is overlooked, which would make the caller the local owner."""
    reply = await site.post(DOORS[door][0], content=b"", headers=headers_of(door, "gk_nothing"))
    assert reply.status_code == 401


@pytest.mark.parametrize(
    ("path", "header", "form"),
    [
        (PATHS[2], "projectName", "{}"),
        (PATHS[2], "Comet-Workspace", "{}"),
        (PATHS[3], "Langsmith-Project", "{}"),
        (PATHS[3], "project_id", "ann/{}"),
        (PATHS[3], "x-bt-parent", "project_name:{}"),
    ],
)
async def test_a_vendors_project_header_chooses_where_the_key_leaves_a_choice(
    site: httpx.AsyncClient, services: Services, here: Context, traces: Traces, path: str, header: str, form: str
) -> None:
    """A key for all projects follows it; our own header wins; a key of one project stays in its project."""
    projects = services.get(Projects)
    other = f"o{new_id()[-12:]}"
    await projects.create(here.within(None), CreateProject(slug=other))
    everywhere = await projects.create_key(here.within(None), CreateKey(name="all", role=Role.DEVELOPER), None)
    bound = await projects.create_key(here, CreateKey(name="one", role=Role.DEVELOPER), here.project)

    async def lands(key: str, **more: str) -> str:
        trace = wire.trace_id()
        headers = {"content-type": PROTOBUF, "x-api-key": key, header: form.format(other), **more}
        async with httpx.AsyncClient(base_url=site.base_url) as client:
            body = wire.request(wire.span(trace, 1)).SerializeToString()
            reply = await client.post(path, content=body, headers=headers)
        assert reply.status_code == 200
        for slug in (other, str(here.project), "default"):
            try:
                await traces.get(here.within(slug), trace)
            except NotFound:
                continue
            return slug
        return "nowhere"

    assert await lands(everywhere.secret) == other
    assert await lands(everywhere.secret, **{"x-gimbal-project": str(here.project)}) == here.project
    assert await lands(bound.secret) == here.project
    assert await lands(everywhere.secret, **{header: form.format("never-made")}) == "default"


@pytest.mark.parametrize("path", PATHS)
async def test_errors_come_in_the_form_of_the_request(site: httpx.AsyncClient, path: str) -> None:
    """Protobuf's google.rpc.Status for protobuf, its JSON form for JSON, as the protocol says."""
    bad = {"authorization": "Bearer gk_nothing"}
    packed = await site.post(path, content=b"", headers={**bad, "content-type": PROTOBUF})
    text = await site.post(path, content=b"{}", headers={**bad, "content-type": f"{JSON}; charset=utf-8"})
    broken = await site.post(path, content=b"\x0a\xff", headers={"content-type": PROTOBUF})

    assert (packed.status_code, packed.headers["content-type"]) == (401, PROTOBUF)
    assert packed.headers["www-authenticate"] == "Bearer"
    assert Status.FromString(packed.content).code == 16
    assert wire.told(packed)["code"] == "not_authenticated"
    assert (text.status_code, text.headers["content-type"]) == (401, JSON)
    document = text.json()
    assert (document["code"], document["message"]) == (16, wire.told(packed)["message"])
    assert document["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert document["details"][0]["metadata"]["todo"] == document["error"]["todo"]
    assert (broken.status_code, Status.FromString(broken.content).code) == (400, 3)
    assert wire.told(broken) == {
        "code": "corrupt_upload", "message": "The body is not an OTLP trace request.", "where": "body",
        "todo": "Check the exporter.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.BadInput, 3), (errors.TooLarge, 3), (errors.WrongMediaType, 3), (errors.NotFound, 5), (errors.NotReady, 3),
     (errors.Forbidden, 7), (errors.NotAuthenticated, 16), (errors.Busy, 14), (errors.Unavailable, 14),
     (errors.DeadlineExceeded, 4), (errors.GimbalError, 13)],
)  # fmt: skip
def test_every_error_has_a_code_and_says_when_to_come_again(kind: type[errors.GimbalError], code: int) -> None:
    """Read back by the reference implementation of the messages."""
    given = kind("Größe.", where="x" * 300, kept="nothing", retry_after=2.5)

    packed, text = written(given, PROTOBUF), written(given, "")

    assert packed.headers["retry-after"] == text.headers["retry-after"] == "2"
    found, info, again = Status.FromString(bytes(packed.body)), ErrorInfo(), RetryInfo()
    assert (found.code, found.message, len(found.details)) == (code, "Größe.", 2)
    assert found.details[0].Unpack(info)
    assert found.details[1].Unpack(again)
    assert (info.reason, dict(info.metadata)) == (kind.code, {"where": "x" * 300, "kept": "nothing"})
    assert again.retry_delay.ToMilliseconds() == 2500
    assert text.media_type == JSON
    assert b'"retryDelay":"2.500s"' in bytes(text.body)

"""Exports over HTTP: what lists show, whole or visibly broken, and nobody else's."""

import asyncio
import csv
import io
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import msgspec
import pyarrow.parquet as pq
import pytest
from tests.axis.sql import filled
from tests.axis.sql.filled import CANARY
from tests.axis.sql.test_limits import ENDLESS

from gimbal.axis.sql import exports
from gimbal.axis.sql.service import Sql
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.operations import PREFIX, find
from gimbal.kernel.settings import SqlSettings

SUFFIX = {"until": "2026-12-31T00:00:00Z"}


def base(here: Context) -> str:
    return f"{PREFIX}/projects/{here.project}"


async def listed(site: httpx.AsyncClient, here: Context, **query: str) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = (
            await site.get(
                f"{base(here)}/traces", params={**SUFFIX, **query, "limit": 7, **({"cursor": cursor} if cursor else {})}
            )
        ).json()
        found += [one["trace_id"] for one in page["items"]]
        cursor = page.get("next")
        if not cursor:
            return found


@pytest.mark.parametrize(
    "query",
    [
        {}, {"status": "error"}, {"model": "model-plain"}, {"session": "plain-session-1"}, {"min_ms": "1"}, {"min_usd": "0.2"},
        {"min_usd": "5"}, {"kind": "chain"}, {"attribute": "said:plain"}, {"text": "root"}, {"user": "plain"},
    ],
)  # fmt: skip
async def test_an_export_has_the_traces_of_the_list_in_its_order(
    site: httpx.AsyncClient, here: Context, query: dict[str, str]
) -> None:
    expected = await listed(site, here, **query)
    for format_ in ("jsonl", "csv", "parquet"):
        answer = await site.get(f"{base(here)}/traces/export", params={**SUFFIX, **query, "format": format_})
        assert answer.status_code == 200, answer.text
        assert CANARY.encode() not in answer.content
        if format_ == "jsonl":
            found = [msgspec.json.decode(line)["trace_id"] for line in answer.content.splitlines()]
        elif format_ == "csv":
            found = [row["trace_id"] for row in csv.DictReader(io.StringIO(answer.text))]
        else:
            found = pq.read_table(io.BytesIO(answer.content)).column("trace_id").to_pylist()
        assert found == expected


async def test_spans_of_the_traces(site: httpx.AsyncClient, here: Context) -> None:
    answer = await site.get(f"{base(here)}/traces/export", params={**SUFFIX, "rows": "spans", "status": "error"})
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert len(lines) == 10
    assert {line["name"] for line in lines} == {"plain-root", "plain-call"}


async def test_what_arrives_meanwhile_is_not_in_it_and_nothing_is_missing(
    here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_PAGE", 10)
    columns = here.get(Columns)
    await filled.spans(columns, here.project or "", 100)
    narrowed = TraceFilter(until_us=filled.START_US + 100 * 1_000_000)
    found = await exports.traces(here, narrowed, "traces", "jsonl")
    ids: list[str] = []
    late = 0
    async for chunk in found.chunks:
        ids += [msgspec.json.decode(line)["trace_id"] for line in chunk.splitlines()]
        late += 1
        await filled.spans(
            columns, here.project or "", 4, start_us=filled.START_US + 200 * 1_000_000, salt=10**6 * late
        )
    assert len(ids) == len(set(ids)) == 50


async def test_filters_cursors_and_exports_of_another_project_bring_nothing(
    site: httpx.AsyncClient, here: Context, beside: str
) -> None:
    evil = ("' OR 1=1 --", f"{beside}", "{project:String}", "x' UNION ALL SELECT", "%", "_", "\\", "canary", CANARY)
    names = [p.name for p in find("traces.export").parameters if p.name not in {"project", "rows", "format"}]
    assert len(names) > 20
    for name in names:
        for word in (*evil, f"said:{CANARY}"):
            for route in ("traces", "traces/export"):
                answer = await site.get(f"{base(here)}/{route}", params={**SUFFIX, name: word})
                assert answer.status_code in {200, 400}, (name, word, answer.text)
                if answer.status_code == 200:
                    assert CANARY not in answer.text, (name, word)
    page = await site.get(f"{PREFIX}/projects/default/traces", params={"search": CANARY})
    assert CANARY not in page.text
    # A cursor holds a place in time, not a project: with another's, only own rows come.
    theirs = await here.get(Traces).page(here.within(beside), TraceFilter(), limit=3)
    assert theirs.next
    answer = await site.get(f"{base(here)}/traces", params={"cursor": theirs.next})
    assert CANARY not in answer.text


async def test_sql_over_http(site: httpx.AsyncClient, here: Context) -> None:
    answer = await site.post(
        f"{base(here)}/sql",
        json={"query": "SELECT count() AS n FROM spans WHERE name = {n:String}", "parameters": {"n": "plain-root"}},
    )
    assert answer.json()["rows"] == [[50]]
    assert answer.json()["columns"] == [{"name": "n", "type": "UInt64", "meaning": ""}]
    answer = await site.get(
        f"{base(here)}/sql",
        params={"query": "SELECT name FROM spans WHERE name = {n:String}", "parameter": "n=plain-root"},
    )
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(answer.text.split()) == 51
    refused = await site.get(f"{base(here)}/sql", params={"query": "SELECT * FROM gimbal.spans"})
    assert refused.status_code == 400
    assert refused.json()["error"]["where"].startswith("line 1")
    views = (await site.get(f"{base(here)}/sql/views")).json()
    assert {one["name"] for one in views} >= {"spans", "traces", "calls", "scores", "sessions", "events"}


async def test_an_export_that_fails_later_has_an_error_or_breaks_off(site: httpx.AsyncClient, here: Context) -> None:
    # What the engine finds wrong before the first row still has its own status.
    answer = await site.get(f"{base(here)}/sql", params={"query": "SELECT name + 1 FROM spans", "format": "csv"})
    assert answer.status_code == 400
    # Later there is no status to give any more: the transfer breaks off, which every client tells from an end.
    here.services.register(Sql, Sql(here.get(Columns), SqlSettings(export_max_seconds=1.0)))
    for format_ in ("csv", "jsonl", "arrow", "parquet"):
        with pytest.raises(httpx.RemoteProtocolError):
            await site.get(f"{base(here)}/sql", params={"query": ENDLESS, "format": format_})


async def test_the_page(site: httpx.AsyncClient, here: Context) -> None:
    page = await site.get(f"/p/{here.project}/sql")
    assert page.status_code == 200
    assert "duration_ms" in page.text
    page = await site.get(f"/p/{here.project}/sql?q={quote('SELECT span_id AS s FROM spans ORDER BY start_time')}")
    assert "0000000000000064" in page.text
    assert "format=parquet" in page.text
    page = await site.get(f"/p/{here.project}/sql?q={quote('SELECT name,<b> FROM spans')}")
    assert page.status_code == 200
    assert "cannot be read" in page.text
    assert "<b>" not in page.text
    page = await site.get(f"/p/{here.project}/sql?q={quote('SELECT * FROM gimbal.spans')}")
    assert "line 1, column" in page.text
    assert CANARY not in page.text


async def test_the_command_line(site: httpx.AsyncClient, here: Context, tmp_path: Path) -> None:
    async def gimbal(*words: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "gimbal", *words, "--project", str(here.project)],
            capture_output=True,
            text=True,
            env={"GIMBAL_URL": str(site.base_url), "PATH": ""},
            check=False,
        )

    shown = await gimbal("sql", "SELECT status, count() AS n FROM traces GROUP BY status ORDER BY n DESC")
    assert shown.returncode == 0, shown.stderr
    assert "45" in shown.stdout
    file = f"{tmp_path}/x.parquet"
    written = await gimbal("sql", "SELECT trace_id FROM traces", "--format", "parquet", "--out", file)
    assert written.returncode == 0, written.stderr
    assert pq.read_table(file).num_rows == 50
    refused = await gimbal("sql", "SELECT * FROM gimbal.spans", "--format", "csv", "--out", f"{tmp_path}/y.csv")
    assert refused.returncode == 1
    assert "database" in refused.stderr
    assert not list(tmp_path.glob("y.csv*"))

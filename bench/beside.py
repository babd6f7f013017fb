"""The same questions to Gimbal, mlflow and arize-phoenix, each with the same hundred thousand spans, in one run.

Each is asked by its own HTTP interface for what its own pages show: a page of the newest traces, one trace whole, sums by
hour, traces with a word. They do not all answer the same: what is asked of a peer stands beside its figure. mlflow is
filled through OTLP; arize-phoenix, which takes a quarter of an hour for that, through its own tables.
"""

import json
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench import corpus, peers
from bench.bar import Figure, gimbal_up

SPANS, BATCH = 100_000, 500
_TIMES, _ENOUGH_S, _PATIENCE_S = 9, 20.0, 120.0
_WORD, _NOWHERE = corpus.vocabulary()[9000], "nowhere"
_TRACE = f"{SPANS // corpus.PER_TRACE // 2:032x}"
QUESTIONS = (
    "newest 50 traces",
    "one trace",
    "sums by hour",
    "50 traces with a rare word",
    "traces with a word of none",
)


class Asked(NamedTuple):
    """How a peer is asked, question by question."""

    ask: Sequence[Callable[[httpx.Client], httpx.Response]]
    told: Sequence[str]
    """What it answers, where that is not the same."""


def figures() -> Iterator[Figure]:
    """Time ours, then every peer that can be had."""
    with gimbal_up() as running:
        corpus.fill(running.url, SPANS)
        ours = list(_times(running.url, _GIMBAL))
    for name, one in zip(QUESTIONS, ours, strict=True):
        yield Figure(f"{name}, {SPANS:,} spans", one, "ms", 150, "150 ms")
    for peer, fill, asked in ((peers.MLFLOW, _fill_mlflow, _MLFLOW), (peers.PHOENIX, _fill_phoenix, _PHOENIX)):
        try:
            with peers.running(peer) as there:
                fill(there)
                theirs = list(_times(f"http://127.0.0.1:{there.port}", asked))
        except peers.PeerMissing as reason:
            print(f"----  {peer.name} {peers.version(peer)} cannot be had here: {reason}", flush=True)
            continue
        for name, told, mine, other in zip(QUESTIONS, asked.told, ours, theirs, strict=True):
            against = (
                f"{peer.name}{told and f' ({told})'}: {'no answer in ' * (other == _PATIENCE_S * 1000)}{other:,.0f} ms"
            )
            yield Figure(f"  {name}", mine, "ms", other, against)


def _times(url: str, asked: Asked) -> Iterator[float]:
    """Yield the median milliseconds of each question after one that is not counted, or of that one when it takes long.

    Where no answer comes, it is the milliseconds for which it was waited.
    """
    with httpx.Client(base_url=url, timeout=_PATIENCE_S) as client:
        for ask in asked.ask:
            times: list[float] = []
            while len(times) <= _TIMES and sum(times) < _ENOUGH_S:
                started = time.perf_counter()
                try:
                    _answer(ask(client))
                except httpx.ReadTimeout:
                    times = [_PATIENCE_S]
                    break
                times.append(time.perf_counter() - started)
            yield statistics.median(times[1:] or times) * 1000


def _answer(reply: httpx.Response) -> None:
    assert reply.status_code == 200, f"{reply.status_code}: {reply.text[:500]}"
    # A question that GraphQL could not answer; ours tell how many spans failed by the same word.
    assert '"errors":[' not in reply.text[:200].replace(" ", ""), reply.text[:500]


def _gimbal(path: str, **asked: str) -> Callable[[httpx.Client], httpx.Response]:
    return lambda client: client.get(f"/api/v1/projects/default/{path}", params=asked)


_GIMBAL = Asked(
    ask=(
        _gimbal("traces"), _gimbal(f"traces/{_TRACE}"), _gimbal("traces/aggregate", group="model", every="hour"),
        _gimbal("traces", search=_WORD), _gimbal("traces", search=_NOWHERE),
    ),
    told=("",) * len(QUESTIONS),
)  # fmt: skip


def _mlflow_search(narrowed: str = "") -> Callable[[httpx.Client], httpx.Response]:
    place = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]
    asked = {"locations": place, "max_results": 50, "filter": narrowed, "order_by": ["timestamp_ms DESC"]}
    return lambda client: client.post("/api/3.0/mlflow/traces/search", json=asked)


def _mlflow_sums(client: httpx.Client) -> httpx.Response:
    now_ms = time.time_ns() // 1_000_000
    asked = {
        "experiment_ids": ["0"], "view_type": "SPANS", "metric_name": "span_count",
        "aggregations": [{"aggregation_type": "COUNT"}], "dimensions": ["span_model_name"], "time_interval_seconds": 3600,
        "start_time_ms": now_ms - corpus.MONTH_US // 1000 - 3_600_000, "end_time_ms": now_ms, "max_results": 10_000,
    }  # fmt: skip
    return client.post("/api/3.0/mlflow/traces/metrics", json=asked)


_MLFLOW = Asked(
    ask=(
        _mlflow_search(),
        lambda client: client.get("/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{_TRACE}"}),
        _mlflow_sums,
        _mlflow_search(f"span.content LIKE '%{_WORD}%'"),
        _mlflow_search(f"span.content LIKE '%{_NOWHERE}%'"),
    ),
    told=("", "", "counts alone", "", ""),
)


def _phoenix(question: str) -> Callable[[httpx.Client], httpx.Response]:
    asked = "query ($id: ID!) { node(id: $id) { ... on Project { " + question + " } } }"
    # The first project, which is the default one.
    body = {"query": asked, "variables": {"id": "UHJvamVjdDox"}}
    return lambda client: client.post("/graphql", json=body)


def _phoenix_spans(narrowed: str) -> Callable[[httpx.Client], httpx.Response]:
    shown = "name spanKind statusCode startTime latencyMs tokenCountTotal input { truncatedValue } output { truncatedValue }"
    return _phoenix(
        f"spans(first: 50, sort: {{col: startTime, dir: desc}}, filterCondition: {json.dumps(narrowed)}) "
        f"{{ edges {{ node {{ {shown} trace {{ traceId }} }} }} }}"
    )


def _phoenix_sums(client: httpx.Client) -> httpx.Response:
    start = datetime.fromtimestamp(time.time() - corpus.MONTH_US / 1e6 - 3600, UTC)
    over = f'timeRange: {{start: "{start.isoformat()}"}}, timeBinConfig: {{scale: HOUR}}'
    return _phoenix(
        f"traceLatencyMsPercentileTimeSeries({over}) {{ data {{ timestamp p50 p95 p99 }} }} "
        f"spanCountTimeSeries({over}) {{ data {{ timestamp totalCount errorCount }} }}"
    )(client)


_PHOENIX = Asked(
    ask=(
        _phoenix_spans("parent_id is None"),
        _phoenix(f'trace(traceId: "{_TRACE}") {{ spans(first: 100) {{ edges {{ node {{ name attributes }} }} }} }}'),
        _phoenix_sums,
        _phoenix_spans(f"'{_WORD}' in input.value or '{_WORD}' in output.value"),
        _phoenix_spans(f"'{_NOWHERE}' in input.value or '{_NOWHERE}' in output.value"),
    ),
    told=("", "", "of all models together", "spans", "spans"),
)


def _rows() -> Iterator[pa.Table]:
    began_us = int((time.time() - corpus.MONTH_US / 1e6) * 1e6)
    for number in range(SPANS // corpus.CHUNK):
        yield corpus.chunk(number, corpus.CHUNK, SPANS, began_us)


def _fill_mlflow(there: peers.Beside) -> None:
    """Send the spans as OTLP in batches."""
    headers = {**peers.MLFLOW.headers, "content-type": "application/x-protobuf"}
    with httpx.Client(base_url=f"http://127.0.0.1:{there.port}", headers=headers, timeout=_PATIENCE_S) as client:
        for table in _rows():
            for batch in table.to_batches(BATCH):
                client.post("/v1/traces", content=_request(batch.to_pylist())).raise_for_status()
    assert there.stored() == SPANS, there.stored()


def _request(rows: Sequence[dict[str, Any]]) -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for row in rows:
        span = spans.add(
            trace_id=bytes.fromhex(row["trace_id"]), span_id=bytes.fromhex(row["span_id"]), name=row["name"],
            parent_span_id=bytes.fromhex(row["parent_id"]), start_time_unix_nano=row["start_us"] * 1000,
            end_time_unix_nano=row["end_us"] * 1000,
        )  # fmt: skip
        span.status.code = 2 if row["status"] == "error" else 1
        for key, text in (
            ("gen_ai.input.messages", row["input"]), ("gen_ai.output.messages", row["output"]),
            ("gen_ai.request.model", row["model"]), ("gen_ai.operation.name", "chat"),
        ):  # fmt: skip
            span.attributes.add(key=key).value.string_value = text
        if row["input_tokens"] is not None:
            span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = row["input_tokens"]
            span.attributes.add(key="gen_ai.usage.output_tokens").value.int_value = row["output_tokens"]
    return message.SerializeToString()


def _fill_phoenix(there: peers.Beside) -> None:
    """Write into its SQLite what it would have made of spans of its own convention."""
    database = sqlite3.connect(there.folder / "phoenix.db", timeout=60)
    with database:
        for table in _rows():
            rows = table.to_pylist()
            database.executemany(
                "INSERT INTO traces (id, project_rowid, trace_id, start_time, end_time) VALUES (?, 1, ?, ?, ?)",
                [(int(r["trace_id"], 16), r["trace_id"], *_moments(r)) for r in rows if not r["parent_id"]],
            )
            database.executemany(
                "INSERT INTO spans (trace_rowid, span_id, parent_id, name, span_kind, start_time, end_time, attributes, events, "
                "status_code, status_message, cumulative_error_count, cumulative_llm_token_count_prompt, "
                "cumulative_llm_token_count_completion, llm_token_count_prompt, llm_token_count_completion) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, '[]', ?, '', 0, 0, 0, ?, ?)",
                [
                    (int(r["trace_id"], 16), r["span_id"], r["parent_id"] or None, r["name"], r["kind"].upper(),
                     *_moments(r), _attributes(r), r["status"].upper(), r["input_tokens"], r["output_tokens"])
                    for r in rows
                ],
            )  # fmt: skip
    database.close()
    assert there.stored() == SPANS, there.stored()


def _moments(row: dict[str, Any]) -> tuple[str, str]:
    start, end = (datetime.fromtimestamp(row[name] / 1e6, UTC) for name in ("start_us", "end_us"))
    return f"{start:%Y-%m-%d %H:%M:%S.%f}", f"{end:%Y-%m-%d %H:%M:%S.%f}"


def _attributes(row: dict[str, Any]) -> str:
    said: dict[str, Any] = {
        "openinference": {"span": {"kind": row["kind"].upper()}},
        "input": {"value": row["input"], "mime_type": "application/json"},
        "output": {"value": row["output"], "mime_type": "application/json"},
        "session": {"id": row["session_id"]}, "user": {"id": row["user_id"]},
    }  # fmt: skip
    if row["input_tokens"] is not None:
        counts = {"prompt": row["input_tokens"], "completion": row["output_tokens"]}
        said["llm"] = {"model_name": row["model"], "token_count": counts}
    return json.dumps(said)

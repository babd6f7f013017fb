"""Settings: one typed tree, read from `gimbal.toml` and `GIMBAL_*` variables; every field says what it means.

A variable's name is the path in capitals: `server.port` is `GIMBAL_SERVER_PORT`. Variables win over the file, command
line flags over both. `gimbal settings` prints each value and where it came from.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gimbal.kernel.errors import CorruptSettings
from gimbal.kernel.settings_evals import EvalsSettings
from gimbal.kernel.settings_gateway import GatewaySettings, Seconds
from gimbal.kernel.settings_text import field_docs, from_text, get, put, read_file

# How msgspec names a field that is unknown or missing; its place is then that of the section around it.
_NAMED_FIELD = re.compile(r"(?:unknown|missing required) field `(.+)`")
KIB = 1024
MIB = 1024 * KIB
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens and what it admits."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs an admin key or Gimbal does not start."""
    port: Port = 8765
    """Port of the API, the console, OTLP over HTTP and the gateway."""
    grpc_port: Port = 4317
    """Port of OTLP over gRPC; 0 turns it off."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that a browser may use besides the listening address (guards against DNS rebinding)."""
    max_body_bytes: Positive = 64 * MIB
    """Largest request body of an ordinary route, after decompression."""
    max_held_bytes: Positive = 256 * MIB
    """Request bodies in memory at once; callers past it get 429 with Retry-After."""
    max_upload_bytes: Positive = 5 * 1024 * MIB
    """Largest single artifact, pack or model file; it is streamed to the blob store."""
    request_timeout_s: Seconds = 60.0
    """Seconds after which an ordinary request is given up."""


class CatalogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The store of nouns, aliases, audit and jobs."""

    url: str = ""
    """`postgresql://user:password@host/db`; empty means SQLite in the data folder."""
    pool_size: Positive = 8
    """Connections to PostgreSQL per process."""
    busy_timeout_ms: Positive = 10_000
    """How long SQLite waits for another writer."""


class ColumnsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The store of spans, metric points, predictions and scores."""

    url: str = ""
    """`http://user:password@host:8123/db` of a ClickHouse server; empty means chDB in the data folder."""
    max_memory_bytes: Positive = 2048 * MIB
    """Memory that one query may use."""


class BlobsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The store of packs, model files and large payloads."""

    url: str = ""
    """`s3://bucket/prefix`, `gs://…` or `az://…`; empty means a folder in the data folder."""
    endpoint: str = ""
    """Address of an S3-compatible store that is not Amazon's; credentials come from the usual AWS_* variables."""


class WriterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How telemetry is grouped into durable commits."""

    max_batch_rows: Positive = 10_000
    """No commit has more rows than this, whole requests aside."""
    max_wait_ms: Positive = 40
    """Fewer than `eager_rows` are committed this many milliseconds after the commit before began; after a pause, at once."""
    eager_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    """With this many rows waiting and no commit under way, a group does not wait for company."""
    max_queued_rows: Positive = 50_000
    """With more rows than this waiting, senders get 429 with Retry-After."""
    max_queued_bytes: Positive = 256 * MIB
    """The same for bytes."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one thing may be at most."""

    span_attribute_bytes: Positive = 64 * KIB
    """An attribute value larger than this goes to the blob store by reference."""
    span_bytes: Positive = 1 * MIB
    """What a span may take in the tables; past it its longest values go to the blob store, too."""
    span_attributes: Positive = 1_000
    """Attributes of a span, of an event, of a link or of a resource; those after it go to the blob store in one piece."""
    attribute_name_length: Positive = 256
    """Characters of an attribute's name; attributes with longer ones go to the blob store likewise."""
    attribute_depth: Annotated[int, msgspec.Meta(ge=1, le=100)] = 32
    """Lists and maps within each other in an attribute's value; what is deeper stays as JSON text."""
    span_events: Positive = 1_000
    """Events of a span; those after it go to the blob store in one piece."""
    span_links: Positive = 1_000
    """Links of a span; those after it likewise."""
    spans_per_request: Positive = 20_000
    """Spans in one OTLP request."""
    rows_per_inference: Positive = 100_000
    """Rows in one inference request."""
    params_per_run: Positive = 2_000
    """Parameters that one run may have."""
    metrics_per_request: Positive = 50_000
    """Metric points in one request."""


class RunsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tracked runs."""

    journal_max_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 1_073_741_824
    """Metric points that may wait on this server's disk for stores that are away; then senders get 429 with Retry-After."""


class MlflowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What MLflow's clients are told."""

    truncate_long_values: bool = True
    """Cut parameters at 6,000 and tags at 8,000 characters, as MLflow's server does; otherwise they are refused."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process that runs jobs, schedules, monitors and evaluations."""

    concurrency: Positive = 2
    """Jobs that run at the same time in one worker."""
    grace_s: Seconds = 10.0
    """Seconds that a running job gets at shutdown before it is parked."""
    executor: Literal["local", "ray"] = "local"
    """Where jobs are carried out: in the worker's own process, or by processes of a Ray cluster."""
    ray_address: str = ""
    """Where that cluster is: `host:6379`, `ray://host:10001`, or `auto` for one of which this machine is a node. Empty starts
    one that only this machine reaches, and that ends with the worker."""
    ray_resources: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    """What Ray keeps free for each job that runs: `CPU`, `GPU`, `memory` in bytes, or names of the cluster's own. Empty means
    one CPU."""
    run_code: bool = False
    """Whether the scorer `code` may run what models wrote. It runs as the user of the worker: it is kept from accidents, and
    from the network where the system allows that, but not from that user's files."""


class RedactionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the keys stand that make redaction's hashes and tokens; they are in no store and no backup."""

    key_file: str = ""
    """File of keys, one `id:base64` a line, the newest first. Empty means none: then policies can mask and drop only."""
    key_env: str = ""
    """Name of the environment variable that holds them instead, with commas between them."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Erasure of users."""

    grace_s: Seconds = 30.0
    """Seconds for which an erasure leaves payloads alone that were put last: those of an upload whose spans are not stored
    yet would be missing. Longer than any request takes."""


class PricesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where newer prices of model calls come from; prices of one's own are set by `gimbal prices set`."""

    url: str = ""
    """Address of a price book: https, or http on this machine. Empty means the shipped one until somebody gives another."""
    file: str = ""
    """Path of a price book instead of an address."""
    refresh: str = "20 4 * * *"
    """When it is read anew, as a cron rule of five fields in UTC; empty means only by `gimbal prices refresh`."""
    timeout_s: Seconds = 20.0
    """Seconds that reading it may take in all."""
    max_bytes: Positive = 4 * MIB
    """Size that it may have."""


class SqlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one statement of SQL may take."""

    max_seconds: Seconds = 10.0
    """Seconds that a statement may run whose answer is shown."""
    export_max_seconds: Seconds = 600.0
    """Seconds that an export may take, from its first row to its last."""
    max_memory_bytes: Positive = 1024 * MIB
    """Memory that one statement may use."""
    max_rows_read: Positive = 200_000_000
    """Rows of the tables that one statement may read."""
    max_rows: Positive = 10_000
    """Rows of an answer that is shown; exports have no such limit."""
    per_project: Positive = 2
    """Statements of a project at the same time; the next one gets 429."""
    concurrency: Positive = 4
    """Statements at the same time in all."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the processes say."""

    format: Literal["text", "json"] = "text"
    """`text` for people or `json` for machines, one object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole tree."""

    data: str = ".gimbal"
    """Folder of the embedded stores; holds everything that a backup needs."""
    project: str = "default"
    """Project that commands and clients mean when they name none."""
    server: ServerSettings = ServerSettings()
    """Where the server listens and what it admits."""
    catalog: CatalogSettings = CatalogSettings()
    """The store of nouns."""
    columns: ColumnsSettings = ColumnsSettings()
    """The store of telemetry."""
    blobs: BlobsSettings = BlobsSettings()
    """The store of files."""
    writer: WriterSettings = WriterSettings()
    """Group commit of telemetry."""
    limits: LimitSettings = LimitSettings()
    """Sizes of single things."""
    runs: RunsSettings = RunsSettings()
    """Tracked runs."""
    mlflow: MlflowSettings = MlflowSettings()
    """MLflow's clients."""
    worker: WorkerSettings = WorkerSettings()
    """Jobs and schedules."""
    gateway: GatewaySettings = GatewaySettings()
    """LLM providers."""
    evals: EvalsSettings = EvalsSettings()
    """HTTP services under evaluation."""
    redaction: RedactionSettings = RedactionSettings()
    """Keys of redaction."""
    retention: RetentionSettings = RetentionSettings()
    """Erasure of users."""
    prices: PricesSettings = PricesSettings()
    """Prices of model calls."""
    sql: SqlSettings = SqlSettings()
    """Limits of SQL."""
    log: LogSettings = LogSettings()
    """What the processes say."""

    @property
    def folder(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.data).expanduser().absolute()


class SettingValue(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf of the tree, as `gimbal settings` shows it."""

    path: str
    """Dotted path: `server.port`."""
    value: Any
    """The value in force, secrets masked."""
    source: str
    """`default`, the file's name, the variable's name or `command line`."""
    meaning: str
    """The docstring under the field."""


# Variables with our prefix that are not settings of the server: the client's, and the demo's.
_OTHER_VARIABLES = frozenset(
    {
        "GIMBAL_URL",
        "GIMBAL_LINK",
        "GIMBAL_API_KEY",
        "GIMBAL_CACHE",
        "GIMBAL_CONFIG",
        "GIMBAL_DEMO_LLM_URL",
        "GIMBAL_PROJECT",
        "GIMBAL_RESOLVED_SETTINGS",
        "GIMBAL_RUN_ID",
        "GIMBAL_TRIAL",
        "GIMBAL_SPOOL",
        "GIMBAL_SPOOL_BYTES",
    }
)


class _Leaf(msgspec.Struct, frozen=True):
    path: tuple[str, ...]
    kind: Any
    owner: type[msgspec.Struct]
    """The section that it is a field of."""


def _walk(kind: type[msgspec.Struct], prefix: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    for field in msgspec.structs.fields(kind):
        path = (*prefix, field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _walk(field.type, path)
        else:
            yield _Leaf(path, field.type, kind)


@functools.cache
def _leaves() -> tuple[_Leaf, ...]:
    """Return every setting. Reading what each means (`field_docs`) takes long and is left to whoever shows it."""
    return tuple(_walk(Settings))


def variable_name(path: tuple[str, ...]) -> str:
    """Return the environment variable that sets the leaf at `path`."""
    return "GIMBAL_" + "_".join(path).upper()


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings and where each value came from."""

    settings: Settings
    """The tree in force."""
    sources: dict[str, str]
    """Source by dotted path; a path that is missing has its default."""
    unknown_variables: tuple[str, ...]
    """`GIMBAL_*` variables that name no setting: probably misspelt."""

    def values(self) -> list[SettingValue]:
        """Return every leaf with its value (passwords in addresses masked), source and meaning."""
        rows: list[SettingValue] = []
        docs = {owner: field_docs(owner) for owner in {leaf.owner for leaf in _leaves()}}
        for leaf in _leaves():
            value: Any = self.settings
            for part in leaf.path:
                value = getattr(value, part)
            dotted = ".".join(leaf.path)
            rows.append(
                SettingValue(
                    path=dotted,
                    value=mask_password(value) if isinstance(value, str) else msgspec.to_builtins(value),
                    source=self.sources.get(dotted, "default"),
                    meaning=docs[leaf.owner].get(leaf.path[-1], ""),
                )
            )
        return rows


def mask_password(url: str) -> str:
    """Return an address with the password in its authority replaced by `***`."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}:***@{host}{slash}{path}" if mark and at and colon else url


def load_settings(
    file: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> LoadedSettings:
    """Read the settings; `flags` are values by dotted path from the command line, None meaning not given.

    `file` defaults to `GIMBAL_CONFIG`, then `gimbal.toml` in the working folder when there is one. Raise
    CorruptSettings that names the file or variable, the field, and what is wrong with it.
    """
    environ = os.environ if environ is None else environ
    named = file or (Path(environ["GIMBAL_CONFIG"]) if environ.get("GIMBAL_CONFIG") else None)
    path = named or Path("gimbal.toml")
    tree: dict[str, Any] = read_file(path) if named or path.exists() else {}
    sources: dict[str, str] = {}
    known: set[str] = set()
    for leaf in _leaves():
        dotted, variable = ".".join(leaf.path), variable_name(leaf.path)
        known.add(variable)
        if get(tree, leaf.path) is not None:
            sources[dotted] = str(path)
        if variable in environ:
            put(tree, leaf.path, from_text(environ[variable], leaf.kind, variable))
            sources[dotted] = variable
        flag = (flags or {}).get(dotted)
        if flag is not None:
            put(tree, leaf.path, flag)
            sources[dotted] = "command line"
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        dotted = place.strip("`").removeprefix("$").removeprefix(".")
        if field := _NAMED_FIELD.search(text):
            dotted = ".".join(filter(None, [dotted, field[1]]))
        raise CorruptSettings(
            f"The setting {dotted} does not fit: {text[:1].lower()}{text[1:]}.",
            where=sources.get(dotted, str(path)),
            todo="`gimbal settings` lists every setting and its meaning; mend or remove this one.",
        ) from None
    unknown = tuple(sorted(v for v in environ if v.startswith("GIMBAL_") and v not in known | _OTHER_VARIABLES))
    return LoadedSettings(settings=settings, sources=sources, unknown_variables=unknown)

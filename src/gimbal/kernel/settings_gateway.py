"""Settings of the gateway: which providers there are, and what seals the keys of those in the catalog."""

from typing import Annotated

import msgspec

from gimbal.kernel.settings_resilience import ResilienceSettings

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream of the gateway."""

    name: str
    """Short name; callers write `name/model` to ask for exactly this provider."""
    kind: str
    """What it is: `openai`, `anthropic`, `azure`, `bedrock`, `vllm` …; `gimbal providers kinds` lists them."""
    base_url: str = ""
    """Address, with the version part: `https://host/v1`. Empty means that of the kind."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    models: tuple[str, ...] = ()
    """Models that it serves; empty means any that is asked for as `name/model`."""
    claims: tuple[str, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""
    pricing: str = ""
    """Name by which the price book knows it. Empty means that of the kind at its own address, else `name`."""
    headers: dict[str, str] = {}
    """Headers of every request besides those of the kind; keys do not belong here."""
    region: str = ""
    """Where it is, for kinds that have regions: `eu-central-1` of Bedrock, `europe-west4` or `global` of Vertex."""
    account: str = ""
    """Project of Google Cloud, for Vertex."""
    api_version: str = ""
    """Version of Azure's API, such as `2024-10-21`; empty means their v1, which has none."""
    deployments: dict[str, str] = {}
    """Name of the deployment by model, for Azure; a model that is not listed is its own deployment."""
    token_url: str = ""
    """Where tokens are given: of Google for Vertex, of Entra for Azure, of Amazon's STS for Bedrock; empty means their own."""
    identity: str = ""
    """How it proves who asks where no key alone does: `client`, `managed`, `app_service` or `workload` of Azure's Entra; `web`,
    `container`, `instance` or `profile` of Amazon."""
    tenant: str = ""
    """Directory of Entra, for Azure: its id or its domain."""
    client_id: str = ""
    """Client of Entra, for Azure; of a machine's identities the one that is meant."""
    authority_host: str = ""
    """Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in which the resource is."""
    token_scope: str = ""
    """For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means that of the same cloud."""
    role: str = ""
    """Role of Amazon that is assumed, as an ARN."""
    external_id: str = ""
    """What the owner of the role wants to be told by whoever assumes it."""
    session_name: str = ""
    """How the session of the role is called in Amazon's logs; empty means `gimbal`."""
    profile: str = ""
    """Profile in Amazon's files; empty means `default`."""
    identity_file: str = ""
    """File by which the server proves who it is: a federated token, or Amazon's profiles."""
    metadata_url: str = ""
    """Where the server's machine tells who it is; empty means the cloud's own address."""
    timeout_s: Seconds = 120.0
    """Seconds without a byte after which an attempt is given up."""


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The door to LLM providers."""

    providers: tuple[ProviderSettings, ...] = ()
    """Upstreams besides those in the catalog, those found by variables such as OPENAI_API_KEY, and the built-in `local`."""
    processes: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Processes of their own that answer model calls on `gateway.port`, besides the server, which answers them on its port."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8766
    """Port of those processes, and of one that runs alone (`gimbal up --role gateway`)."""
    wake_us: Annotated[int, msgspec.Meta(ge=0, le=2_000_000)] | None = None
    """Microseconds in which the machine's cores are to wake up while server and gateways run; 0: they do not sleep, which takes power.
    Unset: as the system has it. Linux, as root or with the right to write /dev/cpu_dma_latency."""
    key_file: str = ""
    """File of the master keys that seal providers' keys in the catalog, one `id:base64` a line, the newest first."""
    key_env: str = ""
    """Name of the environment variable that holds them instead, with commas between them."""
    resilience: ResilienceSettings = ResilienceSettings()
    """How hard calls are tried, and how the health of models is kept."""
    journal_max_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 1_073_741_824
    """Records of calls that may wait on this process's disk for a store that is away; then calls are made no more."""

"""The records of providers that people and programs see. None of them has a key: one goes in and never comes out."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Key = Annotated[str, msgspec.Meta(max_length=20_000)]
IDENTIFYING = (
    "token_url",
    "identity",
    "tenant",
    "client_id",
    "authority_host",
    "token_scope",
    "role",
    "external_id",
    "session_name",
    "profile",
    "identity_file",
    "metadata_url",
)
"""Fields about how a provider proves who asks, none of which is a secret."""
Source = Literal["project", "installation", "settings", "environment", "built in"]


class CreateProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that shall be there."""

    name: Name
    """Short name; callers write `name/model` to ask for exactly this provider."""
    kind: Text
    """What it is: `openai`, `anthropic`, `azure`, `bedrock`, `vllm` …; `providers.kinds` lists them."""
    key: Key = ""
    """Its key, which is sealed and never shown again. For Vertex the JSON of a service account, for Bedrock one of its own
    keys or `{"access_key_id": …, "secret_access_key": …}`."""
    key_env: Text = ""
    """Name of the server's variable that holds the key instead; for those of the installation only."""
    base_url: Text = ""
    """Address, with the version part: `https://host/v1`. Empty means that of the kind."""
    models: tuple[Text, ...] = ()
    """Models that it serves; empty means any that is asked for as `name/model`."""
    claims: tuple[Text, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""
    pricing: Text = ""
    """Name by which the price book knows it; empty means that of the kind at its own address, else `name`."""
    headers: dict[str, Text] = {}
    """Headers of every request besides those of the kind; keys do not belong here."""
    region: Text = ""
    """Where it is, for kinds that have regions."""
    account: Text = ""
    """Project of Google Cloud, for Vertex."""
    api_version: Text = ""
    """Version of Azure's API; empty means their v1, which has none."""
    deployments: dict[str, Text] = {}
    """Name of the deployment by model, for Azure."""
    token_url: Text = ""
    """Where tokens are given: of Google for Vertex, of Entra for Azure, of Amazon's STS for Bedrock; empty means their own."""
    identity: Text = ""
    """How it proves who asks where no key alone does: `client`, `managed`, `app_service` or `workload` of Azure's Entra; `web`,
    `container`, `instance` or `profile` of Amazon."""
    tenant: Text = ""
    """Directory of Entra, for Azure: its id or its domain."""
    client_id: Text = ""
    """Client of Entra, for Azure; of a machine's identities the one that is meant."""
    authority_host: Text = ""
    """Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in which the resource is."""
    token_scope: Text = ""
    """For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means that of the same cloud."""
    role: Text = ""
    """Role of Amazon that is assumed, as an ARN."""
    external_id: Text = ""
    """What the owner of the role wants to be told by whoever assumes it."""
    session_name: Text = ""
    """How the session of the role is called in Amazon's logs; empty means `gimbal`."""
    profile: Text = ""
    """Profile in Amazon's files; empty means `default`."""
    identity_file: Text = ""
    """File by which the server proves who it is: a federated token, or Amazon's profiles."""
    metadata_url: Text = ""
    """Where the server's machine tells who it is; empty means the cloud's own address."""
    timeout_s: Seconds = 120.0
    """Seconds without a byte after which an attempt is given up."""

    def __repr__(self) -> str:
        """Name it, without its key."""
        return f"CreateProvider({self.name!r}, {self.kind!r})"


class ChangeProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be different of a provider; what is not given stays as it is."""

    key: Key | None = None
    """Another key; empty takes it away."""
    key_env: Text | None = None
    """Name of the server's variable that holds the key instead; for those of the installation only."""
    base_url: Text | None = None
    """Another address, which needs the key again: a key goes to nobody for whom it was not given."""
    models: tuple[Text, ...] | None = None
    """Models that it serves; empty means any that is asked for as `name/model`."""
    claims: tuple[Text, ...] | None = None
    """Beginnings of model names that are its own when they come without a provider's name."""
    pricing: Text | None = None
    """Name by which the price book knows it."""
    headers: dict[str, Text] | None = None
    """Headers of every request besides those of the kind."""
    region: Text | None = None
    """Where it is, for kinds that have regions."""
    account: Text | None = None
    """Project of Google Cloud, for Vertex."""
    api_version: Text | None = None
    """Version of Azure's API."""
    deployments: dict[str, Text] | None = None
    """Name of the deployment by model, for Azure."""
    token_url: Text | None = None
    """Where tokens are given, which needs the key again."""
    identity: Text | None = None
    """How it proves who asks where no key alone does: `client`, `managed`, `app_service` or `workload` of Azure's Entra; `web`,
    `container`, `instance` or `profile` of Amazon."""
    tenant: Text | None = None
    """Directory of Entra, for Azure: its id or its domain."""
    client_id: Text | None = None
    """Client of Entra, for Azure; of a machine's identities the one that is meant."""
    authority_host: Text | None = None
    """Host of Entra, such as `login.microsoftonline.us`; empty means that of the cloud in which the resource is."""
    token_scope: Text | None = None
    """For whom Entra's tokens are, such as `https://cognitiveservices.azure.us`; empty means that of the same cloud."""
    role: Text | None = None
    """Role of Amazon that is assumed, as an ARN."""
    external_id: Text | None = None
    """What the owner of the role wants to be told by whoever assumes it."""
    session_name: Text | None = None
    """How the session of the role is called in Amazon's logs; empty means `gimbal`."""
    profile: Text | None = None
    """Profile in Amazon's files; empty means `default`."""
    identity_file: Text | None = None
    """File by which the server proves who it is: a federated token, or Amazon's profiles."""
    metadata_url: Text | None = None
    """Where the server's machine tells who it is; empty means the cloud's own address."""
    timeout_s: Seconds | None = None
    """Seconds without a byte after which an attempt is given up."""

    def __repr__(self) -> str:
        """Name what is given, without the key."""
        return f"ChangeProvider({[name for name in self.__struct_fields__ if getattr(self, name) is not None]})"


class ProviderCard(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as it is shown."""

    name: str
    """Its short name."""
    kind: str
    """What it is."""
    source: Source
    """Where it comes from; the first of a name counts: project, settings, installation, environment, built in."""
    base_url: str
    """Where its requests go; empty where its region or its project says it."""
    key: Literal["sealed", "variable", "none"]
    """How its key is kept; the key itself is never shown."""
    key_env: str = ""
    """The variable that holds it."""
    master_key: str = ""
    """Id of the master key that sealed it."""
    key_set_at: datetime | None = None
    """When it was sealed."""
    key_set_by: str = ""
    """Who gave it."""
    models: tuple[str, ...] = ()
    """Models that it serves; empty means any that is asked for as `name/model`."""
    claims: tuple[str, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""
    pricing: str = ""
    """Name by which the price book knows it."""
    headers: dict[str, str] = {}
    """Headers of every request besides those of the kind."""
    region: str = ""
    """Where it is."""
    account: str = ""
    """Project of Google Cloud."""
    api_version: str = ""
    """Version of Azure's API."""
    deployments: dict[str, str] = {}
    """Name of the deployment by model."""
    token_url: str = ""
    """Where tokens are given; empty means the makers' own address."""
    identity: str = ""
    """How it proves who asks; empty means by its key alone."""
    tenant: str = ""
    """Directory of Entra."""
    client_id: str = ""
    """Client of Entra."""
    authority_host: str = ""
    """Host of Entra."""
    token_scope: str = ""
    """For whom Entra's tokens are."""
    role: str = ""
    """Role of Amazon that is assumed."""
    external_id: str = ""
    """What the owner of the role is told."""
    session_name: str = ""
    """How the session of the role is called."""
    profile: str = ""
    """Profile in Amazon's files."""
    identity_file: str = ""
    """File by which the server proves who it is."""
    metadata_url: str = ""
    """Where the server's machine tells who it is."""
    timeout_s: float = 120.0
    """Seconds without a byte after which an attempt is given up."""
    updated_at: datetime | None = None
    """When it was changed last; null for those that are not in the catalog."""
    updated_by: str = ""
    """Who changed it last."""
    problem: str = ""
    """Why it cannot be called as it stands; empty when nothing is known to be wrong."""


class ProviderKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of provider."""

    name: str
    """As it is written in `kind`."""
    title: str
    """As its makers write it."""
    base_url: str
    """Its address; empty where everybody has their own."""
    variables: tuple[str, ...]
    """Variables that usually hold its key."""
    found: bool
    """Whether such a variable is enough for it to be there."""
    wires: tuple[str, ...]
    """Wires that it speaks; calls by another one are turned into the first."""
    quirks: tuple[str, ...]
    """What is particular to it, and why."""


class ProviderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What one cheap request to a provider showed."""

    ok: bool
    """Whether it answered as it should."""
    asked: str
    """What was asked: `models`, `token`, or a model's name."""
    took_ms: float
    """Milliseconds until the answer."""
    models: int = 0
    """How many models it listed."""
    sample: tuple[str, ...] = ()
    """Some of them."""
    problem: str = ""
    """What is wrong, in the provider's words."""
    code: str = ""
    """Stable name of the kind of problem."""
    todo: str = ""
    """What to do about it."""


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """What sealing keys anew did."""

    sealed: int
    """Keys that were sealed anew, under the newest master key."""
    already: int
    """Keys that were sealed under it before."""
    closed: tuple[str, ...] = ()
    """Providers whose keys no master key opens any more; their keys must be set again."""
    master_key: str
    """Id of the newest master key."""

"""The fields of a provider as the console shows and takes them; keys go in by another way, and are never among them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from gimbal.generative.gateway.providers.model import IDENTIFYING, ChangeProvider, CreateProvider, ProviderCard
from gimbal.generative.gateway.providers.upstreams.identities import IDENTITIES
from gimbal.kernel.errors import BadInput

_T = TypeVar("_T")
_TEXTS = ("key_env", "base_url", "pricing", "region", "account", "api_version", *IDENTIFYING)
_LISTS = ("models", "claims")
_TABLES = {"headers": ":", "deployments": "="}
"""What stands between the name and the value of a line."""
FIELDS = ("name", "kind", *_TEXTS, *_LISTS, *_TABLES, "timeout_s")
EVERYWHERE = frozenset({"key_env", "token_url", "authority_host", "profile", "identity_file", "metadata_url"})
"""What only an admin of the installation may set."""


class Input(NamedTuple):
    """One field of the form."""

    name: str
    label: str
    hint: str = ""
    placeholder: str = ""
    rows: int = 0
    """Of a field for lines; 0 for one line."""


CLOUD = (
    Input("region", "Region", "Bedrock, Vertex.", "eu-central-1"),
    Input("account", "Project of Google Cloud", "Vertex.", "my-project"),
    Input("api_version", "Version of Azure's API", "Left empty: their v1.", "2024-10-21"),
    Input("deployments", "Deployments", "Azure; one a line, like gpt-4o = gpt-4o-eu.", rows=3),
)
PROOF = (
    Input("tenant", "Tenant", "Azure: the directory's id or domain.", "11111111-2222-…"),
    Input("client_id", "Client", "Azure; of several identities of a machine or app the one that is meant."),
    Input(
        "authority_host",
        "Host of Entra",
        "Azure; left empty: that of the resource's cloud.",
        "login.microsoftonline.us",
    ),
    Input("token_scope", "Scope", "Azure: for whom tokens are; left empty: the same cloud's service.", "https://…"),
    Input("role", "Role", "Amazon: the role that is assumed.", "arn:aws:iam::123456789012:role/gimbal"),
    Input("external_id", "External id", "Amazon: what the owner of the role wants to be told."),
    Input("session_name", "Name of the session", "Amazon; left empty: gimbal."),
    Input("profile", "Profile", "Amazon; left empty: default."),
    Input("identity_file", "File", "With the federated token, or Amazon's profiles.", "/var/run/secrets/token"),
    Input("metadata_url", "Metadata service", "Left empty: the cloud's own.", "http://169.254.169.254"),
    Input("token_url", "Address for tokens", "Left empty: the makers' own."),
)
MORE = (
    Input("key_env", "Variable that holds the key", "Instead of a key; for all projects only.", "OPENAI_API_KEY"),
    Input("pricing", "Name in the price book"),
    Input("claims", "Claims", "Beginnings of model names that are its own.", "gpt- o3"),
    Input("timeout_s", "Timeout", "Seconds without a byte; left empty: 120."),
    Input("headers", "Headers", "One a line, like x-team: search; keys do not belong here.", rows=3),
)
_OTHERS = {"base_url": "Address", "models": "Models", "identity": "Identity"}
LABELS = {one.name: one.label for one in (*CLOUD, *PROOF, *MORE)} | _OTHERS
PROOFS = {
    "client": ("client secret", "Azure: a client's secret, which is the key"),
    "managed": ("managed identity", "Azure: the machine's identity"),
    "app_service": ("app's identity", "Azure: the app's identity (App Service, Functions)"),
    "workload": ("workload identity", "Azure: a federated token"),
    "web": ("web identity", "Amazon: a web identity's token"),
    "container": ("container's role", "Amazon: the container's task or pod"),
    "instance": ("machine's role", "Amazon: the machine's role"),
    "profile": ("profile", "Amazon: a profile in a file"),
}
"""How each identity is called in short and at length."""


def identities(*, everywhere: bool) -> list[tuple[str, str]]:
    """Return the identities to choose from: what the server is trusted with is for admins of the installation."""
    found = [("", "by its key alone")]
    for known in IDENTITIES.values():
        found += [(name, PROOFS[name][1]) for name, one in known.items() if everywhere or not one.own]
    return found


def unfolded(fields: Mapping[str, str], wrong: str, *, changing: bool) -> set[str]:
    """Return the parts of the form that stand open: where something is wrong, or is said that is not said of all."""
    parts = {
        "cloud": {one.name for one in CLOUD},
        "identity": {"identity", *(one.name for one in PROOF)},
        "more": {one.name for one in MORE},
    }
    said = {name for name, text in fields.items() if text}
    return {
        part for part, names in parts.items() if wrong in names or (names & said and not (changing and part == "more"))
    }


def proof(card: ProviderCard) -> list[str]:
    """Return who a provider says it is, in a line or two."""
    said = [
        f"role {card.role}" if card.role else "",
        f"client {card.client_id}" if card.client_id else "",
        f"profile {card.profile}" if card.profile else "",
        "service account" if card.kind == "vertex" and card.key != "none" else "",
    ]
    return [line for line in said if line]


def about(card: ProviderCard) -> list[tuple[str, str]]:
    """Return all that is set of a provider, with its label."""
    found: list[tuple[str, str]] = []
    for name, text in filled(card).items():
        if name == "identity" and text:
            found.append((LABELS[name], PROOFS[text][1] if text in PROOFS else text))
        elif name in LABELS and text:
            found.append((LABELS[name], text.replace("\n", ", ")))
    return found


def filled(card: ProviderCard) -> dict[str, str]:
    """Return the fields of a provider as the form has them."""
    found = {name: str(getattr(card, name)) for name in ("name", "kind", *_TEXTS)}
    found |= {name: " ".join(getattr(card, name)) for name in _LISTS}
    for name, sign in _TABLES.items():
        between = f"{sign} " if sign == ":" else f" {sign} "
        found[name] = "\n".join(f"{key}{between}{value}" for key, value in getattr(card, name).items())
    return found | {"timeout_s": f"{card.timeout_s:g}"}


def given(form: Mapping[str, str]) -> dict[str, str]:
    """Return what a form says of a provider; what it has no field for is not among it."""
    return {name: form[name].strip().replace("\r\n", "\n") for name in FIELDS if name in form}


def created(fields: Mapping[str, str], key: str) -> CreateProvider:
    """Return the provider that shall be there; raise BadInput naming the field that does not fit."""
    values = {name: _value(name, text) for name, text in fields.items() if text}
    return _converted({**values, "key": key}, CreateProvider, fields)


def changed(fields: Mapping[str, str], card: ProviderCard, key: str = "") -> ChangeProvider:
    """Return what shall be different of a provider; raise BadInput naming the field that does not fit.

    What is as it was shown is left alone: an address that is the kind's own is not set by that.
    """
    shown = filled(card)
    values = {
        name: _value(name, text)
        for name, text in fields.items()
        if name not in {"name", "kind"} and _plain(name, text) != _plain(name, shown[name])
    }
    return _converted({**values, "key": key} if key else values, ChangeProvider, fields)


def _plain(name: str, text: str) -> Any:
    return text if name in _TEXTS else _value(name, text)


def _value(name: str, text: str) -> Any:
    if name in _LISTS:
        return tuple(text.replace(",", " ").split())
    if name in _TABLES:
        return _table(name, text)
    if name == "timeout_s":
        return _number(text) if text else CreateProvider(name="x", kind="").timeout_s
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{text!r:.40} is no number.", where="timeout_s", todo="Give seconds.") from None


def _table(name: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, sign, value = line.partition(_TABLES[name])
        if not sign or not key.strip() or not value.strip():
            raise BadInput(
                f"{line!r:.60} cannot be read.", where=name, todo=f"Write each line as name {_TABLES[name]} value."
            )
        found[key.strip()] = value.strip()
    return found


def _converted(values: Mapping[str, Any], into: type[_T], fields: Mapping[str, str]) -> _T:
    try:
        return msgspec.convert(values, into)
    except msgspec.ValidationError as problem:
        place = str(problem).partition(" - at ")[2].strip("`$.").partition("[")[0]
        if place in fields:
            raise BadInput(f"{fields[place]!r:.60} cannot be the {place}.", where=place, todo="Correct it.") from None
        raise BadInput(
            "The form is not complete." if fields.get("name") else "The name is missing.", where="name", todo="Fill it."
        ) from None

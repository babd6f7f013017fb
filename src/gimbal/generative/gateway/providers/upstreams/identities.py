"""The ways to prove who asks besides a key: which there are for each of our providers, and what each needs.

Some are the server's own (what its machine or its files are trusted with): those are for the installation alone.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings_gateway import ProviderSettings


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One way."""

    needs: tuple[str, ...] = ()
    """Fields of the settings that must be given."""
    key: bool = False
    """Whether it takes a key."""
    own: bool = True
    """Whether it is the server's own."""
    variables: Mapping[str, tuple[str, ...]] = {}
    """Variables that usually hold a field of the settings; the first one that is set counts."""
    key_env: tuple[str, ...] = ()
    """Variables that usually hold its key."""


AUTHORITIES = frozenset(
    {
        "https://login.microsoftonline.com",
        "https://login.microsoftonline.us",
        "https://login.chinacloudapi.cn",
        "https://login.partner.microsoftonline.cn",
    }
)
"""Microsoft's own hosts of Entra, by cloud."""
_CLOUD = {"authority_host": ("AZURE_AUTHORITY_HOST",)}
_ENTRA = {"tenant": ("AZURE_TENANT_ID",), "client_id": ("AZURE_CLIENT_ID",), **_CLOUD}
IDENTITIES: Mapping[str, Mapping[str, Identity]] = {
    "azure": {
        "client": Identity(
            needs=("tenant", "client_id"),
            key=True,
            own=False,
            variables=_ENTRA,
            key_env=("AZURE_CLIENT_SECRET",),
        ),
        "managed": Identity(variables=_CLOUD),
        "app_service": Identity(
            needs=("metadata_url",),
            key=True,
            variables={"metadata_url": ("IDENTITY_ENDPOINT",), **_CLOUD},
            key_env=("IDENTITY_HEADER",),
        ),
        "workload": Identity(
            needs=("tenant", "client_id", "identity_file"),
            variables={**_ENTRA, "identity_file": ("AZURE_FEDERATED_TOKEN_FILE",)},
        ),
    },
    "bedrock": {
        "web": Identity(
            needs=("role", "identity_file"),
            variables={
                "role": ("AWS_ROLE_ARN",),
                "session_name": ("AWS_ROLE_SESSION_NAME",),
                "identity_file": ("AWS_WEB_IDENTITY_TOKEN_FILE",),
            },
        ),
        "container": Identity(
            key=True,
            variables={"identity_file": ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",)},
            key_env=("AWS_CONTAINER_AUTHORIZATION_TOKEN",),
        ),
        "instance": Identity(variables={"metadata_url": ("AWS_EC2_METADATA_SERVICE_ENDPOINT",)}),
        "profile": Identity(
            variables={
                "profile": ("AWS_PROFILE",),
                "identity_file": ("AWS_SHARED_CREDENTIALS_FILE",),
            },
        ),
    },
}
_KEYS = {
    "client": ("client secret", "Give it as the key."),
    "app_service": (
        "secret by which it may ask for its identity",
        "Run in an app that has an identity, where IDENTITY_HEADER is set; or give it as the key.",
    ),
}
"""The ways that cannot do without a key: what it is, and where it comes from."""
_AT = "http://169.254.170.2"
"""Where containers of Amazon are told who they are."""


def identity_of(settings: ProviderSettings, by: str) -> Identity | None:
    """Return the way that the settings name, none where a key alone proves it; raise ConfigurationError otherwise."""
    if not settings.identity:
        return None
    known = IDENTITIES.get(by, {})
    found = known.get(settings.identity)
    if found is None:
        raise ConfigurationError(
            f"The provider {settings.name!r} cannot prove who asks by {settings.identity!r:.40}.",
            where="identity",
            todo=f"Leave it out, or choose one of: {', '.join(known)}." if known else "Leave it out, and give a key.",
        )
    return found


def needed(settings: ProviderSettings, found: Identity) -> None:
    """Raise ConfigurationError where something is missing."""
    for field in found.needs:
        if not getattr(settings, field):
            names = found.variables.get(field, ())
            also = f", or set {names[0]}" if names else ""
            raise ConfigurationError(
                f"The provider {settings.name!r} has no {field}, by which {settings.identity} proves who asks.",
                where=field,
                todo=f"Give it{also}.",
            )


def keyed(settings: ProviderSettings, found: Identity, key: Secret) -> None:
    """Raise ConfigurationError where a key is missing, or given to a way that takes none."""
    if key and not found.key:
        raise ConfigurationError(
            f"The provider {settings.name!r} has a key, and {settings.identity} takes none.",
            where="key",
            todo="Take the key away, or the identity.",
        )
    if settings.identity in _KEYS and not key:
        what, todo = _KEYS[settings.identity]
        raise ConfigurationError(f"The provider {settings.name!r} has no {what}.", where="key", todo=todo)


def filled(settings: ProviderSettings, by: str, environ: Mapping[str, str]) -> ProviderSettings:
    """Return the settings with what the clouds' own variables say, where nothing was said."""
    found = identity_of(settings, by)
    if found is None:
        return settings
    said: dict[str, str] = {}
    for field, names in found.variables.items():
        value = getattr(settings, field) or next((environ[name] for name in names if environ.get(name)), "")
        said[field] = value
    if settings.identity == "container" and not settings.metadata_url:
        below = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
        said["metadata_url"] = _AT + below if below else environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    return msgspec.structs.replace(settings, **said)


def text_of(path: str, *, name: str, where: str) -> str:
    """Return what stands in a file by which the server proves who it is; raise ConfigurationError, which says none of it."""
    try:
        found = Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise ConfigurationError(
            f"{name} cannot read the file {path!r:.200} by which it proves who asks, or it is empty.",
            where=where,
            todo="Check that it is mounted, and that this process may read it.",
        )
    return found

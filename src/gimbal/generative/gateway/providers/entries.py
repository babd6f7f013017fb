"""The providers that there are before any is loaded: those of the settings, of the environment, and rows of the catalog.

The environment offers a provider where a variable such as OPENAI_API_KEY holds its key.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers.upstreams.addressing import authority
from gimbal.generative.gateway.providers.upstreams.identities import AUTHORITIES, Identity, filled, identity_of
from gimbal.generative.gateway.providers.upstreams.kinds import Kind, kind_of, kinds
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings_gateway import ProviderSettings

_AWS = "AWS_ACCESS_KEY_ID"
"""Beside others that a key of Amazon's consists of."""
DEMO = "demo"
LOCAL = "local"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A provider before it is loaded."""

    settings: ProviderSettings
    source: str
    """`project`, `installation`, `settings`, `environment` or `built in`."""
    scope: str = ""
    """Project that it belongs to; empty for the installation."""
    claims: tuple[str, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""
    revision: int = 0
    """Of its row, so that another one is known to be another."""
    seal: str = ""
    """Its key, sealed."""

    @property
    def name(self) -> str:
        """Its short name."""
        return self.settings.name

    @property
    def is_own(self) -> bool:
        """Whether the makers of its kind answer at its address."""
        return not self.settings.base_url or kind_of(self.settings.kind).owns(self.settings.base_url)


def entry(settings: ProviderSettings, source: str, *, scope: str = "", revision: int = 0, seal: str = "") -> Entry:
    """Return the entry of settings; raise ConfigurationError for a kind that is none."""
    kind = kind_of(settings.kind, "gateway.providers")
    found = Entry(settings=settings, source=source, scope=scope, revision=revision, seal=seal)
    claims = settings.claims or (kind.claims if found.is_own else ())
    return msgspec.structs.replace(found, claims=claims)


def configured(listed: Iterable[ProviderSettings]) -> list[Entry]:
    """Return the providers of the settings; raise ConfigurationError for two of one name."""
    found: dict[str, Entry] = {}
    for settings in listed:
        if settings.name in found or settings.name == LOCAL:
            raise ConfigurationError(
                f"Two providers are called {settings.name!r}.", where="gateway.providers", todo="Rename one."
            )
        if not settings.name or "/" in settings.name:
            raise ConfigurationError(
                f"{settings.name!r} cannot be a provider's name.", where="gateway.providers", todo="Rename it."
            )
        found[settings.name] = entry(settings, "settings")
    return list(found.values())


def offered(environ: Mapping[str, str]) -> list[Entry]:
    """Return the providers that variables of the environment are enough for, and always `local`."""
    found: list[Entry] = []
    for kind in kinds().values():
        variable = next((name for name in kind.key_env if environ.get(name)), "")
        url = environ.get(kind.url_env, "") if kind.url_env else ""
        if kind.found and variable and (url or kind.base_url):
            version = environ.get(kind.version_env, "") if kind.version_env else ""
            settings = ProviderSettings(
                name=kind.name, kind=kind.name, base_url=url, api_key_env=variable, api_version=version
            )
            # Whoever gives another address for a provider by its own variable means that provider.
            named = msgspec.structs.replace(settings, claims=kind.claims)
            found.append(entry(named, "environment"))
    if environ.get("GIMBAL_DEMO_LLM_URL"):
        demo = ProviderSettings(name=DEMO, kind="compatible", base_url=environ["GIMBAL_DEMO_LLM_URL"])
        found.append(entry(demo, "environment"))
    found.append(entry(ProviderSettings(name=LOCAL, kind=LOCAL), "built in"))
    return found


def completed(found: Entry, environ: Mapping[str, str]) -> ProviderSettings:
    """Return the settings with what variables say of region and project, for those of the operator's own."""
    settings, kind = found.settings, kind_of(found.settings.kind)
    if found.scope:
        return settings
    region = settings.region or next((environ[name] for name in kind.region_env if environ.get(name)), "")
    account = settings.account or (environ.get(kind.account_env, "") if kind.account_env else "")
    return filled(msgspec.structs.replace(settings, region=region, account=account), kind.by, environ)


def key_of(found: Entry, seals: Seals, environ: Mapping[str, str]) -> Secret:
    """Return a provider's key, none where it needs none; raise ConfigurationError where it is not to be had.

    Providers of a project have what was sealed for them, never a variable of the server's.
    """
    settings, kind = found.settings, kind_of(found.settings.kind)
    identity = identity_of(settings, kind.by)
    if found.seal:
        return seals.open(found.seal, found.scope, settings.name)
    if found.scope:
        return _none(found, kind, ())
    variable = variable_of(found, environ)
    if variable == _AWS and not settings.api_key_env:
        return _of_aws(environ)
    if environ.get(variable):
        return Secret(_text(environ[variable], kind, variable))
    return _none(found, kind, (variable,) if variable else _usual(found, kind, identity))


def variable_of(found: Entry, environ: Mapping[str, str]) -> str:
    """Return the variable that holds a provider's key; empty where none does, or it was given and is sealed."""
    settings, kind = found.settings, kind_of(found.settings.kind)
    if found.seal or found.scope:
        return ""
    if settings.api_key_env:
        return settings.api_key_env
    # The variable that usually holds a key is meant for those who made it, not for any address.
    usual = _usual(found, kind, identity_of(settings, kind.by))
    signs = kind.by == "bedrock" and not settings.identity
    return next((name for name in (*usual, *((_AWS,) if signs else ())) if environ.get(name)), "")


def _usual(found: Entry, kind: Kind, identity: Identity | None) -> tuple[str, ...]:
    """Return the variables that count though nobody has named them: where they go to those for whom they are made."""
    if identity is None:
        return kind.key_env if found.is_own else ()
    settings = found.settings
    elsewhere = settings.token_url or settings.metadata_url
    if settings.authority_host and authority(settings.authority_host) not in AUTHORITIES:
        elsewhere = settings.authority_host
    return () if elsewhere else identity.key_env


def _none(found: Entry, kind: Kind, variables: tuple[str, ...]) -> Secret:
    if not found.settings.api_key_env and found.settings.identity:
        return Secret()
    if not found.settings.api_key_env and not (kind.needs_key and found.is_own):
        return Secret()
    raise ConfigurationError(
        f"The key of the provider {found.name!r} is not set.",
        where=variables[0] if variables else found.name,
        todo=f"Set the environment variable {variables[0]} and start again."
        if variables
        else f"Give it one: `gimbal providers update {found.name}`.",
    )


def _text(value: str, kind: Kind, variable: str) -> str:
    """Return a key as a variable says it; Google's variable names the file that it stands in."""
    if kind.by != "vertex" or value.lstrip().startswith("{"):
        return value
    try:
        return Path(value).expanduser().read_text()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            f"The file that {variable} names cannot be read.",
            where=variable,
            todo="Name the JSON of a service account.",
        ) from None


def _of_aws(environ: Mapping[str, str]) -> Secret:
    said = {
        "access_key_id": environ["AWS_ACCESS_KEY_ID"],
        "secret_access_key": environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "session_token": environ.get("AWS_SESSION_TOKEN", ""),
    }
    return Secret(msgspec.json.encode(said).decode())

"""What a provider in the catalog may be, and by whom: pure rules.

Whoever is admin of one project could otherwise have the server call any address inside its network, or have it send one of
its variables there. They bring keys for the addresses of known makers; other addresses and variables take an admin of the
installation.
"""

from gimbal.generative.gateway.providers.entries import LOCAL
from gimbal.generative.gateway.providers.upstreams.addressing import address, authority, header
from gimbal.generative.gateway.providers.upstreams.identities import identity_of
from gimbal.generative.gateway.providers.upstreams.kinds import Kind, kind_of
from gimbal.kernel.errors import BadInput, ConfigurationError, Forbidden
from gimbal.kernel.settings_gateway import ProviderSettings

_MOST_ROWS = 200


def check(settings: ProviderSettings, *, scope: str, everywhere: bool) -> Kind:
    """Raise BadInput for a provider that cannot be, Forbidden for one that takes an admin of the installation."""
    try:
        kind = kind_of(settings.kind)
        identity = identity_of(settings, kind.by)
        for url in (settings.base_url, settings.token_url, settings.metadata_url):
            if url:
                address(url, settings.name)
        if settings.authority_host:
            address(authority(settings.authority_host), settings.name, "authority_host")
        for name, value in settings.headers.items():
            header(name, value)
    except ConfigurationError as problem:
        raise BadInput(problem.message, where=problem.where or "base_url", todo=problem.todo) from None
    if kind.name == LOCAL:
        raise BadInput("That one is always there.", where="kind", todo="Choose another kind.")
    if not settings.base_url and not kind.base_url and kind.by not in {"vertex", "bedrock"}:
        raise BadInput(f"The kind {kind.name} has no address of its own.", where="base_url", todo="Give yours.")
    for field in ("models", "claims", "headers", "deployments"):
        if len(getattr(settings, field)) > _MOST_ROWS:
            raise BadInput(f"More than {_MOST_ROWS} {field} are too many.", where=field, todo="Give fewer.")
    if identity and identity.own and scope:
        raise Forbidden(
            "A provider of a project cannot prove who asks by what the server is trusted with.",
            where="identity",
            todo="Give a key, which is sealed; or ask an admin of the installation.",
        )
    if settings.api_key_env and scope:
        raise Forbidden(
            "A provider of a project cannot use a variable of the server.",
            where="key_env",
            todo="Give the key itself, which is sealed; or ask an admin of the installation.",
        )
    if not everywhere:
        _must_be_known(settings, kind)
    return kind


def _must_be_known(settings: ProviderSettings, kind: Kind) -> None:
    own = kind.owns(settings.base_url or kind.base_url) if settings.base_url or kind.base_url else True
    places = {name: getattr(settings, name) for name in ("token_url", "authority_host", "metadata_url")}
    if not own or any(places.values()):
        raise Forbidden(
            "An address that is not of the kind's own makers is for an admin of the installation to set.",
            where="base_url" if not own else next(name for name, value in places.items() if value),
            todo="Leave it out, or ask an admin of the installation.",
        )

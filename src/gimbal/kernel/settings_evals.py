"""Settings of evaluations: where HTTP services under test may be, and which credentials may go to them."""

import msgspec


class EvalsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HTTP services under evaluation."""

    http_hosts: tuple[str, ...] = ()
    """Hosts that may be called whatever their address is: names, `*.example.com`, addresses, networks (`10.2.0.0/16`).
    Without it public addresses may be, and where a single owner works on loopback private ones and this machine as well."""
    http_secrets: tuple[str, ...] = ()
    """Variables of the environment that services may have in headers, each with the one host that it goes to:
    `HELP_TOKEN=help.example.com`."""

"""The master keys, from a file or a variable of the operator's: the newest one seals, all of them open."""

from collections.abc import Mapping

from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.kernel.keyring import keys_at
from gimbal.kernel.settings_gateway import GatewaySettings


def seals_of(settings: GatewaySettings, environ: Mapping[str, str] | None = None) -> Seals:
    """Return what seals and opens by the settings, nothing where no key is set; raise ConfigurationError, which says none."""
    return Seals(keys_at(settings.key_file, settings.key_env, of="gateway", noun="master key", environ=environ))

"""Policy files: a manifest in TOML, and the policy's name.

    name = "gateway"

    [[guards]]
    name = "personal-data"
    detectors = ["contact", "card"]
    action = "mask"

`read_policy` turns a file into a manifest and names a mistake as `path:line`.
"""

from gimbal.axis.assets.files import read_manifest
from gimbal.generative.guards.checks import check_manifest
from gimbal.generative.guards.model import PolicyManifest


def read_policy(text: str, path: str = "policy.toml") -> tuple[str, PolicyManifest]:
    """Return a policy's name (empty when the file has none) and manifest; raise BadInput with `path:line`."""
    return read_manifest(text, path, PolicyManifest, check_manifest, noun="policy", example="gateway")

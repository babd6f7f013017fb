"""Route files: a manifest in TOML, and the route's name.

    name = "support"
    strategy = "weighted"

    [[targets]]
    model = "openai/gpt-4o-mini"
    weight = 9

    [[targets]]
    model = "anthropic/claude-haiku-4-5"
    weight = 1

`read_route` turns a file into a manifest and names a mistake as `path:line`.
"""

from gimbal.axis.assets.files import read_manifest
from gimbal.generative.gateway.routes.model import RouteManifest, check_manifest


def read_route(text: str, path: str = "route.toml") -> tuple[str, RouteManifest]:
    """Return a route's name (empty when the file has none) and manifest; raise BadInput with `path:line`."""
    return read_manifest(text, path, RouteManifest, check_manifest, noun="route", example="support")

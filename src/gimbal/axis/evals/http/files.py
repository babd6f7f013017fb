"""Files of HTTP services: a manifest in TOML, and the service's name.

    name = "help/answer"
    url = "https://help.example.com/answer"

    [body]
    question = "{{question}}"

    [answer]
    text = "$.answer"
    sources = "$.documents[*].id"

`read_service` turns a file into a manifest and names a mistake as `path:line`.
"""

from gimbal.axis.assets.files import read_manifest
from gimbal.axis.evals.http.model import HttpManifest, check_manifest


def read_service(text: str, path: str = "service.toml") -> tuple[str, HttpManifest]:
    """Return a service's name (empty when the file has none) and manifest; raise BadInput with `path:line`."""
    return read_manifest(text, path, HttpManifest, check_manifest, noun="service", example="help/answer")

"""The client: every operation as a typed method, one attribute per group, and the default one that scripts share."""

import functools
from types import TracebackType
from typing import Self

from gimbal.faces.client.generated.all import Groups
from gimbal.faces.client.transport import Transport


class Client(Groups):
    """One Gimbal, one key, one project.

    `url`, `key` and `project` default to GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT, then to the local server, no
    key and `default`. Methods raise the GimbalError that the server answered with.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, project: str | None = None, *, timeout: float = 60.0
    ) -> None:
        self.transport = Transport(url, key, project, timeout=timeout)
        super().__init__(self.transport)

    @property
    def project(self) -> str:
        """Slug of the project that methods mean when they are given none."""
        return self.transport.project

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


@functools.cache
def default_client() -> Client:
    """Return the client that module-level functions share, made on first use from the environment."""
    return Client()

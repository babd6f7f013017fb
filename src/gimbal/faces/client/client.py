"""The client: every operation as a typed method, one attribute per group, and the default one that scripts share."""

import functools
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from gimbal.faces.client.generated.all import Groups
from gimbal.faces.client.transport import Transport
from gimbal.kernel.pages import Page

P = ParamSpec("P")
T = TypeVar("T")


class Client(Groups):
    """One Gimbal, one key, one project.

    `url`, `key` and `project` default to GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT, then to the local server, no
    key and `default`. Methods raise the GimbalError that the server answered with. `timeout` is how many seconds one
    answer may take; `patience` is how many seconds it keeps trying while the server is busy.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        project: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 30.0,
    ) -> None:
        self.transport = Transport(url, key, project, timeout=timeout, patience=patience)
        super().__init__(self.transport)

    @property
    def project(self) -> str:
        """Slug of the project that methods mean when they are given none."""
        return self.transport.project

    @staticmethod
    def every(page: Callable[P, Page[T]], *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Yield every item of a list, page after page: `client.every(client.runs.list, status="failed")`."""
        found = page(*args, **kwargs)
        yield from found.items
        while found.next:
            found = page(*args, **{**kwargs, "cursor": found.next})  # type: ignore[arg-type] - every list takes a cursor
            yield from found.items

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

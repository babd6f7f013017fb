"""HTTP to a server of MLflow: its credentials from the environment, tried again while it is busy, its errors as ours."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gimbal.kernel.errors import BadInput, Forbidden, GimbalError, NotAuthenticated, NotFound, Unavailable, Upstream

_TIMEOUT_S, _CONNECT_S = 120.0, 10.0
_TIMES, _REST_S = 6, 0.25
_AGAIN = frozenset({429, 500, 502, 503, 504})
_REFUSED: dict[int, type[GimbalError]] = {400: BadInput, 401: NotAuthenticated, 403: Forbidden, 404: NotFound}
_SHOWN = 300


class MlflowHttp:
    """Calls to one server, from any thread. All of them only read."""

    def __init__(self, url: str) -> None:
        """Take MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, as MLflow's client does."""
        token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        headers = {"authorization": f"Bearer {token}"} if token and not user else {}
        if workspace := os.environ.get("MLFLOW_WORKSPACE", ""):
            headers["x-mlflow-workspace"] = workspace
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
            timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
            follow_redirects=True,
        )

    def ask(self, method: str, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of a call; raise what the server refused, Unavailable when it stays away."""
        given: dict[str, Any] = {"json": asked} if method == "POST" else {"params": asked}
        response = self._sent(method, path, **given)
        try:
            # NaN and infinities stand bare in some of its answers, which the standard library reads.
            found = json.loads(response.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadInput(
                f"{self.url}{path} does not answer as MLflow does.",
                where="source",
                todo="Give the address at which MLflow's pages open.",
            )
        return found

    def fetch(self, path: str, query: Mapping[str, Any], to: Path) -> None:
        """Write a file of the server to a path; raise OSError when it breaks off, so that it counts as one not read."""
        try:
            with self._http.stream("GET", path, params=dict(query)) as response:
                if not response.is_success:
                    raise OSError(f"MLflow answered {response.status_code}")
                with to.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
        except httpx.HTTPError as problem:
            raise OSError(str(problem) or type(problem).__name__) from None

    def _sent(self, method: str, path: str, **given: Any) -> httpx.Response:
        rest = _REST_S
        for left in reversed(range(_TIMES)):
            try:
                response = self._http.request(method, path, **given)
            except httpx.HTTPError as problem:
                if not left:
                    raise self._away(str(problem) or type(problem).__name__) from None
            else:
                if response.is_success:
                    return response
                if response.status_code not in _AGAIN or not left:
                    raise self._refused(response, path)
            time.sleep(rest)
            rest *= 2
        raise AssertionError

    def _away(self, why: str) -> Unavailable:
        return Unavailable(
            f"MLflow does not answer at {self.url}: {why[:_SHOWN]}.",
            where="source",
            kept="what was imported so far",
            todo="Start it, then give the same command again: it goes on where it was.",
        )

    def _refused(self, response: httpx.Response, path: str) -> GimbalError:
        kind = _REFUSED.get(response.status_code, Upstream)
        todo = "Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        return kind(
            f"MLflow at {self.url} answered {response.status_code} to {path}: {response.text[:_SHOWN]}",
            where="source",
            todo=todo if response.status_code in {401, 403} else "Look at MLflow's log.",
        )

"""HTTP to a server of MLflow: its credentials from the environment, tried again while it is busy, its errors as ours."""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gimbal.faces.importing.reading import shown
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
        self._shown = shown(url.rstrip("/"))
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/"),
                headers=headers,
                auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
                timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
                follow_redirects=True,
            )
        except httpx.InvalidURL as problem:
            raise BadInput(f"{self._shown!r} is no address: {problem}.", where="source") from None

    def ask(self, method: str, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON of a call; raise what the server refused, Unavailable when it stays away."""
        given: dict[str, Any] = {"json": asked} if method == "POST" else {"params": asked}
        response = self._sent(method, path, **given)
        if not response.is_success:
            raise self._refused(response, path)
        try:
            # NaN and infinities stand bare in some of its answers, which the standard library reads.
            found = json.loads(response.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadInput(
                f"{self._shown}{path} does not answer as MLflow does.",
                where="source",
                todo="Give the address at which MLflow's pages open.",
            )
        return found

    def fetch(self, path: str, query: Mapping[str, Any], to: Path) -> None:
        """Write a file of the server to a path; raise OSError for one that it does not give, Unavailable when it is away."""
        with contextlib.closing(self._sent("GET", path, stream=True, params=dict(query))) as response:
            if not response.is_success:
                raise OSError(f"MLflow answered {response.status_code}")
            try:
                with to.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
            except httpx.HTTPError as problem:
                raise OSError(str(problem) or type(problem).__name__) from None

    def _sent(self, method: str, path: str, *, stream: bool = False, **given: Any) -> httpx.Response:
        """Return the answer once it is none that passes; raise Unavailable when nobody answers."""
        rest = _REST_S
        for left in reversed(range(_TIMES)):
            try:
                response = self._http.send(self._http.build_request(method, path, **given), stream=stream)
            except httpx.HTTPError as problem:
                if not left:
                    raise self._away(str(problem) or type(problem).__name__) from None
            else:
                if response.status_code not in _AGAIN or not left:
                    return response
                response.close()
            time.sleep(rest)
            rest *= 2
        raise AssertionError

    def _away(self, why: str) -> Unavailable:
        return Unavailable(
            f"MLflow does not answer at {self._shown}: {shown(why)[:_SHOWN]}.",
            where="source",
            kept="what was imported so far",
            todo="Start it, then give the same command again: it goes on where it was.",
        )

    def _refused(self, response: httpx.Response, path: str) -> GimbalError:
        kind = _REFUSED.get(response.status_code, Upstream)
        todo = "Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        return kind(
            f"MLflow at {self._shown} answered {response.status_code} to {path}: {response.text[:_SHOWN]}",
            where="source",
            todo=todo if response.status_code in {401, 403} else "Look at MLflow's log.",
        )

"""From method and raw path to what answers, by segments; a literal segment wins over a place for a value."""

from collections.abc import Iterable
from typing import Generic, TypeVar
from urllib.parse import unquote

from gimbal.kernel.errors import BadInput, MethodNotAllowed, NotFound

T = TypeVar("T")


class _Node(Generic[T]):
    """One segment of the templates; `rest` takes all segments that follow."""

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.value: _Node[T] | None = None
        self.here: dict[str, tuple[T, tuple[str, ...]]] = {}
        self.rest: dict[str, tuple[T, tuple[str, ...]]] = {}


class Router(Generic[T]):
    """Templates are `/projects/{project}/runs`; `{name*}` at the end takes the rest, slashes included."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._exact: dict[tuple[str, bytes], T] = {}
        """Templates without places, as they come from nearly everyone."""

    def add(self, method: str, template: str, target: T) -> None:
        """Let `target` answer `method` on paths that fit `template`; a clash raises ValueError."""
        node, names = self._root, list[str]()
        for segment in template.strip("/").split("/"):
            if segment.endswith("*}"):
                names.append(segment[1:-2])
                self._claim(node.rest, method, template, target, names)
                return
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.value = node.value or _Node()
                node = node.value
            else:
                node = node.literals.setdefault(segment, _Node())
        self._claim(node.here, method, template, target, names)
        if not names:
            self._exact[method, template.encode()] = target

    @staticmethod
    def _claim(
        table: dict[str, tuple[T, tuple[str, ...]]], method: str, template: str, target: T, names: list[str]
    ) -> None:
        if method in table:
            message = f"two routes answer {method} {template}"
            raise ValueError(message)
        table[method] = (target, tuple(names))

    def match(self, method: str, raw_path: bytes) -> tuple[T, dict[str, str]]:
        """Return the target and the decoded values of its places; raise NotFound or MethodNotAllowed."""
        exact = self._exact.get((method, raw_path))
        if exact is not None:
            return exact, {}
        try:
            segments = [unquote(s, errors="strict") for s in raw_path.decode("ascii").strip("/").split("/")]
        except UnicodeDecodeError:
            raise BadInput("The path is not UTF-8.", where="path", todo="Percent-encode it as UTF-8.") from None
        candidates = list(self._candidates(self._root, segments, ()))
        for table, values in candidates:
            found = table.get(method) or (table.get("GET") if method == "HEAD" else None)
            if found:
                target, names = found
                return target, dict(zip(names, values, strict=True))
        path = "/" + "/".join(segments)
        if candidates:
            allowed = sorted({name for table, _ in candidates for name in table})
            if "GET" in allowed:
                allowed = sorted({*allowed, "HEAD"})
            raise MethodNotAllowed(
                f"{method} is not for {path}.", where=", ".join(allowed), todo=f"Use {' or '.join(allowed)}."
            )
        raise NotFound(f"There is nothing at {path}.", todo="See /docs/api for every route.")

    def _candidates(
        self, node: _Node[T], segments: list[str], values: tuple[str, ...]
    ) -> Iterable[tuple[dict[str, tuple[T, tuple[str, ...]]], tuple[str, ...]]]:
        if not segments:
            if node.here:
                yield node.here, values
            return
        head, tail = segments[0], segments[1:]
        if head in node.literals:
            yield from self._candidates(node.literals[head], tail, values)
        if node.value and head:
            yield from self._candidates(node.value, tail, (*values, head))
        if node.rest:
            yield node.rest, (*values, "/".join(segments))

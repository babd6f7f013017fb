"""Pages and the buttons on them: what a capability declares, and what its handlers get and return.

`console.Console` turns a declared page into an HTTP answer; `faces/server` puts every row into its router.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from gimbal.kernel.context import NOBODY, Context, Permission, Principal
from gimbal.kernel.errors import BadInput

MOUNT = "/p/{project}"

# One number places a page: its group by the ranges below, its position by its size.
NAV_GROUPS: tuple[tuple[int, str], ...] = ((0, ""), (10, "Develop"), (50, "Release"), (70, "Observe"), (90, "System"))

Tone = Literal["info", "good", "bad"]


class Flash(msgspec.Struct, frozen=True, kw_only=True):
    """What the last action had to say, shown once on the page that follows it."""

    text: str
    tone: Tone = "good"


class View(msgspec.Struct, frozen=True):
    """What a page handler returns: a template and its data."""

    template: str
    data: Mapping[str, Any] = {}
    status: int = 200


class Redirect(msgspec.Struct, frozen=True):
    """Go to another page of this console (303 See Other), with a word about what happened."""

    url: str
    flash: str = ""
    tone: Tone = "good"


class Form(dict[str, str]):
    """The fields that a form sent: first values as a dict, all values by `many`."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        super().__init__(reversed(pairs))

    def many(self, name: str) -> list[str]:
        """Return every value of a field that may come several times."""
        return [value for key, value in self._pairs if key == name]

    def need(self, name: str) -> str:
        """Return the stripped value of a field that must be filled; raise BadInput otherwise."""
        value = self.get(name, "").strip()
        if not value:
            raise BadInput(f"The field {name} is empty.", where=name, todo="Go back and fill it.")
        return value


def parse_form(body: bytes) -> Form:
    """Read an `application/x-www-form-urlencoded` body; raise BadInput when it is not UTF-8."""
    try:
        return Form(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except ValueError:
        raise BadInput("The form cannot be read.", where="body", todo="Send it from the console's own page.") from None


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a page handler and its template know of the request."""

    project: str
    """Slug of the project that the page is in."""
    path: dict[str, str] = {}
    """What stands in the places of the page's path, decoded."""
    query: dict[str, str] = {}
    """First value of each query parameter."""
    several: dict[str, list[str]] = {}
    """All values of those that came several times."""
    current: str = "/"
    """Path of the page as the browser sent it."""
    principal: Principal = NOBODY
    theme: str = "auto"
    """`auto`, `light` or `dark`, from the browser's cookie."""
    flash: Flash | None = None

    def url(self, **changes: Any) -> str:
        """Return this page's URL with parts of its query changed; None or an empty text takes a parameter out.

        A change other than of the cursor takes `cursor` out: another filter or order starts at its first page.
        """
        query: dict[str, Any] = self.query | self.several
        if "cursor" not in changes:
            query.pop("cursor", None)
        query.update(changes)
        return with_query(self.current, query)

    def values(self, name: str) -> list[str]:
        """Return every value of a query parameter that is not empty."""
        return [one for one in self.several.get(name, [self.query.get(name, "")]) if one]

    def one_of(self, name: str, words: Iterable[str]) -> str:
        """Return the word that a query parameter is; the first of `words` for one that is not among them."""
        known = list(words)
        return asked if (asked := self.query.get(name, "")) in known else known[0]

    def href(self, path: str, **values: Any) -> str:
        """Return the URL of a page in this project: values fill the places of `path`, the rest becomes the query."""
        for name in [key for key in values if f"{{{key}}}" in path]:
            path = path.replace(f"{{{name}}}", quote(str(values.pop(name)), safe=":@~"))
        return with_query(f"/p/{quote(self.project)}{path if path != '/' else ''}", values)

    def number(self, name: str, default: int) -> int:
        """Return a whole number of the query, or `default`; raise BadInput for anything else."""
        text = self.query.get(name, "")
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{text!r} is not a whole number.", where=name, todo="Correct it in the address.") from None


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """Return `path` with a query made of the values that are neither None nor an empty text; lists have several."""
    each = [(name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])]
    given = [(name, str(value)) for name, value in each if value is not None and value != ""]
    return f"{path}?{urlencode(given, quote_via=quote, safe=':@~/,')}" if given else path


PageHandler = Callable[[Context, PageRequest], Awaitable[View | Redirect]]
ActionHandler = Callable[[Context, PageRequest, Form], Awaitable[Redirect | View]]
P = TypeVar("P", bound=PageHandler)
A = TypeVar("A", bound=ActionHandler)


class PageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    path: str
    """Template below `/p/{project}`."""
    title: str
    nav: str | None
    """Its word in the sidebar; None keeps it out of there."""
    order: int
    icon: str
    allow: Permission
    handler: PageHandler
    tab: str = ""
    """Its word among the pages that stand side by side under one word of the sidebar."""
    within: str = ""
    """Path of the page whose word that is; empty for that page itself."""

    @property
    def mount(self) -> str:
        """Template of the whole path, for the router."""
        return MOUNT + (self.path if self.path != "/" else "")

    @property
    def group(self) -> str:
        """Heading of the sidebar under which it stands."""
        return next(name for start, name in reversed(NAV_GROUPS) if self.order >= start)


class ActionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a form of a page posts to."""

    path: str
    allow: Permission
    handler: ActionHandler

    @property
    def mount(self) -> str:
        """Template of the whole path, for the router."""
        return MOUNT + self.path


_pages: dict[str, PageRow] = {}
_actions: dict[str, ActionRow] = {}


def all_pages() -> list[PageRow]:
    """Return every page declared so far, in the order of the sidebar."""
    return sorted(_pages.values(), key=lambda row: (row.order, row.path))


def all_actions() -> list[ActionRow]:
    """Return every action declared so far, by path."""
    return sorted(_actions.values(), key=lambda row: row.path)


def page(
    path: str,
    *,
    title: str,
    nav: str | None = None,
    order: int = 0,
    icon: str = "dot",
    allow: Permission = Permission.VIEW,
    tab: str = "",
    within: str = "",
) -> Callable[[P], P]:
    """Declare a page at `/p/{project}` + `path`; two different handlers on one path raise at import.

    With `within` it stands beside the page of that path as `tab`, under that one's word in the sidebar; the other names
    its own `tab`.
    """

    def declare(handler: P) -> P:
        _claim(_pages, path, handler)
        _pages[path] = PageRow(
            path=path,
            title=title,
            nav=nav,
            order=order,
            icon=icon,
            allow=allow,
            handler=handler,
            tab=tab,
            within=within,
        )
        return handler

    return declare


def page_action(path: str, *, allow: Permission = Permission.DEVELOP) -> Callable[[A], A]:
    """Declare what a form posts to, at `/p/{project}` + `path`; the handler acts and returns a Redirect.

    `allow` is the first check; the operation that the handler invokes checks again and is audited.
    """

    def declare(handler: A) -> A:
        _claim(_actions, path, handler)
        _actions[path] = ActionRow(path=path, allow=allow, handler=handler)
        return handler

    return declare


def _claim(table: Mapping[str, PageRow | ActionRow], path: str, handler: Callable[..., Any]) -> None:
    if path in table and table[path].handler.__qualname__ != handler.__qualname__:
        message = f"{handler.__qualname__} and {table[path].handler.__qualname__} both claim {path}"
        raise RuntimeError(message)

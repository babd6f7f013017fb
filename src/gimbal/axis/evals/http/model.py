"""What an HTTP service is: where it is asked, with which request, and where its answer has what scorers read."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.axis.evals.http.filling import PLACE, is_json, places_in
from gimbal.axis.evals.http.paths import steps_of
from gimbal.kernel.errors import BadInput

_LONGEST_URL = 8_000
_MOST_HEADERS = 64
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")  # Source: RFC 9110, section 5.6.2.
_VARIABLE = re.compile(r"\$([A-Z][A-Z0-9_]{0,99})")
_VISIBLE = re.compile(r"[!-~]*")
BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What must not stand in a header: it would end it, or hide in it."""
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection",
     "te", "trailer", "transfer-encoding", "traceparent", "upgrade"}
)  # fmt: skip
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_BODILESS = frozenset({"GET"})


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a JSON answer has what scorers read: paths like `$.choices[0].message.content`, `$.documents[*].id`."""

    text: str = ""
    """The answer. Left out, with `value` left out as well: the whole body, as text."""
    value: str = ""
    """What was predicted, where it is no text: a number, a class, probabilities by class."""
    sources: str = ""
    """What the answer rests on, best first: a text or a list of texts."""
    contexts: str = ""
    """Texts that were put before the model, best first."""
    tool_calls: str = ""
    """Tools that were called, in order, with `name` and `arguments`; OpenAI's form is read as well."""
    cost: str = ""
    """US dollars of this answer."""
    input_tokens: str = ""
    output_tokens: str = ""


class HttpManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `http`."""

    url: str
    """Address, `{{question}}` in its path or query standing for a value of the example's input."""
    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = {}
    """Headers of every request; values may have places as well. Credentials do not belong here."""
    secrets: dict[str, str] = {}
    """Headers with credentials, by reference: `authorization = "Bearer $HELP_TOKEN"` takes a variable of the server's
    environment that `evals.http_secrets` lets go to this host."""
    body: Any = None
    """JSON in which `"{{question}}"` is the value itself, or a text where `media_type` is another. Left out: the whole
    input as JSON."""
    media_type: str = "application/json"
    """Of the body."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    """Seconds from the call to the end of the answer."""
    answer: HttpAnswer = HttpAnswer()
    price: Decimal | None = None
    """US dollars that an answer costs at most, 0 for none; left out: not known, and no cap can be held."""
    description: str = ""
    """What it is for."""


class PublishHttpService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of an HTTP service."""

    text: str
    """The file's whole text, in TOML."""
    name: str = ""
    """The service's name; empty: as the file says."""
    path: str = "service.toml"
    """What the file is called, for messages."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""


class PublishedHttpService(msgspec.Struct, frozen=True, kw_only=True):
    """The version that a file is now."""

    ref: str
    """`http:help/answer@v2`."""
    state: str
    """`created` (a new version), `unchanged` (the newest version already says this) or `reverted` (an older one does)."""
    notes: list[str] = []
    """What keeps it from being called as things stand."""


def variables_of(manifest: HttpManifest) -> dict[str, list[str]]:
    """Return the variables that each header with a credential takes."""
    return {name: _VARIABLE.findall(text) for name, text in manifest.secrets.items()}


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """Return the value of a header with its variables in their places."""
    return _VARIABLE.sub(lambda match: values[match[1]], text)


def check_manifest(manifest: HttpManifest) -> HttpManifest:
    """Return a manifest whose parts agree; raise BadInput naming the part that does not."""
    parts_of(manifest.url)
    _check_headers(manifest)
    if manifest.price is not None and not (manifest.price.is_finite() and manifest.price >= 0):
        raise BadInput("A price is an amount from 0.", where="price", todo="Give dollars like 0.002.")
    if BREAKS.search(manifest.media_type) or not _VISIBLE.fullmatch(manifest.media_type.replace(" ", "")):
        raise BadInput("This is no media type.", where="media_type", todo="Write it like application/json.")
    _check_body(manifest)
    for name in HttpAnswer.__struct_fields__:
        steps_of(getattr(manifest.answer, name), f"answer.{name}")
    return manifest


def parts_of(url: str) -> SplitResult:
    """Return the parts of a service's address; raise BadInput for what is none, or has places before its path."""
    problem = ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as failure:
        raise BadInput(f"The address is none: {failure}.", where="url", todo="Write https://host/path.") from None
    if len(url) > _LONGEST_URL:
        problem = f"has more than {_LONGEST_URL} characters"
    elif parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        problem = "is not one of HTTP"
    elif "@" in parts.netloc:
        problem = "has credentials in it, which everybody could read"
    elif "{" in parts.netloc:
        problem = "has a place in its host: an example may not say where it is sent"
    elif parts.fragment:
        problem = "has a fragment, which is never sent"
    elif not _VISIBLE.fullmatch(PLACE.sub("", url)):
        problem = "has characters that must be percent-encoded"
    if problem:
        raise BadInput(f"The address {problem}.", where="url", todo="Write https://host/path?q={{question}}.")
    return parts


def _check_headers(manifest: HttpManifest) -> None:
    if len(manifest.headers) + len(manifest.secrets) > _MOST_HEADERS:
        raise BadInput(f"There are more than {_MOST_HEADERS} headers.", where="headers", todo="Send fewer.")
    seen: set[str] = set()
    for field, headers in (("headers", manifest.headers), ("secrets", manifest.secrets)):
        for name, value in headers.items():
            where, known = f"{field}.{name[:100]}", name.lower()
            if not _NAME.fullmatch(name) or BREAKS.search(value):
                raise BadInput("This is no header: it has a line break or a sign that none has.", where=where)
            if known in _OURS or known in seen:
                what = "stands twice" if known in seen else "is set by Gimbal itself"
                raise BadInput(f"The header {name} {what}.", where=where, todo="Leave it out.")
            seen.add(known)
            if field == "headers" and known in _CREDENTIALS:
                raise BadInput(
                    f"The header {name} is a credential, and everybody who may look can read a manifest.",
                    where=where,
                    todo=f'Put it under secrets: {known} = "Bearer $HELP_TOKEN".',
                )
            if field == "secrets" and not _VARIABLE.search(value):
                raise BadInput(
                    f"The header {name} names no variable.", where=where, todo='Write it like "Bearer $HELP_TOKEN".'
                )


def _check_body(manifest: HttpManifest) -> None:
    body = manifest.body
    if body is None:
        if not is_json(manifest.media_type) and manifest.method not in _BODILESS:
            raise BadInput("There is no body.", where="body", todo="Give the text, or send JSON.")
        return
    if manifest.method in _BODILESS:
        raise BadInput("A GET has no body.", where="body", todo="Use POST, or put the values into the address.")
    if not is_json(manifest.media_type) and not isinstance(body, str):
        raise BadInput(f"A body of {manifest.media_type} is a text.", where="body", todo="Write it as text.")
    try:
        list(places_in(body))
    except RecursionError:
        raise BadInput("The body is nested too deeply.", where="body", todo="Make it flatter.") from None


def decode_manifest(manifest: Mapping[str, object]) -> HttpManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), HttpManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not an HTTP service's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


def _told(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what the page of a service says of its price, which is stored as text."""
    return {"price": decode_manifest(manifest).price}


KIND = register_kind(
    AssetKind(name="http", title="HTTP services", ring="axis", check=_check, template="evals/http.html", told=_told)
)

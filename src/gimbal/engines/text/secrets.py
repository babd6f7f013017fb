"""Secrets that their issuers made recognisable: keys by their prefix, signed tokens, private keys, passwords in URLs."""

from collections.abc import Iterator

from gimbal.engines.text.matching import matches, pattern
from gimbal.engines.text.model import Detector, Extent

_PREFIXED = (
    r"sk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,200}",  # OpenAI, OpenRouter, DeepSeek
    r"sk-ant-[A-Za-z0-9_-]{20,200}",  # Anthropic
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{50,255}",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{20,300}",  # GitLab
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"GOCSPX-[A-Za-z0-9_-]{28}",  # Google
    r"ya29\.[A-Za-z0-9_-]{20,500}",  # Google
    r"xox[abeoprs]-[A-Za-z0-9-]{10,250}",  # Slack
    r"xapp-\d-[A-Za-z0-9-]{10,250}",  # Slack
    r"hooks\.slack\.com/services/[A-Za-z0-9/_-]{20,100}",  # Slack
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,250}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{20,100}",  # Stripe
    r"hf_[A-Za-z0-9]{30,50}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",  # npm
    r"pypi-[A-Za-z0-9_-]{50,500}",  # PyPI
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",  # SendGrid
    r"gsk_[A-Za-z0-9]{40,80}",  # Groq
    r"xai-[A-Za-z0-9]{60,120}",  # xAI
    r"r8_[A-Za-z0-9]{37}",  # Replicate
    r"pplx-[A-Za-z0-9]{40,64}",  # Perplexity
    r"dop_v1_[a-f0-9]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
    r"dapi[a-f0-9]{32}",  # Databricks
    r"lsv2_(?:pt|sk)_[A-Za-z0-9_]{32,80}",  # LangSmith
    r"(?:sk|pk)-lf-[a-f0-9-]{30,50}",  # Langfuse
    r"hvs\.[A-Za-z0-9_-]{24,250}",  # Vault
    r"gk_[A-Za-z0-9]{43}",  # Gimbal
)
_prefixed = pattern(rf"\b(?:{'|'.join(_PREFIXED)})")
# Of any length, so no match of it may be refused and read again.
_signed = pattern(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")
_rest = pattern(r"[A-Za-z0-9_-]*")
_in_url = pattern(r"[a-z][a-z0-9+.-]{1,20}://[^\s/@:\"'<>]{0,100}:([^\s/@\"'<>]{1,200})@")
_begin = pattern(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_end = pattern(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# What is left of a key whose end was cut off: headers, and lines of base64.
_body = pattern(
    r"(?:\s+[A-Za-z-]{1,20}: [A-Za-z0-9,-]{1,100})*(?:\s+[A-Za-z0-9+/=]{16,})*(?:\s+[A-Za-z0-9+/=]{1,15}\s*\z)?"
)
_RULE = b"-----"
# A name that only begins as a key does: `sk-learn-style-names-of-things`.
_named = pattern(r"^sk-[a-z-]+\z")
# A placeholder is no password: `https://user:<password>@host` is kept out by the pattern, these here by name.
_PLACEHOLDERS = frozenset({b"password", b"pass", b"xxx", b"***", b"****", b"$password", b"${password}", b"{password}"})


def _any(extent: Extent) -> bool:
    return True


def _accept(data: bytes, extent: Extent) -> bool:
    text = data[extent.start : extent.end]
    return _named.search(text) is None and data[max(0, extent.start - 1) : extent.start] != b"-"


def find_prefixed(data: bytes) -> Iterator[Extent]:
    """Yield keys and tokens with a known prefix."""
    yield from matches(_prefixed, data, lambda extent: _accept(data, extent), rest=_rest)
    yield from matches(_signed, data, _any)


def find_in_urls(data: bytes) -> Iterator[Extent]:
    """Yield the passwords in URLs."""
    return matches(_in_url, data, lambda e: data[e.start : e.end].lower() not in _PLACEHOLDERS, group=1)


def find_private_keys(data: bytes) -> Iterator[Extent]:
    """Yield private keys in PEM from their first line to their last, or as far as they go."""
    at = 0
    while (begun := _begin.search(data, at)) is not None:
        start, at = begun.span()
        rule = data.find(_RULE, at)
        ended = _end.match(data, rule) if rule >= 0 else None
        at = ended.end() if ended else _body.match(data, at).end()
        yield Extent(start, at)


def find(data: bytes) -> Iterator[Extent]:
    """Yield all of these; a password in a URL may have a prefix, too."""
    yield from find_private_keys(data)
    yield from find_prefixed(data)
    yield from find_in_urls(data)


_gate = pattern(
    r"-----BEGIN|://|sk-|[sr]k_|pk[_-]|A[KSBC]IA|ACCA|gh[pousr]_|github_pat|gl[a-z]{2,5}-|AIza|GOCSPX|ya29|xox|xapp|hooks\.slack"
    r"|whsec_|hf_|npm_|pypi-|SG\.|gsk_|xai-|r8_|pplx-|dop_|shp|dapi|lsv2_|hvs\.|gk_|eyJ"
)

SECRET = Detector(
    name="known_secret",
    kind="secret",
    family="secret",
    description="keys and tokens by their issuers' prefixes, JWTs, private keys, passwords in URLs",
    rank=90,
    gate=_gate.search,
    find=find,
)

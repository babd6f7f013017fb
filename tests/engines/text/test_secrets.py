"""Secrets: keys by their prefix, private keys, passwords in URLs, and what looks random behind a word.

Keys are put together here from a prefix and random characters, so that no scanner takes this file for a leak.
"""

import random
import string
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gimbal.engines.text.registry import DETECTORS, chosen
from gimbal.engines.text.scanner import Scanner

LETTERS = string.ascii_letters + string.digits
ALL = Scanner(chosen(["secret"]))
PREFIXED, RANDOM = Scanner([DETECTORS["known_secret"]]), Scanner([DETECTORS["random_secret"]])
rng = random.Random(7)


def drawn(count: int, alphabet: str = LETTERS) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def part(text: str) -> str:
    """Return a part of a JSON web token as its senders write it."""
    return f"ey{'J'}{text}"


KEYS = {
    "openai": "sk-" + drawn(48),
    "openai-project": "sk-" + "proj-" + drawn(60) + "_-" + drawn(40),
    "anthropic": "sk-" + "ant-api03-" + drawn(93) + "AA",
    "aws": "AKIA" + drawn(16, string.ascii_uppercase + "234567"),
    "github": "ghp" + "_" + drawn(36),
    "github-fine": "github" + "_pat_" + drawn(22) + "_" + drawn(59),
    "gitlab": "glpat" + "-" + drawn(20),
    "google": "AIza" + drawn(35),
    "slack": "xoxb" + "-" + drawn(12, string.digits) + "-" + drawn(24),
    "stripe": "sk" + "_live_" + drawn(24),
    "huggingface": "hf" + "_" + drawn(34),
    "npm": "npm" + "_" + drawn(36),
    "pypi": "pypi" + "-AgEIcHlwaS5vcmc" + drawn(80),
    "gimbal": "gk" + "_" + drawn(43),
    "jwt": ".".join([part(drawn(20)), part(drawn(60)), drawn(43)]),
    "groq": "gsk" + "_" + drawn(52),
    "langfuse": "sk" + "-lf-" + str(uuid.UUID(int=rng.getrandbits(128))),
}


@pytest.mark.parametrize("issuer", sorted(KEYS))
def test_keys_are_found_by_their_prefix(issuer: str) -> None:
    """In a header, a shell, JSON, a sentence and an address; nothing of them is left."""
    key = KEYS[issuer]

    for around in (
        "{}",
        "Authorization: Bearer {}",
        "export KEY='{}'",
        '{{"api_key":"{}"}}',
        "use {}, please",
        "?key={}&a=1",
    ):
        assert key not in ALL.redact(around.format(key)).text
        found = PREFIXED.find(around.format(key))
        assert [around.format(key)[one.start : one.end] for one in found] == [key]
        assert found[0].kind == "secret"


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut off"])
@pytest.mark.parametrize("escaped", [False, True], ids=["lines", "escaped"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_private_keys_are_found_whole(kind: str, *, escaped: bool, cut: bool) -> None:
    """From BEGIN to END, also as JSON escapes them, and what is left of one that was cut off."""
    made = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    pem = pem.strip()[: len(pem) // 2] if cut else pem.strip()
    written = pem.replace("\n", "\\n") if escaped else pem

    assert PREFIXED.redact(f"key: {written}").text == "key: [secret]"
    assert PREFIXED.redact(f"-----BEGIN PUBLIC KEY-----\n{drawn(60)}").counts == {}


def test_passwords_in_addresses_are_found() -> None:
    """The password alone, so that the host can still be read."""
    text = "postgresql://gimbal:s3cr3t-pw@db.internal:5432/x and redis://:hunter2@cache/0"

    assert PREFIXED.redact(text).text == "postgresql://gimbal:[secret]@db.internal:5432/x and redis://:[secret]@cache/0"
    assert PREFIXED.redact("https://example.com:8080/a@b http://user@host/").counts == {}


@pytest.mark.parametrize(
    "word", ["api_key", "apiKey", "X-Api-Key", "access_token", "client_secret", "AWS_SECRET_ACCESS_KEY", "token"]
)
def test_random_values_behind_a_word_are_found(word: str) -> None:
    """However word and value are joined, for letters of many sizes and for hexadecimal."""
    for value in (
        drawn(20),
        drawn(32),
        drawn(40, LETTERS + "+/"),
        drawn(32, "0123456789abcdef"),
        drawn(64, "0123456789abcdef"),
    ):
        for text in (
            f"{word}={value}",
            f"{word}: {value}",
            f'"{word}": "{value}"',
            f"{word} = '{value}'",
            f"{word} is {value}",
        ):
            assert value not in RANDOM.redact(text).text, text


def test_passwords_are_found_though_they_are_short() -> None:
    """Two kinds of characters with a digit; a word alone is none."""
    assert RANDOM.redact("password: Tr0ub4dor&3").text == "password: [secret]"
    assert RANDOM.redact('{"password": "hunter2!x"}').text == '{"password": "[secret]"}'


@pytest.mark.parametrize(
    "text",
    [
        "the key to success is perseverance",
        "max_tokens: 1024, total_tokens=123456789012345678",
        "token_count=1714557600123456",
        "key: some-long-kebab-case-name-of-a-thing",
        "key: generate-report-for-customer-22",
        "token: SELECT_SOMETHING_FROM_SOMEWHERE",
        "primary_key: 4bf92f3577b34da6a3ce929d0e0e4736",
        "cache_key=4bf92f3577b34da6a3ce929d0e0e4736",
        "key=550e8400-e29b-41d4-a716-446655440000",
        "tokenizer=gpt-4o-mini-2024-07-18",
        "token limit of gpt-4-turbo-2024-04-09",
        "password: required",
        "the password must have at least 12 characters",
        "secretary: Margaret Hamilton",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
        "git commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "sk-learn-style-names-of-things-that-are-long",
        "task-sk-abcdefghijklmnopqrstuvwxyz0",
        "npm_config_cache hf_hub_download gk_short eyJ",
        "keys: 2024-05-01T10:00:00Z 1.2.3.4",
        "monkey: 0.12345678901234567",
        "https://example.com/a:b/c@d",
        "result_key: ServerlessV2PlatformVersions",
        "'CopySourceSSECustomerKeyMD5': 'SSECustomerKeyMD5'",
        "user, _, password = base64.b64decode(text).partition(b':')",
    ],
)
def test_words_without_a_secret_stay(text: str) -> None:
    """Sentences about keys and tokens, counts, names of models, hashes and ids of spans."""
    assert ALL.redact(text).text == text


def test_long_values_are_found_to_their_end() -> None:
    """A token may be longer than the pattern that knows its beginning."""
    long = drawn(3000)

    assert ALL.redact(f"secret={long} done").text == "secret=[secret] done"
    assert ALL.redact(f"{'sk'}-{long} done").text == "[secret] done"
    assert ALL.redact(f"password={long}! done").text == "password=[secret] done"


def test_hashes_without_a_word_stay() -> None:
    """Two thousand random digests, ids and names: none is taken for a secret."""
    texts = [
        f"digest {rng.getrandbits(256):064x} trace {rng.getrandbits(128):032x} {uuid.UUID(int=rng.getrandbits(128))}"
        for _ in range(2000)
    ]

    assert [text for text in texts if ALL.find(text)] == []

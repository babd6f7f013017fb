"""Keys of Amazon's that end: those of a container, of a machine, of a profile's file, and of a role that is assumed."""

import asyncio
import configparser
import re
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec

from gimbal.engines.http.model import Client
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers.upstreams.aws import AwsKey, host_of, signed
from gimbal.generative.gateway.providers.upstreams.identities import text_of
from gimbal.generative.gateway.providers.upstreams.renewing import FORM, Desk, Lent, Renewing, element
from gimbal.kernel.errors import ConfigurationError, Upstream
from gimbal.kernel.settings_gateway import ProviderSettings

_METADATA = "http://169.254.169.254"
_SESSION = "gimbal"
_LIFE_S = 3600
_REREAD_S = 300.0
"""Seconds after which a profile's file is read again: whoever renews its keys writes them there."""
_ROLE = re.compile(r"arn:aws[a-z0-9-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_SESSIONS = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_ENDED = ("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient")


class Holder(Protocol):
    """Whoever has a key of Amazon's."""

    @property
    def held(self) -> AwsKey | None:
        """The key that was used last."""
        ...

    async def current(self) -> AwsKey:
        """Return a key that is good for a while."""
        ...

    def forget(self, what: AwsKey) -> None:
        """Look for another one the next time: this one was refused."""
        ...


class Fixed(NamedTuple):
    """A key that does not change."""

    held: AwsKey

    async def current(self) -> AwsKey:
        """Return it."""
        return self.held

    def forget(self, what: AwsKey) -> None:
        """Keep it: there is no other."""


class _Told(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str = ""
    expiration: datetime | None = None

    def __repr__(self) -> str:
        return "_Told(***)"

    def lent(self, now: float) -> Lent[AwsKey]:
        ends = self.expiration.timestamp() if self.expiration else now + _LIFE_S
        return Lent(AwsKey(self.access_key_id, self.secret_access_key, self.token), ends)


class ContainerKeys(Renewing[AwsKey]):
    """The keys of a container's task or pod."""

    def __init__(self, settings: ProviderSettings, key: Secret, client: Client) -> None:
        super().__init__(settings.name)
        if not settings.metadata_url:
            raise ConfigurationError(
                f"The provider {settings.name!r} does not know where its container is told who it is.",
                where="metadata_url",
                todo="Run in a task with a role, where AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set, or give it.",
            )
        self._file, self._key = settings.identity_file, key
        self._desk = Desk(client, settings.metadata_url, name=self.name, what="key of its task", where="metadata_url")

    async def fetch(self) -> Lent[AwsKey]:
        """Return another key; raise Upstream where none is given."""
        proof = self._key.reveal()
        if self._file:
            proof = await asyncio.to_thread(text_of, self._file, name=self.name, where="identity_file")
        headers = [(b"authorization", proof.encode())] if proof else []
        todo = "Check that the task has a role."
        raw = await self._desk.ask(b"GET", "", headers, todo=todo, hidden=[proof])
        return self._desk.read(raw, _Told).lent(self._now())


class InstanceKeys(Renewing[AwsKey]):
    """The keys of a machine's role, by the second version of its metadata service."""

    def __init__(self, settings: ProviderSettings, client: Client) -> None:
        super().__init__(settings.name)
        url = settings.metadata_url or _METADATA
        self._desk = Desk(client, url, name=self.name, what="key of this machine", where="metadata_url")

    async def fetch(self) -> Lent[AwsKey]:
        """Return another key; raise Upstream where none is given."""
        todo = "Check that this machine is one of Amazon's, has a role, and that containers may reach its metadata."
        life = [(b"x-aws-ec2-metadata-token-ttl-seconds", b"300")]
        session = await self._desk.ask(b"PUT", "/latest/api/token", life, todo=todo)
        headers = [(b"x-aws-ec2-metadata-token", session.strip())]
        place = "/latest/meta-data/iam/security-credentials/"
        hidden = [session.decode("latin-1")]
        roles = await self._desk.ask(b"GET", place, headers, todo=todo, hidden=hidden)
        role = roles.decode("utf-8", "replace").strip().partition("\n")[0].strip()
        raw = await self._desk.ask(b"GET", place + quote(role, safe=""), headers, todo=todo, hidden=hidden)
        return self._desk.read(raw, _Told).lent(self._now())


class ProfileKeys(Renewing[AwsKey]):
    """The keys of a profile, which are read again now and then."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings.name)
        self._profile = settings.profile or "default"
        self._path = settings.identity_file or "~/.aws/credentials"

    async def fetch(self) -> Lent[AwsKey]:
        """Return the key that stands there; raise ConfigurationError where none does."""
        return Lent(await asyncio.to_thread(self._read), self._now() + _REREAD_S)

    def _read(self) -> AwsKey:
        text = text_of(self._path, name=self.name, where="identity_file")
        found = configparser.RawConfigParser(strict=False, default_section="\0")
        try:
            found.read_string(text)
        except configparser.Error:
            raise self._no("cannot be read", "Write it as Amazon's own tools do.") from None
        for section in (self._profile, f"profile {self._profile}"):
            if not found.has_section(section):
                continue
            row = {name: value.strip() for name, value in found.items(section) if value}
            key, secret = row.get("aws_access_key_id", ""), row.get("aws_secret_access_key", "")
            if key and secret:
                return AwsKey(key, secret, row.get("aws_session_token", ""))
            raise self._no(
                f"has no keys in {self._profile!r}",
                "Name a profile with aws_access_key_id and aws_secret_access_key; a role is given by `role`.",
            )
        raise self._no(f"has no profile {self._profile!r}", "Check profile.")

    def _no(self, what: str, todo: str) -> ConfigurationError:
        return ConfigurationError(f"{self.name}: the file {self._path!r:.200} {what}.", where="profile", todo=todo)


class RoleKeys(Renewing[AwsKey]):
    """The keys of a role that is assumed, by another key or by a web identity's token."""

    def __init__(self, settings: ProviderSettings, base: Holder | None, client: Client) -> None:
        super().__init__(settings.name)
        for field, known, value in (
            ("role", _ROLE, settings.role),
            ("session_name", _SESSIONS, settings.session_name or _SESSION),
        ):
            if not known.fullmatch(value):
                raise ConfigurationError(
                    f"The {field} of the provider {settings.name!r} cannot be one.",
                    where=field,
                    todo="A role is arn:aws:iam::123456789012:role/name, a session's name 2 to 64 letters and digits.",
                )
        self._settings = settings
        self._base = base
        host = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
        url = settings.token_url or f"https://sts.{settings.region}.{host}"
        self._desk = Desk(client, url, name=self.name, what="key of its role", where="token_url")

    async def fetch(self) -> Lent[AwsKey]:
        """Return another key; raise Upstream where none is given."""
        base = self._base
        if base is None:
            path = self._settings.identity_file
            token = await asyncio.to_thread(text_of, path, name=self.name, where="identity_file")
            raw = await self._ask({"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": token}, None, [token])
            return self._lent(raw)
        form = {"Action": "AssumeRole"}
        if self._settings.external_id:
            form["ExternalId"] = self._settings.external_id
        key = await base.current()
        try:
            return self._lent(await self._ask(form, key, [key.session_token]))
        except Upstream as problem:
            if not any(word in problem.message for word in _ENDED):
                raise
            base.forget(key)
        key = await base.current()
        return self._lent(await self._ask(form, key, [key.session_token]))

    async def _ask(self, form: dict[str, str], key: AwsKey | None, hidden: list[str]) -> bytes:
        said = {
            "Version": "2011-06-15",
            "RoleArn": self._settings.role,
            "RoleSessionName": self._settings.session_name or _SESSION,
            "DurationSeconds": str(_LIFE_S),
        }
        body = urlencode(form | said).encode()
        headers = [FORM]
        if key is not None:
            origin = self._desk.origin
            headers = signed(
                key,
                method="POST",
                host=host_of(origin),
                target=self._desk.target,
                headers=headers,
                body=body,
                region=self._settings.region,
                service="sts",
                at=datetime.fromtimestamp(self._now(), UTC),
            )
        return await self._desk.ask(b"POST", "", headers, body, todo=self._todo, hidden=hidden)

    def _todo(self, raw: bytes) -> str:
        text = raw.decode("utf-8", "replace")
        if "AccessDenied" in text:
            return f"Let who asks assume {self._settings.role}: its trust policy must name them, and the external id."
        if "ExpiredToken" in text or "InvalidIdentityToken" in text:
            return "Check that the token or key is renewed where it is kept, and that this clock is right."
        return "Check role, region and the keys by which it is assumed."

    def _lent(self, raw: bytes) -> Lent[AwsKey]:
        text = raw.decode("utf-8", "replace")
        key, secret, token, ends = (
            element(text, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        )
        try:
            until = datetime.fromisoformat(ends).timestamp()
        except ValueError:
            until = 0.0
        if not (key and secret and token and until):
            raise self._desk.nothing()
        return Lent(AwsKey(key, secret, token), until)


def holder(settings: ProviderSettings, key: Secret, fixed: AwsKey | None, client: Client) -> Holder | None:
    """Return who has the key by which requests are signed; none where a key of Bedrock's own is sent instead."""
    base: Holder | None = Fixed(fixed) if fixed else None
    if settings.identity == "container":
        base = ContainerKeys(settings, key, client)
    elif settings.identity == "instance":
        base = InstanceKeys(settings, client)
    elif settings.identity == "profile":
        base = ProfileKeys(settings)
    if not settings.role:
        return base
    if base is None and settings.identity != "web":
        raise ConfigurationError(
            f"The provider {settings.name!r} has no key of Amazon's by which its role is assumed.",
            where="role",
            todo="Give an access key, or an identity; a key of Bedrock's own assumes no role.",
        )
    return RoleKeys(settings, base, client)

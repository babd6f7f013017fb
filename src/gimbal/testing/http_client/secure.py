"""TLS: whom a client believes, and what it says when it does not."""

import asyncio
import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gimbal.engines.http.model import TooSlow, Unreachable
from gimbal.engines.http.pool import Limits
from gimbal.kernel.settings import MIB
from gimbal.testing.http_client.server import (
    OK,
    PATIENT,
    OpenClient,
    Peer,
    always,
    asked,
    fetched,
    opened,
    serving,
    sockets,
    until,
)
from gimbal.testing.promise import promise, refuses

_DAY = timedelta(days=1)


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """An authority of certificates in a folder, for tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = _signed("an authority of tests", (), None, (-_DAY, _DAY))
        self.file = str(folder / "authority.pem")
        """What who trusts it names."""
        Path(self.file).write_bytes(_pem(self._own.certificate))

    def context(self, *names: str, signed: bool = True, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
        """Return what a server of these names shows, from one day to another; itself signed by nobody when not `signed`."""
        pair = _signed(names[0], names, self._own if signed else None, (_DAY * days[0], _DAY * days[1]))
        path = self._folder / f"server-{pair.certificate.serial_number}.pem"
        secret = pair.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(secret + _pem(pair.certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _signed(title: str, names: tuple[str, ...], by: _Pair | None, days: tuple[timedelta, timedelta]) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    now = datetime.now(UTC)
    issuer = by.certificate.subject if by else subject
    signer = by.key if by else key
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0])
        .not_valid_after(now + days[1])
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
    return _Pair(built.sign(signer, hashes.SHA256()), key)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


async def check_tls(open_client: OpenClient) -> None:
    """Check that a server whose certificate holds is spoken to, and any other is unreachable."""
    before = sockets()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        await _speaks(open_client, authority)
        untrusted: tuple[tuple[str, ssl.SSLContext, str, str], ...] = (
            ("expired", authority.context("localhost", days=(-3, -1)), authority.file, "expired"),
            ("not valid yet", authority.context("localhost", days=(1, 3)), authority.file, "not yet valid"),
            ("that it signed itself", authority.context("localhost", signed=False), authority.file, "self-signed"),
            ("of another host", authority.context("example.org"), authority.file, "mismatch"),
            ("of an authority that nobody knows", authority.context("localhost"), "", "issuer"),
        )
        for what, context, ca_file, words in untrusted:
            async with serving(always(OK), tls=context, host="localhost") as server:
                async with opened(open_client, ca_file=ca_file) as client:
                    try:
                        await fetched(client, server)
                    except Unreachable as problem:
                        promise(words in problem.message, f"It is told that a certificate is {what}: {problem}.")
                    else:
                        raise AssertionError(f"A server with a certificate {what} is not believed.")
                promise(server.requests == [], f"Nothing is sent to a server with a certificate {what}.")
        await _no_tls(open_client, authority)
    await until(lambda: sockets() <= before, f"No socket is left: {sockets()} are open, and {before} were.")


async def _speaks(open_client: OpenClient, authority: Authority) -> None:
    called: list[str | None] = []
    context = authority.context("localhost", "127.0.0.1")
    context.sni_callback = lambda _socket, name, _context: called.append(name)
    async with serving(always(OK), tls=context, host="localhost") as server:
        async with opened(open_client, ca_file=authority.file) as client:
            for _ in range(3):
                promise(await fetched(client, server, method=b"POST", body=b"{}") == b"ok", "TLS is spoken.")
            promise(server.connections == 1, "A connection over TLS is kept.")
        promise(called == ["localhost"], f"The server learns the name by which it was called: {called}.")
        await until(lambda: server.open == 0, "It is closed with the client.")
    large = bytes(range(256)) * (16 * MIB // 256)

    async def echo(peer: Peer) -> None:
        body = (await peer.request()).body
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    async with serving(echo, tls=context) as server, opened(open_client, ca_file=authority.file) as client:
        promise(
            await fetched(client, server, method=b"POST", body=large) == large, "A large body goes and comes over TLS."
        )
        async with asked(client, server, method=b"POST", body=large) as answer:
            read = 0
            async for chunk in answer.chunks():
                if not read:
                    await asyncio.sleep(0.3)
                read += len(chunk)
        promise(read == len(large), "It can be read slowly.")
        async with asked(client, server, method=b"POST", body=large) as answer:
            async for _ in answer.chunks():
                break
        await until(lambda: server.open == 0, "An answer that is left in the middle closes a connection over TLS too.")


async def _no_tls(open_client: OpenClient, authority: Authority) -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def leaves(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.reset()

    for script, words in ((plain, "A server without TLS"), (leaves, "A server that leaves in the handshake")):
        async with serving(script) as server, opened(open_client, ca_file=authority.file) as client:
            server.origin = server.origin._replace(scheme="https")
            with refuses(Unreachable, f"{words} is unreachable by https."):
                await fetched(client, server)
            await until(lambda server=server: server.open == 0, f"The connection to it is closed ({words}).")
    async with serving(silent) as server, opened(open_client, Limits(connections=1), ca_file=authority.file) as client:
        server.origin = server.origin._replace(scheme="https")
        try:
            await fetched(client, server, deadlines=PATIENT._replace(connect_s=0.2))
        except TooSlow as problem:
            promise(problem.phase == "connect", "The handshake belongs to the connection.")
        else:
            raise AssertionError("A handshake that hangs ends with the connect deadline.")
        task = asyncio.ensure_future(fetched(client, server))
        await until(lambda: server.open == 1, "Another handshake begins.")
        task.cancel()
        await asyncio.wait({task})
        promise(task.cancelled(), "A handshake can be cancelled.")
        await until(lambda: server.open == 0, "Handshakes that were given up leave no connection.")

"""A store as deploy/ sets it up: one user per service, with a password of its own; by TLS where asked."""

from __future__ import annotations

import datetime
import ipaddress
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.redis.users import SERVICES
from sluicegate.dev.embedded_store import free_port, server_binary
from sluicegate.dev.tethered import tethered
from tests.support import tools
from tests.support.wait import until_sync

REDIS_FOLDER = Path(__file__).parents[2] / "deploy/redis"
ADMIN = "the-password-of-the-tests"


class Secured(NamedTuple):
    """folder: has `passwords/<service>`; with TLS the certificates `ca`, `server`, `client`, `stranger`."""

    folder: Path
    port: int
    tls: bool

    def settings(self, service: str) -> dict[str, str]:
        """What a service is told of it, without the prefix."""
        scheme = "rediss" if self.tls else "redis"
        told = {
            "REDIS_URL": f"{scheme}://sluicegate_{service}@127.0.0.1:{self.port}/0",
            "REDIS_PASSWORD_FILE": str(self.folder / "passwords" / service),
        }
        if self.tls:
            told |= {
                "REDIS_CA_FILE": str(self.folder / "ca.pem"),
                "REDIS_CERT_FILE": str(self.folder / "client.pem"),
                "REDIS_KEY_FILE": str(self.folder / "client.key"),
            }
        return told

    def client(self, user: str, password: str) -> redis.Redis:
        certificates = {
            "ssl": True,
            "ssl_ca_certs": str(self.folder / "ca.pem"),
            "ssl_certfile": str(self.folder / "client.pem"),
            "ssl_keyfile": str(self.folder / "client.key"),
        }
        return redis.Redis(
            host="127.0.0.1", port=self.port, username=user, password=password, protocol=2,
            decode_responses=True, **(certificates if self.tls else {}),
        )  # fmt: skip

    def admin(self) -> redis.Redis:
        return self.client("admin", ADMIN)

    def user(self, service: str) -> redis.Redis:
        return self.client(f"sluicegate_{service}", (self.folder / "passwords" / service).read_text())


@contextmanager
def secured(folder: Path, kind: str, *, tls: bool = False) -> Iterator[Secured]:
    """kind: `valkey` (the embedded binary has no TLS) or `redis`."""
    binary = tools.require("redis-server") if kind == "redis" else str(server_binary())
    store = Secured(folder, free_port(), tls)
    (folder / "passwords").mkdir()
    for service in SERVICES:
        (folder / "passwords" / service).write_text(f"password-of-{service}")
    rules = subprocess.run(
        [REDIS_FOLDER / "users-with-passwords.sh", REDIS_FOLDER / "users.acl", folder / "passwords"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (folder / "users.acl").write_text(f"{rules}user admin on >{ADMIN} ~* &* +@all\n")
    words = [
        "--dir",
        str(folder),
        "--save",
        "",
        "--bind",
        "127.0.0.1",
        "--aclfile",
        str(folder / "users.acl"),
    ]
    if tls:
        certificates(folder)
        words += ["--port", "0", "--tls-port", str(store.port), "--tls-ca-cert-file", str(folder / "ca.pem")]
        words += ["--tls-cert-file", str(folder / "server.pem"), "--tls-key-file", str(folder / "server.key")]
    else:
        words += ["--port", str(store.port)]
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            tethered([binary, *words], end_with=signal.SIGTERM),
            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        until_sync(lambda: _answers(store), "the store answers")
        yield store
    finally:
        process.terminate()
        process.wait(10)


def _answers(store: Secured) -> bool:
    with store.admin() as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def certificates(folder: Path) -> None:
    """An authority; certificates of it for the store at 127.0.0.1 and for clients; and a stranger's."""
    ca_key, ca = _signed("authority", None)
    _write(folder, "ca", ca_key, ca)
    _write(folder, "server", *_signed("store", (ca_key, ca)))
    _write(folder, "client", *_signed("service", (ca_key, ca)))
    _write(folder, "stranger", *_signed("stranger", None))


Signer = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _signed(name: str, by: Signer | None) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[1].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if by:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by[0].public_key())
        builder = builder.add_extension(issuer, critical=False)
    if name == "store":
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return key, builder.sign(by[0] if by else key, hashes.SHA256())


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

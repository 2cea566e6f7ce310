"""TLS in front of a PostgreSQL server without TLS: PostgreSQL's own handshake with real certificates."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_REFUSAL = b'SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for host "127.0.0.1", no encryption\0\0'


@dataclass(frozen=True)
class Authority:
    """Signs certificates and stores them as files in a folder. `file` is its own certificate."""

    folder: Path
    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.file.write_bytes(self._sign(self.name, self.key, [], is_authority=True))

    @property
    def file(self) -> Path:
        """Return its own certificate."""
        return self.folder / f"{self.name}.crt"

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Return the files of a certificate for `hosts`, names or addresses, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(self._sign(name, key, list(hosts), is_authority=False))
        pem = serialization.Encoding.PEM
        shape = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(pem, shape, serialization.NoEncryption()))
        key_file.chmod(0o600)
        return certificate, key_file

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, hosts: list[str], *, is_authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Proxy:
    """A TLS proxy that listens on `port`. `encrypted` counts its encrypted connections."""

    port: int
    encrypted: int = 0


@contextlib.contextmanager
def tls_front(
    server_port: int, certificate: Path, key: Path, *, clients_signed_by: Path | None = None
) -> Generator[Proxy, None, None]:
    """Serve TLS for the server on `server_port`. Clients without encryption or without a certificate are refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients_signed_by is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_signed_by)
    listener = socket.create_server(("127.0.0.1", 0))
    front = Proxy(port=int(listener.getsockname()[1]))
    threading.Thread(target=_accept, args=(listener, server_port, context, front), daemon=True).start()
    try:
        yield front
    finally:
        # Wakes the thread that accepts; closing alone would not.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _accept(listener: socket.socket, server_port: int, context: ssl.SSLContext, front: Proxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, server_port, context, front), daemon=True).start()


def _serve(client: socket.socket, server_port: int, context: ssl.SSLContext, front: Proxy) -> None:
    with contextlib.suppress(OSError), client:
        if client.recv(8, socket.MSG_WAITALL) != _SSL_REQUEST:
            client.sendall(b"E" + (len(_REFUSAL) + 4).to_bytes(4, "big") + _REFUSAL)
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as encrypted:
            front.encrypted += 1
            with socket.create_connection(("127.0.0.1", server_port)) as server:
                back = threading.Thread(target=_copy, args=(server, encrypted), daemon=True)
                back.start()
                _copy(encrypted, server)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)

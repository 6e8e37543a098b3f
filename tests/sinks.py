"""Servers that take notices: HTTP and mail, on this machine, on ports of their own."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.ports import free_ports


class Web(ThreadingHTTPServer):
    """Keeps each body that is posted to it; answers with `status`, or not before `released`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: list[dict] = []
        self.paths: list[str] = []
        self.status = 200
        self.hangs = False
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/T0/B0/secret-of-the-hook"

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]


class _Taking(BaseHTTPRequestHandler):
    server: Web

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hangs:
            self.server.released.wait(60)
            return
        self.server.paths.append(self.path)
        if self.server.status == 200:
            self.server.bodies.append(json.loads(body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web() -> Iterator[Web]:
    server = Web()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


class Mails:
    """The mail that was taken, and the accounts that signed in."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.accounts: list[str] = []
        self.port = free_ports()

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.taken.append(mail)
        return "250 OK"

    def authenticate(self, server, session, envelope, mechanism, data) -> AuthResult:
        self.accounts.append(data.login.decode())
        return AuthResult(success=data.password == b"secret-of-the-mail", handled=False)

    @property
    def texts(self) -> list[str]:
        return [mail.get_content() for mail in self.taken]


class Encrypted(Controller):
    """Speaks TLS at once; aiosmtpd's own first connection would take the server's certificate."""

    def _trigger_server(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain) as client,
        ):
            client.recv(100)


@contextmanager
def mail_server(certificate: Path | None = None, *, tls: bool = False) -> Iterator[Mails]:
    """Plain; with a certificate it demands STARTTLS and a sign-in, or speaks TLS at once."""
    mails = Mails()
    options: dict = {}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        options = {
            "authenticator": mails.authenticate,
            "auth_required": True,
            **({"ssl_context": context} if tls else {"tls_context": context}),
            **({"auth_require_tls": False} if tls else {"require_starttls": True}),
        }
    kind = Encrypted if tls else Controller
    controller = kind(mails, hostname="127.0.0.1", port=mails.port, ready_timeout=60, **options)
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


def write_certificate(path: Path) -> None:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

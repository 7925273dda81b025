"""A TLS endpoint that gives tokens as Entra ID does, one that gives ID tokens as GitHub does.

The wire is that of STUDIO_PROTOCOL.md §7.3, the certificate one of a CA made here.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scripted_server import Answer, Heard, Server, StandIn, handler

ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOiJpZCJ9.c2lnbmF0dXJl"
DISCOVERY = "/v2.0/.well-known/openid-configuration"


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )


def given(token: str, expires_in: Any = 3600) -> Answer:
    """What the authority says when it gives a token."""
    return answer({"token_type": "Bearer", "expires_in": expires_in, "access_token": token})


def turned_down(code: str, words: str, status: int = 401) -> Answer:
    return answer({"error": code, "error_description": f"{words}\r\nTrace ID: 1"}, status)


class Authority:
    """Numbers its tokens; `reply` is what it says instead, per request for a token."""

    def __init__(self, stand_in: StandIn) -> None:
        self.url = stand_in.url
        self.asked: list[dict[str, str]] = []  # the form of each request for a token
        self.id_tokens: list[Heard] = []  # each request for an ID token
        self.expires_in: Any = 3600
        self.reply: Callable[[dict[str, str]], Answer] = self.token
        self.id_reply: Callable[[], Answer] = lambda: answer({"count": 1, "value": ID_TOKEN})
        stand_in.respond = self._respond

    def token(self, _: dict[str, str]) -> Answer:
        return given(f"access-canary-{len(self.asked)}", self.expires_in)

    def _respond(self, heard: Heard) -> Answer:
        if heard.path.startswith("/idtoken"):
            self.id_tokens.append(heard)
            return self.id_reply()
        if heard.path.endswith(DISCOVERY):
            return self._discovery(heard.path.removesuffix(DISCOVERY))
        self.asked.append({k: v for k, (v, *_) in parse_qs(heard.body.decode()).items()})
        return self.reply(self.asked[-1])

    def _discovery(self, tenant: str) -> Answer:
        at = f"{self.url}{tenant}"
        return answer(
            {
                "token_endpoint": f"{at}/oauth2/v2.0/token",
                "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
                "issuer": f"{at}/v2.0",
            }
        )


@contextmanager
def authority(certificate: Path) -> Iterator[Authority]:
    """One that listens on https://localhost."""
    stand_in = StandIn()
    server = Server(("127.0.0.1", 0), handler(stand_in))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    stand_in.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Authority(stand_in)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificates(folder: Path) -> tuple[Path, Path]:
    """A CA's certificate, and a certificate of localhost with its key, as files."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    ca = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        _builder(name, ca_name, key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem) + secret)
    return folder / "ca.pem", folder / "server.pem"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )

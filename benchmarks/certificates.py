"""Certificates of a server on the loopback, made anew for each run, as long and of the same kind as Lambda's."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, slots=True)
class Certificates:
    """A server's chain, and who issued it.

    Attributes:
        server: the server's certificate, the intermediate's and the private key, in one file.
        root: the authority alone.
        bundle: the authority, after those that this machine trusts: what a program reads that names no file.
    """

    server: Path
    root: Path
    bundle: Path

    @classmethod
    def made_in(cls, folder: Path) -> Self:
        """RSA of 2,048 bits and SHA-256 throughout, and one intermediate, as of Amazon's own authorities."""
        folder.mkdir(exist_ok=True)
        root, middle, server = (_Key(name) for name in ("root", "intermediate", "127.0.0.1"))
        own, above = root.signed_by(root, authority=True), middle.signed_by(root, authority=True)
        chain = [server.signed_by(middle, authority=False), above]
        found = cls(folder / "server.pem", folder / "root.pem", folder / "bundle.pem")
        found.server.write_bytes(b"".join(_pem(one) for one in chain) + server.pem())
        found.root.write_bytes(_pem(own))
        known = ssl.create_default_context().get_ca_certs(binary_form=True)
        found.bundle.write_text(
            "".join(ssl.DER_cert_to_PEM_cert(one) for one in known) + found.root.read_text(encoding="ascii"),
            encoding="ascii",
        )
        return found


class _Key:
    def __init__(self, name: str) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def signed_by(self, issuer: _Key, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        own, its = self._key.public_key(), issuer._key.public_key()
        made = x509.CertificateBuilder(
            issuer._name,
            self._name,
            own,
            x509.random_serial_number(),
            now - timedelta(hours=1),
            now + timedelta(days=1),
        )
        for extension, critical in (  # Python 3.13 refuses certificates without these
            (x509.BasicConstraints(ca=authority, path_length=None), True),
            (_usage(authority=authority), True),
            (x509.SubjectKeyIdentifier.from_public_key(own), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(its), False),
        ):
            made = made.add_extension(extension, critical=critical)
        if not authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return made.sign(issuer._key, hashes.SHA256())

    def pem(self) -> bytes:
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)

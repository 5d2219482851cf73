"""Certificates for tests of TLS, made on the spot by the ``openssl`` program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate that vouches for itself, and its key."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Identity:
        """Make one for ``localhost`` with this common name."""
        made = cls(folder / f"{name}.pem", folder / f"{name}.key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", f"/O=Observatory/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
        command += ["-keyout", str(made.key), "-out", str(made.certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return made

    def server_context(self, trusted: Identity | None = None) -> ssl.SSLContext:
        """Return what a server needs to be this one; clients must be ``trusted``, if that is given."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        if trusted is not None:
            context.load_verify_locations(trusted.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, identity: Identity | None = None) -> ssl.SSLContext:
        """Return what a client needs to trust this server, and to be ``identity``."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

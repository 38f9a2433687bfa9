"""TLS to providers."""

import os
import ssl
from functools import lru_cache


def tls_context() -> ssl.SSLContext:
    """A context that trusts the certificate authorities of the machine, or of SSL_CERT_FILE."""
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    # Reading the authorities takes some 40 ms, and the same context serves all.
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

"""TLS to providers."""

import ssl


def tls_context() -> ssl.SSLContext:
    """A context that trusts the certificate authorities of the machine, or of SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

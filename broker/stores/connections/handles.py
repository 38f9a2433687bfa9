"""Random handles, of which only a hash is stored: states, codes, cookies."""

import hashlib

from broker.domain.model import Secret


def hash_of(handle: Secret) -> bytes:
    """What is stored for a random handle."""
    return hashlib.sha256(handle.reveal().encode("utf-8", "surrogatepass")).digest()

"""Redaction of log lines: fields that are named or look like a secret."""

import re
from functools import lru_cache
from typing import Any

SECRET_FIELD = re.compile(
    r"(?i)(authorization|token|secret|password|verifier|cookie|api[-_]?key|ciphertext|^code$|^state$)"
)
SECRET_TEXT = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=:-]{8,}"
    r"|\b(?:b[cskt]|c[os])_[0-9a-f]{32}[A-Za-z0-9._~+/=-]*"
    r"|([?&](?:code|state|token|access_token|refresh_token|client_secret|hapikey)=)[^&\s\"']+"
)
REDACTED = "[redacted]"


def scrub(value: Any, name: str = "") -> Any:
    """The value with everything that looks or is named like a secret replaced."""
    if isinstance(value, dict):
        return {key: scrub(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(inner, name) for inner in value]
    if SECRET_FIELD.search(name):
        return REDACTED
    if isinstance(value, str):
        return SECRET_TEXT.sub(lambda found: (found.group(1) or "") + REDACTED, value)
    return value


@lru_cache(maxsize=512)
def looks_secret(value: str) -> bool:
    """Whether a text holds something that looks like a secret."""
    return SECRET_TEXT.search(value) is not None

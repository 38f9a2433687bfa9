"""Value types for vendors whose API is called with an app's own credentials (OAuth 2.0 client
credentials, RFC 6749 section 4.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from broker.domain.model import Secret


@dataclass(frozen=True, slots=True)
class VendorAccount:
    """A client of a vendor's API and how many calls and tokens it may ask for in a minute."""

    workspace_id: UUID
    vendor: str
    title: str
    client_id: str
    client_secret: Secret
    calls_a_minute: int = 120
    tokens_a_minute: int = 30

    def limit(self, kind: str) -> int:
        return self.tokens_a_minute if kind == "token" else self.calls_a_minute


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A token endpoint's answer; lifetime in seconds. `scopes` is empty where it names none."""

    access_token: Secret
    lifetime: float
    scopes: tuple[str, ...] = ()


class TokenRefused(Exception):
    """The access token died before its time, as when its client is revoked; with the vendor's
    error.
    """

    def __init__(self, vendor_error: Mapping[str, Any]) -> None:
        super().__init__(vendor_error.get("error"))
        self.vendor_error = vendor_error


class Throttled(Exception):
    """A limit is reached; the vendor takes no call for so many seconds."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s

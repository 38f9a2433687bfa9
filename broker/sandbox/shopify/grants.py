"""Codes and tokens, and Shopify's rule for refresh tokens that were used before.

A used refresh token may be used again until the one that replaced it is used for the first time, at
most 30 days after its first use and never past its own 90 days (changelog of 2026-08-28). Whether
the older access token ends with a refresh is not published; here it lives to its end.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

CODE_LIFETIME_S = 60.0
GRACE_S = 30 * 86_400.0


@dataclass(slots=True)
class Code:
    """An authorization code, good once."""

    client_id: str
    shop: str
    scopes: list[str]
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class AccessToken:
    """An access token; `expires_at` None is a token that never ends."""

    token: str
    client_id: str
    shop: str
    scopes: list[str]
    expires_at: float | None
    calls: int = 0
    revoked: bool = False


@dataclass(slots=True)
class RefreshToken:
    """A refresh token, with the tokens that were issued for it."""

    token: str
    client_id: str
    shop: str
    scopes: list[str]
    expires_at: float
    parent: "RefreshToken | None" = None
    children: list["RefreshToken"] = field(default_factory=list)
    used_at: float | None = None
    dead: bool = False


class Grants:
    """Every code and token that was issued."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.codes: dict[str, Code] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}

    def issue_code(self, client_id: str, shop: str, scopes: list[str]) -> str:
        """A code, good for a minute."""
        code = secrets.token_hex(16)
        self.codes[code] = Code(client_id, shop, scopes, self._now() + CODE_LIFETIME_S)
        return code

    def redeem_code(self, text: str, client_id: str, shop: str) -> Code | None:
        """Use a code up. None when it is unknown, used, expired, or was issued to another app or
        shop.
        """
        code = self.codes.get(text)
        if code is None or code.used or code.expires_at <= self._now():
            return None
        if (code.client_id, code.shop) != (client_id, shop):
            return None
        code.used = True
        return code

    def issue_access(
        self, client_id: str, shop: str, scopes: list[str], lifetime: float | None
    ) -> AccessToken:
        """An access token; without a lifetime it never ends."""
        token = "shpat_" + secrets.token_hex(16)
        ends = None if lifetime is None else self._now() + lifetime
        self.access[token] = AccessToken(token, client_id, shop, list(scopes), ends)
        return self.access[token]

    def issue_refresh(
        self,
        client_id: str,
        shop: str,
        scopes: list[str],
        lifetime: float,
        parent: RefreshToken | None = None,
    ) -> RefreshToken:
        """A refresh token, which may replace another."""
        token = "shprt_" + secrets.token_hex(16)
        made = RefreshToken(token, client_id, shop, list(scopes), self._now() + lifetime, parent)
        self.refresh[token] = made
        if parent is not None:
            parent.children.append(made)
        return made

    def use_refresh(
        self, text: str, client_id: str, shop: str, *, grace: bool
    ) -> RefreshToken | None:
        """Redeem a refresh token by the rule above. None when it is no longer valid."""
        found, now = self.refresh.get(text), self._now()
        if found is None or found.dead or found.expires_at <= now:
            return None
        if (found.client_id, found.shop) != (client_id, shop):
            return None
        if found.used_at is not None and (not grace or now > found.used_at + GRACE_S):
            return None
        if found.used_at is None:
            found.used_at = now
            self._end_rivals(found)
        return found

    def _end_rivals(self, used: RefreshToken) -> None:
        # The first use of a replacement ends the token it replaced, and the other replacements.
        if used.parent is not None:
            used.parent.dead = True
            for other in used.parent.children:
                other.dead = other is not used

    def valid(self, token: str) -> AccessToken | None:
        """The access token, while it is good."""
        found = self.access.get(token)
        if found is None or found.revoked:
            return None
        ended = found.expires_at is not None and found.expires_at <= self._now()
        return None if ended else found

    def end(self, client_id: str, shop: str) -> None:
        """End every token of an app in a shop, as uninstalling does."""
        for access in self.access.values():
            if (access.client_id, access.shop) == (client_id, shop):
                access.revoked = True
        for refresh in self.refresh.values():
            if (refresh.client_id, refresh.shop) == (client_id, shop):
                refresh.dead = True

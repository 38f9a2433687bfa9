"""Tokens as they stand in a row: sealed, with their spans."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from broker.domain.grants import Tokens
from broker.domain.model import Secret
from broker.sealing import Place, Sealer

FOREVER = timedelta(days=36_500)
"""The lifetime of a token that never runs out."""


def seal_tokens(
    sealer: Sealer, tokens: Tokens, workspace_id: UUID, row: str
) -> tuple[bytes, bytes | None, bytes | None]:
    """Sealed access token, sealed refresh token and its fingerprint, for a row."""
    access = sealer.seal(tokens.access_token, Place(workspace_id, row, "access_token"))
    if tokens.refresh_token is None:
        return access, None, None
    refresh = sealer.seal(tokens.refresh_token, Place(workspace_id, row, "refresh_token"))
    return access, refresh, fingerprint_of(tokens.refresh_token)


def fingerprint_of(refresh_token: Secret) -> bytes:
    """Tells equal refresh tokens apart from others without holding them."""
    return hashlib.sha256(b"refresh token\0" + refresh_token.reveal().encode()).digest()


def lifetime_of(tokens: Tokens) -> timedelta:
    return FOREVER if tokens.lifetime is None else timedelta(seconds=tokens.lifetime)


def lifetime_left(seconds: float) -> float | None:
    """The lifetime in Tokens of what has so many seconds left in a row; None for one that never
    runs out.
    """
    return None if seconds > FOREVER.total_seconds() / 2 else max(0.0, seconds)


def end_or_none(expires_at: datetime | None) -> datetime | None:
    """When a token in a row runs out; None when never."""
    if (
        expires_at is None
        or lifetime_left((expires_at - datetime.now(UTC)).total_seconds()) is None
    ):
        return None
    return expires_at


def renewal_after(tokens: Tokens) -> timedelta | None:
    """When to renew: at 75 to 85 % of the life, so that grants made together renew apart."""
    lifetime = tokens.lifetime if tokens.renew_in is None else tokens.renew_in
    if lifetime is None:
        return None
    return timedelta(seconds=lifetime * random.uniform(0.75, 0.85))  # noqa: S311


def ends_of(tokens: Tokens) -> tuple[timedelta | None, timedelta | None]:
    """After how long the grant ends unless it is renewed, and anyway."""
    return span(tokens.refresh_expires_in), span(tokens.ends_in)


def span(seconds: float | None) -> timedelta | None:
    """Seconds as a span."""
    return None if seconds is None else timedelta(seconds=seconds)

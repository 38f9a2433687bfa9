"""The addresses that a recipe brings beside the ones that all have."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class VendorWebhook:
    """A vendor that calls `/{vendor}/{slug}-{UUID}/webhooks`.

    `signature_header` is taken where it stands exactly once and looks like a signature; no byte of
    the body is read before. `accept` gets the built recipe,
    workspace, lower-case slug, body and signature; what it returned from is stored. It raises
    NotAuthenticated for what the vendor did not sign, InvalidRequest for what is not an event, and
    Busy when it should be sent again.
    """

    vendor: str
    signature_header: str
    signature_pattern: str
    max_bytes: int
    accept: Callable[[Any, UUID, str, bytes, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """An address of a recipe's own; `handler` is a function of `Handlers` of the same name."""

    method: str
    path: str
    handlers: type
    handler: str

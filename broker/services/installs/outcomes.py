"""Value types for visits to the callback: what they bring, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from broker.domain.grants import Account
from broker.domain.model import App, Secret
from broker.errors import BrokerError


@dataclass(frozen=True, slots=True)
class Consent:
    """What a provider's redirect brought: its query, and the cookie of the browser."""

    query: Mapping[str, str]
    browser: Secret | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a visit to the callback.

    `state` is connected, pending, portal-mismatch, unclaimed, refused, choose-account (consent was
    given for several `accounts`, of which `code` chooses one), or on-the-way: the provider wants
    the user to sign in to the product first, at `return_url`. Any other `code` is to be presented
    with an API key. `provider_page` is where the provider wants the browser back.
    """

    state: str
    app: App
    user_ref: str | None = None
    return_url: str | None = None
    code: Secret | None = None
    refusal: BrokerError | None = None
    session_id: UUID | None = None
    provider_page: str | None = None
    accounts: tuple[Account, ...] = ()

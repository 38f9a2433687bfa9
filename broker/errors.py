"""Every refusal of the broker, named by what the caller should do next.

The docstring is the problem's title, `code` is a contract and never renamed, and
`docs/errors.md` has one heading for each code.
"""

from typing import Any, ClassVar
from uuid import UUID


class BrokerError(Exception):
    """Something went wrong inside the broker; the request id finds the log line."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(
        self, detail: str | None = None, *, retry_after: int | None = None, **context: Any
    ) -> None:
        """Refuse with `detail` for the caller (never an exception's text, never a secret).

        `retry_after` is in whole seconds; `context` becomes fields of the problem document.
        """
        super().__init__(detail or self.title())
        self.detail = detail
        self.retry_after = retry_after
        self.context = context

    @classmethod
    def title(cls) -> str:
        return " ".join((cls.__doc__ or "").split())


# Fix the request.


class InvalidRequest(BrokerError):
    """The request is malformed."""

    code = "invalid-request"
    status = 400

    def __init__(
        self, detail: str | None = None, *, errors: list[dict[str, str]] | None = None
    ) -> None:
        """`errors` lists each wrong field: `{"field": ..., "message": ...}`."""
        context: dict[str, Any] = {"errors": errors} if errors else {}
        super().__init__(detail, **context)


def wrong_field(field: str, message: str) -> InvalidRequest:
    """The refusal for one wrong field."""
    return InvalidRequest(f"{field}: {message}", errors=[{"field": field, "message": message}])


class BodyTooLarge(BrokerError):
    """The request body is larger than this broker accepts."""

    code = "body-too-large"
    status = 413


class MethodNotAllowed(BrokerError):
    """This address does not take this method."""

    code = "method-not-allowed"
    status = 405


class InputRefused(BrokerError):
    """The recipe cannot start with this input; every field that is missing or wrong is named."""

    code = "input-refused"
    status = 422


# Use another key.


class NotAuthenticated(BrokerError):
    """The request carries no API key, or one that is unknown, expired or revoked."""

    code = "not-authenticated"
    status = 401


class NotAllowed(BrokerError):
    """The API key may not do this."""

    code = "not-allowed"
    status = 403


# Make another call.


class DestinationRefused(BrokerError):
    """The call would leave HubSpot's API hosts."""

    code = "destination-refused"
    status = 403


class CallRefused(BrokerError):
    """A policy of the app or the key forbids this method and path."""

    code = "call-refused"
    status = 403


# Check the name, or install first.


class NotFound(BrokerError):
    """There is nothing at this address."""

    code = "not-found"
    status = 404


class AppNotFound(NotFound):
    """This key knows no such app."""

    code = "app-not-found"


class ConnectionNotFound(NotFound):
    """This user of the app has no connection."""

    code = "connection-not-found"
    app_id: UUID | None = None
    """The app's, where it is known; nobody is told."""


class EndpointNotFound(NotFound):
    """The app has no such endpoint."""

    code = "endpoint-not-found"


class DeliveryNotFound(NotFound):
    """The app's endpoints have no such delivery."""

    code = "delivery-not-found"


class RecipeNotFound(NotFound):
    """The app has no such recipe, or no settings for it."""

    code = "recipe-not-found"


class RunNotFound(NotFound):
    """There is no such run."""

    code = "run-not-found"


# Look at the state.


class SlugTaken(BrokerError):
    """The workspace already has an app with this slug."""

    code = "slug-taken"
    status = 409


class IdempotencyKeyConflict(BrokerError):
    """This Idempotency-Key stands for another request, or for one without a known answer."""

    code = "idempotency-key-conflict"
    status = 409


class LinkUsed(BrokerError):
    """The link or code has been used already; it works once."""

    code = "link-used"
    status = 409


class LinkExpired(BrokerError):
    """The link or code has expired; ask for a new one."""

    code = "link-expired"
    status = 410


class PortalMismatch(BrokerError):
    """The user's connection to another HubSpot account serves until the new one is confirmed."""

    code = "portal-mismatch"
    status = 409


class OtherAccount(BrokerError):
    """The record, run or case belongs to another account than the connection now holds."""

    code = "other-account"
    status = 409


class ConnectionPending(BrokerError):
    """The connection is installed, but not confirmed or claimed yet."""

    code = "connection-pending"
    status = 409


class ReauthRequired(BrokerError):
    """HubSpot ended the grant; the user must install again."""

    code = "reauth-required"
    status = 409


# Consent did not become a connection.


class OriginRefused(BrokerError):
    """The page that opened the connect page is not one of the app's origins."""

    code = "origin-refused"
    status = 403


class OtherBrowser(BrokerError):
    """The connection was begun in another browser; it can be finished there."""

    code = "other-browser"
    status = 403


class ConsentDenied(BrokerError):
    """The user did not allow the app at HubSpot; the link can be used again."""

    code = "consent-denied"
    status = 403


class ScopesMissing(BrokerError):
    """HubSpot granted fewer scopes than the app needs."""

    code = "scopes-missing"
    status = 403


class ExchangeFailed(BrokerError):
    """HubSpot did not accept the authorization code."""

    code = "exchange-failed"
    status = 400


# Try again later.


class Busy(BrokerError):
    """The broker or its database is overloaded or away; nothing was done."""

    code = "busy"
    status = 503

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        """Refuse for now; trying again after `retry_after` seconds may work."""
        super().__init__(detail, retry_after=retry_after)


class QuotaExhausted(BrokerError):
    """The account's quota at HubSpot cannot be had within the wait; HubSpot was not asked."""

    code = "quota-exhausted"
    status = 429


class HubSpotUnavailable(BrokerError):
    """HubSpot cannot be reached, or answered what is not HTTP."""

    code = "hubspot-unavailable"
    status = 502
    unsent = False
    """Whether it is certain that HubSpot got nothing of the call."""


class HubSpotTimeout(BrokerError):
    """HubSpot did not answer within the deadline."""

    code = "hubspot-timeout"
    status = 504
    unsent = False


# Faults of ours that operators must see; callers learn no more than "internal".


class SealBroken(BrokerError):
    """A sealed value does not open in its place."""


class CredentialsRefused(HubSpotUnavailable):
    """HubSpot refuses the app's client id and secret; the app must be corrected."""

"""Every error of the broker, grouped by what the caller should do next.

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
    """This endpoint does not support this HTTP method."""

    code = "method-not-allowed"
    status = 405


class InputRefused(BrokerError):
    """The recipe cannot start with this input; every missing or invalid field is named."""

    code = "input-refused"
    status = 422


# Use another key.


class NotAuthenticated(BrokerError):
    """The request carries no API key, or one that is unknown, expired or revoked."""

    code = "not-authenticated"
    status = 401


class NotAllowed(BrokerError):
    """This API key does not have the required permission."""

    code = "not-allowed"
    status = 403


# Make another call.


class DestinationRefused(BrokerError):
    """The call would leave the API hosts of the app's provider."""

    code = "destination-refused"
    status = 403


class CallRefused(BrokerError):
    """A policy of the app or the key forbids this method and path."""

    code = "call-refused"
    status = 403


# Check the name, or install first.


class NotFound(BrokerError):
    """No such endpoint or page."""

    code = "not-found"
    status = 404


class AppNotFound(NotFound):
    """No such app, or this API key has no access to it."""

    code = "app-not-found"


class ConnectionNotFound(NotFound):
    """This user has not connected an account to the app."""

    code = "connection-not-found"
    app_id: UUID | None = None
    provider: str = ""
    """The app's id, where it is known; it is never shown to callers."""


class EndpointNotFound(NotFound):
    """The app has no such endpoint."""

    code = "endpoint-not-found"


class DeliveryNotFound(NotFound):
    """No endpoint of the app has such a delivery."""

    code = "delivery-not-found"


class RecipeNotFound(NotFound):
    """The app has no such recipe, or no settings for it."""

    code = "recipe-not-found"


class RunNotFound(NotFound):
    """No such run in this workspace."""

    code = "run-not-found"


# Look at the state.


class SlugTaken(BrokerError):
    """The workspace already has an app with this slug."""

    code = "slug-taken"
    status = 409


class IdempotencyKeyConflict(BrokerError):
    """This Idempotency-Key was already used for another request, or for one whose outcome is
    unknown.
    """

    code = "idempotency-key-conflict"
    status = 409


class LinkUsed(BrokerError):
    """The link or code was already used; each one works once."""

    code = "link-used"
    status = 409


class LinkExpired(BrokerError):
    """The link or code has expired; ask for a new one."""

    code = "link-expired"
    status = 410


class PortalMismatch(BrokerError):
    """The user is already connected to a different account, which stays active until the change is
    confirmed.
    """

    code = "portal-mismatch"
    status = 409


class OtherAccount(BrokerError):
    """The record, run or case belongs to another account than the one now connected."""

    code = "other-account"
    status = 409


class ConnectionPending(BrokerError):
    """The app is installed, but the connection has not been confirmed or claimed yet."""

    code = "connection-pending"
    status = 409


class ReauthRequired(BrokerError):
    """The account's access was revoked or has expired; the user must connect again."""

    code = "reauth-required"
    status = 409


# Consent did not become a connection.


class OriginRefused(BrokerError):
    """The request came from a page whose origin is not allowed here."""

    code = "origin-refused"
    status = 403


class OtherBrowser(BrokerError):
    """This connection was started in another browser; finish it there."""

    code = "other-browser"
    status = 403


class ConsentDenied(BrokerError):
    """The user declined access; the same link can be used again."""

    code = "consent-denied"
    status = 403


class ScopesMissing(BrokerError):
    """Fewer scopes were granted than the app needs."""

    code = "scopes-missing"
    status = 403


class ExchangeFailed(BrokerError):
    """The authorization code was not accepted."""

    code = "exchange-failed"
    status = 400


# Try again later.


class Busy(BrokerError):
    """The service is temporarily overloaded or its database is unavailable. Retry later."""

    code = "busy"
    status = 503

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        """Refuse for now; trying again after `retry_after` seconds may work."""
        super().__init__(detail, retry_after=retry_after)


class InstallNotStored(Busy):
    """The install could not be completed here; the user must start again."""

    code = "install-not-stored"


class QuotaExhausted(BrokerError):
    """No quota became available within the wait time; the call was not sent."""

    code = "quota-exhausted"
    status = 429


class ProviderUnavailable(BrokerError):
    """The provider is unreachable or returned an invalid response."""

    code = "vendor-unavailable"
    status = 502
    unsent = False
    """Whether it is certain that the provider received nothing of the call."""


class ProviderTimeout(BrokerError):
    """The provider did not respond within the deadline."""

    code = "vendor-timeout"
    status = 504
    unsent = False


class HubSpotUnavailable(ProviderUnavailable):
    """HubSpot is unreachable or returned an invalid response."""

    code = "hubspot-unavailable"


class HubSpotTimeout(ProviderTimeout):
    """HubSpot did not respond within the deadline."""

    code = "hubspot-timeout"


# Ask the operator: only a person with access to the app's settings can fix it.


class CredentialsRefused(ProviderUnavailable):
    """The provider rejects the app's client id or client secret; correct the app."""

    code = "credentials-refused"


# Faults of the broker's own, for operators; callers learn no more than "internal".


class SealBroken(BrokerError):
    """A sealed value cannot be decrypted where it is stored."""

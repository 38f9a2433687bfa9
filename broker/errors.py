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

    def __init_subclass__(cls, code: str | None = None, status: int | None = None) -> None:
        super().__init_subclass__()
        cls.code = code or cls.code
        cls.status = status or cls.status

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


class InvalidRequest(BrokerError, code="invalid-request", status=400):
    """The request is malformed."""

    def __init__(
        self, detail: str | None = None, *, errors: list[dict[str, str]] | None = None
    ) -> None:
        """`errors` lists each wrong field: `{"field": ..., "message": ...}`."""
        context: dict[str, Any] = {"errors": errors} if errors else {}
        super().__init__(detail, **context)


def wrong_field(field: str, message: str) -> InvalidRequest:
    """The refusal for one wrong field."""
    return InvalidRequest(f"{field}: {message}", errors=[{"field": field, "message": message}])


class BodyTooLarge(BrokerError, code="body-too-large", status=413):
    """The request body is larger than this broker accepts."""


class UriTooLong(BrokerError, code="uri-too-long", status=414):
    """The request's path and query are longer than this broker accepts."""


class MethodNotAllowed(BrokerError, code="method-not-allowed", status=405):
    """This endpoint does not support this HTTP method."""


class InputRefused(BrokerError, code="input-refused", status=422):
    """The recipe cannot start with this input; every missing or invalid field is named."""


# Use another key.


class NotAuthenticated(BrokerError, code="not-authenticated", status=401):
    """The request carries no API key, or one that is unknown, expired or revoked."""


class NotAllowed(BrokerError, code="not-allowed", status=403):
    """This API key does not have the required permission."""


# Make another call.


class DestinationRefused(BrokerError, code="destination-refused", status=403):
    """The call would leave the API hosts of the app's provider."""


class CallRefused(BrokerError, code="call-refused", status=403):
    """A policy of the app or the key forbids this method and path."""


# Check the name, or install first.


class NotFound(BrokerError, code="not-found", status=404):
    """No such endpoint or page."""


class AppNotFound(NotFound, code="app-not-found"):
    """No such app, or this API key has no access to it."""


class ConnectionNotFound(NotFound, code="connection-not-found"):
    """This user has not connected an account to the app."""

    app_id: UUID | None = None
    provider: str = ""
    """The app's id, where it is known; it is never shown to callers."""


class EndpointNotFound(NotFound, code="endpoint-not-found"):
    """The app has no such endpoint."""


class DeliveryNotFound(NotFound, code="delivery-not-found"):
    """No endpoint of the app has such a delivery."""


class RecipeNotFound(NotFound, code="recipe-not-found"):
    """The app has no such recipe, or no settings for it."""


class RunNotFound(NotFound, code="run-not-found"):
    """No such run in this workspace."""


# Look at the state.


class SlugTaken(BrokerError, code="slug-taken", status=409):
    """The workspace already has an app with this slug."""


class IdempotencyKeyConflict(BrokerError, code="idempotency-key-conflict", status=409):
    """This Idempotency-Key was already used for another request, or for one whose outcome is
    unknown.
    """


class LinkUsed(BrokerError, code="link-used", status=409):
    """The link or code was already used; each one works once."""


class LinkExpired(BrokerError, code="link-expired", status=410):
    """The link or code has expired; ask for a new one."""


class PortalMismatch(BrokerError, code="portal-mismatch", status=409):
    """The user is already connected to a different account, which stays active until the change is
    confirmed.
    """


class OtherAccount(BrokerError, code="other-account", status=409):
    """The record, run or case belongs to another account than the one now connected."""


class ConnectionPending(BrokerError, code="connection-pending", status=409):
    """The app is installed, but the connection has not been confirmed or claimed yet."""


class ReauthRequired(BrokerError, code="reauth-required", status=409):
    """The account's access was revoked or has expired; the user must connect again."""


# Consent did not become a connection.


class OriginRefused(BrokerError, code="origin-refused", status=403):
    """The request came from a page whose origin is not allowed here."""


class OtherBrowser(BrokerError, code="other-browser", status=403):
    """This connection was started in another browser; finish it there."""


class ConsentDenied(BrokerError, code="consent-denied", status=403):
    """The user declined access; the same link can be used again."""


class ScopesMissing(BrokerError, code="scopes-missing", status=403):
    """Fewer scopes were granted than the app needs."""


class ExchangeFailed(BrokerError, code="exchange-failed", status=400):
    """The authorization code was not accepted."""


# Try again later.


class Busy(BrokerError, code="busy", status=503):
    """The service is temporarily overloaded or its database is unavailable. Retry later."""

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        """Refuse for now; trying again after `retry_after` seconds may work."""
        super().__init__(detail, retry_after=retry_after)


class InstallNotStored(Busy, code="install-not-stored", status=503):
    """The install could not be completed here; the user must start again."""


class QuotaExhausted(BrokerError, code="quota-exhausted", status=429):
    """No quota became available within the wait time; the call was not sent."""


class ProviderUnavailable(BrokerError, code="vendor-unavailable", status=502):
    """The provider is unreachable or returned an invalid response."""

    unsent = False
    """Whether it is certain that the provider received nothing of the call."""


class ProviderTimeout(BrokerError, code="vendor-timeout", status=504):
    """The provider did not respond within the deadline."""

    unsent = False


class HubSpotUnavailable(ProviderUnavailable, code="hubspot-unavailable"):
    """HubSpot is unreachable or returned an invalid response."""


class HubSpotTimeout(ProviderTimeout, code="hubspot-timeout"):
    """HubSpot did not respond within the deadline."""


# Ask the operator: only a person with access to the app's settings can fix it.


class CredentialsRefused(ProviderUnavailable, code="credentials-refused"):
    """The provider rejects the app's client id or client secret; correct the app."""


# Faults of the broker's own, for operators; callers learn no more than "internal".


class SealBroken(BrokerError):
    """A sealed value cannot be decrypted where it is stored."""


class SealingKeyMissing(Busy, SealBroken):
    """A stored value is encrypted under a key that this process does not have yet. Retry later."""


def code_titles() -> dict[str, str]:
    """The title of every code."""
    found: dict[str, str] = {}
    kinds: list[type[BrokerError]] = [BrokerError]
    while kinds:
        kind = kinds.pop()
        found.setdefault(kind.code, kind.title())
        kinds += kind.__subclasses__()
    return found

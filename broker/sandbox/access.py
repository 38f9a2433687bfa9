"""Who may call, and how often: bearer tokens, scopes, the rolling limits."""

from collections import deque
from datetime import UTC, datetime

from aiohttp import web

from broker.sandbox.answers import Refused
from broker.sandbox.grants import AccessToken
from broker.sandbox.world import Sandbox

WINDOW_S = 10.0
NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can "
    "find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)
MISSING = (
    "This app hasn't been granted all required scopes to make this call. Read more about required "
    "scopes here: https://developers.hubspot.com/scopes."
)


def authorized(sandbox: Sandbox, request: web.Request) -> AccessToken:
    """The token that a request carries. Refuses as HubSpot does, in its words."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    access = sandbox.grants.access_tokens.get(token) if scheme.lower() == "bearer" else None
    if access is None or not access.alive:
        raise Refused(401, NO_CREDENTIALS, "INVALID_AUTHENTICATION")
    access.calls += 1
    late = sandbox.now() - access.expires_at
    if late >= 0:
        when = datetime.fromtimestamp(access.expires_at, UTC).isoformat(timespec="milliseconds")
        raise Refused(
            401,
            f"The OAuth token used to make this call expired {int(late)} second(s) ago.",
            "EXPIRED_AUTHENTICATION",
            context={"expire time": [when.replace("+00:00", "Z")]},
        )
    return access


def require_scope(access: AccessToken, scope: str) -> None:
    """Refuse a call for which the token lacks the scope."""
    if scope not in access.refresh.scopes:
        raise Refused(
            403,
            MISSING,
            "MISSING_SCOPES",
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": [scope]},
                }
            ],
            links={"scopes": "https://developers.hubspot.com/scopes"},
        )


def count(sandbox: Sandbox, access: AccessToken) -> dict[str, str]:
    """Count a call against its app and portal; the rate-limit headers. Refuses with 429."""
    key = (access.refresh.client_id, access.refresh.hub_id)
    window, limit = sandbox.windows.setdefault(key, deque()), sandbox.limits.ten_secondly
    if not _admitted(window, sandbox.now(), WINDOW_S, limit):
        raise Refused(
            429,
            "You have reached your ten_secondly_rolling limit.",
            errorType="RATE_LIMIT",
            policyName="TEN_SECONDLY_ROLLING",
            groupName=f"publicapi:{sandbox.apps[key[0]].app_id}-api-calls-ten-secondly:{key[1]}",
        )
    return {
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        "X-HubSpot-RateLimit-Max": str(limit),
        "X-HubSpot-RateLimit-Remaining": str(limit - len(window)),
    }


def count_search(sandbox: Sandbox, access: AccessToken) -> None:
    """Count a search against its portal. Refuses with 429."""
    portal = sandbox.portals[access.refresh.hub_id]
    if not _admitted(portal.searches, sandbox.now(), 1.0, sandbox.limits.search):
        raise Refused(
            429,
            "You have reached your secondly limit.",
            errorType="RATE_LIMIT",
            policyName="SECONDLY",
        )


def _admitted(window: deque[float], now: float, seconds: float, limit: int) -> bool:
    while window and window[0] <= now - seconds:
        window.popleft()
    if len(window) >= limit:
        return False
    window.append(now)
    return True

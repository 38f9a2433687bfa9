"""Who may call, and how often: bearer tokens, scopes, the limits.

Limits: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from collections import deque
from datetime import UTC, datetime

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.grants import AccessToken
from broker.sandbox.hubspot.world import Sandbox

DAY_S = 86_400.0
LIMITS: web.RequestKey[dict[str, str]] = web.RequestKey("limits", dict[str, str])
TOKEN_LENGTH = 60
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
    if access is None and token.startswith("C") and len(token) > TOKEN_LENGTH:
        # A malformed token is reported as expired in 1970.
        raise _expired(0.0, sandbox.now())
    if access is None or not access.alive or access.refresh.hub_id not in sandbox.portals:
        raise Refused(401, NO_CREDENTIALS, "INVALID_AUTHENTICATION")
    access.calls += 1
    if access.expires_at <= sandbox.now():
        raise _expired(access.expires_at, sandbox.now())
    return access


def _expired(at: float, now: float) -> Refused:
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    late = now - at
    units = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
    unit, size = next((each for each in units if late >= each[1]), ("second", 1))
    return Refused(
        401,
        f"The OAuth token used to make this call expired {int(late // size)} {unit}(s) ago.",
        "EXPIRED_AUTHENTICATION",
        context={"expire time": [when.replace("+00:00", "Z")]},
    )


def require_scope(access: AccessToken, scopes: tuple[str, ...]) -> None:
    """Refuse a call unless the token has one of the scopes."""
    if not set(scopes) & set(access.refresh.scopes):
        raise Refused(
            403,
            MISSING,
            "MISSING_SCOPES",
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": list(scopes)},
                }
            ],
            links={"scopes": "https://developers.hubspot.com/scopes"},
        )


def count(sandbox: Sandbox, access: AccessToken) -> dict[str, str]:
    """Count a call against its app and portal; the rate-limit headers. Refuses with 429."""
    key, now = (access.refresh.client_id, access.refresh.hub_id), sandbox.now()
    window, seconds = sandbox.windows.setdefault(key, deque()), sandbox.limits.window_s
    limit = sandbox.limits.ten_secondly
    day = int(now // DAY_S)
    spent_on, spent = sandbox.days.get(key, (day, 0))
    spent = spent if spent_on == day else 0
    if sandbox.limits.daily is not None and spent >= sandbox.limits.daily:
        raise _limited("daily", "DAILY", f"publicapi:api-calls-daily:{key[1]}")
    if not _admitted(sandbox, window, seconds, limit):
        group = f"publicapi:{sandbox.apps[key[0]].app_id}-api-calls-ten-secondly:{key[1]}"
        raise _limited("ten_secondly_rolling", "TEN_SECONDLY_ROLLING", group)
    sandbox.days[key] = (day, spent + 1)
    return {
        "X-HubSpot-RateLimit-Interval-Milliseconds": str(round(seconds * 1000)),
        "X-HubSpot-RateLimit-Max": str(limit),
        "X-HubSpot-RateLimit-Remaining": str(limit - len(window)),
    }


def count_search(sandbox: Sandbox, access: AccessToken) -> None:
    """Count a search against its portal. Refuses with 429."""
    hub_id = access.refresh.hub_id
    window = sandbox.searches.setdefault(hub_id, deque())
    if not _admitted(sandbox, window, 1.0, sandbox.limits.search):
        raise _limited("secondly", "SECONDLY", f"publicapi:crm-search-secondly:{hub_id}")


def _limited(words: str, policy: str, group: str) -> Refused:
    return Refused(
        429,
        f"You have reached your {words} limit.",
        errorType="RATE_LIMIT",
        policyName=policy,
        groupName=group,
    )


def _admitted(sandbox: Sandbox, window: deque[float], seconds: float, limit: int) -> bool:
    now = sandbox.now()
    while window and window[0] <= now - seconds:
        window.popleft()
    admitted = len(window) < limit
    if admitted:
        window.append(now)
    sandbox.counted.append((now, admitted))
    return admitted

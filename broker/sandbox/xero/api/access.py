"""Access to the accounting API: tokens, limits, and answers to repeated idempotency keys."""

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from broker.sandbox.xero.api import problems
from broker.sandbox.xero.books.organisation import Organisation
from broker.sandbox.xero.levers import DAY_S, Levers
from broker.sandbox.xero.oauth.grants import AccessToken, Grants

MINUTE_S = 60.0
KEY_LENGTH = 128


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """The first answer to an Idempotency-Key, and a fingerprint of its request."""

    fingerprint: str
    status: int
    text: str
    content_type: str
    at: float


class Access:
    """Authenticates calls and counts them by tenant and by app."""

    def __init__(
        self,
        levers: Levers,
        grants: Grants,
        organisations: dict[str, Organisation],
        now: Callable[[], float],
    ) -> None:
        self._levers = levers
        self._grants = grants
        self._organisations = organisations
        self._now = now
        self._minutes: dict[tuple[str, ...], deque[float]] = {}
        self._days: dict[tuple[str, str, int], int] = {}
        self._running: dict[tuple[str, str], int] = {}
        self._saved: dict[tuple[str, str, str], SavedAnswer] = {}

    def token(self, request: web.Request) -> AccessToken:
        """The access token that a request carries. Raises a 401."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = self._grants.access_tokens.get(value) if scheme.lower() == "bearer" else None
        if token is None:
            raise problems.unauthorized("AuthenticationUnsuccessful")
        if token.expires_at <= self._now():
            at = datetime.fromtimestamp(token.expires_at, UTC)
            raise problems.unauthorized(f"TokenExpired: token expired at {at:%m/%d/%Y %H:%M:%S}")
        return token

    def organisation(self, request: web.Request, token: AccessToken) -> Organisation:
        """The organisation that a request names. Raises a 403 unless the app is connected to it."""
        app = self._grants.apps[token.client_id]
        # A custom connection is for one organisation and need not name it.
        tenant_id = request.headers.get("Xero-Tenant-Id", app.custom_tenant)
        found = self._organisations.get(tenant_id)
        if found is None or self._grants.connection(token.client_id, tenant_id) is None:
            raise problems.forbidden()
        return found

    def require(self, token: AccessToken, scopes: tuple[str, ...], *, writes: bool) -> None:
        """Refuse a token that has none of the scopes. Reading is allowed by `.read` as well."""
        allowed = {*scopes} if writes else {*scopes, *(f"{each}.read" for each in scopes)}
        if not allowed & set(token.scopes):
            raise problems.insufficient_scope()

    @contextlib.contextmanager
    def counted(self, token: AccessToken, tenant_id: str) -> Iterator[None]:
        """Count a call while it runs. Raises a 429 when a limit is reached."""
        key = token.client_id, tenant_id
        running = self._running.get(key, 0)
        if running >= self._levers.concurrent_limit:
            raise problems.limited("concurrent", 1)
        self._admit(token.client_id, tenant_id)
        self._running[key] = running + 1
        try:
            yield
        finally:
            self._running[key] -= 1

    def remaining(self, client_id: str, tenant_id: str) -> dict[str, str]:
        """The headers with the remaining limits; those by tenant only when there is one."""
        app_minute = self._window((client_id,))
        left = {
            "X-AppMinLimit-Remaining": str(max(0, self._levers.app_minute_limit - len(app_minute)))
        }
        if tenant_id:
            minute = len(self._window((client_id, tenant_id)))
            day = self._days.get(self._day(client_id, tenant_id), 0)
            left["X-MinLimit-Remaining"] = str(max(0, self._levers.minute_limit - minute))
            left["X-DayLimit-Remaining"] = str(max(0, self._levers.day_limit - day))
        return left

    def _admit(self, client_id: str, tenant_id: str) -> None:
        now, day = self._now(), self._day(client_id, tenant_id)
        if self._days.get(day, 0) >= self._levers.day_limit:
            raise problems.limited("day", int(DAY_S - now % DAY_S) + 1)
        windows = (
            ("minute", self._window((client_id, tenant_id)), self._levers.minute_limit),
            ("appminute", self._window((client_id,)), self._levers.app_minute_limit),
        )
        for name, window, most in windows:
            if len(window) >= most:
                oldest = window[0] if window else now
                raise problems.limited(name, int(oldest + MINUTE_S - now) + 1)
        for _, window, _ in windows:
            window.append(now)
        self._days[day] = self._days.get(day, 0) + 1

    def _window(self, key: tuple[str, ...]) -> deque[float]:
        window = self._minutes.setdefault(key, deque())
        while window and window[0] <= self._now() - MINUTE_S:
            window.popleft()
        return window

    def _day(self, client_id: str, tenant_id: str) -> tuple[str, str, int]:
        return client_id, tenant_id, int(self._now() // DAY_S)

    def saved_answer(
        self, request: web.Request, token: AccessToken, body: bytes
    ) -> web.Response | None:
        """The first answer under the request's Idempotency-Key. Raises a 400 when the key came with
        another request, or is too long.
        """
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > KEY_LENGTH:
            raise problems.idempotency(f"The Idempotency Key exceeds {KEY_LENGTH} characters.")
        found = self._saved.get(self._key(request, token))
        if not key or found is None or self._now() > found.at + self._levers.idempotency_window:
            return None
        if found.fingerprint != _fingerprint(request, body):
            raise problems.idempotency(
                "The Idempotency Key has already been used with a different request."
            )
        return web.Response(text=found.text, status=found.status, content_type=found.content_type)

    def save_answer(
        self, request: web.Request, token: AccessToken, body: bytes, answer: web.Response
    ) -> None:
        """Remember an answer under the request's Idempotency-Key."""
        if request.headers.get("Idempotency-Key"):
            self._saved[self._key(request, token)] = SavedAnswer(
                _fingerprint(request, body),
                answer.status,
                answer.text or "",
                answer.content_type,
                self._now(),
            )

    def _key(self, request: web.Request, token: AccessToken) -> tuple[str, str, str]:
        tenant_id = request.headers.get("Xero-Tenant-Id", "")
        return token.client_id, tenant_id, request.headers.get("Idempotency-Key", "")


def _fingerprint(request: web.Request, body: bytes) -> str:
    whole = f"{request.method} {request.path_qs}\n".encode() + body
    return hashlib.sha256(whole).hexdigest()

"""Authentication of callers: a key's secret, a client id with it, or an access token."""

import base64
import time
from collections.abc import Callable

from broker.domain.invalidation import Invalidation
from broker.domain.model import Caller, Secret
from broker.errors import NotAllowed, NotAuthenticated
from broker.services.access.ttl_cache import TtlCache
from broker.stores.access.keys import Keys


class Callers:
    """Recognises callers by their `Authorization`, cached for a few seconds."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: the seconds by which cached callers age."""
        self._keys = keys
        self._cache: TtlCache[str, Caller] = TtlCache(self._find, clock=clock)

    def clear_cache(self) -> None:
        """Read again whatever was cached."""
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read a key that changed again, and the tokens made from it."""
        if change.kind == "key":
            key_id, *_ = change.names
            self._cache.discard_where(lambda _, caller: str(caller.key_id) == key_id)

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind an `Authorization` header. Raises NotAuthenticated."""
        if authorization is None or len(authorization) > 1024:
            raise NotAuthenticated
        return self._cache.peek(authorization) or await self._cache.get(authorization)

    def recognised(self, authorization: str) -> Caller | None:
        """The caller behind an `Authorization` header who was authenticated within seconds."""
        return self._cache.peek(authorization)

    async def _find(self, authorization: str) -> Caller:
        scheme, _, value = authorization.partition(" ")
        client_id, secret = None, value.strip()
        if scheme.lower() == "basic":
            client_id, secret = read_basic(secret)
        elif scheme.lower() != "bearer":
            raise NotAuthenticated
        caller = await self._keys.find_caller(Secret(secret), client_id)
        if caller is None:
            raise NotAuthenticated
        return caller


def read_basic(credentials: str) -> tuple[str, str]:
    """The id and the secret of Basic credentials (RFC 7617). Raises NotAuthenticated."""
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except ValueError as error:  # not ASCII, not base64 or not UTF-8
        raise NotAuthenticated from error
    client_id, _, secret = pair.partition(":")
    return client_id, secret


def require(caller: Caller, *scopes: str) -> None:
    """Raise NotAllowed unless the caller has one of the scopes, which the refusal names."""
    for scope in scopes:
        if caller.has_scope(scope):
            return
    raise NotAllowed(f"The API key lacks the scope {scopes[0]}.", scope=scopes[0])

"""Calls to the system beside HubSpot (a shop, an accounting system, Salesforce) that a user of the
same name has connected: through the proxy, with that connection's policy and quota, in one account.
"""

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID, uuid4

from broker.crm.records import MAX_RESPONSE_BYTES, RECIPES
from broker.domain.model import Caller, ProxyCall
from broker.domain.runs import RetryLater
from broker.errors import BrokerError, ProviderUnavailable
from broker.providers.calls.upstream import read_body
from broker.providers.transport.failures import Failures
from broker.services.grants.renewals import refusal_of
from broker.services.proxy.forwarding import Proxy
from broker.stores.connections.connections import Connections

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

RETRY_AFTER_S = 2.0
MAX_RETRY_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class PartnerUser:
    """A connected user of a partner app, and the only account in which calls for it may act.
    `url`: where that account is, where the provider has an address for each.
    """

    workspace_id: UUID
    app_slug: str
    user_ref: str
    provider: str
    account_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PartnerAnswer:
    """A vendor's answer below 500: its status, headers by lower-case name, and its JSON with
    numbers as `Decimal` (`float` would lose cents); `payload` is None without a body, and a text
    where a refusal is not JSON.
    """

    status: int
    headers: Mapping[str, str]
    payload: Any


class PartnerCalls:
    """Calls partner apps' connections for recipes."""

    def __init__(self, connections: Connections, proxy: Proxy) -> None:
        self._connections = connections
        self._proxy = proxy

    async def user(
        self, workspace_id: UUID, slug: str, user_ref: str, *, usable: bool = True
    ) -> PartnerUser:
        """The user of a partner app with the account of its connection, the last one where it need
        not be `usable` now. Raises AppNotFound, ConnectionNotFound, ConnectionPending or
        ReauthRequired.
        """
        connection = await self._connections.of_user(workspace_id, slug, user_ref)
        if connection.account_id is None or (usable and connection.grant is None):
            raise refusal_of(connection)
        return PartnerUser(
            workspace_id,
            slug,
            user_ref,
            connection.provider,
            connection.account_id,
            connection.api_url,
        )

    async def read(
        self,
        user: PartnerUser,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> PartnerAnswer:
        """Make a call that the proxy judges as one of a caller who may only read, with a JSON
        body. Raises what `Proxy.forward` raises (OtherAccount among it), ProviderUnavailable for
        5xx and answers that are not JSON, and RetryLater when the vendor throttles.
        """
        return await self._call("proxy:read", user, method, target, body, headers or {})

    async def send(
        self,
        user: PartnerUser,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> PartnerAnswer:
        """Make a call that may change something. Raises as `read`; after ProviderUnavailable or
        ProviderTimeout it is not known whether it did.
        """
        return await self._call("proxy", user, method, target, body, headers or {})

    async def _call(
        self,
        scope: str,
        user: PartnerUser,
        method: str,
        target: str,
        body: Any,
        headers: Mapping[str, str],
    ) -> PartnerAnswer:
        caller = Caller(user.workspace_id, RECIPES, frozenset({scope}), None)
        sent = {"Accept": "application/json", **headers}
        if body is not None:
            sent = {"Content-Type": "application/json", **sent}
        call = ProxyCall(
            user.app_slug,
            user.user_ref,
            method,
            target,
            list(sent.items()),
            None if body is None else json.dumps(body, default=_number).encode(),
            request_id=uuid4().hex,
            provider=user.provider,
            account_id=user.account_id,
        )
        try:
            async with self._proxy.forward(caller, call) as answer:
                text = await read_body(answer, MAX_RESPONSE_BYTES, Failures(user.provider))
        except BrokerError as refusal:
            if refusal.status == 429:  # the account's quota is used up for the moment
                raise RetryLater(refusal.retry_after or RETRY_AFTER_S, refusal.code) from refusal
            raise
        if answer.status == 429 or answer.throttled:
            limits = answer.limits
            wait = answer.retry_after or (limits and limits.retry_after) or RETRY_AFTER_S
            raise RetryLater(min(max(wait, 1.0), MAX_RETRY_AFTER_S), "throttled")
        if answer.status >= 500:
            raise ProviderUnavailable(f"{user.provider} answered {answer.status}.")
        lower = {name.lower(): value for name, value in answer.headers}
        return PartnerAnswer(answer.status, lower, _payload(user, answer.status, text))


class Adapter(Protocol):
    """What knows one provider's answers."""

    @property
    def provider(self) -> str: ...


A = TypeVar("A", bound=Adapter)


def understood(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[A, P], Coroutine[Any, Any, T]]:
    """An adapter's method for which JSON of another shape than the provider's API promises is the
    provider's trouble: it raises ProviderUnavailable then.
    """

    @wraps(method)
    async def run(adapter: A, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(adapter, *args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            fields = {"provider": adapter.provider, "reason": type(error).__name__}
            log.warning("answer_not_understood", extra={**fields, "call": method.__name__})
            raise ProviderUnavailable(
                f"{adapter.provider} answered in another form than its API promises."
            ) from error

    return run


def _payload(user: PartnerUser, status: int, text: bytes) -> Any:
    if not text:
        return None
    try:
        return json.loads(text.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        if status < 300:
            raise ProviderUnavailable(f"The answer of {user.provider} is not JSON.") from error
        return text.decode("utf-8", "replace")


def _number(value: Any) -> float:
    """A decimal as JSON's number: up to 15 digits, a float's shortest form has the same value."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")

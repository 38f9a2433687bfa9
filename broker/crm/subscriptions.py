"""Webhook subscriptions in users' accounts: made when they connect, and made again where the vendor
has dropped them.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from broker.concurrency.backoff import Backoff
from broker.crm.partners import PartnerCalls, PartnerUser
from broker.domain.model import App
from broker.domain.runs import RetryLater
from broker.errors import AppNotFound, BrokerError
from broker.providers.base import Provider
from broker.providers.subscriptions import AccountCalls, SubscriptionsRefused, Wanted, topics_of
from broker.stores.connections.apps import Apps
from broker.stores.connections.subscriptions import ClaimedCheck, SubscriptionChecks

log = logging.getLogger(__name__)

EVERY = timedelta(hours=3)
"""Shopify drops a subscription after four hours of failures, WooCommerce after six failures."""

LEASE = timedelta(seconds=120)
TIMEOUT_S = 60.0
BACKOFF = Backoff(first=60, longest=10_800)


class SubscriptionKeeper:
    """Looks at accounts that are due. One row for each account and its claim keep two processes,
    and two users of one account, from subscribing twice.
    """

    def __init__(
        self,
        checks: SubscriptionChecks,
        partners: PartnerCalls,
        apps: Apps,
        providers: Mapping[str, Provider],
        webhook_url: Callable[[App], str | None],
    ) -> None:
        self._checks = checks
        self._partners = partners
        self._apps = apps
        self._providers = providers
        self._webhook_url = webhook_url

    async def look_due(self, limit: int) -> int:
        """Look at some accounts that are due; how many were claimed."""
        claimed = await self._checks.claim(limit, LEASE)
        await asyncio.gather(*(self._look(check) for check in claimed))
        return len(claimed)

    async def _look(self, check: ClaimedCheck) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await self._checks.user_of(check)
                restored = None if found is None else await self._restore(check, *found)
        except AppNotFound:
            await self._checks.delete(check)
        except RetryLater as later:
            await self._checks.end(check, timedelta(seconds=later.after_s), check.failures + 1)
        except SubscriptionsRefused as refused:
            await self._failed(check, "subscriptions-refused", str(refused))
        except BrokerError as refusal:
            await self._failed(check, refusal.code, refusal.detail)
        except TimeoutError:
            await self._failed(check, "timeout", None)
        except Exception:  # an answer of another shape than the vendor's must not hold up the rest
            log.exception("subscriptions_failed", extra={"account": check.account_id})
            await self._failed(check, "internal", None)
        else:
            if restored is None:
                await self._checks.delete(check)
                return
            await self._checks.end(check, EVERY)
            if restored:
                fields = {"account": check.account_id, "number": restored}
                log.info("subscriptions_restored", extra=fields)

    async def _restore(self, check: ClaimedCheck, slug: str, user_ref: str) -> int | None:
        """How many subscriptions were made; None where none are wanted any more."""
        app = await self._apps.get(check.workspace_id, slug)
        subscriptions = self._providers[app.provider].spec.subscriptions
        topics, url = topics_of(app.options), self._webhook_url(app)
        if subscriptions is None or url is None or not topics:
            return None
        user = PartnerUser(check.workspace_id, slug, user_ref, app.provider, check.account_id)
        wanted = Wanted(topics, url, app.webhook_secret, check.is_new)
        return await subscriptions.restore(self._calls_of(user), wanted)

    def _calls_of(self, user: PartnerUser) -> AccountCalls:
        async def call(method: str, target: str, payload: Any = None, /) -> tuple[int, Any]:
            send = self._partners.read if method == "GET" else self._partners.send
            answer = await send(user, method, target, payload)
            return answer.status, answer.payload

        return call

    async def _failed(self, check: ClaimedCheck, reason: str, detail: str | None) -> None:
        failures = check.failures + 1
        await self._checks.end(check, timedelta(seconds=BACKOFF.pause(failures)), failures)
        fields = {"account": check.account_id, "reason": reason, "detail": detail}
        log.warning("subscriptions_not_kept", extra=fields)

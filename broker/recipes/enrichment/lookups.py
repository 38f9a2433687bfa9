"""One lookup of one address at its vendor, however many runs ask.

What keeps a lookup single: its address's claim in the database, which outlasts the request; the
answer is stored before anything is done with it. What bounds the cost: the day's budget is counted
in the transaction that claims, and an address whose answer was lost twice is not asked again before
a person says so.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.model import Secret
from broker.domain.runs import (
    PermanentFailure,
    RetryLater,
    VendorCredentialsRefused,
    VendorScopeMissing,
    VendorUnavailable,
)
from broker.domain.vendors import Throttled, VendorAccount
from broker.errors import BrokerError, QuotaExhausted
from broker.providers.enrichment.base import (
    EnrichmentVendor,
    Found,
    Later,
    Lookup,
    LookupResult,
    NotFound,
    Refused,
)
from broker.providers.enrichment.catalog import VENDORS
from broker.providers.enrichment.client import AnswerLost, EnrichmentClient
from broker.recipes.enrichment.models import EnrichmentSettings
from broker.recipes.settings import StoredSettings
from broker.services.vendors.rate_limit import RateLimit
from broker.stores.recipes.enrichment_answers import (
    MOST_LOST,
    AddressKey,
    BudgetUsedUp,
    EnrichmentAnswers,
    LookupClaim,
)
from broker.stores.recipes.vendors import VendorClients, client_id_of

FOUND_FOR = timedelta(days=90)
NOT_FOUND_FOR = timedelta(days=30)
"""For how long an answer is used again."""

ANOTHERS_TURN_S = 1.0
NO_CREDITS_PAUSE_S = 900.0
"""How long no run asks a vendor that has no credits left: then one finds out whether it has."""

MOST_LATER = 12
LONGEST_LATER_S = 3600.0
"""How often a vendor that is still searching is asked: some eight hours in all."""


class Lookups:
    """Looks addresses up, in one process."""

    def __init__(
        self, client: EnrichmentClient, answers: EnrichmentAnswers, clients: VendorClients
    ) -> None:
        self._client = client
        self._answers = answers
        self._clients = clients
        self._limit = RateLimit(clients)

    async def look_up(
        self,
        workspace_id: UUID,
        settings: StoredSettings[EnrichmentSettings],
        email: str,
        checkpoint: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """The outcome of an address: `outcome`, `reason`, and whether it was `lookedUp` just now.

        Raises RetryLater, PermanentFailure, VendorUnavailable, and what stops the recipe until a
        person has seen to it.
        """
        model = settings.model
        vendor = VENDORS[model.vendor]
        key = AddressKey.of(workspace_id, vendor.name, email)
        if checkpoint.get("lost"):  # a person has retried
            await self._answers.allow_again(key)
        waiting = {name: each for name, each in checkpoint.items() if name != "lost"}
        state = await self._answers.find(key, model.minConfidence)
        if state.answer is not None:
            return outcome_of(state.answer.outcome, looked_up=False)
        if state.is_claimed:
            raise RetryLater(ANOTHERS_TURN_S, "the address is being looked up", waiting)
        if state.unanswered >= MOST_LOST:
            raise PermanentFailure(_lost(vendor), {"lost": True})
        account = account_of(workspace_id, settings)
        await self._limit.wait(account, "call", waiting)
        try:
            claim = await self._answers.claim(
                key, settings.app_id, model.minConfidence, model.dailyBudget
            )
        except BudgetUsedUp as used:
            reason = f"the day's {model.dailyBudget} lookups are used up"
            raise RetryLater(used.seconds + 1, reason, waiting) from None
        if claim is None:
            raise RetryLater(ANOTHERS_TURN_S, "the address is being looked up", waiting)
        return await self._send(vendor, account, claim, Lookup(email, model.minConfidence), waiting)

    async def _send(
        self,
        vendor: EnrichmentVendor,
        account: VendorAccount,
        claim: LookupClaim,
        lookup: Lookup,
        waiting: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        try:
            result = await self._client.find(vendor, account.client_secret, lookup)
        except AnswerLost:  # the claim stays, and counts as one that may have been billed
            raise VendorUnavailable(f"The answer of {vendor.title} was lost.") from None
        except Throttled as throttled:
            await self._answers.release(claim)
            raise await self._limit.pause(account, "call", throttled) from None
        except VendorUnavailable:
            await self._answers.release(claim)
            raise
        kept = _to_store(result)
        if kept is not None:
            outcome, fields, confidence, lifetime = kept
            await self._answers.store(claim, outcome, fields, confidence, lifetime)
            return outcome_of(outcome, looked_up=True)
        await self._answers.release(claim)
        if isinstance(result, Later):
            return _later(result.after_s, waiting)
        assert isinstance(result, Refused)  # noqa: S101  # the others are stored
        if result.reason == "input":
            return {"outcome": "refused", "reason": "address-rejected", "lookedUp": True}
        if result.reason == "out-of-credits":
            await self._clients.pause(account, "call", NO_CREDITS_PAUSE_S)
        raise refusal_of(vendor, result)


def outcome_of(stored: str, *, looked_up: bool) -> dict[str, Any]:
    """A stored answer's outcome as a step's."""
    if stored == "opted-out":
        return {"outcome": "refused", "reason": "opted-out", "lookedUp": looked_up}
    return {"outcome": stored, "lookedUp": looked_up}


def account_of(workspace_id: UUID, settings: StoredSettings[EnrichmentSettings]) -> VendorAccount:
    """The vendor's client, known by its key, with its rate limit."""
    vendor, key = VENDORS[settings.model.vendor], _key(settings)
    limit = settings.model.callsPerMinute or vendor.calls_a_minute
    return VendorAccount(workspace_id, vendor.name, vendor.title, client_id_of(key), key, limit)


def refusal_of(vendor: EnrichmentVendor, refused: Refused) -> BrokerError:
    """What stops the recipe until a person has seen to it, in words."""
    vendor_error = {"error": refused.reason, "message": refused.message}
    if refused.reason == "out-of-credits":
        return QuotaExhausted(
            f"{vendor.title} has no credits left for this key: {refused.message}. Runs that wait "
            "go on within a quarter of an hour of there being some; retry this one then.",
            vendorError=vendor_error,
        )
    if refused.reason == "plan":
        return VendorScopeMissing(
            f"The plan or the rights of this key at {vendor.title} do not cover the lookup: "
            f"{refused.message}. Change them there, then retry the run.",
            vendorError=vendor_error,
        )
    return VendorCredentialsRefused(
        f"{vendor.title} refuses the API key: {refused.message}. Put a valid key into the recipe's "
        "settings, then retry the run.",
        vendorError=vendor_error,
    )


def _to_store(
    result: LookupResult,
) -> tuple[str, Mapping[str, str], float | None, timedelta | None] | None:
    """What is stored of a result: outcome, fields, confidence, lifetime; None for what is not."""
    match result:
        case Found(fields, confidence):
            return "found", fields, confidence, FOUND_FOR
        case NotFound():
            return "not-found", {}, None, NOT_FOUND_FOR
        case Refused("opted-out"):
            return "opted-out", {}, None, None
        case _:
            return None


def _key(settings: StoredSettings[EnrichmentSettings]) -> Secret:
    return settings.secrets["apiKey"]


def _lost(vendor: EnrichmentVendor) -> VendorUnavailable:
    return VendorUnavailable(
        f"{vendor.title} was asked {MOST_LOST} times about this address and no answer arrived. "
        "Each may have been billed, so it is not asked again by itself: retry the run to do so."
    )


def _later(after_s: float, waiting: Mapping[str, Any]) -> Mapping[str, Any]:
    """The outcome once a vendor has searched for too long; raises RetryLater until then."""
    times = int(waiting.get("later", 0)) + 1
    if times > MOST_LATER:
        return {"outcome": "later", "reason": "still-searching", "lookedUp": True}
    pause = min(after_s * 2 ** (times - 1), LONGEST_LATER_S)
    raise RetryLater(pause, "the vendor is still searching", {"later": times})

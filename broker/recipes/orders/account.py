"""What the HubSpot account offers for orders (pipelines, stages, currencies, properties), and which
of the settings do not fit it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from broker.crm.object_types import CONTACTS, DEALS, label
from broker.crm.records import RecordReader
from broker.crm.related import Stage
from broker.domain.runs import RetryLater
from broker.errors import BrokerError
from broker.recipes.base import Finding
from broker.recipes.orders.models import CUSTOMER_KEY, KEY, OrdersSettings
from broker.recipes.orders.writes import definitions

WRITABLE_TYPES = {
    ("deal", "amount"): {"number", "string"},
    ("deal", "closeDate"): {"datetime", "string"},
    ("deal", "currency"): {"enumeration", "string"},
}
"""The property types that take a field; every other field is a text."""

SHOWN = 12
"""How many possible values a remedy names."""


@dataclass(frozen=True, slots=True)
class Account:
    """The stages of every pipeline of deals, and the definitions of deals' and contacts'
    properties by name. `trouble` says why there are none.
    """

    stages: Sequence[Stage]
    deal: Mapping[str, Mapping[str, Any]]
    contact: Mapping[str, Mapping[str, Any]]
    trouble: str | None = None

    @property
    def currencies(self) -> list[str]:
        """The account's currencies, empty where HubSpot does not say."""
        options = self.deal.get("deal_currency_code", {}).get("options") or ()
        return [str(each["value"]) for each in options]

    def offered(self, side: Literal["deal", "contact"]) -> dict[str, str]:
        """The properties that can be written, by name, as people call them."""
        return {
            name: str(each.get("label") or name)
            for name, each in sorted(getattr(self, side).items())
            if not (each.get("modificationMetadata") or {}).get("readOnlyValue")
            and not each.get("hidden")
        }


async def read_account(reader: RecordReader) -> Account:
    """What the account offers."""
    try:
        return Account(
            await reader.stages(DEALS),
            await reader.definitions(DEALS),
            await reader.definitions(CONTACTS),
        )
    except RetryLater as later:
        return Account((), {}, {}, later.reason)
    except BrokerError as refusal:
        return Account((), {}, {}, refusal.detail or refusal.title())


def account_findings(
    account: Account, settings: OrdersSettings, currency: str | None
) -> Iterator[Finding]:
    """The settings that do not fit the account; `currency` is the shop's, where it is known."""
    if account.trouble is not None:
        yield Finding(about="HubSpot", message=account.trouble, remedy="Check again later.")
        return
    yield from _stage_findings(account, settings)
    known = account.currencies
    if settings.deal.currency is not None and currency is not None and currency not in known:
        yield Finding(
            about="currency",
            message=f"The HubSpot account does not have the shop's currency {currency}.",
            remedy="Add it in HubSpot (Settings, Account defaults, Currency). It has "
            f"{', '.join(known[:SHOWN])}.",
        )
    for side, defined, mapping in (
        ("deal", account.deal, settings.deal.model_dump()),
        ("contact", account.contact, settings.contact.model_dump()),
    ):
        for field, name in mapping.items():
            if name is not None:
                yield from _property_findings(side, field, name, defined.get(name))
    for kind, key, defined in (
        (DEALS, KEY, account.deal),
        (CONTACTS, CUSTOMER_KEY, account.contact),
    ):
        if key in defined and not defined[key].get("hasUniqueValue"):
            yield Finding(
                about=key,
                message=f"{label(kind)}s may share a value of {key}, so that repeats would not be "
                "noticed.",
                remedy="Delete the property in HubSpot, because it cannot be made unique later, "
                "and run the recipe's setup for this user.",
            )


def _stage_findings(account: Account, settings: OrdersSettings) -> Iterator[Finding]:
    pipelines = {each.pipeline_id: each.pipeline_label for each in account.stages}
    if settings.pipeline not in pipelines:
        offered = [f"{number} ({name})" for number, name in pipelines.items()]
        yield Finding(
            about="pipeline",
            message=f"The HubSpot account has no pipeline {settings.pipeline} for deals.",
            remedy=f"Put the id of one into pipeline: {', '.join(offered[:SHOWN])}.",
        )
        return
    stages = [each for each in account.stages if each.pipeline_id == settings.pipeline]
    offered = [f"{each.id} ({each.label})" for each in stages]
    for name, stage in settings.stages.model_dump().items():
        if stage not in {each.id for each in stages}:
            yield Finding(
                about=f"stages.{name}",
                message=f"The pipeline {pipelines[settings.pipeline]} has no stage {stage}.",
                remedy=f"Put the id of one into stages.{name}: {', '.join(offered[:SHOWN])}.",
            )


def _property_findings(
    side: str, field: str, name: str, definition: Mapping[str, Any] | None
) -> Iterator[Finding]:
    about, record = f"{side}.{field}", side.capitalize()
    remedy = f"Name a property of {side}s that takes it, or null to write it nowhere."
    if definition is None:
        if name not in own_names():  # which setup makes
            yield Finding(about=about, message=f"{record} has no property {name}.", remedy=remedy)
        return
    kind, metadata = str(definition.get("type")), definition.get("modificationMetadata") or {}
    wanted = WRITABLE_TYPES.get((side, field), {"string", "phone_number"})
    if metadata.get("readOnlyValue"):
        message = f"{record}'s property {name} cannot be written: HubSpot computes it."
    elif kind not in wanted:
        message = f"{record}'s property {name} is of the type {kind}."
    else:
        return
    yield Finding(about=about, message=message, remedy=remedy)


def own_names() -> set[str]:
    """The properties that the recipe brings."""
    return {name for each in definitions() for name in each.by_name}

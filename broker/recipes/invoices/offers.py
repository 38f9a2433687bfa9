"""What both accounts of a user offer to the settings: stages and properties in HubSpot; items,
accounts and tax codes in the accounting system.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS
from broker.crm.partners import PartnerCalls
from broker.crm.records import HubSpotUser, RecordReader
from broker.crm.related import Stage
from broker.domain.runs import RetryLater
from broker.errors import BrokerError
from broker.recipes.invoices.port import Choices
from broker.recipes.invoices.steps import books_of


@dataclass(frozen=True, slots=True)
class Offers:
    """`properties` are by object type, then by name, as people call them; `troubles` say why
    something is missing.
    """

    stages: Sequence[Stage] = ()
    properties: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    provider: str | None = None
    troubles: Sequence[str] = ()


async def read_offers(
    reader: RecordReader, partners: PartnerCalls, user: HubSpotUser, accounting_app: str
) -> Offers:
    """What a user's two accounts offer; one that cannot be read hides nothing of the other."""
    troubles: list[str] = []
    stages: Sequence[Stage] = ()
    properties: dict[str, Mapping[str, str]] = {}
    choices, provider = Choices(), None
    try:
        stages = await reader.stages(DEALS)
        for kind in (DEALS, CONTACTS, COMPANIES):
            properties[kind] = _offered(await reader.definitions(kind))
    except (RetryLater, BrokerError) as trouble:
        troubles.append(f"HubSpot: {_reason(trouble)}")
    if accounting_app:
        try:
            partner = await partners.user(user.workspace_id, accounting_app, user.user_ref)
            choices = await books_of(partner.provider).choices(partners, partner)
            provider = partner.provider
        except (RetryLater, BrokerError) as trouble:
            troubles.append(f"The accounting system: {_reason(trouble)}")
    return Offers(stages, properties, choices, provider, troubles)


def _offered(definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        name: str(each.get("label") or name)
        for name, each in sorted(definitions.items())
        if not each.get("hidden")
    }


def _reason(trouble: RetryLater | BrokerError) -> str:
    if isinstance(trouble, RetryLater):
        return trouble.reason
    return trouble.detail or trouble.title()

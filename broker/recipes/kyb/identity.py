"""What a record is called at First Mile Labs, and by which name its run is known here.

A Company's id means nothing without its HubSpot account, and FML has one case for a
`crmRecordId`. So either one FML client serves one HubSpot account (`recordIds: "company"`), or the
account stands in the id (`recordIds: "account"`).
"""

from dataclasses import dataclass

from broker.errors import OtherAccount
from broker.recipes.kyb.models import HUBSPOT

WAY_OUT = (
    'Set "recordIds": "account" in the settings of the recipe, which serves any number of '
    "accounts, or use another client of First Mile Labs for this account."
)


@dataclass(frozen=True, slots=True)
class RecordIdentity:
    """A record of a CRM. `company_id` is HubSpot's, for a Company."""

    source: str
    record_id: str
    company_id: str | None = None

    @property
    def subject(self) -> str:
        """The run's subject, and the idempotency key at FML. A hyphen of the source is escaped, so
        that no two records share one.
        """
        return f"{self.source.replace('-', '%2D')}-{self.record_id}"


def company_identity(record_ids: str, hub_id: int | None, company_id: str) -> RecordIdentity:
    """A Company as the settings' `recordIds` name it."""
    record_id = f"{hub_id}-{company_id}" if record_ids == "account" else company_id
    return RecordIdentity(HUBSPOT, record_id, company_id)


def company_of(record_id: str) -> str:
    """The Company's id at HubSpot of a `crmRecordId`."""
    return record_id.rpartition("-")[2]


def serves_another_account(hub_id: int) -> OtherAccount:
    """The refusal of a kickoff whose FML client serves another account."""
    return OtherAccount(
        f"The client of First Mile Labs in the settings serves the HubSpot account {hub_id}, and "
        f"its cases are known by bare Company ids. {WAY_OUT}"
    )

"""What the recipe needs of an accounting system: customers and invoices. Each vendor's words are in
an adapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.recipes.base import Finding
from broker.recipes.invoices.models import InvoicesSettings

Status = Literal["draft", "created", "sent", "partly_paid", "paid", "voided", "deleted"]


class Buyer(BaseModel):
    """Who is billed. `key` names the HubSpot record, with its account: `101-company-9`;
    `customer_id` is the customer that the record names as its own.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    is_company: bool
    name: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    customer_id: str | None = None


class Line(BaseModel):
    """One line; `amount` is `quantity` times `unit_price`, rounded half up."""

    model_config = ConfigDict(frozen=True)

    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


class Draft(BaseModel):
    """The invoice that a deal asks for, in no vendor's words. Amounts are net, in `currency`
    (ISO 4217); the dates are YYYY-MM-DD where the company is. `marker` names the deal with its
    account; `deal_name` is for people.
    """

    model_config = ConfigDict(frozen=True)

    marker: str
    deal_id: str
    deal_name: str | None = None
    currency: str
    date: str
    due_date: str
    lines: tuple[Line, ...]
    buyer: Buyer

    @property
    def amount(self) -> Decimal:
        """The sum of the lines."""
        return sum((each.amount for each in self.lines), Decimal(0))


class Company(BaseModel):
    """What decides what a company's invoices may be. `currencies` are those that it can use now;
    `closed_until` is the last day (YYYY-MM-DD) of its closed books.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    country: str
    home_currency: str
    currencies: frozenset[str] | None
    time_zone: str
    closed_until: str | None = None
    multicurrency: bool = False
    custom_numbers: bool = False
    service_dates: bool = False

    def has_currency(self, currency: str) -> bool:
        """`currencies` None: the company may use any."""
        return self.currencies is None or currency in self.currencies


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer at the vendor. `created`: by this run."""

    id: str
    name: str
    created: bool = False


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as it is now; `net` is its amount without tax."""

    id: str
    number: str | None
    status: Status
    total: Decimal
    net: Decimal
    currency: str
    created: bool = False


@dataclass(frozen=True, slots=True)
class Creation:
    """What an invoice is created from. `token` is the same at every attempt whose outcome is not
    known, and another after a refusal.
    """

    draft: Draft
    company: Company
    customer: Customer
    settings: InvoicesSettings
    token: UUID


@dataclass(frozen=True, slots=True)
class Choices:
    """What settings may name, by id, with the names that people know."""

    items: Mapping[str, str] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    tax_codes: Mapping[str, str] = field(default_factory=dict)


class Books(Protocol):
    """A kind of accounting system: `provider` is the provider whose apps connect it.

    Every method raises what `PartnerCalls` raises, and InputRefused or ScopesMissing, with what the
    person should do, for what the vendor refuses.
    """

    @property
    def provider(self) -> str: ...

    async def company(self, calls: PartnerCalls, user: PartnerUser, currency: str) -> Company:
        """The company's facts; `currencies` is true for this currency at least."""

    def check(self, company: Company, draft: Draft, settings: InvoicesSettings) -> None:
        """Raise InputRefused for what can be seen to fail before anything is written."""

    async def find_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company
    ) -> Customer | None:
        """The buyer's customer in the draft's currency, None when one has to be made."""

    async def create_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company, token: UUID
    ) -> Customer:
        """Make the customer, or take the one that was made meanwhile."""

    def customer_body(self, draft: Draft, company: Company) -> Mapping[str, Any]:
        """What `create_customer` sends."""

    async def find_invoice(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, customer_ids: Sequence[str]
    ) -> Invoice | None:
        """The deal's invoice by its marker, whatever became of it."""

    async def create_invoice(
        self, calls: PartnerCalls, user: PartnerUser, creation: Creation
    ) -> Invoice:
        """Create the invoice. After an error other than InputRefused it may exist."""

    def invoice_body(
        self, draft: Draft, company: Company, customer_id: str, settings: InvoicesSettings
    ) -> Mapping[str, Any]:
        """What `create_invoice` sends."""

    async def read_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str
    ) -> Invoice | None:
        """The invoice, None when it was deleted."""

    async def send_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str, email: str
    ) -> None:
        """E-mail the invoice."""

    async def choices(self, calls: PartnerCalls, user: PartnerUser) -> Choices:
        """What the company has for settings to name."""

    def findings(
        self, company: Company, choices: Choices, settings: InvoicesSettings
    ) -> list[Finding]:
        """What would make every run fail in this company."""

    def invoice_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        """The id of the invoice that a webhook is about; None for other webhooks."""

    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, page: int
    ) -> tuple[Sequence[str], bool]:
        """The ids of invoices that have changed since a moment, and whether there are more
        pages, which count from 1.
        """

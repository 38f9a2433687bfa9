"""What a WooCommerce site holds: customers and orders with their lines and refunds."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
STATUSES = (
    "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed",
    "checkout-draft",
)  # fmt: skip
PAID = ("processing", "completed", "refunded")
BILLING = (
    "first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postcode",
    "country", "email", "phone",
)  # fmt: skip


def address(fields: dict[str, Any]) -> dict[str, str]:
    """An address with every field, empty where nothing is known. Raises ValueError on others."""
    unknown = set(fields) - set(BILLING)
    if unknown:
        raise ValueError(f"an address has no {', '.join(sorted(unknown))}")
    return {name: str(fields.get(name, "")) for name in BILLING}


@dataclass(slots=True)
class Customer:
    """A registered customer; guests have no record."""

    id: int
    email: str
    first_name: str
    last_name: str
    username: str
    created_at: float
    modified_at: float
    billing: dict[str, str]
    role: str = "customer"


@dataclass(slots=True)
class LineItem:
    """A line; `total` is after discounts, both amounts are for the whole line without tax."""

    id: int
    name: str
    sku: str
    quantity: int
    subtotal: Decimal
    total: Decimal
    tax: Decimal = ZERO
    product_id: int = 0


@dataclass(slots=True)
class Refund:
    """Refunded money."""

    id: int
    created_at: float
    amount: Decimal
    reason: str
    by: int = 1
    through_gateway: bool = False


@dataclass(slots=True)
class Order:
    """An order. `total` is gross whatever the site's tax settings; a refund does not change it."""

    id: int
    number: str
    status: str
    currency: str
    created_at: float
    modified_at: float
    lines: list[LineItem]
    billing: dict[str, str]
    customer_id: int = 0
    shipping: Decimal = ZERO
    paid_at: float | None = None
    completed_at: float | None = None
    payment_method: str = "stripe"
    created_via: str = "checkout"
    customer_note: str = ""
    refunds: list[Refund] = field(default_factory=list)
    meta: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total_tax(self) -> Decimal:
        """The tax of every line."""
        return sum((line.tax for line in self.lines), ZERO)

    @property
    def total(self) -> Decimal:
        """What the buyer pays."""
        return sum((line.total for line in self.lines), self.shipping + self.total_tax)

    @property
    def discount(self) -> Decimal:
        """What discounts took off."""
        return sum((line.subtotal - line.total for line in self.lines), ZERO)

    @property
    def refunded(self) -> Decimal:
        """The sum of the refunds."""
        return sum((refund.amount for refund in self.refunds), ZERO)

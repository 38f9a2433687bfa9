"""What a shop holds: customers, orders with their lines and refunds, and the sums of an order.

Sums are shop money. `total` is the price before returns, `current_total` after returns and edits,
`net_payment` the money received less the money refunded: a refund without returned lines changes
the last only.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from broker.sandbox.shopify.store.money import Rate

ZERO = Decimal(0)


@dataclass(slots=True)
class Address:
    """A postal address."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    address1: str | None = None
    city: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country_code: str | None = None
    phone: str | None = None


@dataclass(slots=True)
class Customer:
    """A customer with an account or a checkout behind them; guests of a till have none."""

    id: int
    email: str | None
    first_name: str | None
    last_name: str | None
    phone: str | None
    created_at: float
    updated_at: float
    address: Address | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LineItem:
    """A line; `discount` is for the whole line, `current_quantity` what edits and returns left."""

    id: int
    title: str
    sku: str | None
    quantity: int
    price: Decimal
    discount: Decimal = ZERO
    current_quantity: int = 0

    def priced(self, quantity: int) -> Decimal:
        """The price of some of the line's pieces, discount shared out."""
        return self.price * quantity - self.discount * quantity / self.quantity


@dataclass(slots=True)
class Refund:
    """Refunded money, with the returned lines (id of the line, quantity)."""

    id: int
    created_at: float
    amount: Decimal
    note: str | None
    lines: list[tuple[int, int]]


@dataclass(slots=True)
class Order:
    """An order. `payment` is the state before any money moved: PENDING, AUTHORIZED, VOIDED,
    EXPIRED.
    """

    id: int
    number: int
    name: str
    created_at: float
    updated_at: float
    currency: str
    rate: Rate
    lines: list[LineItem]
    customer_id: int | None = None
    email: str | None = None
    phone: str | None = None
    billing: Address | None = None
    shipping_address: Address | None = None
    shipping: Decimal = ZERO
    tax: Decimal = ZERO
    received: Decimal = ZERO
    payment: str = "PENDING"
    fulfillment: str = "UNFULFILLED"
    source: str = "web"
    test: bool = False
    edited: bool = False
    note: str | None = None
    tags: list[str] = field(default_factory=list)
    cancelled_at: float | None = None
    cancel_reason: str | None = None
    refunds: list[Refund] = field(default_factory=list)
    original_total: Decimal = ZERO

    @property
    def subtotal(self) -> Decimal:
        """The lines before returns."""
        return sum((line.priced(line.quantity) for line in self.lines), ZERO)

    @property
    def discounts(self) -> Decimal:
        """Every discount."""
        return sum((line.discount for line in self.lines), ZERO)

    @property
    def total(self) -> Decimal:
        """The price before returns; taxes are included in prices."""
        return self.subtotal + self.shipping

    @property
    def current_total(self) -> Decimal:
        """The price after returns and edits."""
        return sum((line.priced(line.current_quantity) for line in self.lines), self.shipping)

    @property
    def refunded(self) -> Decimal:
        """The sum of the refunds."""
        return sum((refund.amount for refund in self.refunds), ZERO)

    @property
    def net_payment(self) -> Decimal:
        """The money received less the money refunded."""
        return self.received - self.refunded

    @property
    def financial(self) -> str:
        """`OrderDisplayFinancialStatus`."""
        if self.payment in {"VOIDED", "EXPIRED"}:
            return self.payment
        if self.refunded > 0:
            return "REFUNDED" if self.refunded >= self.received else "PARTIALLY_REFUNDED"
        if self.received >= self.current_total:
            return "PAID"
        return "PARTIALLY_PAID" if self.received > 0 else self.payment


@dataclass(slots=True)
class Shop:
    """A store: `orders` and `customers` by id, `installed` the scopes that each app was granted.

    `offset_minutes` is the zone's distance from UTC, in which REST bodies write times.
    """

    id: int
    domain: str
    name: str
    email: str
    currency: str = "USD"
    timezone: str = "America/New_York"
    offset_minutes: int = -300
    plan: str = "Basic"
    created_at: float = 0.0
    orders: dict[int, Order] = field(default_factory=dict)
    customers: dict[int, Customer] = field(default_factory=dict)
    installed: dict[str, list[str]] = field(default_factory=dict)
    next_number: int = 1001

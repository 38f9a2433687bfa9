"""Amounts as Shopify computes and writes them: decimals with the currency's own number of digits.

A GraphQL `Decimal` is a string without trailing zeros but one ("10.0"); REST bodies have the
currency's digits ("10.00", "1000" in yen).
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# ISO 4217: digits after the point, where they are not two.
DIGITS = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "KWD": 3, "BHD": 3, "TND": 3}


@dataclass(frozen=True, slots=True)
class Rate:
    """The currency a buyer sees, and how much of it one unit of the shop's currency is."""

    currency: str
    value: Decimal = Decimal(1)

    def of(self, amount: Decimal) -> Decimal:
        """An amount of shop money in presentment money."""
        return rounded(amount * self.value, self.currency)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount with as many digits as the currency has."""
    unit = Decimal(1).scaleb(-DIGITS.get(currency, 2))
    return amount.quantize(unit, ROUND_HALF_UP)


def as_decimal(amount: Decimal) -> str:
    """A GraphQL `Decimal`."""
    text = f"{amount:f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


def as_rest(amount: Decimal, currency: str) -> str:
    """An amount in a REST body."""
    return f"{rounded(amount, currency):f}"

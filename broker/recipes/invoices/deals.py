"""From a deal, its line items and the one who is billed to a draft: what is lacking is refused
here, before anything is written anywhere.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS, LINE_ITEMS
from broker.crm.records import HubSpotUser, RecordReader
from broker.crm.related import MOST_ASSOCIATED
from broker.errors import InputRefused
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Buyer, Draft, Line

Record = Mapping[str, str | None]

DEAL_PROPERTIES = ("dealname", "amount", "deal_currency_code")
ITEM_PROPERTIES = (
    "name",
    "quantity",
    "price",
    "amount",
    "hs_line_item_currency_code",
    "hs_position_on_quote",
)
PRIMARY = "Primary"
DESCRIPTION_LENGTH = 4000

_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_NAMES_AND_PLACES = ((_WHOLE, 0), (_THOUSANDTHS, 3))
PLACES = {each: places for names, places in _NAMES_AND_PLACES for each in names.split()}
"""Digits after the point by currency (ISO 4217); two for the others."""

UNIT_PLACES = Decimal("0.0001")
"""Both vendors keep four digits of a unit price and of a quantity."""


def marker_of(hub_id: int | None, deal_id: str) -> str:
    """How an invoice names its deal: deal ids mean nothing without their account."""
    return f"hubspot-{hub_id}-{deal_id}"


async def read_deal(
    reader: RecordReader, user: HubSpotUser, deal_id: str, settings: InvoicesSettings
) -> Draft:
    """The draft of a deal, without its dates. Raises InputRefused for a deal that is gone or lacks
    something, naming it.
    """
    deal = await reader.read(DEALS, deal_id, DEAL_PROPERTIES)
    if deal is None:
        raise InputRefused(f"There is no deal {deal_id} in this HubSpot account.")
    currency = (deal.get("deal_currency_code") or "").strip().upper()
    if not currency:
        currency = ((await reader.account()).currency or "").upper()
    if not currency:
        raise _lacks("deal_currency_code", f"The deal {deal_id} has no currency. Set it, retry.")
    items: Sequence[Record] = ()
    if settings.lines == "items":
        linked = await reader.associated(DEALS, deal_id, LINE_ITEMS)
        if len(linked) >= MOST_ASSOCIATED:  # there may be more, which would not be billed
            raise _lacks(
                "amount",
                f"The deal {deal_id} has {MOST_ASSOCIATED} line items or more. Take some together, "
                "or set lines to amount, then retry.",
            )
        found = await reader.read_many(LINE_ITEMS, [each.id for each in linked], ITEM_PROPERTIES)
        if any(each.id not in found for each in linked):
            raise _lacks(
                "amount", f"A line item of the deal {deal_id} cannot be read. Look at them, retry."
            )
        items = sorted((found[each.id] for each in linked), key=_position)
    lines = _lines(deal_id, deal, items, currency)
    return Draft(
        marker=marker_of(user.hub_id, deal_id),
        deal_id=deal_id,
        deal_name=(deal.get("dealname") or "").strip() or None,
        currency=currency,
        date="",
        due_date="",
        lines=tuple(lines),
        buyer=await _read_buyer(reader, user, deal_id, settings),
    )


def dated(draft: Draft, time_zone: str, due_days: int) -> Draft:
    """The draft with today's date where the company is."""
    try:
        today = datetime.now(ZoneInfo(time_zone)).date()
    except (ZoneInfoNotFoundError, ValueError):
        today = datetime.now(UTC).date()
    due = today + timedelta(days=due_days)
    return draft.model_copy(update={"date": _text(today), "due_date": _text(due)})


def _text(day: date) -> str:
    return day.isoformat()


async def _read_buyer(
    reader: RecordReader, user: HubSpotUser, deal_id: str, settings: InvoicesSettings
) -> Buyer:
    mapping = settings.customer
    contacts = await reader.associated(DEALS, deal_id, CONTACTS)
    labelled = [each for each in contacts if mapping.contactLabel in each.labels]
    chosen = next(iter(labelled or contacts), None)
    if chosen is None:
        raise _lacks(
            "contact", f"The deal {deal_id} has no contact. Associate the one who is billed, retry."
        )
    address = {
        "phone": mapping.phone,
        "street": mapping.street,
        "city": mapping.city,
        "state": mapping.state,
        "postal_code": mapping.postalCode,
        "country": mapping.country,
    }
    shared = [name for name in (*address.values(), mapping.customerId) if name]
    names = [mapping.email, mapping.firstName, mapping.lastName, *shared]
    contact = await reader.read(CONTACTS, chosen.id, names) or {}
    email = (contact.get(mapping.email) or "").strip() or None
    if email is None and settings.sendEmail:
        raise _lacks(
            mapping.email,
            f"The contact {chosen.id} has no e-mail address to send to. Add it, retry.",
        )
    billed, company_name, key = contact, None, f"{user.hub_id}-contact-{chosen.id}"
    company_id = await _company_of(reader, deal_id) if mapping.billTo == "company" else None
    if company_id is not None:
        found = await reader.read(COMPANIES, company_id, [mapping.companyName, *shared]) or {}
        company_name = (found.get(mapping.companyName) or "").strip() or None
        if company_name is not None:
            billed, key = found, f"{user.hub_id}-company-{company_id}"
    first, last = (
        (contact.get(name) or "").strip() or None for name in (mapping.firstName, mapping.lastName)
    )
    name = company_name or " ".join(filter(None, (first, last))) or email
    if name is None:
        raise _lacks(
            mapping.lastName,
            f"The contact {chosen.id} has neither a name nor an e-mail address. Add one, retry.",
        )
    return Buyer(
        key=key,
        is_company=company_name is not None,
        name=name,
        email=email,
        first_name=first,
        last_name=last,
        customer_id=billed.get(mapping.customerId or "") or None,
        **{
            field: (billed.get(prop) or "").strip() or None if prop else None
            for field, prop in address.items()
        },
    )


async def _company_of(reader: RecordReader, deal_id: str) -> str | None:
    """The deal's primary company, else its first."""
    companies = await reader.associated(DEALS, deal_id, COMPANIES)
    primary = [each for each in companies if PRIMARY in each.labels]
    return next((each.id for each in (*primary, *companies)), None)


def _lines(deal_id: str, deal: Record, items: Sequence[Record], currency: str) -> list[Line]:
    amount = _number(deal.get("amount"), "amount", f"The deal {deal_id}")
    name = (deal.get("dealname") or f"Deal {deal_id}")[:DESCRIPTION_LENGTH]
    if items:
        lines = [_line(each, name, currency) for each in items]
        total = sum((each.amount for each in lines), Decimal(0))
        if amount is not None and rounded(amount, currency) != total:
            raise _lacks(
                "amount",
                f"The deal {deal_id} comes to {rounded(amount, currency)} {currency}, its line "
                f"items to {total}. Make them equal, or set lines to amount, then retry.",
            )
    elif amount is None:
        raise _lacks(
            "amount",
            f"The deal {deal_id} has neither an amount nor line items. Fill in one, then retry.",
        )
    else:
        total = rounded(amount, currency)
        lines = [Line(description=name, quantity=Decimal(1), unit_price=total, amount=total)]
    if total <= 0:
        raise _lacks("amount", f"The deal {deal_id} comes to {total}; there is nothing to bill.")
    return lines


def _line(item: Record, otherwise: str, currency: str) -> Line:
    """A line item. One whose price has been discounted, or is finer than the vendors keep, becomes
    one piece at the whole price, and its description says how many there are.
    """
    description = (item.get("name") or otherwise)[:DESCRIPTION_LENGTH]
    who = f"The line item {description[:100]}"
    own = (item.get("hs_line_item_currency_code") or currency).upper()
    if own != currency:
        raise _lacks(
            "hs_line_item_currency_code", f"{who} is in {own}, the deal in {currency}. Correct it."
        )
    price, quantity = (
        _number(item.get("price"), "price", who),
        _number(item.get("quantity"), "quantity", who),
    )
    stated = _number(item.get("amount"), "amount", who)
    quantity = Decimal(1) if quantity is None else quantity
    if stated is None and price is None:
        raise _lacks("price", f"{who} has no price. Fill it in, then retry.")
    computed = None if price is None else rounded(price * quantity, currency)
    amount = computed if stated is None else rounded(stated, currency)
    assert amount is not None  # noqa: S101  # one of the two is there
    exact = price is not None and all(
        each == each.quantize(UNIT_PLACES) for each in (price, quantity)
    )
    if price is not None and exact and computed == amount:
        return Line(description=description, quantity=quantity, unit_price=price, amount=amount)
    many = "" if quantity == 1 else f" ({quantity:f} pieces)"
    described = description[: DESCRIPTION_LENGTH - len(many)] + many
    return Line(description=described, quantity=Decimal(1), unit_price=amount, amount=amount)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """An amount with as many digits as its currency has, half up."""
    unit = Decimal(1).scaleb(-PLACES.get(currency, 2))
    return amount.quantize(unit, ROUND_HALF_UP)


def _number(text: str | None, field: str, who: str) -> Decimal | None:
    """A property's number; None when it is empty."""
    if text is None or not text.strip():
        return None
    try:
        read = Decimal(text.strip())
    except InvalidOperation:
        read = Decimal("NaN")
    if not read.is_finite() or abs(read) >= 10**12:
        raise _lacks(field, f"{who} has the {field} {text[:40]!r}, which is no amount. Correct it.")
    return read


def _position(item: Record) -> tuple[bool, int]:
    text = item.get("hs_position_on_quote") or ""
    return (not text.isdecimal(), int(text) if text.isdecimal() else 0)


def _lacks(field: str, message: str) -> InputRefused:
    return InputRefused(message, errors=[{"field": field, "message": message}])

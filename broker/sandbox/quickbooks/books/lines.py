"""The lines of an invoice: amounts that must add up, items and tax codes that must exist."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount, rounded
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.books.company import Company, Record
from broker.sandbox.quickbooks.books.entities import LINE_FIELDS, SALES_DETAIL_FIELDS

DEFAULT_ITEM = "1"
DESCRIPTION_LENGTH = 4000
VAT_WORDS = {"CA": "GST/HST", "UK": "VAT", "AU": "GST"}


@dataclass(frozen=True, slots=True)
class Totals:
    """The lines as they are stored, the sum of their amounts after discount, and the sums that each
    tax code applies to.
    """

    lines: list[Record]
    subtotal: Decimal
    by_code: dict[str, Decimal]


def check_lines(company: Company, sent: Any, calculation: str) -> Totals:
    """Check and complete lines. `calculation` is the invoice's GlobalTaxCalculation, or ""."""
    if not isinstance(sent, list) or not sent:
        raise problems.missing("Line")
    lines: list[Record] = []
    subtotal, discount = Decimal(0), Decimal(0)
    by_code: dict[str, Decimal] = {}
    for each in sent:
        kind = _kind(each)
        if kind == "SubTotalLineDetail":
            continue
        line = {name: value for name, value in each.items() if value is not None}
        if kind == "SalesItemLineDetail":
            line, code = _sales_line(company, line, calculation)
            subtotal += line["Amount"]
            by_code[code] = by_code.get(code, Decimal(0)) + line["Amount"]
        elif kind == "DiscountLineDetail":
            line = _discount_line(line, subtotal)
            discount += line["Amount"]
        lines.append({**line, "Id": str(len(lines) + 1), "LineNum": len(lines) + 1})
    if not any(each["DetailType"] == "SalesItemLineDetail" for each in lines):
        raise problems.missing("Line.SalesItemLineDetail")
    total = {"Amount": subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    if discount and subtotal:
        share = 1 - discount / subtotal
        by_code = {code: each * share for code, each in by_code.items()}
    return Totals([*lines, total], subtotal - discount, by_code)


def _kind(line: Any) -> str:
    if not isinstance(line, dict) or not line.get("DetailType"):
        raise problems.missing("Line.DetailType")
    for name in line:
        if name not in LINE_FIELDS:
            raise problems.unsupported(f"Line.{name}")
    kind = str(line["DetailType"])
    if kind not in {
        "SalesItemLineDetail",
        "SubTotalLineDetail",
        "DiscountLineDetail",
        "DescriptionOnly",
    }:
        raise problems.bad_value("Line.DetailType", kind)
    if len(str(line.get("Description") or "")) > DESCRIPTION_LENGTH:
        raise problems.too_long("Description", DESCRIPTION_LENGTH, len(str(line["Description"])))
    return kind


def _sales_line(company: Company, line: Record, calculation: str) -> tuple[Record, str]:
    detail = line.get("SalesItemLineDetail")
    if not isinstance(detail, dict):
        raise problems.missing("Line.SalesItemLineDetail")
    for name in detail:
        if name not in SALES_DETAIL_FIELDS:
            raise problems.unsupported(f"SalesItemLineDetail.{name}")
    if "Amount" not in line:
        raise problems.missing("Line.Amount")
    total = _number(line["Amount"])
    quantity, price = _optional(detail.get("Qty")), _optional(detail.get("UnitPrice"))
    if quantity == 0 and price == 0:
        # Client libraries send zeros for fields that were not set.
        quantity = price = None
    if quantity is not None and price is not None and rounded(quantity * price) != rounded(total):
        raise problems.wrong_amount(line["Amount"])
    if company.settings.needs_service_date and not detail.get("ServiceDate"):
        raise problems.business("A service date is required for each line.")
    item = company.active("Item", detail.get("ItemRef") or {"value": DEFAULT_ITEM})
    code = _tax_code(company, detail.get("TaxCodeRef"), calculation)
    shown = {
        name: value
        for name, value in detail.items()
        if value is not None and name not in {"Qty", "UnitPrice", "TaxInclusiveAmt"}
    }
    shown |= {
        "ItemRef": {"value": item["Id"], "name": item["Name"]},
        "ItemAccountRef": item["IncomeAccountRef"],
    }
    if code:
        shown["TaxCodeRef"] = {"value": code}
    shown |= {"Qty": quantity} if quantity is not None else {}
    shown |= {"UnitPrice": price} if price is not None else {}
    return {**line, "Amount": rounded(total), "SalesItemLineDetail": shown}, code


def _tax_code(company: Company, reference: Any, calculation: str) -> str:
    country = company.settings.country
    value = str(reference.get("value") or "") if isinstance(reference, dict) else ""
    if country == "US":
        if value not in {"", "TAX", "NON"}:
            raise problems.invalid_reference(f"TaxCode {value}")
        return value or "NON"
    if calculation == "NotApplicable":
        return ""
    found = company.find("TaxCode", value)
    if found is None or not found["Active"]:
        word = VAT_WORDS[country]
        raise problems.business(
            f"Make sure all your transactions have a {word} rate before you save."
        )
    return value


def _discount_line(line: Record, subtotal: Decimal) -> Record:
    detail = line.get("DiscountLineDetail")
    if not isinstance(detail, dict):
        raise problems.missing("Line.DiscountLineDetail")
    if detail.get("PercentBased"):
        share = _number(detail.get("DiscountPercent"))
        return {**line, "Amount": rounded(subtotal * share / 100)}
    return {**line, "Amount": rounded(_number(line.get("Amount")))}


def _number(value: Any) -> Decimal:
    read = amount(value)
    if read is None:
        raise problems.bad_number(value)
    return read


def _optional(value: Any) -> Decimal | None:
    return None if value is None else _number(value)

"""Which entities there are, their properties, and by which a query may filter.

Names from Intuit's Finance.xsd as the client libraries carry it (python-quickbooks 0.9.12).
"""

from dataclasses import dataclass

COMMON = "Id SyncToken domain sparse status MetaData CustomField AttachableRef"
PERSON = (
    "DisplayName Title GivenName MiddleName FamilyName Suffix CompanyName PrintOnCheckName Active "
    "PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr BillAddr CurrencyRef Balance "
    "AcctNum TermRef Vendor1099 TaxIdentifier APAccountRef BillRate CostRate"
)


@dataclass(frozen=True, slots=True)
class Entity:
    """`ids` names the counter that gives its ids; a list entity has `Active`; `writable` ones can
    be created and updated through the API.
    """

    name: str
    ids: str
    fields: frozenset[str]
    filters: frozenset[str]
    is_list: bool = True
    writable: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _entity(
    name: str, ids: str, fields: str, filters: str, *, is_list: bool = True, writable: bool = False
) -> Entity:
    every = _names(f"{COMMON} {fields}")
    both = _names(f"Id SyncToken MetaData.CreateTime MetaData.LastUpdatedTime {filters}")
    return Entity(name, ids, every, both | ({"Active"} if is_list else set()), is_list, writable)


_ALL = (
    _entity(
        "Customer",
        "names",
        f"{PERSON} FullyQualifiedName ShipAddr Notes Taxable Job BillWithParent ParentRef Level "
        "SalesTermRef PaymentMethodRef BalanceWithJobs OpenBalanceDate ResaleNum ARAccountRef "
        "PreferredDeliveryMethod DefaultTaxCodeRef IsProject PrimaryTaxIdentifier GSTIN "
        "BusinessNumber V4IDPseudonym ClientEntityId TaxExemptionReasonId CustomerTypeRef",
        "DisplayName GivenName MiddleName FamilyName CompanyName PrimaryEmailAddr "
        "FullyQualifiedName PrintOnCheckName Balance Taxable Job",
        writable=True,
    ),
    _entity(
        "Vendor",
        "names",
        f"{PERSON} OtherContactInfo TaxReportingBasis",
        "DisplayName GivenName FamilyName CompanyName PrimaryEmailAddr",
        writable=True,
    ),
    _entity(
        "Employee",
        "names",
        f"{PERSON} PrimaryAddr EmailAddress SSN EmployeeNumber BillableTime Organization BirthDate "
        "Gender HiredDate ReleasedDate",
        "DisplayName GivenName FamilyName PrimaryEmailAddr",
        writable=True,
    ),
    _entity(
        "Item",
        "items",
        "Name Description Active SubItem ParentRef Level FullyQualifiedName Taxable UnitPrice Type "
        "SalesTaxIncluded IncomeAccountRef ExpenseAccountRef AssetAccountRef PurchaseDesc "
        "PurchaseCost PurchaseTaxIncluded TrackQtyOnHand QtyOnHand InvStartDate Sku "
        "SalesTaxCodeRef PurchaseTaxCodeRef AbatementRate ReverseChargeRate ServiceType "
        "ItemCategoryType ClassRef PrefVendorRef",
        "Name Type Sku FullyQualifiedName UnitPrice",
        writable=True,
    ),
    _entity(
        "Invoice",
        "transactions",
        "DocNumber TxnDate DueDate CustomerRef CustomerMemo PrivateNote Line TxnTaxDetail BillAddr "
        "ShipAddr ShipFromAddr FreeFormAddress BillEmail BillEmailCc BillEmailBcc EmailStatus "
        "PrintStatus CurrencyRef ExchangeRate GlobalTaxCalculation TotalAmt HomeTotalAmt Balance "
        "HomeBalance Deposit DepositToAccountRef SalesTermRef ShipDate ShipMethodRef TrackingNum "
        "ClassRef DepartmentRef LinkedTxn DeliveryInfo AllowIPNPayment AllowOnlinePayment "
        "AllowOnlineCreditCardPayment AllowOnlineACHPayment ApplyTaxAfterDiscount EInvoiceStatus "
        "InvoiceLink RecurDataRef TaxExemptionRef TransactionLocationType TxnSource",
        "DocNumber TxnDate DueDate CustomerRef TotalAmt Balance SalesTermRef",
        is_list=False,
        writable=True,
    ),
    _entity(
        "Payment",
        "transactions",
        "CustomerRef TotalAmt UnappliedAmt TxnDate Line CurrencyRef PrivateNote PaymentRefNum",
        "CustomerRef TotalAmt TxnDate",
        is_list=False,
    ),
    _entity("TaxCode", "tax codes", "Name Description Active Taxable TaxGroup", "Name Description"),
    _entity("TaxRate", "tax rates", "Name RateValue Active", "Name"),
    _entity("Account", "accounts", "Name AccountType Active Classification", "Name AccountType"),
    _entity("Term", "terms", "Name DueDays Active", "Name"),
    _entity("CompanyInfo", "company information", "CompanyName Country", "", is_list=False),
    _entity("Preferences", "preferences", "", "", is_list=False),
)
ENTITIES = {each.name: each for each in _ALL}
BY_LOWER_NAME = {each.name.lower(): each for each in _ALL}
LINE_FIELDS = _names(
    "Id LineNum Description Amount DetailType LinkedTxn CustomField SalesItemLineDetail "
    "SubTotalLineDetail SubtotalLineDetail DiscountLineDetail DescriptionLineDetail"
)
SALES_DETAIL_FIELDS = _names(
    "ItemRef ClassRef Qty UnitPrice RatePercent ItemAccountRef TaxCodeRef ServiceDate "
    "TaxInclusiveAmt MarkupInfo PriceLevelRef DiscountRate DiscountAmt UOMSetRef "
    "TaxClassificationRef"
)
NAME_LISTS = ("Customer", "Vendor", "Employee")

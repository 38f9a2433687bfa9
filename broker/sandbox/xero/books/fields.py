"""The names of fields, from Xero's OpenAPI document (XeroAPI/Xero-OpenAPI 16.1.0)."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONTACT = _names(
    "ContactID ContactNumber AccountNumber ContactStatus Name FirstName LastName CompanyNumber "
    "EmailAddress TaxNumber IsSupplier IsCustomer DefaultCurrency UpdatedDateUTC Phones Addresses "
    "ContactPersons AccountsReceivableTaxType AccountsPayableTaxType Website"
)
INVOICE = _names(
    "InvoiceID InvoiceNumber Type Contact Reference Status Date DueDate CurrencyCode SubTotal "
    "TotalTax Total AmountDue AmountPaid LineAmountTypes UpdatedDateUTC SentToContact "
    "CurrencyRate Url BrandingThemeID ExpectedPaymentDate"
)
PAYMENT = _names(
    "PaymentID Invoice Account Date Amount Reference Status PaymentType UpdatedDateUTC IsReconciled"
)
ITEM = _names(
    "ItemID Code Name Description IsSold IsPurchased IsTrackedAsInventory SalesDetails "
    "PurchaseDetails PurchaseDescription UpdatedDateUTC"
)
ACCOUNT = _names(
    "AccountID Code Name Type Status TaxType Class Description EnablePaymentsToAccount "
    "UpdatedDateUTC"
)
TAX_RATE = _names("Name TaxType Status EffectiveRate DisplayTaxRate ReportTaxType")
CURRENCY = _names("Code Description")

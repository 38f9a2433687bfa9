"""Intuit's two error envelopes: faults of the API and faults of the gateway before it.

Messages as seen in threads of the client libraries (python-quickbooks #250, #83; PHP SDK #241;
.NET SDK #353; activepieces #8539) and otherwise from Intuit's list of error codes.
"""

from typing import Any

INACTIVE = (
    "Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)
REQUIRED = "Required param missing, need to supply the required value for the API"
BUSINESS = "A business validation error has occurred while processing your request"


class QboFault(Exception):
    """An API fault: HTTP status, code, `Message`, `Detail` and type."""

    def __init__(
        self, code: str, message: str, detail: str, status: int = 400, kind: str = "ValidationFault"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "Fault": {
                "Error": [{"Message": message, "Detail": detail, "code": code, "element": ""}],
                "type": kind,
            }
        }


class GatewayFault(Exception):
    """A fault of the gateway, in its own envelope with lower-case names."""

    def __init__(self, status: int, code: int, word: str, detail: str, kind: str) -> None:
        super().__init__(word)
        self.status = status
        message = f"message={word}; errorCode={code:06}; statusCode={status}"
        self.error = {"message": message, "detail": detail, "code": str(code), "element": None}
        self.kind = kind

    def body(self, milliseconds: int) -> dict[str, Any]:
        """The answer's body; `milliseconds` is the present."""
        return {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [self.error], "type": self.kind},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": milliseconds,
            "status": None,
            "cdcresponse": [],
        }


def unauthenticated(detail: str) -> GatewayFault:
    return GatewayFault(401, 3200, "AuthenticationFailed", detail, "AUTHENTICATION")


def unauthorized(detail: str = "ApplicationAuthorizationFailed") -> GatewayFault:
    return GatewayFault(403, 3100, "AuthorizationFailed", detail, "SERVICE")


def throttled() -> GatewayFault:
    detail = "The request limit was reached. Try again later"
    return GatewayFault(429, 3001, "ThrottleExceeded", detail, "SERVICE")


def missing(parameter: str) -> QboFault:
    return QboFault("2020", REQUIRED, f"Required parameter {parameter} is missing in the request")


def unsupported(name: str) -> QboFault:
    detail = f"Property Name:{name} specified is unsupported or invalid"
    return QboFault("2010", "Request has invalid or unsupported property", detail)


def bad_id(value: object) -> QboFault:
    return QboFault("2030", "Invalid ID", f"Id should be a valid number. Supplied value:{value}")


def too_long(name: str, most: int, length: int) -> QboFault:
    message = "String length is either shorter or longer than supported by specification"
    detail = (
        f"String length specified does not match the supported length. Min:0 Max:{most} supported. "
        f"Supplied length:{length} ({name})"
    )
    return QboFault("2050", message, detail)


def bad_number(value: object) -> QboFault:
    return QboFault("2090", "Invalid Number", f"Invalid Number : {value}")


def bad_value(name: str, value: object) -> QboFault:
    return QboFault("2170", "Invalid Enumeration", f"Invalid Enumeration : {name} {value}")


def invalid_reference(name: str) -> QboFault:
    return QboFault("2500", "Invalid Reference Id", f"Invalid Reference Id : {INACTIVE} ({name})")


def not_found() -> QboFault:
    return QboFault("610", "Object Not Found", f"Object Not Found : {INACTIVE}")


def stale() -> QboFault:
    detail = (
        "Stale Object Error : You and Ada Lovelace were working on this at the same time. "
        "Ada Lovelace finished before you did, so your work was not saved."
    )
    return QboFault("5010", "Stale Object Error", detail)


def business(text: str) -> QboFault:
    return QboFault("6000", BUSINESS, f"Business Validation Error: {text}")


def wrong_amount(value: object) -> QboFault:
    detail = f"Amount is not equal to UnitPrice * Qty. Supplied value:{value}"
    return QboFault("6070", "Amount calculation incorrect in the request", detail)


def duplicate_number(number: str, txn_id: str) -> QboFault:
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has "
        f"already been used. DocNumber={number} is assigned to TxnType=Invoice with TxnId={txn_id}"
    )
    return QboFault("6140", "Duplicate Document Number Error", detail)


def subscription_ended() -> QboFault:
    message = "Invalid Company Status"
    detail = (
        "Subscription period has ended or canceled or there was a billing problem : You can't add "
        "data to QuickBooks Online Plus because your trial or subscription period ended, you "
        "canceled your subscription, or there was a billing problem."
    )
    return QboFault("6190", message, detail)


def closed_period() -> QboFault:
    message = "Account Period Closed, Cannot Update Through Services API"
    detail = (
        f"{message} : The account period has closed and the account books cannot be updated "
        "through the QBO Services API. Please use the QBO website to make these changes."
    )
    return QboFault("6210", message, detail)


def duplicate_name() -> QboFault:
    detail = (
        "The name supplied already exists. : Another customer, vendor or employee is already using "
        "this name. Please use a different name."
    )
    return QboFault("6240", "Duplicate Name Exists Error", detail)


def linked() -> QboFault:
    message = "Transaction is linked to another transaction"
    return QboFault("6440", message, f"{message} : Remove the payment first.")


def access_lost() -> QboFault:
    detail = (
        "AuthorizationFailure: The user has no access to this company any more, statusCode: 403"
    )
    return QboFault("120", "Authorization Failure", detail, 403, "AuthorizationFault")


def query_syntax(found: str, column: int) -> QboFault:
    detail = f'QueryParserError: Encountered " "{found}" "" at line 1, column {column}.'
    return QboFault("4000", "Error parsing query", detail)


def query_invalid(detail: str) -> QboFault:
    return QboFault("4001", "Invalid query", f"QueryValidationError: {detail}")

"""Record ids: 15 case-sensitive characters, or 18 with a checksum of their case
(https://help.salesforce.com/s/articleView?id=000385585).
"""

import re
import string

PREFIXES = {
    "Organization": "00D",
    "User": "005",
    "Group": "00G",
    "Lead": "00Q",
    "Contact": "003",
    "Account": "001",
    "Opportunity": "006",
    "LeadStatus": "01J",
    "RecordType": "012",
    "CustomField": "00N",
    "QueryLocator": "01g",
}
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM = string.ascii_uppercase + "012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def make_id(sobject: str, serial: int) -> str:
    """An 18-character id of an object's type."""
    digits = ""
    while serial:
        serial, rest = divmod(serial, 62)
        digits = _DIGITS[rest] + digits
    return lengthen(PREFIXES[sobject] + "Hs" + digits.rjust(10, "0"))


def lengthen(short: str) -> str:
    """The 18 characters of a 15-character id."""
    suffix = ""
    for begin in (0, 5, 10):
        chunk = short[begin : begin + 5]
        bits = sum(1 << index for index, letter in enumerate(chunk) if letter.isupper())
        suffix += _CHECKSUM[bits]
    return short + suffix


def parse_id(text: str) -> str | None:
    """The 18 characters of an id in either form; None when it is not an id."""
    if not _SHAPE.fullmatch(text):
        return None
    full = lengthen(text[:15])
    return full if len(text) == 15 or text == full else None

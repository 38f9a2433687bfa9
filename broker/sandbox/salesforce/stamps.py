"""Times as Salesforce writes and reads them: UTC, whole seconds, an offset without a colon."""

import re
from datetime import UTC, date, datetime
from typing import Any

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def moment(seconds: float) -> datetime:
    """A time of the clock, cut to the second as Salesforce stores it."""
    return datetime.fromtimestamp(int(seconds), UTC)


def parse_moment(text: str) -> datetime | None:
    """A date and time in ISO 8601; None when it is none. Without an offset it is UTC."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    offset = (found[2] or "Z").upper()
    if offset != "Z" and ":" not in offset:
        offset = f"{offset[:3]}:{offset[3:]}"
    try:
        read = datetime.fromisoformat(found[1] + ("+00:00" if offset == "Z" else offset))
    except ValueError:
        return None
    return read.astimezone(UTC)


def parse_day(text: str) -> date | None:
    """A date in ISO 8601; None when it is none."""
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def to_json(value: Any) -> Any:
    """A stored value as the REST API shows it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.000+0000"
    return value.isoformat() if isinstance(value, date) else value

"""Times in queries and bodies."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

FIRST_YEAR, LAST_YEAR = 1970, 2100


def _unescaped(text: object) -> object:
    # A plus sign that was not escaped in a query arrives as a space.
    return text.replace(" ", "+") if isinstance(text, str) and "T" in text else text


def _in_utc(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, BeforeValidator(_unescaped), AfterValidator(_in_utc)]
"""A time of ISO 8601; UTC where it names no zone."""

AwareMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time of ISO 8601 that names its zone."""

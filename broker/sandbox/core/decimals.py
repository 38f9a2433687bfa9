"""JSON in which amounts are numbers on the wire and Decimal inside."""

import json
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

CENT = Decimal("0.01")


def loads(raw: bytes | str) -> Any:
    """Parse JSON; a number with a fraction becomes a Decimal. Raises ValueError."""
    return json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)


def dumps(value: Any) -> str:
    """Write JSON; a Decimal becomes a number with the digits it has."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(dumps(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def amount(value: Any) -> Decimal | None:
    """A JSON number, or a string that holds one, as Decimal; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        read = Decimal(value)
    except InvalidOperation:
        return None
    return read if read.is_finite() else None


def rounded(value: Decimal, places: int = 2) -> Decimal:
    """A value with so many decimals, halves away from zero."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

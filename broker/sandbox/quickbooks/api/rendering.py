"""Answers as JSON or, when JSON is not accepted, as XML, with the headers of every answer."""

import secrets
from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from aiohttp import web

from broker.sandbox.core.decimals import dumps

PACIFIC = ZoneInfo("America/Los_Angeles")
XML_NAMESPACE = "http://schema.intuit.com/finance/v3"


def pacific(moment: datetime, *, milliseconds: bool = False) -> str:
    """A moment as QuickBooks writes it: Pacific time with its offset."""
    kind = "milliseconds" if milliseconds else "seconds"
    return moment.astimezone(PACIFIC).isoformat(timespec=kind)


def accepts_json(request: web.Request, xml_without_accept: bool) -> bool:
    """Whether a request is answered in JSON; without an explicit wish QuickBooks sends XML."""
    accept = request.headers.get("Accept", "")
    return "json" in accept or request.query.get("format") == "json" or not xml_without_accept


def answer(
    body: dict[str, Any], moment: datetime, *, json: bool, status: int = 200
) -> web.Response:
    """An answer of the API, stamped with the time."""
    time = pacific(moment, milliseconds=True)
    if json:
        text = dumps({**body, "time": time} if "time" not in body else body)
        return web.Response(text=text, status=status, content_type="application/json")
    inner = "".join(_element(name, value) for name, value in body.items())
    text = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        f'<IntuitResponse xmlns="{XML_NAMESPACE}" time="{time}">{inner}</IntuitResponse>'
    )
    return web.Response(text=text, status=status, content_type="application/xml")


def intuit_tid() -> str:
    """The id that Intuit's support needs."""
    return f"1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, dict):
        # What the JSON form calls code and type are attributes of faults in XML.
        as_attributes = {"Fault": ("type",), "Error": ("code", "element")}.get(
            name, ("domain", "sparse")
        )
        attributes = "".join(
            f" {key}={quoteattr(_text(value[key]))}" for key in as_attributes if key in value
        )
        inner = "".join(
            _element(key, each) for key, each in value.items() if key not in as_attributes
        )
        return f"<{name}{attributes}>{inner}</{name}>"
    return f"<{name}>{escape(_text(value))}</{name}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)

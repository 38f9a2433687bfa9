"""Answers as JSON or, when JSON is not accepted, as XML; and how Xero writes dates."""

import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from broker.sandbox.core.decimals import dumps

_DATE = re.compile(r"/Date\((\d+)(?:\+0000)?\)/")


def date_of(day: str) -> str:
    """A date (YYYY-MM-DD) in answers: `/Date(ms+0000)/` at midnight UTC."""
    return moment_of(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def moment_of(at: float) -> str:
    """A moment (seconds) in answers: `/Date(ms+0000)/`."""
    return f"/Date({round(at * 1000)}+0000)/"


def utc_of(at: float, places: int = 7) -> str:
    """A moment as identity endpoints and webhooks write it: ISO without an offset."""
    text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"
    return text.ljust(27, "0")[: 20 + places]


def envelope(now: float, name: str, elements: list[Any], **more: Any) -> dict[str, Any]:
    """What every answer of the accounting API is wrapped in."""
    return {
        "Id": str(uuid.uuid4()),
        "Status": "OK",
        "ProviderName": "Sandbox",
        "DateTimeUTC": f"/Date({round(now * 1000)})/",
        **more,
        name: elements,
    }


def accepts_json(request: web.Request, xml_without_accept: bool) -> bool:
    """Whether a request is answered in JSON; without an explicit wish Xero sends XML."""
    return "json" in request.headers.get("Accept", "") or not xml_without_accept


def answer(
    body: dict[str, Any] | list[Any], *, json: bool = True, status: int = 200
) -> web.Response:
    """An answer in one of the two forms."""
    if json:
        return web.Response(text=dumps(body), status=status, content_type="application/json")
    name = "Response" if status == 200 else "ApiException"
    text = f'<?xml version="1.0" encoding="utf-8"?>{_element(name, body)}'
    return web.Response(text=text, status=status, content_type="text/xml")


def _element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        inner = "".join(_element(key, each) for key, each in value.items() if each is not None)
        return f"<{name}>{inner}</{name}>"
    if isinstance(value, list):
        singular = name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")
        inner = "".join(_element(singular, each) for each in value)
        return f"<{name}>{inner}</{name}>"
    return f"<{name}>{escape(_text(value))}</{name}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    found = _DATE.fullmatch(str(value))
    if found:
        moment = datetime.fromtimestamp(int(found[1]) / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").removesuffix("+00:00")
    return str(value)

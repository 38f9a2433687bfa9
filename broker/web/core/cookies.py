"""What a browser proves by itself: the broker's cookie, and which site a request came from."""

import re
from collections.abc import Mapping

from aiohttp import web

from broker.domain.model import Secret
from broker.errors import OriginRefused

HANDLE = re.compile(r"[A-Za-z0-9_-]{20,128}")


class Cookie:
    """A cookie that only we can set and no script can read; `__Host-` wherever there is https."""

    def __init__(self, name: str, *, https: bool) -> None:
        self.name = f"__Host-{name}" if https else name
        self._https = https

    def read(self, request: web.Request) -> Secret | None:
        value = request.cookies.get(self.name, "")
        return Secret(value) if HANDLE.fullmatch(value) else None

    def set(self, response: web.StreamResponse, value: Secret, seconds: int) -> None:
        self._set(response, value.reveal(), seconds)

    def clear(self, response: web.StreamResponse) -> None:
        self._set(response, "", 0)

    def _set(self, response: web.StreamResponse, value: str, seconds: int) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=seconds,
            path="/",
            secure=self._https,
            httponly=True,
            samesite="Lax",
        )


def check_not_cross_site(headers: Mapping[str, str]) -> None:
    """Raise OriginRefused for what a page of another site made the browser send.

    For requests with an API key: a browser that remembers Basic credentials adds them to any page's
    form. Programs do not send `Sec-Fetch-Site`.
    """
    if headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}:
        raise OriginRefused("A page of another site sent this request. Call the API from a server.")


def check_same_origin(request: web.Request, origin: str, *, needs_proof: bool) -> None:
    """Raise OriginRefused for a form that another site made the browser send.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin` alone; a
    client that says neither is no browser, and is refused where proof is needed.
    """
    site, came_from = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        proved = site == "same-origin"
    elif came_from is not None:
        proved = came_from.lower() == origin
    else:
        proved = not needs_proof
    if not proved:
        raise OriginRefused("The form was not sent from a page of the broker.")

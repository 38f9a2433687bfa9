"""The parameters of a listing: numbers, lists, times, an order, a page."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import invalid_params
from broker.sandbox.woocommerce.site import Site

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")


@dataclass(slots=True)
class Params:
    """The query of a request, read strictly. Every reader raises RestError 400 on a bad value."""

    site: Site
    query: dict[str, str]

    def number(self, name: str, default: int, least: int, most: int | None = None) -> int:
        """A whole number within limits."""
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"-?\d+", text):
            raise invalid_params({name: f"{name} is not of type integer."}, "rest_invalid_type")
        value = int(text)
        if value < least or (most is not None and value > most):
            limits = f"between {least} (inclusive) and {most} (inclusive)"
            problem = limits if most is not None else f"greater than or equal to {least}"
            raise invalid_params({name: f"{name} must be {problem}"}, "rest_out_of_bounds")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.query.get(name, default)
        if value not in choices:
            problem = f"{name} is not one of {', '.join(choices)}."
            raise invalid_params({name: problem}, "rest_not_in_enum")
        return value

    def words(self, name: str, choices: tuple[str, ...] | None = None) -> list[str]:
        """A list, by commas or as `name[]`, `name[0]`."""
        found = [each for each in self.query.get(name, "").split(",") if each]
        found += [self.query[key] for key in self.query if re.fullmatch(rf"{name}\[\d*\]", key)]
        for index, each in enumerate(found):
            if choices is not None and each not in choices:
                problem = f"{name}[{index}] is not one of {', '.join(choices)}."
                raise invalid_params({name: problem}, "rest_not_in_enum")
        return found

    def ids(self, name: str) -> list[int]:
        """A list of ids."""
        found = self.words(name)
        if not all(each.isdecimal() for each in found):
            problem = f"{name}[0] is not of type integer."
            raise invalid_params({name: problem}, "rest_invalid_type")
        return [int(each) for each in found]

    def moment(self, name: str) -> float | None:
        """A time in seconds. Without an offset it is on the site's clock, or in UTC with
        `dates_are_gmt`.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if _MOMENT.fullmatch(text) is None:
            raise invalid_params({name: "Invalid date."}, "rest_invalid_date")
        read = datetime.fromisoformat(text.replace("t", "T"))
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
            if self.query.get("dates_are_gmt", "").lower() not in {"true", "1"}:
                read -= timedelta(minutes=self.site.levers.site_offset_minutes)
        return read.timestamp()

    def page(
        self,
        request: web.Request,
        route: str,
        rows: list[Any],
        shown: Callable[[Any], dict[str, Any]],
    ) -> web.Response:
        """The requested page of rows, with the headers that link to the others. A page after the
        last is empty.
        """
        size = self.number("per_page", 10, 1, 100)
        page = self.number("page", 1, 1)
        offset = self.number("offset", (page - 1) * size, 0)
        pages = math.ceil(len(rows) / size)
        response = web.json_response([shown(row) for row in rows[offset : offset + size]])
        response.headers["X-WP-Total"] = str(len(rows))
        response.headers["X-WP-TotalPages"] = str(pages)
        links = []
        if page > 1:
            links.append((min(page - 1, pages), "prev"))
        if page < pages:
            links.append((page + 1, "next"))
        for number, relation in links:
            url = request.url.with_path(f"/wp-json{route}").with_query(
                {**without_credentials(self.query), "page": str(number)}
            )
            response.headers.add("Link", f'<{url}>; rel="{relation}"')
        return response

    def within(self, at: float, after: str, before: str) -> bool:
        """Whether a time lies between two of the query, neither included."""
        low, high = self.moment(after), self.moment(before)
        second = int(at)
        return (low is None or second > low) and (high is None or second < high)


def without_credentials(query: dict[str, str]) -> dict[str, str]:
    """A query without what authorizes it."""
    return {
        name: value
        for name, value in query.items()
        if not name.startswith(("oauth_", "consumer_")) and name != "rest_route"
    }

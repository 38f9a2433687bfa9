"""From the outside to values: every wrong field is listed, and nothing wrong goes further."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from broker.domain.model import Caller
from broker.errors import AppNotFound, BodyTooLarge, InvalidRequest, NotFound
from broker.providers.catalog import BY_NAME as PROVIDERS
from broker.web.core.messages import message_of
from broker.web.core.middleware import LOG_FIELDS

BODY_BYTES = 1_048_576

BODY_S = 60.0
"""How many seconds a caller may take to send a body that is kept in memory."""

BROKEN_FRAMING = "The body does not match Content-Length or Transfer-Encoding."

MAX_ERRORS = 50
"""How many wrong fields a refusal names."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,29}")
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
UNION_MEMBERS = {"constrained-str", "constrained-int", "str", "int", "bool", "float"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _no_controls(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("holds control characters")
    return text


UserRef = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_no_controls)]
"""A caller's name for its user: 1 to 255 characters, no control characters, compared exactly."""

Text = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_no_controls)]


def _number_as_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be text or a number")  # noqa: TRY004  # Pydantic reads it
    return str(value)


NumberOrText = Annotated[
    Text,
    BeforeValidator(
        _number_as_text, json_schema_input_type=Annotated[str, Field(min_length=1)] | int
    ),
]
"""A name that some write as a number."""


class RequestModel(BaseModel):
    """What a request may hold: the named fields and nothing else."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)


async def read_body(
    request: web.Request,
    at_most: int = BODY_BYTES,
    *,
    within: float | None = None,
    on_part: Callable[[bytes], None] | None = None,
) -> bytes:
    """The body, if it is not longer than allowed and arrives in time (`within` seconds).

    `on_part` is called with each part as it arrives. Raises BodyTooLarge, InvalidRequest, and what
    `on_part` raises.
    """
    if (request.content_length or 0) > at_most:
        raise BodyTooLarge(f"At most {at_most} bytes are accepted here.")
    seconds = BODY_S if within is None else within
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                size += len(part)
                if size > at_most:
                    raise BodyTooLarge(f"At most {at_most} bytes are accepted here.")
                if on_part is not None:
                    on_part(part)
                parts.append(part)
    except web.RequestPayloadError:
        raise InvalidRequest(BROKEN_FRAMING) from None
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {seconds:.0f} seconds.") from None
    return b"".join(parts)


def sends_form(request: web.Request) -> bool:
    """Whether the body is a form rather than JSON, by its headers alone.

    Raises InvalidRequest for what is neither.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise InvalidRequest("Send the body without a content encoding.")
    if request.content_type == "multipart/form-data":
        raise InvalidRequest("Send the body as JSON or application/x-www-form-urlencoded.")
    return request.content_type == "application/x-www-form-urlencoded"


async def parse_body(request: web.Request, model: type[M], at_most: int = BODY_BYTES) -> M:
    """The body (JSON or a form) as a model. Raises InvalidRequest, BodyTooLarge."""
    form = sends_form(request)
    raw = await read_body(request, at_most)
    return validate(model, parse_fields(raw, form=form))


def parse_fields(raw: bytes, *, form: bool) -> Any:
    """The value of a form or a JSON text; no fields where it is empty. Raises InvalidRequest."""
    if form:
        return read_form(raw)
    return read_json(raw) if raw else {}


def parse_query(request: web.Request, model: type[M]) -> M:
    """The query as a model; a name may stand once. Raises InvalidRequest."""
    return validate(model, reject_duplicates(list(request.query.items())))


def validate(model: type[M], value: Any) -> M:
    """A model of the value. Raises InvalidRequest that lists each wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            {
                "field": ".".join(map(_safe_field_name, _path(problem["loc"]))) or "body",
                "message": message_of(problem),
            }
            for problem in error.errors(include_url=False, include_input=False)
        ]
        detail = "; ".join(f"{each['field']}: {each['message']}" for each in problems[:5])
        raise InvalidRequest(detail[:1000], errors=problems[:MAX_ERRORS]) from None


def _path(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where a problem is, without the names that Pydantic gives to the members of a union."""
    return tuple(part for part in location if part not in UNION_MEMBERS)


def read_json(raw: bytes) -> Any:
    """The value of a JSON text; a name may stand once in an object. Raises InvalidRequest."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=reject_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON.") from None


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of a form; a name may stand once. Raises InvalidRequest."""
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000
        )
    except ValueError:
        raise InvalidRequest("The body is not a form.") from None
    check_not_json(raw)
    return reject_duplicates(pairs)


def check_not_json(raw: bytes) -> None:
    """Raise InvalidRequest for a form that is JSON, which would be one long name."""
    if raw.lstrip()[:1] in {b"{", b"["}:
        raise InvalidRequest(
            "The body looks like JSON, but its Content-Type is that of a form: "
            "send it as Content-Type: application/json."
        )


def path_slug(request: web.Request, caller: Caller | None = None) -> str:
    """The lower-case slug in the path. Raises AppNotFound where it can be no app of the caller."""
    slug = request.match_info["slug"]
    if not SLUG.fullmatch(slug) or (caller is not None and not caller.can_access_app(slug.lower())):
        raise AppNotFound
    slug = request[LOG_FIELDS]["app"] = slug.lower()
    return slug


def path_provider(request: web.Request) -> str | None:
    """The provider whose address this is, where it is one provider's."""
    resource = request.match_info.route.resource
    first, _, rest = (resource.canonical if resource else "").lstrip("/").partition("/")
    name = rest.partition("/")[0] if first == "api" else first
    return name if name in PROVIDERS else None


def path_id(request: web.Request, missing: type[NotFound]) -> UUID:
    """The id in the path. Raises `missing` for what can be no id."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise missing from None


def prefers_json(request: web.Request) -> bool:
    """Whether the caller asks for JSON rather than a page."""
    wanted = {"application/json": 0.0, "text/html": 0.0}
    for part in request.headers.get("Accept", "").split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        if kind.lower() in wanted and re.fullmatch(r"[01](\.\d{0,3})?", weight):
            wanted[kind.lower()] = float(weight)
    return wanted["application/json"] > wanted["text/html"]


def reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of one object. Raises InvalidRequest where a name is repeated."""
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    counts = Counter(name for name, _ in pairs)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    raise InvalidRequest(
        "Duplicate field.",
        errors=[
            {"field": _safe_field_name(name), "message": "is duplicated"}
            for name in repeated[:MAX_ERRORS]
        ],
    )


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _safe_field_name(part: int | str) -> str:
    """A field's name, which a caller may have made of anything, a secret too."""
    return str(part) if isinstance(part, int) or NAME.fullmatch(part) else "(unreadable name)"

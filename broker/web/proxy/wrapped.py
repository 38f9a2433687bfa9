"""StackGo's wrapping: a call inside a JSON object or a form, its answer as `{"data": ...}`."""

import codecs
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any, Literal

from aiohttp import web
from pydantic import Field, field_validator

from broker.domain.model import ProxyCall
from broker.errors import InvalidRequest, wrong_field
from broker.providers.hubspot.answers import Answer
from broker.providers.hubspot.destination import target_of
from broker.providers.hubspot.headers import check_header
from broker.web.core.requests import RequestModel, UserRef, parse_body, read_json

FRAMING = {"content-length", "content-type", "content-encoding", "accept-ranges", "etag"}
"""Headers that describe HubSpot's bytes, which the wrapping changes."""


class RawCall(RequestModel):
    """A HubSpot call, described. `url` is absolute at a HubSpot API host, or a path."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    url: str = Field(min_length=1, max_length=16_384)
    userForeignIdentifier: UserRef
    body: Any = None
    headers: dict[str, str] = Field(default={}, max_length=100)

    @field_validator("method", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("headers", mode="before")
    @classmethod
    def _as_object(cls, value: object) -> object:
        if value is None or value == "":
            return {}
        try:
            return read_json(value.encode()) if isinstance(value, str) else value
        except (InvalidRequest, UnicodeEncodeError):
            raise ValueError("must be an object, or a string of JSON that holds one") from None


async def read_wrapped(request: web.Request, slug: str, api_url: str, at_most: int) -> ProxyCall:
    """The call that a body describes. Raises InvalidRequest, DestinationRefused, BodyTooLarge."""
    said = await parse_body(request, RawCall, at_most)
    named = set(request.query.getall("userForeignIdentifier", []))
    if named - {said.userForeignIdentifier}:
        raise wrong_field("userForeignIdentifier", "differs between the query and the body")
    for name, value in said.headers.items():
        if wrong := check_header(name, value):
            raise wrong_field(f"headers.{name[:100]}", wrong)
    names = {name.lower() for name in said.headers}
    headers = [
        (name, value) for name, value in said.headers.items() if name.lower() != "accept-encoding"
    ]
    # The answer is spliced into ours, so it must come as it is.
    headers.append(("Accept-Encoding", "identity"))
    body = _body(said.body)
    if body is not None and "content-type" not in names:
        headers.append(("Content-Type", "application/json"))
    if "accept" not in names:
        headers.append(("Accept", "application/json"))
    target = target_of(said.url, api_url)
    return ProxyCall(slug, said.userForeignIdentifier, said.method, target, headers, body)


class DataEnvelope:
    """`{"data": ...}` around an answer as it streams: JSON is spliced in, anything else becomes a
    JSON string.
    """

    def headers(self, answer: Answer) -> list[tuple[str, str]]:
        """HubSpot's headers less those that describe its bytes."""
        kept = [(name, value) for name, value in answer.headers if name.lower() not in FRAMING]
        return [*kept, ("Content-Type", "application/json; charset=utf-8")]

    async def chunks(self, answer: Answer) -> AsyncIterator[bytes]:
        """The wrapped body. Raises ValueError for an encoding that cannot be undone."""
        if answer.status in {204, 304}:
            return
        said = {name.lower(): value.lower() for name, value in answer.headers}
        kind = said.get("content-type", "").partition(";")[0].strip()
        spliced = kind == "application/json" or kind.endswith("+json")
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        begun = False
        async for chunk in _plain(answer.chunks, said.get("content-encoding", "identity")):
            if not chunk:
                continue
            if not begun:
                yield b'{"data":' if spliced else b'{"data":"'
            begun = True
            yield chunk if spliced else json.dumps(decoder.decode(chunk))[1:-1].encode()
        if not begun:
            yield b'{"data":null}' if spliced else b'{"data":""}'
        elif spliced:
            yield b"}"
        else:
            yield json.dumps(decoder.decode(b"", final=True))[1:-1].encode() + b'"}'


async def _plain(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The body without its content encoding, for a HubSpot that was not asked for one."""
    if encoding in {"", "identity"}:
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in {"gzip", "deflate"}:
        raise ValueError(encoding)
    inflater = zlib.decompressobj(wbits=47)
    async for chunk in chunks:
        try:
            yield inflater.decompress(chunk)
        except zlib.error as error:
            raise ValueError(encoding) from error
    yield inflater.flush()


def _body(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

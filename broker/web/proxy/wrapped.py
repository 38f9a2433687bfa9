"""StackGo's wrapping: a call inside a JSON object or a form, its answer as `{"data": ...}`."""

import asyncio
import codecs
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any, Literal

from aiohttp import web
from pydantic import Field, field_validator

from broker.domain.model import ProxyCall
from broker.errors import InvalidRequest, wrong_field
from broker.providers.calls.answers import Answer
from broker.providers.calls.destination import target_or_url
from broker.providers.calls.headers import check_header
from broker.web.core.requests import (
    RequestModel,
    UserRef,
    parse_fields,
    read_body,
    read_json,
    sends_form,
    validate,
)
from broker.web.proxy.large_calls import LARGE_BYTES, LargeCallReader

FRAMING = {"content-length", "content-type", "content-encoding", "accept-ranges", "etag"}
"""Headers that describe the provider's bytes, which the wrapping changes."""

MAX_BYTES = 10 * 1_048_576
"""The longest wrapped call; longer bodies stream through the transparent form."""

INFLATED_BYTES = 65_536
"""How much of a compressed answer is in memory at a time."""


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


class WrappedCallReader:
    """Reads the calls that bodies describe."""

    def __init__(self, max_body: int) -> None:
        """`max_body`: how many bytes a request body may have at most."""
        self._max_body = min(max_body, MAX_BYTES)
        self._large_calls = LargeCallReader()

    async def read(self, request: web.Request, slug: str) -> ProxyCall:
        """The call. Raises InvalidRequest, DestinationRefused, BodyTooLarge."""
        form = sends_form(request)
        raw = await read_body(request, self._max_body)
        if len(raw) <= LARGE_BYTES:
            described = validate(RawCall, parse_fields(raw, form=form))
            body = _encode_body(described.body)
        else:
            fields, body = await self._large_calls.read(raw, form=form)
            described = validate(RawCall, fields)
        user_ref = described.userForeignIdentifier
        if set(request.query.getall("userForeignIdentifier", [])) - {user_ref}:
            raise wrong_field("userForeignIdentifier", "differs between the query and the body")
        headers = _headers(described.headers, has_body=body is not None)
        target = target_or_url(described.url)
        return ProxyCall(slug, user_ref, described.method, target, headers, body)


def _headers(described: dict[str, str], *, has_body: bool) -> list[tuple[str, str]]:
    for name, value in described.items():
        if wrong := check_header(name, value):
            raise wrong_field(f"headers.{name[:100]}", wrong)
    names = {name.lower() for name in described}
    headers = [
        (name, value) for name, value in described.items() if name.lower() != "accept-encoding"
    ]
    # The answer is spliced into the envelope, so it must come unencoded.
    headers.append(("Accept-Encoding", "identity"))
    if has_body and "content-type" not in names:
        headers.append(("Content-Type", "application/json"))
    if "accept" not in names:
        headers.append(("Accept", "application/json"))
    return headers


class DataEnvelope:
    """`{"data": ...}` around an answer as it streams: JSON is spliced in, anything else becomes a
    JSON string.
    """

    def headers(self, answer: Answer) -> list[tuple[str, str]]:
        """The provider's headers without those that describe its bytes."""
        kept = [(name, value) for name, value in answer.headers if name.lower() not in FRAMING]
        return [*kept, ("Content-Type", "application/json; charset=utf-8")]

    async def chunks(self, answer: Answer) -> AsyncIterator[bytes]:
        """The wrapped body. Raises ValueError for an encoding that cannot be undone."""
        if answer.status in {204, 304}:
            return
        headers = {name.lower(): value.lower() for name, value in answer.headers}
        kind = headers.get("content-type", "").partition(";")[0].strip()
        spliced = kind == "application/json" or kind.endswith("+json")
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        has_begun = False
        async for chunk in _inflated(answer.chunks, headers.get("content-encoding", "identity")):
            if not chunk:
                continue
            if not has_begun:
                yield b'{"data":' if spliced else b'{"data":"'
            has_begun = True
            yield chunk if spliced else json.dumps(decoder.decode(chunk))[1:-1].encode()
        if not has_begun:
            yield b'{"data":null}' if spliced else b'{"data":""}'
        elif spliced:
            yield b"}"
        else:
            yield json.dumps(decoder.decode(b"", final=True))[1:-1].encode() + b'"}'


async def _inflated(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The body without a content encoding, which was not asked for."""
    if encoding in {"", "identity"}:
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in {"gzip", "deflate"}:
        raise ValueError(encoding)
    inflater = zlib.decompressobj(wbits=47)
    async for chunk in chunks:
        rest = chunk
        while rest and not inflater.eof:
            try:
                yield inflater.decompress(rest, INFLATED_BYTES)
            except zlib.error as error:
                raise ValueError(encoding) from error
            rest = inflater.unconsumed_tail
            # A few bytes can hold very many: others are served in between.
            await asyncio.sleep(0)
    yield inflater.flush()


def _encode_body(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return value.encode()
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise wrong_field("body", "holds characters that cannot be sent") from None

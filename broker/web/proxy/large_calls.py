"""Wrapped calls that are too large to be parsed at once, read a slice at a time.

Of such a call, JSON or a form, the `body` is not parsed but found: it goes on as it stands, and
what is wrong in it the provider says. What stands around it is small and read as strictly as ever.
One large call is read at a time, and between slices the event loop serves everybody else.
"""

import asyncio
import json
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from broker.errors import BodyTooLarge, InvalidRequest, wrong_field
from broker.web.core.requests import check_not_json, read_json, reject_duplicates

LARGE_BYTES = 262_144
"""From how many bytes on a call is large; and what may stand around the `body` of one."""

SLICE_BYTES = 16_384
"""How much is looked at in one go: a few milliseconds of work at worst."""

MAX_MEMBERS = 50

OPENING = re.compile(rb"[ \t\r\n]*\{")
MEMBER = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.){0,100}")[ \t\r\n]*:[ \t\r\n]*')
SCALAR = re.compile(rb'[^"{}\[\],: \t\r\n]{1,1000}')
SEPARATOR = re.compile(rb"[ \t\r\n]*([,}])")
STRUCTURAL = re.compile(rb'["{}\[\]]')
STRING_PART = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
QUOTE = ord('"')


class LargeCallReader:
    """Reads large calls one after the other."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def read(self, raw: bytes, *, form: bool) -> tuple[dict[str, Any], bytes | None]:
        """The fields but `body`, and the bytes of `body`, None where there is none.

        Raises InvalidRequest, and BodyTooLarge when it is not the `body` that is large.
        """
        async with self._one_at_a_time:
            return await (_read_form(raw) if form else _read_json(raw))


async def _read_json(raw: bytes) -> tuple[dict[str, Any], bytes | None]:
    members: list[bytes] = []
    body, closed = None, False
    match = OPENING.match(raw)
    if match is None:
        raise _not_json()
    while not closed:
        name, start, end = await _member(raw, match.end())
        text = raw[start:end]
        if _is_body(name):
            body, text = await _body(text), b"null"
        members.append(name + b":" + text)
        match = SEPARATOR.match(raw, end)
        if match is None or len(members) > MAX_MEMBERS:
            raise _not_json()
        closed = match[1] == b"}"
    if raw[match.end() :].strip(b" \t\r\n"):
        raise _not_json()
    around = b"{" + b",".join(members) + b"}"
    if len(around) > LARGE_BYTES:
        raise BodyTooLarge(f"Only `body` may have more than {LARGE_BYTES} bytes.")
    fields = read_json(around)
    fields.pop("body", None)
    return fields, body


async def _member(raw: bytes, position: int) -> tuple[bytes, int, int]:
    """A member's name as it stands, and where its value begins and ends."""
    match = MEMBER.match(raw, position)
    if match is None:
        raise _not_json()
    start = match.end()
    if raw[start : start + 1] in {b'"', b"{", b"["}:
        return match[1], start, await _value_end(raw, start)
    scalar = SCALAR.match(raw, start)
    if scalar is None:
        raise _not_json()
    return match[1], start, scalar.end()


async def _value_end(raw: bytes, position: int) -> int:
    """Where the object, array or string ends that begins at a position."""
    depth, in_string = 0, False
    while position < len(raw):
        until = min(position + SLICE_BYTES, len(raw))
        while position < until:
            if in_string:
                position = _match_end(STRING_PART, raw, position, until)
                if position == until or raw[position] != QUOTE:
                    break  # an escape goes on in the next slice
                in_string = False
                position += 1
            else:
                found = STRUCTURAL.search(raw, position, until)
                if found is None:
                    position = until
                    break
                position = found.end()
                in_string = found[0] == b'"'
                depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(found[0], 0)
            if depth <= 0 and not in_string:
                return position
        if position < until == len(raw):
            raise _not_json()
        await asyncio.sleep(0)
    raise _not_json()


def _match_end(pattern: re.Pattern[bytes], raw: bytes, position: int, until: int) -> int:
    found = pattern.match(raw, position, until)
    return position if found is None else found.end()


def _is_body(name: bytes) -> bool:
    try:
        return bool(json.loads(name) == "body")
    except ValueError:
        raise _not_json() from None


async def _body(text: bytes) -> bytes | None:
    """A JSON value as the bytes to send: of a string, what it holds."""
    if text[:1] in {b"{", b"["}:
        return text
    if text[:1] != b'"':
        value = read_json(text)
        return None if value is None else text
    try:
        return str(json.loads(text)).encode()
    except UnicodeEncodeError:
        raise wrong_field("body", "holds characters that cannot be sent") from None
    except ValueError:
        raise _not_json() from None


async def _read_form(raw: bytes) -> tuple[dict[str, Any], bytes | None]:
    check_not_json(raw)
    if raw.count(b"&") >= MAX_MEMBERS:
        raise _not_a_form()
    pairs: list[tuple[str, Any]] = []
    for piece in raw.split(b"&"):
        name, _, value = piece.partition(b"=")
        if name != b"body" and len(piece) > LARGE_BYTES:
            raise BodyTooLarge(f"Only `body` may have more than {LARGE_BYTES} bytes.")
        pairs.append((await _unquoted(name), await _unquoted(value)))
    fields = reject_duplicates(pairs)
    body = fields.pop("body", None)
    return fields, None if body is None else body.encode()


async def _unquoted(text: bytes) -> str:
    """A form's name or value without its percent-encoding."""
    plain, position = bytearray(), 0
    while position < len(text):
        until = position + SLICE_BYTES
        cut = text.rfind(b"%", until - 2, until)
        if cut > position:
            until = cut  # the two digits stand in the next slice
        plain += unquote_to_bytes(text[position:until].replace(b"+", b" "))
        position = until
        await asyncio.sleep(0)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise _not_a_form() from None


def _not_json() -> InvalidRequest:
    return InvalidRequest(f"The body is not a JSON object of at most {MAX_MEMBERS} fields.")


def _not_a_form() -> InvalidRequest:
    return InvalidRequest("The body is not a form.")

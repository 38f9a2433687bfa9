"""Bodies as they were before they were compressed, for the few that the broker looks into."""

import zlib
from collections.abc import Sequence

AT_MOST = 65_536
"""A few compressed bytes can hold very many."""


def decoded_body(headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """The beginning of a body without its content encodings; empty where it cannot be read."""
    encodings = [value.lower() for name, value in headers if name.lower() == "content-encoding"]
    try:
        for encoding in encodings:
            if encoding in {"gzip", "deflate"}:
                body = zlib.decompressobj(wbits=47).decompress(body, AT_MOST)
            elif encoding == "br":
                import brotli  # type: ignore[import-untyped]  # noqa: PLC0415  # for a rare answer

                body = brotli.Decompressor().process(body, output_buffer_limit=AT_MOST)
    except Exception:  # noqa: BLE001  # a body that cannot be read says nothing
        return b""
    return body

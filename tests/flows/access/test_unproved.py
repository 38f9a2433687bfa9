"""What proves itself by a signature over its body is judged by its head first."""

import asyncio
import base64
import time

import pytest
from yarl import URL

NOWHERE = "nosuch-00000000-0000-0000-0000-000000000000"


def signed(**changes):
    return {
        "X-HubSpot-Signature-v3": base64.b64encode(bytes(32)).decode(),
        "X-HubSpot-Request-Timestamp": str(int(time.time() * 1000)),
        **changes,
    }


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/hubspot/{app}/actions/kyb", {}),
        ("/hubspot/{app}/actions/kyb", signed(**{"X-HubSpot-Signature-v3": "nonsense"})),
        ("/hubspot/{app}/actions/kyb", signed(**{"X-HubSpot-Request-Timestamp": "1600000000000"})),
        (f"/hubspot/{NOWHERE}/actions/kyb", signed()),
        (f"/fml/{NOWHERE}/webhooks", {"X-FML-Signature": "sha256=" + 64 * "0"}),
        ("/fml/{app}/webhooks", {}),
        ("/fml/{app}/webhooks", {"X-FML-Signature": "\xff"}),
        ("/fml/{app}/webhooks", {"X-FML-Signature": "sha256=short"}),
    ],
)
async def test_no_body_is_read_of_what_its_head_shows_to_be_unsigned(kyb, path, headers):
    """2.5, 2.14."""
    broker = kyb.broker
    reader, writer = await asyncio.open_connection("localhost", URL(broker.url).port)
    lines = [f"POST {path.format(app=f'hbdev-{broker.workspace}')} HTTP/1.1", "Host: x"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "Content-Length: 100000", "", ""]).encode("latin-1"))

    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()

    assert head.startswith(b"HTTP/1.1 401 ")

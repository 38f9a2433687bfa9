"""HubSpot's own Node SDK, unchanged, straight at the sandbox and through the broker."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.sdk.test_python_sdks import SCOPES

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (HERE / "node_modules").is_dir(),
    reason="node is not here, or `npm ci` was not run in tests/sdk/node",
)


async def walked(base, token):
    environment = {**os.environ, "BASE": base, "TOKEN": token}
    program = await asyncio.create_subprocess_exec(
        "node", "walk.mjs", cwd=HERE, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, problems = await program.communicate()
    assert program.returncode == 0, problems.decode()[-2000:]
    return json.loads(output)


async def test_the_node_sdk_cannot_tell_the_broker_from_hubspot(broker, hubspot):
    made = await broker.registers("sdks", clientId="sdk-client", appId="88", scopes=SCOPES)
    assert made.status == 201, made.body
    await broker.connects("through", portal=101, slug="sdks")
    refresh = hubspot.grants.issue_refresh("sdk-client", 102, "grace@globex.example", SCOPES)
    token = hubspot.grants.issue_access(refresh, hubspot.now() + 1800).token

    through = await walked(f"{broker.url}/proxy/sdks/through", broker.key)
    direct = await walked(hubspot.url, token)

    assert through == direct
    assert through["conflict"] == [409, f"Contact already exists. Existing ID: {101}"]
    assert all(through.values()), through

"""Clients that well-kept generators make of `/openapi.json`, with which the main job is done."""

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.sdk import node_programs

GENERATOR = os.environ.get("OPENAPI_PYTHON_CLIENT") or shutil.which("openapi-python-client")

PROGRAM = """
import json, os
from the_broker_client import AuthenticatedClient
from the_broker_client.api.connections import get_api_apps_slug_connections_user as show
from the_broker_client.api.install_links import get_api_hubspot_auth_slug as link
from the_broker_client.api.proxy import post_api_hubspot_proxy_slug as call
from the_broker_client.models import Problem, RawCall

slug = os.environ["SLUG"]
client = AuthenticatedClient(os.environ["BASE"], os.environ["KEY"])
linked = link.sync(slug, client=client, user_foreign_identifier="typed")
connection = show.sync(slug, "u1", client=client)
target = "/crm/v3/objects/contacts?limit=1"
raw = RawCall.from_dict({"userForeignIdentifier": "u1", "method": "GET", "url": target})
called = call.sync_detailed(slug, client=client, body=raw)
refused = show.sync(slug, os.environ["WRONG"], client=client)
assert isinstance(refused, Problem)
print(json.dumps({
    "link": linked.url, "status": connection.status.value, "account": connection.account_id,
    "called": called.status_code.value, "refused": refused.code,
}))
"""


async def finishes(*command, folder, within=120, **environment):
    """Run a command to its end; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, problems = await asyncio.wait_for(process.communicate(), within)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (output.decode()[-3000:], problems.decode()[-3000:])
    return output.decode()


@pytest.fixture
async def connected(broker):
    """A broker whose user `u1` is connected, and what a generated client has to be told."""
    await broker.registers("hbdev")
    await broker.connects("u1")
    return {"BASE": broker.url, "KEY": broker.key, "SLUG": "hbdev", "WRONG": "nobody"}


async def document_in(broker, folder):
    answer = await broker.asks("GET", "/openapi.json", key="")
    (folder / "openapi.json").write_bytes(answer.body)


def check(printed, account):
    found = json.loads(printed.splitlines()[-1])
    link = found.pop("link")
    assert link.startswith("http")
    assert found == {
        "status": "ACTIVE", "account": account, "called": 200, "refused": "connection-not-found",
    }  # fmt: skip


@pytest.mark.skipif(GENERATOR is None, reason="openapi-python-client is not installed")
async def test_a_generated_python_client_links_shows_and_calls(broker, connected, tmp_path):
    await document_in(broker, tmp_path)
    made = await finishes(
        GENERATOR, "generate", "--path", "openapi.json", "--output-path", "made", folder=tmp_path
    )
    assert "unable to parse" not in made.lower()

    printed = await finishes(
        str(Path(GENERATOR).with_name("python")), "-c", PROGRAM, folder=tmp_path / "made",
        **connected,
    )  # fmt: skip

    check(printed, "101")


@node_programs.needs("openapi-typescript")
async def test_a_generated_typescript_client_is_typed_and_links_shows_and_calls(broker, connected):
    with tempfile.TemporaryDirectory(dir=node_programs.FOLDER, prefix=".generated-") as name:
        folder = Path(name)
        await document_in(broker, folder)
        shutil.copy(node_programs.FOLDER / "generated.mts", folder)
        tools = node_programs.FOLDER / "node_modules" / ".bin"
        await finishes(
            str(tools / "openapi-typescript"), "openapi.json", "-o", "generated-api.ts",
            "--default-non-nullable=false",
            folder=folder,
        )  # fmt: skip
        await finishes(
            str(tools / "tsc"), "--strict", "--target", "es2022", "--module", "nodenext",
            "--skipLibCheck", "generated.mts", folder=folder,
        )  # fmt: skip

        printed = await finishes("node", "generated.mjs", folder=folder, **connected)

    check(printed, "101")

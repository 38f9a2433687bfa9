"""HubSpot's own Node SDK, unchanged, straight at the sandbox and through the broker."""

from tests.sdk import node_programs
from tests.sdk.test_hubspot_python import SCOPES


@node_programs.needs("@hubspot/api-client")
async def test_the_node_sdk_cannot_tell_the_broker_from_hubspot(broker, hubspot):
    made = await broker.registers("sdks", clientId="sdk-client", appId="88", scopes=SCOPES)
    assert made.status == 201, made.body
    await broker.connects("through", portal=101, slug="sdks")
    refresh = hubspot.grants.issue_refresh("sdk-client", 102, "grace@globex.example", SCOPES)
    token = hubspot.grants.issue_access(refresh, hubspot.now() + 1800).token

    through = await node_programs.run(
        "hubspot.mjs", BASE=f"{broker.url}/proxy/sdks/through", TOKEN=broker.key
    )
    direct = await node_programs.run("hubspot.mjs", BASE=hubspot.url, TOKEN=token)

    assert through == direct
    assert through["conflict"] == [409, f"Contact already exists. Existing ID: {101}"]
    assert all(through.values()), through

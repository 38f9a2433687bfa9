"""A broker in a network that only a forward proxy leads out of."""

from yarl import URL

from tests.certificates import certificate
from tests.forward_proxy import forward_proxy, tls_front


async def test_renewals_and_calls_go_through_the_proxy_of_the_environment(
    broker, hubspot, database, start_process, tmp_path
):
    """F18: HubSpot's token endpoint and its API, by one name that only the proxy knows."""
    await broker.connects("u1")
    context, file = certificate(tmp_path, "hub.corp.test", 1)
    async with (
        tls_front(context, URL(hubspot.url).port) as port,
        forward_proxy({"hub.corp.test:443": port}) as proxy,
    ):
        _, url = await start_process(
            BROKER_HUBSPOT_API_URL="https://hub.corp.test",
            HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}",
            NO_PROXY="localhost,127.0.0.1",
            SSL_CERT_FILE=str(file),
        )
        await broker.makes_stale(database)
        answer = await broker.asks("GET", f"{url}/proxy/hbdev/u1/_echo/x")

    assert answer.status == 200
    assert set(proxy.targets) == {"hub.corp.test:443"}
    assert len(proxy.targets) >= 2

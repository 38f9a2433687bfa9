"""Which calls the sandbox QuickBooks Online refuses, and in which envelope."""

import re

from tests.sandbox.quickbooks.client import UK, US


async def test_the_gateway_refuses_in_its_own_envelope(books):
    books.tokens[UK] = books.tokens[US]
    books.tokens["1"] = "made up"

    malformed = await books.call("GET", "companyinfo/1", realm="1")
    other_realm = await books.call("GET", "companyinfo/1", realm=UK)
    books.levers.environment = "production"
    other_host = await books.call("GET", "companyinfo/1")
    books.levers.environment = "sandbox"
    books.levers.requests_per_second = 2
    books.world.jump(2)
    throttled = [await books.call("GET", "companyinfo/1") for _ in range(3)][-1]
    books.world.jump(3600)
    expired = await books.call("GET", "companyinfo/1")

    assert malformed[0] == expired[0] == 401
    error = expired[1]["fault"]["error"][0]
    assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    assert expired[1]["fault"]["type"] == "AUTHENTICATION"
    assert set(expired[1]) == {
        "warnings", "intuitObject", "fault", "report", "queryResponse", "batchItemResponse",
        "attachableResponse", "syncErrorResponse", "requestId", "time", "status", "cdcresponse",
    }  # fmt: skip
    for status, answer in (other_realm, other_host):
        assert status == 403
        assert answer["fault"]["error"][0]["code"] == "3100"
    assert throttled[0] == 429
    assert throttled[1]["fault"]["error"][0]["code"] == "3001"
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", books.headers["intuit_tid"])


async def test_a_months_reads_run_out_while_writes_go_on(books):
    books.levers.reads_per_month = 1
    await books.ok("GET", "companyinfo/1")
    over = await books.call("GET", "companyinfo/1")
    await books.customer()
    books.world.jump(31 * 86_400)
    books.connect()
    assert (over[0], over[1]["fault"]["error"][0]["code"]) == (429, "3001")
    await books.ok("GET", "companyinfo/1")


async def test_a_new_access_token_may_be_refused_until_it_has_propagated(books):
    books.levers.propagation = 2
    early = await books.call("GET", "companyinfo/1")
    books.world.jump(2)
    assert early[0] == 401
    await books.ok("GET", "companyinfo/1")


async def test_without_an_accept_header_the_answer_is_xml(books):
    made = await books.customer("Tom & Co")
    plain = await books.call("GET", f"customer/{made['Id']}", headers={"Accept": "*/*"})
    refused = await books.call("GET", "customer/99", headers={"Accept": "*/*"})
    accepted = await books.call(
        "GET", f"customer/{made['Id']}", headers={"Accept": "*/*"}, format="json"
    )

    assert '<Customer domain="QBO" sparse="false">' in plain[1]
    assert "<DisplayName>Tom &amp; Co</DisplayName>" in plain[1]
    assert '<Fault type="ValidationFault"><Error code="610" element="">' in refused[1]
    assert accepted[1]["Customer"]["DisplayName"] == "Tom & Co"


async def test_a_lost_subscription_stops_writes_and_a_lost_user_everything(books):
    await books.control("POST", f"companies/{US}", {"subscription": "ended"})
    code, _ = await books.refused("POST", "customer", {"DisplayName": "A"})
    assert code == "6190"
    assert (await books.call("GET", "companyinfo/1"))[0] == 200
    await books.control("POST", f"companies/{US}", {"access": False})
    status, answer = await books.call("GET", "companyinfo/1")
    assert (status, answer["Fault"]["Error"][0]["code"]) == (403, "120")

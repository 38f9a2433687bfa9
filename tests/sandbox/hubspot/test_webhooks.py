"""What the sandbox sends: webhooks, workflow actions, UI-extension calls, signed as HubSpot signs."""

import asyncio
import json
import warnings

import pytest
from aiohttp import web

from broker.sandbox.hubspot.events import signing
from tests.until import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from hubspot.utils.signature import Signature

Y = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
Z = "f6e94c08-85d0-4608-bcc6-e1850176e7b8"
U = "12345678-aaaa-bbbb-cccc-ddddeeeeffff"
EVENT = (
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    '"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM",'
    '"changeFlag":"NEW","appId":54321}]'
)
EXAMPLE = "https://www.example.com/webhook_uri"
HUBSPOTS = "https://www.hubspot.com/webhook"
EXTENSION = "https://hubspot.com/?appId=1&portalId=2&userId=3"
# Known answers, from HubSpot's own back end, documents and SDKs.
VECTORS = [
    ("v3", Z, "POST", HUBSPOTS, "REQUEST_BODY", "1632188626483",
     "jf872r5vscVcxCiDRHA4rGrqe/8BPLNVkdJSHdMnGTU="),
    ("v3", Z, "POST", HUBSPOTS, "", "1632188626483",
     "csXgk7UbrE9F8ZmMvbpuKBxqIvTSqU1EX9pI/SJtxSE="),
    ("v2", Z, "POST", HUBSPOTS, "REQUEST_BODY", "",
     "57bb01a6e6ac92919b5e715d68f40265328701bbf1cf3fd73772887069945766"),
    ("v2", Z, "POST", HUBSPOTS, "", "",
     "befaef2b7354f11bf651f6468e8b5cf6bd449048deaf057f712980afb2a682f5"),
    ("v1", Y, "", "", EVENT, "",
     "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
    ("v2", Y, "GET", EXAMPLE, "", "",
     "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
    ("v2", Y, "POST", EXAMPLE, '{"example_field":"example_value"}', "",
     "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"),
    ("v3", Y, "POST", EXAMPLE, "{'example_field':'example_value'}", "1693657560000",
     "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
    ("v3", U, "GET", EXTENSION, "", "1111111111",
     "zTfXjo07jfzGouo4wvyAj3qEMUTVJ0PPYPACrluQtQI="),
    ("v2", U, "GET", EXTENSION, "", "",
     "99080134002180aee8d0884d21ad51288c43b57e9953e4db1e3757999b35c392"),
]  # fmt: skip


def test_the_ten_known_answers_of_hubspots_signatures():
    for version, secret, method, url, body, timestamp, expected in VECTORS:
        made = {
            "v1": lambda s=secret, b=body: signing.v1(s, b.encode()),
            "v2": lambda s=secret, m=method, u=url, b=body: signing.v2(s, m, u, b.encode()),
            "v3": lambda s=secret, m=method, u=url, b=body, t=timestamp: signing.v3(
                s, m, u, b.encode(), t
            ),
        }[version]()
        assert made == expected, (version, method, url, body)


def test_only_hubspots_twelve_escapes_are_decoded_before_signing():
    url = "https://a.example/x%2Fy%3fz%40%21%24%27%28%29%2A%2C%3B%3A?q=%20%26%3D%25"
    assert signing.decoded(url) == "https://a.example/x/y?z@!$'()*,;:?q=%20%26%3D%25"


def genuine(request, secret, older):
    """Whether HubSpot's own SDK takes both signatures of a request."""
    method, url, headers, body = request
    common = {"client_secret": secret, "request_body": body.decode(), "http_uri": url}
    return headers["X-HubSpot-Signature-Version"] == older and all(
        Signature.is_valid(
            signature=headers[name], signature_version=version, http_method=method, **more, **common
        )
        for name, version, more in (
            ("X-HubSpot-Signature", older, {}),
            (
                "X-HubSpot-Signature-v3",
                "v3",
                {"timestamp": headers["X-HubSpot-Request-Timestamp"]},
            ),
        )
    )


async def subscribed(app, receiver, *subscriptions, client_id="app"):
    body = {
        "targetUrl": f"{receiver.url}/hooks?app=1",
        "subscriptions": [
            dict(zip(("eventType", "propertyName", "objectTypeId"), each, strict=False))
            for each in subscriptions
        ],
    }
    got = await app.request("POST", f"/_sandbox/apps/{client_id}/webhooks", body)
    assert got.status == 201, got.body


async def test_a_change_in_the_crm_is_sent_signed_to_the_apps_that_subscribe_to_it(app, receiver):
    await subscribed(
        app,
        receiver,
        ("contact.creation",),
        ("contact.propertyChange", "firstname"),
        ("contact.propertyChange", "lastname"),
        ("object.propertyChange", "firstname", "0-1"),
        ("contact.deletion",),
    )
    made = await app.create("contacts", email="a@acme.example", firstname="Ada")
    await app.request("PATCH", f"/crm/v3/objects/contacts/{made}", {"properties": {"zip": "1"}})
    await app.request("DELETE", f"/crm/v3/objects/contacts/{made}")
    await app.create("companies", name="Not asked for")
    await until(lambda: len(receiver.events) >= 4)

    assert all(genuine(each, "app-secret", "v1") for each in receiver.requests)
    by_type = {each["subscriptionType"]: each for each in receiver.events}
    assert sorted(by_type) == [
        "contact.creation",
        "contact.deletion",
        "contact.propertyChange",
        "object.propertyChange",
    ]
    change = by_type["contact.propertyChange"]
    assert (change["propertyName"], change["propertyValue"]) == ("firstname", "Ada")
    assert (change["objectId"], change["portalId"], change["attemptNumber"]) == (int(made), 101, 0)
    assert (change["changeSource"], change["sourceId"]) == ("INTEGRATION", str(change["appId"]))
    assert by_type["object.propertyChange"]["objectTypeId"] == "0-1"
    assert by_type["contact.creation"]["changeFlag"] == "NEW"


async def test_a_change_by_a_person_has_its_source(app, receiver):
    await subscribed(app, receiver, ("company.propertyChange", "lifecyclestage"))
    made = await app.create("companies", name="A")
    path = f"/_sandbox/portals/101/records/companies/{made}"
    await app.request("PATCH", path, {"properties": {"lifecyclestage": "opportunity"}})
    await until(lambda: receiver.events)
    assert receiver.events[0]["changeSource"] == "CRM_UI"
    assert receiver.events[0]["propertyValue"] == "opportunity"


async def test_merges_associations_erasures_and_sensitive_values_have_their_fields(app, receiver):
    await subscribed(
        app,
        receiver,
        ("contact.merge",),
        ("contact.associationChange",),
        ("company.associationChange",),
        ("contact.privacyDeletion",),
        ("contact.deletion",),
        ("contact.restore",),
        ("contact.propertyChange", "passport"),
    )
    secret = {
        "name": "passport",
        "label": "P",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        "dataSensitivity": "sensitive",
    }
    assert (await app.request("POST", "/crm/v3/properties/contacts", secret)).status == 201
    a = await app.create("contacts", email="a@acme.example", passport="X1")
    b = await app.create("contacts", email="b@acme.example")
    company = await app.create("companies", name="A")
    await app.request(
        "PUT", f"/crm/v4/objects/contacts/{a}/associations/default/companies/{company}"
    )
    base = "/crm/v3/objects/contacts"
    await app.request("POST", f"{base}/merge", {"primaryObjectId": a, "objectIdToMerge": b})
    await app.request("DELETE", f"{base}/{a}")
    await app.request("POST", f"/_sandbox/portals/101/records/contacts/{a}/restore")
    await app.request("POST", f"{base}/gdpr-delete", {"objectId": a})
    await until(lambda: len(receiver.events) >= 8)

    by_type = {each["subscriptionType"]: each for each in receiver.events}
    assert by_type["contact.propertyChange"]["propertyValue"] == "REDACTED"
    assert by_type["contact.merge"]["mergedObjectIds"] == [int(b)]
    link = by_type["company.associationChange"]
    assert (link["fromObjectId"], link["toObjectId"]) == (int(company), int(a))
    assert link["associationType"] == "COMPANY_TO_CONTACT"
    assert (link["associationRemoved"], link["isPrimaryAssociation"]) == (False, True)
    assert by_type["contact.associationChange"]["associationType"] == "CONTACT_TO_COMPANY"
    assert {"contact.privacyDeletion", "contact.deletion", "contact.restore"} <= set(by_type)


async def test_a_portal_that_did_not_install_the_app_sends_it_no_events(app, receiver):
    await subscribed(app, receiver, ("company.creation",))
    await app.granted(client_id="second", hub_id=102, user="grace@globex.example").create(
        "companies", name="Elsewhere"
    )
    await app.granted().create("companies", name="Here")
    await until(lambda: receiver.events)
    assert [each["portalId"] for each in receiver.events] == [101]


async def test_a_paused_subscription_sends_nothing_until_it_is_active(app, receiver):
    await subscribed(app, receiver, ("company.creation",), ("company.deletion",))
    creation = next(iter(app.hubspot.apps["app"].subscriptions))
    number, key = app.hubspot.apps["app"].app_id, f"?hapikey={app.hubspot.developer_key}"
    path = f"/webhooks/v3/{number}/subscriptions/{creation}{key}"
    assert (await app.request("PATCH", path, {"active": False})).body["active"] is False
    made = await app.create("companies", name="Untold")
    await app.request("DELETE", f"/crm/v3/objects/companies/{made}")
    await until(lambda: receiver.events)
    assert [each["subscriptionType"] for each in receiver.events] == ["company.deletion"]


async def test_a_failed_batch_is_sent_again_with_a_higher_attempt_number(app, receiver):
    app.hubspot.webhooks.retry_after = 60
    receiver.answers = [lambda: web.Response(status=500), lambda: web.Response(status=302)]
    await subscribed(app, receiver, ("company.creation",))
    await app.create("companies", name="A")
    for attempts in (1, 2, 3):
        await until(lambda n=attempts: len(receiver.requests) == n)
        await until(lambda: app.hubspot.webhooks.queue or len(receiver.requests) == 3)
        app.hubspot.jump(300)
    assert [each["attemptNumber"] for each in receiver.events] == [0, 1, 2]
    assert len({each["eventId"] for each in receiver.events}) == 1
    assert all(genuine(each, "app-secret", "v1") for each in receiver.requests[:1])


async def test_after_ten_retries_an_event_is_abandoned(app, receiver):
    receiver.answers = [lambda: web.Response(status=404)] * 20
    await subscribed(app, receiver, ("company.creation",))
    await app.create("companies", name="A")
    for tries in range(1, 12):
        await until(lambda n=tries: len(receiver.requests) == n)
        await until(lambda: app.hubspot.webhooks.queue or app.hubspot.webhooks.abandoned)
        app.hubspot.jump(86_400)
    assert [each["attemptNumber"] for each in receiver.events] == list(range(11))
    assert len(app.hubspot.webhooks.abandoned) == 1


async def test_batches_hold_a_hundred_events_of_one_portal_by_default(app, receiver):
    levers = {"webhooks": {"paused": True}}
    await app.request("POST", "/_sandbox/levers", levers)
    app.granted(hub_id=102, user="grace@globex.example")
    await subscribed(app, receiver)
    events = [{"portalId": 101 + n % 2, "eventId": n} for n in range(250)]
    await app.request("POST", "/_sandbox/apps/app/events", {"events": events})
    await app.request("POST", "/_sandbox/levers", {"webhooks": {"paused": False}})
    await until(lambda: len(receiver.events) == 250)
    sizes = sorted(len(json.loads(body)) for *_, body in receiver.requests)
    assert sizes == [25, 25, 100, 100]
    assert all(len({e["portalId"] for e in json.loads(b)}) == 1 for *_, b in receiver.requests)

    receiver.requests.clear()
    mixing = {"mixesPortals": True, "shuffled": True, "duplicates": 1, "batchSize": 50}
    await app.request("POST", "/_sandbox/levers", {"webhooks": mixing})
    await app.request("POST", "/_sandbox/apps/app/events", {"events": events[:50]})
    await until(lambda: len(receiver.events) == 100)
    first, second = (json.loads(body) for *_, body in receiver.requests)
    assert first == second
    assert {each["portalId"] for each in first} == {101, 102}
    assert [each["eventId"] for each in first] != sorted(each["eventId"] for each in first)


async def test_subscriptions_belong_to_the_developer_and_start_paused(app):
    number = app.hubspot.apps["app"].app_id
    base = f"/webhooks/v3/{number}/subscriptions"
    assert (await app.request("GET", base)).status == 401
    key = f"?hapikey={app.hubspot.developer_key}"
    made = await app.request("POST", base + key, {"eventType": "contact.creation"})
    assert (made.status, made.body["active"]) == (201, False)
    dated = await app.request("GET", f"/app-webhooks/2026-09/{number}/subscriptions{key}")
    assert dated.body["results"] == [made.body]
    for wrong in (
        {"eventType": "app.uninstalled"},
        {"eventType": "contact.propertyChange"},
        {"eventType": "object.creation"},
    ):
        assert (await app.request("POST", base + key, wrong)).status == 400
    few = {"targetUrl": "https://a.example", "throttling": {"maxConcurrentRequests": 5}}
    assert (await app.request("PUT", f"/webhooks/v3/{number}/settings{key}", few)).status == 400


def replying(body, status=200, **headers):
    return lambda: web.json_response(body, status=status, headers=headers)


async def test_a_workflow_action_is_sent_signed_and_ends_in_the_answered_state(app, receiver):
    made = await app.create("companies", name="A")
    payload = {
        "clientId": "app",
        "url": f"{receiver.url}/act",
        "hubId": 101,
        "objectType": "companies",
        "objectId": made,
        "properties": ["name"],
        "inputFields": {"sendInvite": "true"},
    }
    for answer, state in (
        (replying({"outputFields": {"ok": "true"}}), "SUCCESS"),
        (replying({"outputFields": {"hs_execution_state": "FAIL_CONTINUE"}}), "FAIL_CONTINUE"),
        (replying({}, 400), "FAILED"),
        (replying({"outputFields": {"hs_execution_state": "BLOCK"}}), "BLOCK"),
    ):
        receiver.answers = [answer]
        run = (await app.request("POST", "/_sandbox/workflow-actions", payload)).body
        assert run["state"] == state
    sent = json.loads(receiver.requests[0][3])
    assert sent["object"] == {
        "objectId": int(made),
        "properties": {"name": "A"},
        "objectType": "COMPANY",
    }
    assert sent["origin"]["portalId"] == 101
    assert all(genuine(each, "app-secret", "v2") for each in receiver.requests)


async def test_a_workflow_action_is_retried_when_the_backend_fails_or_is_busy(app, receiver):
    made = await app.create("companies", name="A")
    receiver.answers = [
        replying({}, 500),
        replying({}, 429, **{"Retry-After": "30000"}),
        replying({"outputFields": {}}),
    ]
    payload = {
        "clientId": "app",
        "url": f"{receiver.url}/act",
        "hubId": 101,
        "objectType": "companies",
        "objectId": made,
    }
    run = (await app.request("POST", "/_sandbox/workflow-actions", payload)).body
    assert run["state"] == "RUNNING"
    execution = app.hubspot.workflows.executions[run["callback_id"]]
    app.hubspot.jump(5)
    await until(lambda: len(execution.answers) == 2)
    app.hubspot.jump(25)
    await asyncio.sleep(0.1)
    assert len(execution.answers) == 2
    app.hubspot.jump(6)
    await until(lambda: execution.state == "SUCCESS")
    sent = {json.loads(body)["callbackId"] for *_, body in receiver.requests}
    assert sent == {run["callback_id"]}


@pytest.mark.parametrize(
    "path",
    [
        "/automation/v4/actions/callbacks/{}/complete",
        "/automation/actions/callbacks/2026-03/{}/complete",
    ],
)
async def test_an_action_that_waits_is_completed_once_by_its_own_portal(app, receiver, path):
    made = await app.create("companies", name="A")
    receiver.answers = [replying({"outputFields": {"hs_execution_state": "ASYNC"}})]
    payload = {
        "clientId": "app",
        "url": f"{receiver.url}/act",
        "hubId": 101,
        "objectType": "0-2",
        "objectId": made,
    }
    run = (await app.request("POST", "/_sandbox/workflow-actions", payload)).body
    assert run["state"] == "ASYNC"
    done = {"outputFields": {"hs_execution_state": "SUCCESS", "caseId": "c1"}}
    where, own_token = path.format(run["callback_id"]), app.token
    app.granted(hub_id=102, user="grace@globex.example")
    assert (await app.request("POST", where, done)).status == 404
    app.token = own_token
    assert [(await app.request("POST", where, done)).status for _ in range(2)] == [204, 404]
    state = await app.request("GET", f"/_sandbox/workflow-actions/{run['callback_id']}")
    assert (state.body["state"], state.body["output"]["caseId"]) == ("SUCCESS", "c1")


async def test_a_ui_extension_call_has_user_and_account_in_its_signed_url(app, receiver):
    receiver.answers = [replying({"hello": 1}), replying({})]
    payload = {
        "clientId": "app",
        "url": f"{receiver.url}/button?x=1",
        "hubId": 101,
        "body": {"companyId": 5},
    }
    got = await app.request("POST", "/_sandbox/ui-extension-calls", payload)
    assert (got.body["status"], got.body["body"]) == (200, {"hello": 1})
    method, url, _, body = receiver.requests[0]
    assert (method, json.loads(body)) == ("POST", {"companyId": 5})
    for part in ("x=1&", "portalId=101", "userId=1000", "userEmail=ada%40acme.example"):
        assert part in url
    assert signed_as_decoded(receiver.requests[0])

    await app.request("POST", "/_sandbox/ui-extension-calls", {**payload, "method": "GET"})
    assert receiver.requests[1][3] == b""


def signed_as_decoded(request):
    """v2 over the URL as called, v3 over the URL with HubSpot's escapes decoded."""
    method, url, headers, body = request
    timestamp = headers["X-HubSpot-Request-Timestamp"]
    return (
        headers["X-HubSpot-Signature"] == signing.v2("app-secret", method, url, body)
        and "%40" in url
        and Signature.is_valid(
            signature=headers["X-HubSpot-Signature-v3"],
            client_secret="app-secret",
            request_body=body.decode(),
            http_uri=url.replace("%40", "@"),
            http_method=method,
            signature_version="v3",
            timestamp=timestamp,
        )
    )

"""Access to the API: tokens, scopes, limits, locks, moves."""

CONTACTS = "/crm/v3/objects/contacts"


async def test_a_call_without_a_token_is_refused(app):
    for header in ("", "Basic x", "Bearer x"):
        got = await app.request("GET", CONTACTS, headers={"Authorization": header})
        assert (got.status, got.body["category"]) == (401, "INVALID_AUTHENTICATION")
        assert got.body["message"].startswith("Authentication credentials not found.")


async def test_a_malformed_token_expired_in_1970(app):
    got = await app.request("GET", CONTACTS, headers={"Authorization": "Bearer C" + "x" * 99})
    assert (got.status, got.body["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert got.body["context"] == {"expire time": ["1970-01-01T00:00:00.000Z"]}
    assert "day(s) ago" in got.body["message"]


async def test_an_expired_token_is_refused_with_its_time_of_expiry(app):
    app.hubspot.jump(1805)
    got = await app.request("GET", CONTACTS)
    assert got.body["message"].endswith("expired 5 second(s) ago.")
    app.hubspot.jump(7200)
    got = await app.request("GET", CONTACTS)
    assert got.body["message"].endswith("expired 2 hour(s) ago.")


async def test_each_area_needs_one_of_its_scopes(app):
    cases = [
        ("GET", CONTACTS, "crm.objects.contacts.read"),
        ("POST", CONTACTS, "crm.objects.contacts.write"),
        ("POST", f"{CONTACTS}/search", "crm.objects.contacts.read"),
        ("POST", f"{CONTACTS}/batch/archive", "crm.objects.contacts.write"),
        ("GET", "/crm/objects/2026-03/0-3", "crm.objects.deals.read"),
        ("GET", "/crm/v3/objects/tickets", "tickets"),
        ("GET", "/crm/v3/owners", "crm.objects.owners.read"),
        ("GET", "/crm/v3/properties/companies", "crm.schemas.companies.read"),
        ("POST", "/crm/v3/properties/companies", "crm.schemas.companies.write"),
        ("GET", "/crm/v3/schemas", "crm.schemas.custom.read"),
        ("GET", "/crm/v3/pipelines/deals", "crm.schemas.deals.read"),
        (
            "PUT",
            "/crm/v4/objects/contacts/1/associations/default/deals/2",
            "crm.objects.deals.write",
        ),
        ("POST", "/automation/v4/actions/callbacks/x/complete", "automation"),
    ]
    app.granted(["oauth"])
    for method, path, scope in cases:
        got = await app.request(method, path, {} if method != "GET" else None)
        assert (got.status, got.body["category"]) == (403, "MISSING_SCOPES"), path
        assert scope in got.body["errors"][0]["context"]["requiredGranularScopes"], path
    for method, path, scope in cases:
        app.granted(["oauth", scope])
        got = await app.request(method, path, {} if method != "GET" else None)
        assert got.status != 403, path


async def test_the_rolling_limit_is_per_app_and_account_and_counts_down_in_headers(app):
    app.hubspot.limits.ten_secondly = 3
    left = [
        (await app.request("GET", CONTACTS)).headers["X-HubSpot-RateLimit-Remaining"]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]
    over = await app.request("GET", CONTACTS)
    assert over.status == 429
    assert over.body["errorType"] == "RATE_LIMIT"
    assert over.body["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "Retry-After" not in over.headers
    own_token = app.token
    for other in ({"hub_id": 102, "user": "grace@globex.example"}, {"client_id": "second"}):
        assert (await app.granted(**other).request("GET", CONTACTS)).status == 200
    app.token = own_token
    app.hubspot.jump(10)
    assert (await app.request("GET", CONTACTS)).status == 200


async def test_searches_are_counted_apart_for_the_whole_account_without_headers(app):
    app.hubspot.limits.search, app.hubspot.limits.ten_secondly = 2, 1
    tokens = [app.token, app.granted(client_id="second").token]
    for token in tokens:
        app.token = token
        got = await app.request("POST", f"{CONTACTS}/search", {})
        assert got.status == 200
        assert not [name for name in got.headers if "ratelimit" in name.lower()]
    over = await app.request("POST", f"{CONTACTS}/search", {})
    assert (over.status, over.body["policyName"]) == (429, "SECONDLY")
    assert (await app.request("GET", CONTACTS)).status == 200


async def test_the_day_ends_the_daily_limit(app):
    app.hubspot.limits.daily = 1
    app.hubspot.jump(86_400 - app.hubspot.now() % 86_400 + 60)
    app.granted()
    assert (await app.request("GET", CONTACTS)).status == 200
    over = await app.request("GET", CONTACTS)
    assert (over.status, over.body["policyName"]) == (429, "DAILY")
    app.hubspot.jump(86_400)
    assert (await app.granted().request("GET", CONTACTS)).status == 200


async def test_a_locked_record_refuses_writes_for_two_seconds(app):
    made = await app.create("contacts", email="a@acme.example")
    lock = {"lock": {"hubId": 101, "objectType": "contacts", "objectId": made}}
    assert (await app.request("POST", "/_sandbox/levers", lock)).status == 204
    change = ("PATCH", f"{CONTACTS}/{made}", {"properties": {"lastname": "X"}})
    assert (await app.request(*change)).status == 423
    assert (await app.request("GET", f"{CONTACTS}/{made}")).status == 200
    app.hubspot.jump(2.1)
    assert (await app.request(*change)).status == 200


async def test_an_account_that_moves_answers_with_the_seconds_left(app):
    move = {"move": {"hubId": 101, "seconds": 3600}}
    assert (await app.request("POST", "/_sandbox/levers", move)).status == 204
    got = await app.request("GET", CONTACTS)
    assert got.status == 477
    assert 3590 <= int(got.headers["Retry-After"]) <= 3601


async def test_an_app_token_has_access_to_no_account(app):
    form = "grant_type=client_credentials&client_id=app&client_secret=app-secret&scope=a%20b"
    url = f"{app.hubspot.url}/oauth/2026-03/token"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with app.session.post(url, data=form, headers=kind) as got:
        token = await got.json()
    assert (token["token_use"], token["scopes"]) == ("client_credentials", ["a", "b"])
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await app.request("GET", CONTACTS, headers=headers)).status == 401


async def test_a_path_that_the_sandbox_lacks_is_told_from_a_record_that_is_missing(app):
    """A 404 of HubSpot's would send people to look for their own mistake."""
    missing = await app.request("GET", f"{CONTACTS}/99999999")
    for path in ("/files/v3/files", "/crm/v3/nowhere", "/_nowhere"):
        lacking = await app.request("GET", path)
        assert (lacking.status, lacking.body["status"]) == (501, "error"), path
        assert "the sandbox" in lacking.body["message"]
    assert missing.status == 404
    for path in ("/_echo", "/_echo/anything"):
        assert (await app.request("GET", path)).body["target"] == path

"""Salesforce's hosts, sessions and refusals, as bytes and values."""

import json

import pytest

from broker.errors import (
    CredentialsRefused,
    ExchangeFailed,
    InvalidRequest,
    ProviderUnavailable,
)
from broker.providers.oauth import GrantEnded
from broker.providers.salesforce import api, hosts, oauth


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "https://acme.my.salesforce.com.evil.example",
        "https://evilsalesforce.com",
        "https://acme.my.salesforce.com@evil.example",
        "https://acme.my.salesforce.com:8443",
        "https://acme.my.salesforce.com/path",
        "https://acme.my.salesforce.com?x",
        "https://acme.my.salesforce.com\\.evil.example",
        "https://acme.my.salesforce.com\r\n",
        "https://.salesforce.com",
        "https://127.0.0.1",
        "https://[::1",
        "//acme.my.salesforce.com",
        "",
        None,
        7,
    ],
)
def test_only_salesforces_own_hosts_are_an_orgs_api(url):
    assert hosts.api_url(url, None) is None


@pytest.mark.parametrize(
    "host",
    [
        "acme.my.salesforce.com",
        "acme--dev.sandbox.my.salesforce.com",
        "acme-dev-ed.develop.my.salesforce.com",
        "na1.salesforce.com",
        "acme.lightning.force.com",
    ],
)
def test_every_kind_of_org_has_a_host_of_salesforces(host):
    assert hosts.api_url(f"https://{host.upper()}:443/", None) == f"https://{host}"
    assert hosts.api_url(f"https://{host}", "http://127.0.0.1:1") == "http://127.0.0.1:1"


def test_an_override_admits_its_own_host_on_other_ports_and_no_other():
    override = "http://127.0.0.1:8084"

    assert hosts.api_url("http://127.0.0.1:9000", override) == "http://127.0.0.1:9000"
    assert hosts.api_url("https://127.0.0.1:9000", override) is None
    assert hosts.api_url("http://10.0.0.1:8084", override) is None


def test_users_log_in_where_their_environment_is():
    assert hosts.login_url({}, None) == "https://login.salesforce.com"
    assert hosts.login_url({"environment": "sandbox"}, None) == "https://test.salesforce.com"
    assert hosts.org_url({"myDomain": "a.my.salesforce.com"}, None) == "https://a.my.salesforce.com"
    with pytest.raises(InvalidRequest):
        hosts.org_url({}, None)


@pytest.mark.parametrize(
    ("status", "error", "detail", "raised"),
    [
        (400, "invalid_grant", "expired access/refresh token", GrantEnded),
        (400, "invalid_grant", "inactive user", GrantEnded),
        (400, "invalid_grant", "ip restricted", ExchangeFailed),
        (400, "invalid_grant", "no client credentials user enabled", ExchangeFailed),
        (400, "invalid_client", "invalid client credentials", CredentialsRefused),
        (400, "invalid_client_id", "client identifier invalid", CredentialsRefused),
        (400, "invalid_scope", "the requested scope is invalid", ExchangeFailed),
        (
            400,
            "invalid_app_access",
            "user is not admin approved to access this app",
            ExchangeFailed,
        ),
        (400, "unknown_error", "retry your request", ProviderUnavailable),
        (403, "rate_limit_exceeded", "login rate exceeded", ProviderUnavailable),
        (500, "invalid_grant", "x", ProviderUnavailable),
        (400, "", "", ProviderUnavailable),
    ],
)
def test_a_refused_token_request_means_what_salesforce_means(status, error, detail, raised):
    body = json.dumps({"error": error, "error_description": detail}).encode()

    with pytest.raises(raised) as refusal:
        oauth.read_tokens(status, body, None)
    assert refusal.value.__cause__ is None


def test_a_refresh_that_is_under_way_may_have_had_an_answer_that_was_lost():
    body = {
        "error": "invalid_request",
        "error_description": "Token request is already being processed.",
    }

    with pytest.raises(ProviderUnavailable) as refusal:
        oauth.read_tokens(400, json.dumps(body).encode(), None)

    assert refusal.value.__cause__ is not None


def test_a_token_answer_names_org_and_host_and_no_lifetime():
    body = {
        "access_token": "00D!AQ",
        "scope": "api refresh_token",
        "instance_url": "https://acme.my.salesforce.com",
        "id": "https://login.salesforce.com/id/00DHs0000000001MAA/005Hs0000000002IAA",
        "issued_at": "1796000000000",
    }

    tokens = oauth.read_tokens(200, json.dumps(body).encode(), None)
    foreign = oauth.read_tokens(
        200, json.dumps({**body, "instance_url": "https://evil.example", "id": "x"}).encode(), None
    )

    assert tokens.account.account_id == "00DHs0000000001MAA"
    assert tokens.api_url == "https://acme.my.salesforce.com"
    assert (tokens.lifetime, tokens.refresh_token) == (None, None)
    assert set(tokens.scopes) == {"api", "refresh_token", "offline_access"}
    assert (foreign.api_url, foreign.account) == (None, None)


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ({"active": True, "exp": 1_796_007_200, "iat": 1}, 7200),
        ({"active": True, "exp": 1_796_000_001}, 60),
        ({"active": True, "exp": 9_999_999_999}, 7 * 86_400),
        ({"active": True, "exp": 1_795_999_999}, None),
        ({"active": True, "exp": "soon"}, None),
        ({"active": True}, None),
        ({"active": False, "exp": 1_796_007_200}, None),
        ([], None),
    ],
)
def test_a_session_lasts_as_long_as_its_introspection_says(body, length):
    found = oauth.read_session(200, json.dumps(body).encode(), 1_796_000_000.0)

    assert (None if found is None else found[0]) == length


@pytest.mark.parametrize(
    ("method", "target", "effect"),
    [
        ("GET", "/services/data/v66.0/query?q=x", "read"),
        ("POST", "/services/data/v66.0/sobjects/Lead", "write"),
        ("PATCH", "/services/data/v66.0/composite/sobjects/Lead/Id", "write"),
        ("POST", "/services/data/v66.0/parameterizedSearch", "read"),
        ("DELETE", "/services/data/v66.0/sobjects/Lead/00Q", "delete"),
        ("POST", "/services/data/v66.0/composite", "delete"),
        ("POST", "/services/data/v66.0/Composite/Graph/", "delete"),
        ("POST", "/services/data/v66.0/graphql", "delete"),
        ("POST", "/services/data/v66.0/jobs/ingest", "delete"),
        ("POST", "/services/Soap/u/64.0", "delete"),
        ("GET", "/services/data/v66.0/tooling/%65xecuteAnonymous/?anonymousBody=x", "delete"),
        ("GET", "/services/data/v66.0//tooling/executeAnonymous?anonymousBody=x", "delete"),
        ("GET", "/services/data/v66.0/tooling;a=b/executeAnonymous;c?anonymousBody=x", "delete"),
        ("GET", "/services/data/v66.0/tooling/executeAnonymous%3FanonymousBody=x", "delete"),
        ("GET", "/services/oauth2/revoke?token=x", "delete"),
    ],
)
def test_a_call_counts_as_the_gravest_that_it_may_do(method, target, effect):
    assert api.effect_of(method, target) == effect


@pytest.mark.parametrize(
    ("status", "usage", "body", "daily", "refused_by"),
    [
        (200, "api-usage=14999/15000", b"", None, None),
        (200, "api-usage=15000/15000", b"", True, None),
        (200, "api-usage=18/5000 per-app-api-usage=250/250(appName=x)", b"", None, None),
        (200, "nonsense", b"", None, None),
        (403, "", b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests x"}]', True, "DAILY"),
        (
            403, "",
            b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API"}]',
            False, "CONCURRENT",
        ),
        (403, "", b'[{"errorCode":"API_DISABLED_FOR_ORG"}]', None, None),
    ],
)  # fmt: skip
def test_the_days_calls_are_read_from_header_and_refusal(status, usage, body, daily, refused_by):
    limits = api.read_rate_limit(status, {"sforce-limit-info": usage}, body)

    if daily is None:
        assert limits is None
    else:
        assert (limits.daily_exhausted, limits.refused_by) == (daily, refused_by)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/services/data/v66.0/sobjects/Lead/00QHs0000000001", "/services/data/v66.0/sobjects/Lead/{id}"),
        ("/services/data/v66.0/sobjects/Lead/Ext__c/ada%40x.io", "/services/data/v66.0/sobjects/Lead/{id}/{id}"),
        ("/services/data/v66.0/query/01gHs-2000", "/services/data/v66.0/query/{id}"),
        ("/services/apexrest/customers/ada", "/services/apexrest/{id}/{id}"),
        ("/00Dsecret!AQ", "/{id}"),
    ],
)  # fmt: skip
def test_a_path_in_the_log_holds_salesforces_words_alone(path, template):
    assert api.template_of(path) == template

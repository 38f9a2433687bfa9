"""What calls look like: named workloads, and the wrk script that makes them."""

import json
from dataclasses import dataclass

IDS = 20_000
"""Different ids in paths; more than any cache of paths holds."""

HEADERS = {
    "Accept": "application/json, text/plain, */*",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
    "Cache-Control": "no-cache",
    "Content-Type": "application/json",
    "DNT": "1",
    "Pragma": "no-cache",
    "Priority": "u=1, i",
    "Referer": "https://product.example/settings/integrations?tab=hubspot",
    "Origin": "https://product.example",
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-B3-TraceId": "80f198ee56343ba864fe8b2a57d3eff7",
    "X-Correlation-Id": "5d3c0f66-2f2b-4f4c-9f4e-0f9a5f7a1c12",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "X-Forwarded-For": "203.0.113.7, 198.51.100.24",
    "X-Forwarded-Host": "product.example",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
    "X-Request-Id": "5d3c0f66-2f2b-4f4c-9f4e-0f9a5f7a1c11",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "baggage": "sentry-environment=production,sentry-release=2026.11.1",
}
"""22 headers as a backend's call has them after two hops, besides Host and Authorization."""

BATCH = json.dumps(
    {
        "inputs": [
            {"properties": {"email": f"person{n}@acme.example", "firstname": "Ada" * 20}}
            for n in range(790)
        ]
    }
)
"""About 100 kB to create."""


@dataclass(frozen=True)
class Workload:
    """One kind of call; `{id}` in the path changes from call to call."""

    name: str
    about: str
    path: str = "/crm/v3/objects/contacts/{id}"
    method: str = "GET"
    headers: bool = False
    body: str = ""
    wrapped: bool = False
    setup: str = "plain"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("read", "1 kB read, another id each time, bare headers"),
        Workload("fixed", "1 kB read, one path", path="/crm/v3/objects/contacts/101"),
        Workload("headers", "read, with 22 more request headers", headers=True),
        Workload("large", "100 kB answers", path="/crm/v3/objects/contacts?limit=100&after={id}"),
        Workload(
            "upload",
            "100 kB to create, read whole by the upstream",
            "/crm/v3/objects/contacts/batch/create",
            "POST",
            body=BATCH,
        ),
        Workload("wrapped", "read, described in a body (the others: read)", wrapped=True),
        Workload("tls", "read, TLS to the upstream", setup="tls"),
        Workload("workers", "read, two workers beside one", setup="workers"),
    )
}


@dataclass(frozen=True)
class Target:
    """Where calls are made: origin, path before HubSpot's, key, path of the wrapped form."""

    origin: str
    prefix: str = ""
    key: str | None = None
    wrapped: str | None = None


def script(workload: Workload, target: Target) -> str:
    """The Lua script with which wrk makes the workload's calls and prints its figures as JSON."""
    headers = dict(HEADERS) if workload.headers else {}
    if target.key:
        headers["Authorization"] = f"Bearer {target.key}"
    method, path, body = workload.method, target.prefix + workload.path, workload.body
    if workload.wrapped and target.wrapped:
        method, path = "POST", target.wrapped
        body = json.dumps(
            {
                "method": "GET",
                "url": f"https://api.hubapi.com{workload.path}",
                "userForeignIdentifier": "u1",
            }
        )
    if body:
        headers["Content-Type"] = "application/json"
    changing = "{id}" in path or (body != workload.body and "{id}" in body)
    fields = ", ".join(f"[{json.dumps(n)}] = {json.dumps(v)}" for n, v in headers.items())
    return _LUA % {
        "count": IDS if changing else 1,
        "method": method,
        "path": json.dumps(path),
        "headers": fields,
        "body": json.dumps(body) if body else "nil",
    }


_LUA = """
local requests, last = {}, 0

local function with_id(text, number)
    return text and (text:gsub("{id}", tostring(51000000000 + number * 37)))
end

function init(args)
    local path, body, headers = %(path)s, %(body)s, {%(headers)s}
    headers["Host"] = wrk.headers["Host"]
    for number = 1, %(count)d do
        local text = with_id(body, number)
        requests[number] = wrk.format("%(method)s", with_id(path, number), headers, text)
    end
end

function request()
    last = last %% #requests + 1
    return requests[last]
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        '{"calls": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "refused": %%d, "failed": %%d}',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""

"""HubSpot's signatures, held against HubSpot's own known answers."""

import base64
import hashlib
import hmac

import pytest
from hubspot.utils.signature import Signature

from broker.domain.model import Secret
from broker.errors import NotAuthenticated
from broker.providers.hubspot.events.signature import (
    SignatureCheck,
    SignedRequest,
    Version,
    check,
    decoded_uri,
    signature_v1,
    signature_v2,
    signature_v3,
)

BACKEND = Secret("f6e94c08-85d0-4608-bcc6-e1850176e7b8")
DOCS = Secret("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy")
UI = Secret("12345678-aaaa-bbbb-cccc-ddddeeeeffff")
HOOK = "https://www.hubspot.com/webhook"
EXAMPLE = "https://www.example.com/webhook_uri"
CARD = "https://hubspot.com/?appId=1&portalId=2&userId=3"
EVENT = b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'

KNOWN = [
    (Version.V3, BACKEND, "POST", HOOK, b"REQUEST_BODY", "1632188626483", "jf872r5vscVcxCiDRHA4rGrqe/8BPLNVkdJSHdMnGTU="),
    (Version.V3, BACKEND, "POST", HOOK, b"", "1632188626483", "csXgk7UbrE9F8ZmMvbpuKBxqIvTSqU1EX9pI/SJtxSE="),
    (Version.V2, BACKEND, "POST", HOOK, b"REQUEST_BODY", None, "57bb01a6e6ac92919b5e715d68f40265328701bbf1cf3fd73772887069945766"),
    (Version.V2, BACKEND, "POST", HOOK, b"", None, "befaef2b7354f11bf651f6468e8b5cf6bd449048deaf057f712980afb2a682f5"),
    (Version.V1, DOCS, "POST", EXAMPLE, EVENT, None, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
    (Version.V2, DOCS, "GET", EXAMPLE, b"", None, "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
    (Version.V2, DOCS, "POST", EXAMPLE, b'{"example_field":"example_value"}', None, "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"),
    (Version.V3, DOCS, "POST", EXAMPLE, b"{'example_field':'example_value'}", "1693657560000", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
    (Version.V3, UI, "GET", CARD, b"", "1111111111", "zTfXjo07jfzGouo4wvyAj3qEMUTVJ0PPYPACrluQtQI="),
    (Version.V2, UI, "GET", CARD, b"", None, "99080134002180aee8d0884d21ad51288c43b57e9953e4db1e3757999b35c392"),
]  # fmt: skip

SENT = "1632188626483"
NOW = int(SENT)


def signed(body=b"[]", uri=HOOK, sent_at=SENT, secret=BACKEND, over=None, **changes):
    signature = signature_v3(secret, "POST", over or uri, body, sent_at)
    headers = {
        "X-HubSpot-Signature-v3": signature,
        "X-HubSpot-Request-Timestamp": sent_at,
        **changes,
    }
    kept = [(name, value) for name, value in headers.items() if value is not None]
    return SignedRequest("POST", uri, kept, body)


def verdict(request, secrets=(BACKEND,), now=NOW, **rest):
    try:
        check(request, secrets, now, **rest)
    except NotAuthenticated:
        return False
    return True


@pytest.mark.parametrize(("version", "secret", "method", "uri", "body", "sent_at", "known"), KNOWN)
def test_hubspots_known_answers_come_out(version, secret, method, uri, body, sent_at, known):
    if version is Version.V3:
        assert signature_v3(secret, method, uri, body, sent_at) == known
    else:
        sign = signature_v1 if version is Version.V1 else signature_v2
        assert sign(secret, method, uri, body) == known


def test_the_official_package_signs_alike():
    body, uri = '[{"a": "ü"}]', "https://b.example/hubspot/x/webhooks?a=%20b"
    theirs = Signature.get_signature(
        BACKEND.reveal(), body, "v3", http_uri=uri, http_method="POST", timestamp=SENT
    )

    assert signature_v3(BACKEND, "POST", uri, body.encode(), SENT) == theirs


def test_a_signature_holds_for_these_very_bytes_only():
    """W1."""
    bodies = [
        b'[ {"portalId" :1 } ]\n',
        b'[{"a":"\\u00e9"}]',
        '[{"a":"é"}]'.encode(),
        b'[{"a":1,"a":2}]',
        b'[{"a":123456789012345678901234567890}]',
        b"\xff\xfe not utf-8",
    ]
    for body in bodies:
        request = signed(body)
        assert verdict(request)
        for at in range(len(body)):
            other = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            assert not verdict(SignedRequest("POST", HOOK, request.headers, other))


def test_hubspots_escapes_are_decoded_and_no_others():
    odd = "https://b.example/w?a=%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B&b=%20%26%3D%25"

    assert decoded_uri(odd) == "https://b.example/w?a=:/?@!$'()*,;&b=%20%26%3D%25"
    assert verdict(signed(uri=odd, over=decoded_uri(odd)))
    assert verdict(signed(uri=odd))
    assert not verdict(signed(uri=odd, over=odd.replace("%20", " ")))


@pytest.mark.parametrize(
    "sent_at",
    [
        str(NOW - 300_001),
        str(NOW + 300_001),
        str(NOW // 1000),
        f"{NOW // 1000}.483",
        f"-{NOW}",
        f"+{NOW}",
        f" {NOW}",
        f"{NOW}0",
        "١٦٣٢١٨٨٦٢٦٤٨٣",
        "",
        "now",
    ],
)
def test_a_request_out_of_time_is_refused(sent_at):
    """W4."""
    assert not verdict(signed(sent_at=sent_at))


def test_a_request_at_the_edge_of_the_window_is_taken():
    for sent_at in (NOW - 300_000, NOW + 300_000):
        assert verdict(signed(sent_at=str(sent_at)))


def test_who_cannot_prove_it_is_refused():
    other = Secret("another-secret")
    good = signed()
    twice = SignedRequest("POST", HOOK, [*good.headers, good.headers[0]], b"[]")
    refused = [
        SignedRequest("POST", HOOK, [], b"[]"),
        signed(secret=other),
        SignedRequest("PUT", HOOK, good.headers, b"[]"),
        SignedRequest("POST", HOOK + "/", good.headers, b"[]"),
        signed(**{"X-HubSpot-Signature-v3": ""}),
        signed(**{"X-HubSpot-Signature-v3": "é\udcff"}),
        signed(**{"X-HubSpot-Request-Timestamp": None}),
        twice,
    ]

    assert [verdict(request) for request in refused] == [False] * len(refused)
    assert not verdict(good, secrets=())
    assert verdict(good, secrets=(other, BACKEND))


def test_an_older_version_counts_only_where_it_is_asked_for():
    """W3."""
    every = frozenset(Version)
    for version, sign in (("v1", signature_v1), ("v2", signature_v2)):
        old = [
            ("X-HubSpot-Signature", sign(BACKEND, "POST", HOOK, b"[]")),
            ("X-HubSpot-Signature-Version", version),
        ]
        request = SignedRequest("POST", HOOK, old, b"[]")

        assert not verdict(request)
        assert verdict(request, accepted=every)
        assert not verdict(SignedRequest("POST", HOOK, old, b"[1]"), accepted=every)

    broken = signed(secret=Secret("wrong"))
    both = SignedRequest("POST", HOOK, [*broken.headers, *old], b"[]")
    assert not verdict(both, accepted=every), "a wrong v3 must not fall back"


def test_the_window_is_worth_nothing_without_the_signature_over_it():
    request = signed()
    moved = [
        (name, value if "v3" in name.lower() else str(NOW + 1)) for name, value in request.headers
    ]
    digest = hmac.new(BACKEND.reveal().encode(), f"POST{HOOK}[]".encode(), hashlib.sha256).digest()

    assert not verdict(SignedRequest("POST", HOOK, moved, b"[]"))
    assert not verdict(signed(**{"X-HubSpot-Signature-v3": base64.b64encode(digest).decode()}))


@pytest.mark.parametrize("cuts", [[], [0], [1], [5, 5, 9], [40, 200]])
def test_a_body_may_arrive_in_any_parts(cuts):
    """2.5: each part is hashed as it arrives, so that none has to be held to be judged."""
    request = signed(body=EVENT)
    signature = SignatureCheck(request, [BACKEND], NOW)
    for start, end in zip([0, *cuts], [*cuts, len(EVENT)], strict=True):
        signature.update(EVENT[start:end])

    signature.finish()


@pytest.mark.parametrize(
    "changes",
    [
        {"X-HubSpot-Signature-v3": "short"},
        {"X-HubSpot-Signature-v3": "\udcff" * 44},
        {"X-HubSpot-Request-Timestamp": str(NOW - 300_001)},
        {"X-HubSpot-Signature-v3": None},
        {"X-HubSpot-Signature-v3": None, "X-HubSpot-Signature-Version": "v3"},
        {"X-HubSpot-Signature-v3": None, "X-HubSpot-Signature-Version": "v2", "X-HubSpot-Signature": "0" * 64},
    ],
)  # fmt: skip
def test_what_a_head_shows_to_be_no_signature_is_refused_before_the_body(changes):
    """2.5."""
    with pytest.raises(NotAuthenticated):
        SignatureCheck(signed(**changes), [BACKEND], NOW)


def test_where_there_is_no_secret_no_body_is_hashed():
    with pytest.raises(NotAuthenticated):
        SignatureCheck(signed(), [], NOW)

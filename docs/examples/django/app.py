"""A Django product: Django's own CSRF check and sign-in session, and the life of a connection.

pip install django requests standardwebhooks; KEY=bs_... python3 app.py, then open
http://127.0.0.1:3000. With EVENTS_SECRET=whsec_... it also receives the broker's events.
"""

import json
import os
import secrets
import sys
from urllib.parse import quote

import requests
from django.conf import settings
from django.core.cache import cache
from django.core.management import execute_from_command_line
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from standardwebhooks import Webhook, WebhookVerificationError

BROKER = os.environ.get("BROKER", "http://localhost:8080")
HUBSPOT_APP = os.environ.get("APP", "demo")
PORT = int(os.environ.get("PORT", "3000"))
KEY = os.environ.get("KEY") or sys.exit("Set KEY to an API key of the broker (scope `connect`).")
EVENTS_SECRET = os.environ.get("EVENTS_SECRET")  # of the endpoint that sends events here
broker = requests.Session()
broker.headers["Authorization"] = f"Bearer {KEY}"  # never in a page

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="csrf-token" content="{{ csrf_token }}">
<title>Integrations</title>
<script src="{{ broker }}/connect.js" defer></script>
<h1>Integrations</h1>
<connect-hubspot session-url="/hubspot/session" status-url="/hubspot/status"
  confirm-url="/hubspot/confirm" disconnect-url="/hubspot/disconnect"
  csrf-header="X-CSRFToken"></connect-hubspot>
</html>"""

# What your project's settings.py has already, but for the last line.
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(32),
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", {"page.html": PAGE})]
            },
        }
    ],
    # Django's default, "same-origin", would cut the page off from the popup that it opens.
    SECURE_CROSS_ORIGIN_OPENER_POLICY="same-origin-allow-popups",
)


def current_user(request):
    """Who is signed in to your product: `request.user.pk` in yours, never from the page.

    If nobody is, answer 401: the button treats the sign-in page that `login_required` leads to as
    a failure.
    """
    return request.session.setdefault("user", "user-42")


@require_GET
def page(request):
    return render(request, "page.html", {"broker": BROKER})


@require_POST
def create_session(request):
    body = {"app": HUBSPOT_APP, "userForeignIdentifier": current_user(request)}
    body["returnUrl"] = f"http://127.0.0.1:{PORT}/"
    return passed_on(broker.post(f"{BROKER}/api/connect/sessions", json=body))


@require_GET
def status(request):
    answer = broker.get(connection(request))
    if answer.status_code == 404:
        return JsonResponse({"connected": False})
    answer.raise_for_status()
    found = answer.json()
    return JsonResponse(
        {
            "connected": found["status"] == "ACTIVE",
            "status": found["status"],
            "accountName": found["accountName"],
        }
    )


@require_POST
def confirm(request):
    code = json.loads(request.body)["confirm"]
    body = {"confirm": code, "userForeignIdentifier": current_user(request)}
    return passed_on(broker.post(f"{BROKER}/api/connections/confirm", json=body))


@require_POST
def disconnect(request):
    return passed_on(broker.delete(connection(request)))


@csrf_exempt  # the signature proves who sent it
@require_POST
def events(request):
    try:
        event = Webhook(EVENTS_SECRET).verify(request.body, dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return HttpResponse(status=400)
    # The same event can arrive again for days. Remember it after the work, so that an error here
    # makes the broker send it again.
    name = f"broker-event:{request.headers['webhook-id']}"
    if not cache.get(name):
        handle(event)
        cache.set(name, True, timeout=7 * 86_400)
    return HttpResponse(status=204)


def handle(event):
    """Your work: pause the user's jobs at `connection.reauth_required`, for example."""
    line = f"{event['type']} {event['data']['userForeignIdentifier']}\n"
    print(line, end="", flush=True)  # in one write, for threads answer at the same time


def connection(request):
    return f"{BROKER}/api/apps/{HUBSPOT_APP}/connections/{quote(current_user(request), safe='')}"


def passed_on(answer):
    """The broker's answer; a refusal says why in `detail`, which the button shows developers."""
    return JsonResponse(answer.json(), status=answer.status_code, safe=False)


urlpatterns = [
    path("", page),
    path("hubspot/session", create_session),
    path("hubspot/status", status),
    path("hubspot/confirm", confirm),
    path("hubspot/disconnect", disconnect),
    *([path("hubspot/events", events)] if EVENTS_SECRET else []),
]

if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", f"127.0.0.1:{PORT}", "--noreload"])

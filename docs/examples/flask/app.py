"""A Flask product: the button with a CSRF token, and the life of a connection.

pip install flask requests standardwebhooks; KEY=bs_... python3 app.py, then open
http://127.0.0.1:3000. With EVENTS_SECRET=whsec_... it also receives the broker's events.
"""

import os
import secrets
import sys
from urllib.parse import quote

import requests
from flask import Flask, abort, jsonify, render_template_string, request, session
from standardwebhooks import Webhook, WebhookVerificationError

BROKER = os.environ.get("BROKER", "http://localhost:8080")
HUBSPOT_APP = os.environ.get("APP", "demo")
PORT = int(os.environ.get("PORT", "3000"))
KEY = os.environ.get("KEY") or sys.exit("Set KEY to an API key of the broker (scope `connect`).")
EVENTS_SECRET = os.environ.get("EVENTS_SECRET")  # of the endpoint that sends events here
broker = requests.Session()
broker.headers["Authorization"] = f"Bearer {KEY}"  # never in a page

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or secrets.token_hex(32)
handled = set()  # names of events; a table in your product, kept for a week

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="csrf-token" content="{{ csrf }}">
<title>Integrations</title>
<script src="{{ broker }}/connect.js" defer></script>
<h1>Integrations</h1>
<connect-hubspot session-url="/hubspot/session" status-url="/hubspot/status"
  confirm-url="/hubspot/confirm" disconnect-url="/hubspot/disconnect"
  csrf-header="X-CSRFToken"></connect-hubspot>
</html>"""


def current_user():
    """Who is signed in to your product. From your own session, never from the page."""
    return session.setdefault("user", "user-42")


@app.before_request
def check_csrf():
    if request.method == "POST" and request.endpoint != "events":  # which has a signature
        token = request.headers.get("X-CSRFToken", "")
        if not secrets.compare_digest(token, session.get("csrf", "-")):
            abort(403, "The CSRF token is missing or wrong.")


@app.get("/")
def page():
    session.setdefault("csrf", secrets.token_urlsafe())
    return render_template_string(PAGE, csrf=session["csrf"], broker=BROKER)


@app.post("/hubspot/session")
def create_session():
    body = {"app": HUBSPOT_APP, "userForeignIdentifier": current_user()}
    body["returnUrl"] = f"http://127.0.0.1:{PORT}/"
    return passed_on(broker.post(f"{BROKER}/api/connect/sessions", json=body))


@app.get("/hubspot/status")
def status():
    answer = broker.get(connection())
    if answer.status_code == 404:
        return {"connected": False}
    answer.raise_for_status()
    found = answer.json()
    return {
        "connected": found["status"] == "ACTIVE",
        "status": found["status"],
        "accountName": found["accountName"],
    }


@app.post("/hubspot/confirm")
def confirm():
    body = {"confirm": request.get_json()["confirm"], "userForeignIdentifier": current_user()}
    return passed_on(broker.post(f"{BROKER}/api/connections/confirm", json=body))


@app.post("/hubspot/disconnect")
def disconnect():
    return passed_on(broker.delete(connection()))


@app.post("/hubspot/events")
def events():
    if not EVENTS_SECRET:
        abort(404)
    try:
        event = Webhook(EVENTS_SECRET).verify(request.get_data(), dict(request.headers))
    except (WebhookVerificationError, ValueError):
        abort(400)
    # The same event can arrive again for days. Remember it after the work, so that an error here
    # makes the broker send it again.
    if request.headers["webhook-id"] not in handled:
        handle(event)
        handled.add(request.headers["webhook-id"])
    return "", 204


def handle(event):
    """Your work: pause the user's jobs at `connection.reauth_required`, for example."""
    line = f"{event['type']} {event['data']['userForeignIdentifier']}\n"
    print(line, end="", flush=True)  # in one write, for threads answer at the same time


def connection():
    return f"{BROKER}/api/apps/{HUBSPOT_APP}/connections/{quote(current_user(), safe='')}"


def passed_on(answer):
    """The broker's answer; a refusal says why in `detail`, which the button shows developers."""
    return jsonify(answer.json()), answer.status_code


if __name__ == "__main__":
    app.run(port=PORT)

"""A product's backend in 40 lines: serves the page, and creates connect sessions for its user."""

import json
import os
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BROKER = os.environ.get("BROKER", "http://localhost:8080")
KEY = os.environ.get("KEY")  # an API key with the scope `connect`; never in the page
HERE, PORT = Path(__file__).parent, int(os.environ.get("PORT", "3000"))


class Backend(SimpleHTTPRequestHandler):
    def do_GET(self):
        name = "page.js" if self.path == "/page.js" else "index.html"
        page = (HERE / name).read_text().replace("http://localhost:8080", BROKER)
        self.reply(page, "text/javascript" if name == "page.js" else "text/html")

    def do_POST(self):
        user = "user-42"  # who is signed in to your product: from your own session, never the page
        body = {"app": os.environ.get("APP", "demo"), "userForeignIdentifier": user}
        body["returnUrl"] = f"http://127.0.0.1:{PORT}/"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        url = f"{BROKER}/api/connect/sessions"
        try:
            with urlopen(Request(url, json.dumps(body).encode(), headers)) as answer:
                self.reply(json.dumps({"url": json.load(answer)["url"]}), "application/json")
        except HTTPError as refused:  # a problem document: `detail` says what is wrong
            problem = json.load(refused)
            self.log_error("the broker: %s", problem.get("detail", problem["title"]))
            self.reply(json.dumps(problem), "application/problem+json", refused.code)

    def reply(self, text, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


if not KEY:
    raise SystemExit("Set KEY to an API key of the broker that has the scope `connect`.")
HTTPServer(("127.0.0.1", PORT), Backend).serve_forever()

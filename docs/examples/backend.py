"""A product's backend in 30 lines: serves the page, and makes connect sessions for its user."""

import json
import os
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from urllib.request import Request, urlopen

BROKER = os.environ.get("BROKER", "http://localhost:8080")
KEY = os.environ["KEY"]  # an API key with the scope `connect`; never in the page
HERE, PORT = Path(__file__).parent, int(os.environ.get("PORT", "3000"))


class Backend(SimpleHTTPRequestHandler):
    def do_GET(self):
        name = "page.js" if self.path == "/page.js" else "index.html"
        page = (HERE / name).read_text().replace("http://localhost:8080", BROKER)
        self.reply(page, "text/javascript" if name == "page.js" else "text/html")

    def do_POST(self):
        user = "user-42"  # who is signed in to your product: from your own session, never the page
        asked = {"app": os.environ.get("APP", "demo"), "userForeignIdentifier": user}
        asked["returnUrl"] = f"http://127.0.0.1:{PORT}/"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        url = f"{BROKER}/api/connect/sessions"
        with urlopen(Request(url, json.dumps(asked).encode(), headers)) as answer:
            self.reply(json.dumps({"url": json.load(answer)["url"]}), "application/json")

    def reply(self, text, kind):
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


HTTPServer(("127.0.0.1", PORT), Backend).serve_forever()

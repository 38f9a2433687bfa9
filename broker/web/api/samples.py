"""One operation as a request in the languages that readers use."""

import json
from collections.abc import Mapping
from pprint import pformat
from textwrap import indent
from typing import Any
from urllib.parse import quote, urlencode


def samples(
    server: str, method: str, path: str, operation: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The operation with its examples: for curl, Python (requests) and JavaScript (fetch)."""
    values = {each["name"]: each.get("example") for each in operation["parameters"]}
    query = {
        each["name"]: each.get("example", "1")
        for each in operation["parameters"]
        if each["in"] == "query" and each["required"]
    }
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(str(value), safe="/"))
    url = server + path + (f"?{urlencode(query)}" if query else "")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = content.get("example")
    has_key = "security" in operation
    return [
        ("curl", _curl(method, url, body, has_key=has_key)),
        ("Python", _python(method, url, body, has_key=has_key)),
        ("JavaScript", _javascript(method, url, body, has_key=has_key)),
    ]


def _curl(method: str, url: str, body: Any, *, has_key: bool) -> str:
    parts = ["curl" if method == "GET" else f"curl -X {method}"]
    if has_key:
        parts.append('-H "Authorization: Bearer $KEY"')
    if body is not None:
        text = json.dumps(body, indent=2, ensure_ascii=False).replace("'", "'\\''")
        parts += ["-H 'Content-Type: application/json'", f"-d '{text}'"]
    return " \\\n  ".join([*parts, f"'{url}'"])


def _python(method: str, url: str, body: Any, *, has_key: bool) -> str:
    lines = ["import os", "", "import requests", ""] if has_key else ["import requests", ""]
    lines += ["answer = requests.request(", f'    "{method}",', f'    "{url}",']
    if has_key:
        lines.append("""    headers={"Authorization": f"Bearer {os.environ['KEY']}"},""")
    if body is not None:
        lines.append(indent(f"json={pformat(body, sort_dicts=False, width=76)},", "    "))
    return "\n".join([*lines, "    timeout=30,", ")", "answer.raise_for_status()"])


def _javascript(method: str, url: str, body: Any, *, has_key: bool) -> str:
    headers = ["'Authorization': `Bearer ${process.env.KEY}`"] if has_key else []
    lines = [f"const answer = await fetch('{url}', {{", f"  method: '{method}',"]
    if body is not None:
        headers.append("'Content-Type': 'application/json'")
    if headers:
        lines.append(f"  headers: {{ {', '.join(headers)} }},")
    if body is not None:
        text = json.dumps(body, indent=2, ensure_ascii=False)
        lines.append(f"  body: JSON.stringify({indent(text, '  ')[2:]}),")
    return "\n".join([*lines, "})", "if (!answer.ok) throw new Error(await answer.text())"])

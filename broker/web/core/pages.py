"""Pages for people: templates with everything escaped, and headers that bind them to our origin."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from broker.web.core.openapi import public

HERE = Path(__file__).parents[1]

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

FILES = {
    str(file.relative_to(HERE / "static")): file.read_bytes()
    for file in sorted((HERE / "static").rglob("*"))
    if file.suffix in KINDS
}
"""Every file that browsers may ask for, by its name under `/static/`."""

DIGESTS = {name: hashlib.sha256(body).hexdigest()[:16] for name, body in FILES.items()}

DAY_S = 86_400


class Pages:
    """Pages from templates, at home at a public URL."""

    def __init__(self, public_url: str, *template_folders: Path) -> None:
        """`template_folders` are searched after the broker's own."""
        parts = urlsplit(public_url)
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.root = parts.path
        self.https = parts.scheme == "https"
        self._templates = Environment(
            loader=FileSystemLoader([HERE / "templates", *template_folders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["grouped"] = "{:,}".format
        self._templates.globals["root"] = self.root
        self._templates.globals["asset"] = self._asset

    def page(
        self,
        template: str,
        status: int = 200,
        *,
        posts_to: str = "'none'",
        images: str | None = None,
        **values: object,
    ) -> web.Response:
        """A page from a template; `posts_to` says where its forms may lead, redirects included, and
        `images` is an image's URL from elsewhere.
        """
        headers = {"Content-Security-Policy": policy(posts_to, images), "X-Frame-Options": "DENY"}
        if posts_to != "'none'":
            # Under no-referrer a form's `Origin` would be null, by which we know our own forms.
            headers["Referrer-Policy"] = "same-origin"
        return web.Response(
            text=self._templates.get_template(template).render(**values),
            status=status,
            content_type="text/html",
            charset="utf-8",
            headers=headers,
        )

    def _asset(self, name: str) -> str:
        return f"{self.root}/static/{name}?v={DIGESTS[name]}"


def policy(posts_to: str, images: str | None = None) -> str:
    """What a page may load and do: only from the broker, never inline, never framed."""
    # A semicolon or a comma would begin another directive or policy.
    elsewhere = "" if images is None else f" {images.replace(';', '%3B').replace(',', '%2C')}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' data:{elsewhere}; "
        f"connect-src 'self'; form-action {posts_to}; frame-ancestors 'none'; base-uri 'none'"
    )


class StaticFiles:
    """`/static/{name}` and `/connect.js`."""

    @public(tags=("Operations",))
    async def file(self, request: web.Request) -> web.Response:
        """Serve a script or style sheet of the broker's own pages."""
        name = request.match_info["name"]
        if name not in FILES:
            raise web.HTTPNotFound
        # The name in a page carries the digest, so that a new version is another address.
        current = request.query.get("v") == DIGESTS[name]
        return _file_response(request, name, 365 * DAY_S if current else 300)

    @public(tags=("Connect",))
    async def connect_js(self, request: web.Request) -> web.Response:
        """Serve the script that defines `<connect-hubspot>`."""
        response = _file_response(request, "connect/connect.js", 300)
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers["Access-Control-Allow-Origin"] = "*"  # for `integrity`
        return response


def _file_response(request: web.Request, name: str, seconds: int) -> web.Response:
    tag = f'"{DIGESTS[name]}"'
    headers = {"Cache-Control": f"public, max-age={seconds}", "ETag": tag}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    response = web.Response(
        body=FILES[name],
        content_type=KINDS[Path(name).suffix],
        charset="utf-8",
        headers={**headers, "Vary": "Accept-Encoding"},
    )
    response.enable_compression()
    return response

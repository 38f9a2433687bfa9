"""Pages for people: templates with everything escaped, and headers that keep them ours."""

from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **values: object) -> web.Response:
    """A page from a template."""
    return web.Response(
        text=_templates.get_template(template).render(**values),
        status=status,
        content_type="text/html",
        headers={"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"},
    )

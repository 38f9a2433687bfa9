"""The pages of the simulated Xero."""

from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)


def render(template: str, status: int = 200, **values: object) -> web.Response:
    """A page from a template."""
    text = _templates.get_template(template).render(**values)
    return web.Response(text=text, status=status, content_type="text/html")

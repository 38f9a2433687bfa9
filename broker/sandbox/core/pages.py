"""Pages that people see: a vendor's templates over the layouts that all sandboxes share."""

from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_SHARED = Path(__file__).parent / "templates"


def renderer(module: str) -> Callable[..., web.Response]:
    """A function that answers with a page from a template in the folder `templates` beside the
    Python file `module`: its name, then a status (200), then the template's values by name.
    """
    templates = Environment(
        loader=FileSystemLoader([Path(module).parent / "templates", _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )

    def render(template: str, status: int = 200, **values: object) -> web.Response:
        text = templates.get_template(template).render(**values)
        return web.Response(text=text, status=status, content_type="text/html")

    return render

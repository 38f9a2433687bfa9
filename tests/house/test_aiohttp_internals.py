"""aiohttp's private names that the broker leans on: all of them, each there, each for a reason.

`pyproject.toml` pins aiohttp below the next minor version. When this fails after an upgrade, read
the reason, look for a public way, and try `tests/unit/test_around.py` and `test_slow_callers.py`.
"""

import ast
import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiohttp import web, web_protocol

ROOT = Path(__file__).parents[2]

REASONS = {
    "RequestHandler._waiter": "whether the handler waits for a request",
    "RequestHandler._current_request": "whether a request is under way, and whose body breaks off",
    "RequestHandler._manager": "the other connections, of which silent ones make room",
    "RequestHandler._messages": "what the parser found; its refusal of a body must not wait in line",
    "RequestHandler._request_count": "whether a connection has ever sent a request",
    "RequestHandler._task_handler": "to cancel a handler at the end of its grace, and wait once",
    "Server._kwargs": "what each connection is made with, where a subclass is to be made",
    "AppRunner._make_server": "the one place where a server of one's own can be handed in",
    "StreamResponse._send_headers_immediately": "to let a head leave with the first of its body",
    "web_protocol._ErrInfo": "how the parser's refusals look among the messages",
}

OWNERS = {
    "RequestHandler": web_protocol.RequestHandler,
    "Server": web.Server,
    "AppRunner": web.AppRunner,
    "StreamResponse": web.StreamResponse,
    "web_protocol": web_protocol,
}


def private_names(module):
    """The private names of others that a module uses: attributes and imports."""
    tree = ast.parse(module.read_text())
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    own |= {
        node.attr
        for node in attributes
        if isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    own -= set(dir(web_protocol.RequestHandler))
    used = {node.attr for node in attributes} - own
    used |= {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    # `super()._name` is another's, whatever stands here by that name.
    used |= {
        node.attr
        for node in attributes
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super"
    }
    return {name for name in used if name.startswith("_") and not name.startswith("__")}


def test_every_private_name_of_aiohttps_stands_in_the_list():
    modules = [
        module
        for module in (ROOT / "broker").rglob("*.py")
        if "sandbox" not in module.parts and "from aiohttp" in module.read_text()
    ]
    used = set().union(*map(private_names, modules))

    assert used == {name.rpartition(".")[2] for name in REASONS}


@pytest.mark.parametrize("name", REASONS)
def test_a_private_name_is_there(name):
    owner, attribute = name.split(".")

    assert hasattr(OWNERS[owner], attribute) or attribute in inspect.getsource(OWNERS[owner])


def test_aiohttp_is_held_below_the_next_minor_version():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (pinned,) = [each for each in dependencies if each.startswith("aiohttp[")]

    assert pinned.endswith(">=3.14,<3.15")
    assert version("aiohttp").startswith("3.14.")

"""The button's script, its types, its package and its page say the same."""

import json
import re
import tomllib
from pathlib import Path

from broker.errors import BrokerError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "broker/web/static/connect"
SCRIPT = (FOLDER / "connect.js").read_text()
PAGE = (ROOT / "docs/connect.md").read_text()
LIFE = (ROOT / "docs/life-of-a-connection.md").read_text()


def texts_of_the_script():
    block = SCRIPT[SCRIPT.index("const TEXTS = {") : SCRIPT.index("const REASONS")]
    return dict(re.findall(r'^\s+"?([\w-]+)"?: "(.*)",$', block, re.MULTILINE))


def test_every_text_is_in_the_types_and_on_the_page():
    texts = texts_of_the_script()
    types = (FOLDER / "connect.d.ts").read_text()
    union = types[types.index("type TextKey") : types.index("export type Texts")]

    assert len(texts) > 30
    assert sorted(re.findall(r'"([\w-]+)"', union)) == sorted(texts)
    assert (
        dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", PAGE.split("| key |")[1], re.MULTILINE))
        == texts
    )


def test_every_attribute_and_event_is_described():
    attributes = set(re.findall(r'(?:get|has)Attribute\("([\w-]+)"\)', SCRIPT))
    types = (FOLDER / "react.d.ts").read_text() + (FOLDER / "connect.d.ts").read_text()

    assert {"session-url", "status-url", "csrf-header", "confirm-url"} <= attributes
    for each in attributes:
        assert re.search(rf"^\|.*`{each}`.*\|", PAGE, re.MULTILINE), each
        assert re.search(rf'"?\b{each}"?\??: ', types), each
    for each in re.findall(r'#fire\("(\w+)"', SCRIPT):
        assert f"| `{each}` |" in PAGE


def test_the_package_has_the_version_of_the_broker():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert json.loads((FOLDER / "package.json").read_text())["version"] == project["version"]


def test_every_state_of_a_connection_is_on_the_page_about_its_life():
    schema = (ROOT / "sql/migrations/0001-schema.sql").read_text()
    states = re.search(r"CHECK \(status IN \(([^)]*UNCLAIMED[^)]*)\)", schema)[1]

    for each in re.findall(r"\w+", states):
        assert f"| `{each}` |" in LIFE
    codes = {each.code for each in _subclasses(BrokerError) if hasattr(each, "code")}
    ours = {"connected", "pending", "kept", "session-failed"}
    rows = LIFE.split("## From the browser")[1].split("## From the broker")[0]
    named = re.findall(r"^\| ([^|]+) \|", rows, re.MULTILINE)
    for each in re.findall(r"`([a-z-]+)`", " ".join(named)):
        assert each in codes | ours | {"status", "code"}, each


def _subclasses(parent):
    for each in parent.__subclasses__():
        yield each
        yield from _subclasses(each)

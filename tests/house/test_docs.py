"""Docs that list things, held against the things."""

import inspect
import json
import re
import subprocess
from datetime import datetime
from pathlib import Path

from broker import errors
from broker.bootstrap.routes import openapi_document
from broker.domain import events, runs
from broker.providers.catalog import BY_NAME, DEFAULT, SETTINGS
from broker.settings import Settings
from broker.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]


def text(name):
    return (ROOT / "docs" / name).read_text()


def test_every_code_has_one_heading():
    codes = {
        each.code: each
        for module in (errors, runs)
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, errors.BrokerError)
    }

    assert sorted(re.findall(r"^## (\S+)$", text("errors.md"), re.MULTILINE)) == sorted(codes)


def test_every_setting_has_a_row():
    rows = re.findall(r"^\| `BROKER_(\w+)`", text("operating.md"), re.MULTILINE)

    assert sorted(rows) == sorted(name.upper() for name in {*Settings.model_fields, *SETTINGS})


def test_the_glossary_names_what_there_is():
    code = "\n".join(file.read_text() for file in (ROOT / "broker").rglob("*.py"))
    tables = dict(
        re.findall(
            r"CREATE TABLE (\w+) \((.*?)^\)",
            (ROOT / "sql/schema.sql").read_text(),
            re.DOTALL | re.MULTILINE,
        )
    )
    rows = [line.split("|")[3:5] for line in text("glossary.md").splitlines() if "`" in line]

    names = [name for python, _ in rows for name in re.findall(r"`([\w.]+)`", python)]
    columns = [name for _, stored in rows for name in re.findall(r"`([\w.]+)`", stored)]

    assert 15 <= len(rows) <= 30  # more would be words that the broker need not have
    assert [
        name
        for name in names
        if not all(re.search(rf"\b{part}\b", code) for part in name.split("."))
    ] == []
    assert [
        name
        for name in columns
        if (parts := name.split("."))[0] not in tables
        or not all(
            re.search(rf"^\s+{part}\b", tables[parts[0]], re.MULTILINE) for part in parts[1:]
        )
    ] == []


def test_every_operation_is_in_the_api():
    api = text("api.md").replace("`ANY /proxy", "`GET /proxy")
    document = openapi_document("http://localhost:8080")

    others = "|".join(BY_NAME.keys() - {DEFAULT})
    paths = {
        re.sub(rf"^(/api)?/({others})/", r"\1/{provider}/", path): methods
        for path, methods in document["paths"].items()
    }

    missing = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if f"`{method.upper()} {path}`" not in api and "/proxy/{slug}/{user}" not in path
    }

    assert missing == set()
    assert "`GET /proxy/{slug}/{user}/{target}`" in api


def test_every_event_type_is_told_of_with_a_true_example():
    published = {
        found
        for file in (ROOT / "broker").rglob("*.py")
        for found in re.findall(r"(?:NewEvent|self\.publish)\(\s*\"([a-z_.]+)\"", file.read_text())
    }
    page = text("events.md")
    examples = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]

    assert len(published) >= 7
    assert published <= {each["type"] for each in examples}
    for example in examples:
        assert re.search(rf"^### .*{re.escape(example['type'].split('.')[0])}", page, re.MULTILINE)
        assert list(example) == ["type", "timestamp", "data"]
        assert list(example["data"])[:4] == list(events.RESERVED_FIELDS)
        moment = datetime.fromisoformat(example["timestamp"]).timestamp()
        assert example["data"]["sequence"] == round(moment * 1000) * 1000, example["type"]


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if not target.startswith("http") and not (page.parent / target).exists()
    ]

    assert dead == []


def test_no_file_knows_the_machine_it_was_written_on():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    places = []
    for name in files:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".sql", ".yaml", ".lock", ".html"}:
            found = re.search(r"(?<![\w./])/(work|root|home/\w+)/", path.read_text())
            if found and name != "tests/house/test_docs.py":
                places.append(f"{name}: {found[0]}")

    assert places == []


def test_every_metric_is_documented():
    known = Metrics()
    known.watch_database(lambda: True)
    metrics = {each.name for each in known.registry.collect()}
    ours = {name for name in metrics if name.startswith("broker_")}

    assert ours
    assert sorted(ours) == sorted(set(re.findall(r"`(broker_\w+)`", text("operating.md"))) & ours)
    assert {"broker_build_info", "broker_database_up", "process_resident_memory_bytes"} <= metrics

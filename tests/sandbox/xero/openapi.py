"""Xero's own OpenAPI document, against which bodies are held.

Xero publishes it as `xero_accounting.yaml` of github.com/XeroAPI/Xero-OpenAPI; `XERO_OPENAPI` says
where the file is. Fields that the document does not name are refused, although it allows them.
"""

import functools
import os
from pathlib import Path

import pytest

UNDOCUMENTED = ("DateString", "DueDateString")
"""Fields that Xero's answers have and its document does not name."""


@functools.cache
def published():
    """The document, made strict; the test is skipped without it."""
    path = os.environ.get("XERO_OPENAPI")
    if path is None:
        pytest.skip("XERO_OPENAPI does not name Xero's OpenAPI document")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    document = yaml.load(
        Path(path).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
            schema["properties"] |= {name: {} for name in UNDOCUMENTED}
    return document


def faults(document, kind, body):
    """What the document says against a body."""
    validator = pytest.importorskip("openapi_schema_validator").OAS30Validator
    schema = {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}
    return [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}"
        for error in validator(schema).iter_errors(body)
    ]

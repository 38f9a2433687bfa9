"""The files in docs/deploy and docker, held against the broker, the schemas and the programs that read them."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from broker.domain.model import Status
from broker.settings import Settings
from broker.telemetry.metrics import Metrics
from tests.certificates import certificate

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs/deploy"
GRACE_S = 45


def documents():
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def pod_specs():
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in documents()
        if each["kind"] == "Deployment"
    }


UNITS = ["broker.service", "broker@.service", "broker-work.service"]


@pytest.mark.parametrize("name", ["kubernetes.yaml", *UNITS, "../../docker/compose.yaml"])
def test_every_setting_that_a_file_names_exists(name):
    named = set(re.findall(r"\bBROKER_([A-Z][A-Z_]+)", (DEPLOY / name).read_text()))
    known = {each.upper() for each in Settings.model_fields}
    vendors = {each.removeprefix("BROKER_") for each in _vendor_settings()}

    assert named - known - vendors == set()


def _vendor_settings():
    from broker.providers.catalog import SETTINGS  # noqa: PLC0415

    return {f"BROKER_{each.upper()}" for each in SETTINGS} | {"BROKER_FML_URL"}


def test_the_manifests_fit_the_schemas_of_kubernetes():
    validate = pytest.importorskip("kubernetes_validate")
    kinds = []
    for document in documents():
        validate.validate(document, validate.latest_version(), strict=True)
        kinds.append(document["kind"])

    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"} <= set(kinds)


def test_the_pods_may_stop_gracefully_and_are_asked_what_they_answer():
    specs = pod_specs()

    assert set(specs) == {"broker", "broker-worker"}
    for spec in specs.values():
        assert spec["terminationGracePeriodSeconds"] == GRACE_S
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["initContainers"][0]["command"] == ["broker", "migrate"]
    (serving,) = specs["broker"]["containers"]
    assert serving["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert serving["readinessProbe"]["periodSeconds"] == 2
    assert serving["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    (working,) = specs["broker-worker"]["containers"]
    assert working["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    replicas = [
        each["spec"].get("replicas") for each in documents() if each["kind"] == "Deployment"
    ]
    assert replicas == [None, 2], "the autoscaler decides for the service"
    text = (DEPLOY / "kubernetes.yaml").read_text()
    assert "kind: Secret\n" not in text
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    for each in ("broker", "worker"):
        assert compose["services"][each]["stop_grace_period"] == f"{GRACE_S}s"


def test_selectors_find_the_pods():
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in documents()
        if each["kind"] == "Deployment"
    }
    for each in documents():
        if each["kind"] in {"Deployment", "PodDisruptionBudget"}:
            assert each["spec"]["selector"]["matchLabels"] == labels[each["metadata"]["name"]]
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == labels["broker"]


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_has_the_grace_and_runs_the_commands(name):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / name)
    service = unit["Service"]

    command = "work" if name == "broker-work.service" else "serve"
    assert service["TimeoutStopSec"] == str(GRACE_S)
    assert service["ExecStart"].split()[:2] == ["/opt/broker/bin/broker", command]
    # With several processes none of them is the unit's main one, whose word systemd waits for.
    assert service["Type"] == ("exec" if "--workers" in service["ExecStart"] else "notify")
    assert service["ExecStartPre"] == "/opt/broker/bin/broker migrate"
    if shutil.which("systemd-analyze"):
        found = subprocess.run(
            ["systemd-analyze", "verify", "--recursive-errors=no", DEPLOY / name],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        complaints = [
            line
            for line in found.stderr.splitlines()
            if "broker" in line and "/opt/broker" not in line
        ]
        assert complaints == []


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_accepts_its_file(tmp_path):
    _, pem = certificate(tmp_path, "broker.example.com", 30)
    shown = (DEPLOY / "nginx.conf").read_text()
    for name in ("/etc/ssl/broker.pem", "/etc/ssl/broker.key"):
        shown = shown.replace(name, str(pem))
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} "
        f"http {{ access_log off; {shown.replace('listen 443', 'listen 127.0.0.1:8443')} }}"
    )

    found = subprocess.run(
        [shutil.which("nginx"), "-t", "-c", whole, "-e", tmp_path / "error.log"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr


def expressions():
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    rules = {each["alert"]: each["expr"] for group in alerts["groups"] for each in group["rules"]}
    panels = json.loads((DEPLOY / "dashboard.json").read_text())["panels"]
    shown = {
        f"{each['title']} {at['refId']}": at["expr"] for each in panels for at in each["targets"]
    }
    return {**rules, **shown}


def test_every_alert_and_panel_names_metrics_and_labels_that_exist():
    metrics = Metrics()
    metrics.watch_database(lambda: True)
    known = {"up": "up"}
    for family in metrics.registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        for suffix in suffixes.get(family.type, ("",)):
            known[family.name + suffix] = family.name
    labels = {
        "broker_request_seconds": {"route", "status", "le"},
        "broker_connections": {"status"},
        "broker_overdue_seconds": {"work"},
        "broker_refusals": {"code"},
        "broker_runs": {"recipe", "outcome"},
        "broker_build_info": {"version", "python"},
        "up": {"job"},  # Prometheus' own
    }
    statuses = {"5xx", *(each.value for each in Status)}
    for title, expression in expressions().items():
        names = re.findall(r"\bbroker_[a-z_]+|\bup\b", expression)
        assert names, title
        assert set(names) <= set(known), title
        allowed = set().union(*(labels.get(known[name], {"outcome"}) for name in names))
        used = re.findall(r"\b(\w+)!?=\"([^\"]*)\"", expression)
        grouped = re.findall(r"by \(([\w, ]+)\)", expression)
        assert {name for name, _ in used} <= allowed, title
        assert {each.strip() for group in grouped for each in group.split(",")} <= allowed, title
        for name, value in used:
            assert name != "status" or value in statuses, title
            assert name != "work" or f"'{value}'" in _overdue(), title


def _overdue():
    return (ROOT / "sql/queries/core/overview.sql").read_text()


def test_every_alert_says_what_to_do():
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    for group in alerts["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["do"]
            assert rule["labels"]["severity"] in {"page", "ticket"}

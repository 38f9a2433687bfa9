"""Every statement is in one workspace or on a short list, and none is one that Citus refuses."""

import re
from pathlib import Path

import pytest

from broker.stores.core.queries import sql
from tests.house import citus

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "sql" / "schema.sql").read_text()
OF_THE_INSTALLATION = {"sealing_key", "vendor_account"}
"""Tables that every node has whole."""

TABLES = set(re.findall(r"^CREATE TABLE (\w+)", SCHEMA, re.MULTILINE)) - OF_THE_INSTALLATION

ACROSS = {
    # Where work is due: read without a lock, then claimed in one workspace.
    "due_batches": "look",
    "due_connections": "look",
    "due_end_notices": "look",
    "due_health": "look",
    "due_journals": "look",
    "due_polls": "look",
    "due_replays": "look",
    "due_revocations": "look",
    "due_subscription_checks": "look",
    "due_tasks": "look",
    "due_vendor_events": "look",
    "expired_pending_grants": "look",
    "late_deliveries": "look",
    "removed_apps": "look",
    "workspaces_with_deliveries": "look",
    "workspaces_with_runs": "look",
    # What an operator names by its id alone, from the shell.
    "workspace_of_key": "look",
    # Retention: some of what is old enough, by one process at a time.
    "purge_calls": "sweep",
    "purge_connect_sessions": "sweep",
    "purge_enrichment_answers": "sweep",
    "purge_enrichment_budgets": "sweep",
    "purge_deliveries": "sweep",
    "purge_event_bodies": "sweep",
    "purge_events": "sweep",
    "purge_expired_shares": "sweep",
    "purge_idempotency_keys": "sweep",
    "purge_links": "sweep",
    "purge_operator_sessions": "sweep",
    "purge_previous_secrets": "sweep",
    "purge_quarantined_batches": "sweep",
    "purge_runs": "sweep",
    "purge_seen_events": "sweep",
    "purge_shop_orders": "sweep",
    "purge_tokens": "sweep",
    "purge_unused_quotas": "sweep",
    "purge_used_pending_grants": "sweep",
    # Journals follow the apps that ask for them.
    "close_journals": "sweep",
    "open_journals": "list",
    # The call log's flush: calls of a process, whatever their workspaces.
    "write_calls": "list",
    # Whether a partition can be dropped.
    "deliveries_in_use": "look",
    "events_in_use": "look",
    # For people and metrics.
    "all_workspaces": "totals",
    "connections_by_status": "totals",
    "count_unhealthy": "totals",
    "next_due": "totals",
    "closed_endpoints": "totals",
    "overdue": "totals",
    "recipes_in_use": "totals",
    # What is still sealed with an old key.
    "access_tokens": "look",
    "app_secrets": "look",
    "app_webhook_secrets": "look",
    "endpoint_secrets": "look",
    "link_credentials": "look",
    "pending_access_tokens": "look",
    "pending_refresh_tokens": "look",
    "previous_endpoint_secrets": "look",
    "previous_secrets": "look",
    "previous_webhook_secrets": "look",
    "recipe_secrets": "look",
    "refresh_tokens": "look",
    "revocation_tokens": "look",
    "stored_responses": "look",
    "vendor_tokens": "look",
    "verifiers": "look",
}
"""Statements of no single workspace, by their shape: each runs on every node, so none may run for
a call, a webhook or a delivery."""

PULLED = {
    "begin_step",
    "delete_pending_grant",
    "delete_pending_grants",
    "delete_pending_grants_of_app",
    "end_grants_of_app",
    "enqueue_slice",
    "record_audit",
}
"""Statements of one workspace that insert what another part of them wrote: Citus carries the rows
to the coordinator and back."""


@pytest.mark.parametrize("name", sorted(sql.by_name))
def test_citus_refuses_no_statement(name):
    assert citus.refusals(sql.by_name[name]) == []


@pytest.mark.parametrize("name", sorted(sql.by_name))
def test_every_statement_names_one_workspace_or_is_listed(name):
    query = sql.by_name[name]
    crossing = citus.unpinned(query, TABLES)

    if name in ACROSS:
        assert crossing, f"{name} is in one workspace: take it off the list"
        assert citus.shape_of(query) == ACROSS[name]
    elif name in PULLED:
        assert crossing, f"{name} is in one workspace: take it off the list"
        assert re.search(r"\bworkspace_id = \$1|VALUES \(\$1", query)
    else:
        assert crossing == []


def test_nothing_asks_for_the_name_of_a_constraint():
    """Citus' errors name the one of the shard, such as `app_slug_taken_102020`."""
    asking = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "broker").rglob("*.py"))
        if re.search(r"\.constraint_name\b", file.read_text())
    ]

    assert asking == []


def test_the_lists_name_statements_that_exist():
    assert set(ACROSS) | PULLED <= set(sql.by_name)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (
            (
                "WITH due AS (SELECT id FROM connection WHERE renew_at <= now() LIMIT 1 FOR UPDATE) "
                "UPDATE connection SET failures = 0 FROM due WHERE connection.id = due.id"
            ),
            "locks rows across workspaces",
        ),
        (
            (
                "SELECT id FROM connection JOIN due ON connection.workspace_id = due.workspace_id "
                "FOR UPDATE"
            ),
            "locks rows across workspaces",
        ),
        (
            (
                "INSERT INTO connection (workspace_id, id) SELECT workspace_id, id FROM app "
                "WHERE workspace_id = $1 FOR SHARE"
            ),
            "locks rows in INSERT .. SELECT",
        ),
        (
            "DELETE FROM event WHERE ctid = ANY (ARRAY(SELECT ctid FROM event LIMIT $1))",
            "looks for rows by ctid across workspaces",
        ),
        (
            (
                "SELECT 1 FROM endpoint CROSS JOIN LATERAL (SELECT id FROM delivery "
                "WHERE delivery.workspace_id = endpoint.workspace_id LIMIT 1) AS due"
            ),
            "has LATERAL .. LIMIT across workspaces",
        ),
        (
            "SELECT id FROM endpoint WHERE EXISTS (SELECT FROM delivery WHERE due_at <= now())",
            "selects no column across workspaces",
        ),
        (
            "UPDATE app SET deleted_at = coalesce(deleted_at, now()) WHERE workspace_id = $1",
            "computes a time in CASE or COALESCE",
        ),
        (
            "UPDATE delivery SET due_at = CASE WHEN $2 THEN now() END WHERE workspace_id = $1",
            "computes a time in CASE or COALESCE",
        ),
        (
            "UPDATE delivery SET due_at = now() WHERE workspace_id = $1 RETURNING now() - due_at",
            "computes a time in RETURNING",
        ),
        (
            (
                "INSERT INTO quota (workspace_id, kind) VALUES ($1, $2) "
                "ON CONFLICT (workspace_id) DO UPDATE SET synced_at = now()"
            ),
            "computes a time in ON CONFLICT",
        ),
        (
            (
                "INSERT INTO quota (workspace_id, kind) VALUES ($1, $2) "
                "ON CONFLICT (workspace_id) DO UPDATE SET kind = $2 WHERE quota.synced_at < now()"
            ),
            "computes a time in ON CONFLICT",
        ),
        (
            (
                "UPDATE webhook_inbox SET due_at = now() + interval '1 second' * failures "
                "WHERE workspace_id = $1"
            ),
            "computes a time beside a column",
        ),
        (
            (
                "UPDATE delivery SET expires_at = dead.due_at + interval '3 days' FROM dead "
                "WHERE delivery.workspace_id = $1"
            ),
            "computes a time beside a column",
        ),
        (
            (
                "INSERT INTO endpoint (workspace_id, id) SELECT workspace.id, $2 FROM workspace "
                "WHERE workspace.id = $1 RETURNING endpoint.id"
            ),
            "returns from INSERT .. SELECT without an alias",
        ),
        (
            "UPDATE endpoint SET resumes_at = clock_timestamp() WHERE workspace_id = $1",
            "calls a volatile function in SET",
        ),
    ],
)
def test_what_citus_refuses_is_named(query, reason):
    assert citus.refusals(query) == [reason]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM app WHERE workspace_id = $1 FOR NO KEY UPDATE",
        "UPDATE delivery SET due_at = now() + $2::interval WHERE workspace_id = $1",
        (
            "UPDATE app SET deleted_at = clock.now FROM (SELECT now() AS now) AS clock "
            "WHERE workspace_id = $1"
        ),
        (
            "INSERT INTO quota (workspace_id, synced_at) VALUES ($1, now()) "
            "ON CONFLICT (workspace_id) DO UPDATE SET synced_at = EXCLUDED.synced_at"
        ),
    ],
)
def test_what_citus_runs_is_not_refused(query):
    assert citus.refusals(query) == []


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT id FROM app WHERE slug = $1", ["app"]),
        ("SELECT id FROM app WHERE workspace_id = $1 OR slug = $2", ["app"]),
        (
            (
                "WITH due AS (SELECT workspace_id FROM app WHERE workspace_id = $1) "
                "DELETE FROM connection USING due WHERE connection.workspace_id = due.workspace_id"
            ),
            ["connection"],
        ),
        ("INSERT INTO event (workspace_id, id) SELECT $1, id FROM unnest($2) AS x (id)", ["event"]),
        (
            (
                "SELECT 1 FROM app JOIN connection ON connection.workspace_id = app.workspace_id "
                "WHERE app.workspace_id = $1"
            ),
            [],
        ),
        ("SELECT 1 FROM app, workspace WHERE app.workspace_id = $1 AND workspace.id = $1", []),
    ],
)
def test_a_table_counts_as_pinned_by_a_parameter_alone(query, tables):
    assert citus.unpinned(query, TABLES) == tables

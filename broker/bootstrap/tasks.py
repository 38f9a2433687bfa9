"""What a process does besides answering: its periodic tasks, and what it listens to."""

from broker.bootstrap.agenda import LEAST_PAUSE_S
from broker.bootstrap.components import Components
from broker.bootstrap.gauges import CONNECTIONS_EVERY_S, ENDPOINTS_EVERY_S, OVERDUE_EVERY_S, Gauges
from broker.bootstrap.worker import PeriodicTask, Worker
from broker.domain.work import WHEN_DUE
from broker.stores.core.invalidation import InvalidationListener
from broker.stores.core.overview import Overview
from broker.stores.core.partitions import maintain
from broker.stores.events.retention import EVENT_PARTITIONS
from broker.stores.proxy.calls import call_log

JOURNALS_S = 5.0
"""How often to look for apps that want a journal read, or no longer; what is due wakes the task."""


def process_tasks(broker: Components) -> Worker:
    """Periodic tasks of every process, whatever else it does: every process calls HubSpot."""
    return Worker(
        [
            PeriodicTask("last_used", 5, broker.proxy.flush_last_used),
            PeriodicTask("keys_used", 60, broker.keys.flush_last_used),
            PeriodicTask("quota_shares", 5, broker.quota.heartbeat),
            PeriodicTask("call_log", 1, broker.call_log.flush),
        ]
    )


def listener(broker: Components, *, works: bool) -> InvalidationListener:
    """What other processes notify this one of, of background work only where it does that."""
    return InvalidationListener(
        broker.database_url,
        broker.invalidate,
        broker.quota.on_notification,
        broker.database.availability,
        broker.agenda.notified if works else None,
    )


def worker(broker: Components) -> Worker:
    """Periodic tasks of an installation, in any of its processes."""
    gauges = Gauges(Overview(broker.database), broker.metrics)
    days, agenda = broker.settings.call_log_days, broker.agenda
    partitioned = (call_log(days), *EVENT_PARTITIONS)
    work = [
        ("renewals", WHEN_DUE, lambda: broker.grants.renew_due(broker.settings.renewals_per_s)),
        ("revocations", WHEN_DUE, lambda: broker.revoker.revoke_due(10)),
        ("subscriptions", WHEN_DUE, lambda: broker.subscriptions.look_due(10)),
        ("webhook_inbox", WHEN_DUE, lambda: broker.splitter.split_due(50)),
        ("deliveries", WHEN_DUE, broker.deliverer.deliver),
        ("replays", WHEN_DUE, broker.replays.enqueue_due),
        ("journals", JOURNALS_S, lambda: broker.journal.read_due(10)),
        *broker.recipes.periodic_tasks(),
    ]
    return Worker(
        [
            PeriodicTask(
                "agenda", broker.settings.work_pause_s, agenda.look, agenda.changed, LEAST_PAUSE_S
            ),
            *(PeriodicTask(*each, agenda.woken(each[0])) for each in work),
            PeriodicTask("end_notices", 60, lambda: broker.connections.publish_end_notices(100)),
            PeriodicTask("unclaimed_grants", 30, broker.pending_grants.expire_unclaimed),
            PeriodicTask("old_links", 600, broker.links.purge),
            PeriodicTask("old_connect_sessions", 600, broker.connect_sessions.purge),
            PeriodicTask("old_sign_ins", 600, broker.operators.purge),
            PeriodicTask("expired_tokens", 600, broker.keys.purge_tokens),
            PeriodicTask("removed_apps", 60, broker.apps.purge_removed),
            PeriodicTask("expired_quota_shares", 300, broker.quota.purge),
            PeriodicTask("old_idempotency_keys", 600, broker.idempotent_calls.purge),
            PeriodicTask("old_calls", 60, lambda: broker.calls.purge(days)),
            PeriodicTask("partitions", 600, lambda: maintain(broker.database_url, partitioned)),
            PeriodicTask("late_deliveries", 60, broker.deliverer.expire),
            PeriodicTask("previous_secrets", 600, broker.endpoints.purge_previous_secrets),
            PeriodicTask("old_events", 300, broker.events.purge),
            PeriodicTask("seen_events", 300, broker.webhook_inbox.purge_seen),
            PeriodicTask("connection_counts", CONNECTIONS_EVERY_S, gauges.count_connections),
            PeriodicTask("overdue_work", OVERDUE_EVERY_S, gauges.measure_overdue),
            PeriodicTask("closed_endpoints", ENDPOINTS_EVERY_S, gauges.measure_endpoints),
        ],
        on_stop=[
            agenda.stop,
            broker.splitter.stop,
            broker.deliverer.stop,
            broker.recipes.polls.stop,
            broker.recipes.runs.stop,
        ],
    )

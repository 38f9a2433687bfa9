"""Tracked tasks and their graceful stop."""

import asyncio

import pytest

from broker.concurrency.task_set import Stopping, TaskSet


async def waits_for(event):
    await event.wait()
    return "ended"


async def test_nothing_begins_once_the_set_is_stopping():
    tasks = TaskSet()
    await tasks.stop(1)
    begun = False

    async def work():
        nonlocal begun
        begun = True

    with pytest.raises(Stopping):
        tasks.spawn(work(), None)
    await asyncio.sleep(0)

    assert not begun


async def test_what_ends_within_the_grace_is_not_cancelled():
    tasks, event = TaskSet(), asyncio.Event()
    task = tasks.spawn(waits_for(event), "a")
    stopping = asyncio.create_task(tasks.stop(20))
    await asyncio.sleep(0)
    event.set()

    assert await stopping == []
    assert task.result() == "ended"


async def test_what_outlasts_the_grace_is_cancelled_and_named_once_it_has_ended():
    tasks, cleaned = TaskSet(), []

    async def work(name):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    for name in ("a", "b"):
        tasks.spawn(work(name), name)

    assert sorted(await tasks.stop(0.01)) == ["a", "b"]
    assert sorted(cleaned) == ["a", "b"]
    assert len(tasks) == 0


async def test_a_task_that_fails_is_reported_once_and_leaves_the_set():
    ended = []
    tasks = TaskSet(lambda subject, task: ended.append((subject, str(task.exception()))))

    async def fails():
        raise ValueError("no")

    tasks.spawn(fails(), "a")
    await tasks.join()

    assert ended == [("a", "no")]
    assert tasks.subjects == []


async def test_joining_waits_for_tasks_that_begin_meanwhile():
    tasks, ended = TaskSet(), []

    async def second():
        ended.append("second")

    async def first():
        tasks.spawn(second(), "second")
        ended.append("first")

    tasks.spawn(first(), "first")
    await tasks.join()

    assert ended == ["first", "second"]

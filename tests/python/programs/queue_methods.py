"""What a queue answers: counts, states, tags, cancellations, categories, settings."""
import os
import sys
import time

from helpers import finish, raises, same, until, worker, wq

with wq.WorkQueue(port=0) as first:
    assert "Unable to create internal Work Queue structure" in raises(
        Exception, wq.WorkQueue, first.port
    )
    port = first.port
# Free at once
queue = wq.WorkQueue(port)
same(queue.port, port)
same((queue.name, queue.using_ssl, queue.empty(), queue.hungry()), (None, False, 1, 1))
assert queue.stats is queue.stats

task = wq.Task("echo 1")
same(queue.submit(task), 1)
same((queue.stats.tasks_waiting, queue.stats.tasks_submitted, queue.empty()), (1, 1, 0))
same(queue.stats.total_workers_joined, 0)
assert "already" in raises(ValueError, queue.submit, task)
for _ in range(9):
    queue.submit(wq.Task("true"))
same(queue.hungry(), 0)
same(queue.tune("hungry-minimum", 100), 0)
until("hunger", queue.hungry)
same(queue.tune("hungry-minimum", 10), 0)
same(queue.tune("no-such-thing", 1), -1)

# Canceled in whatever state
same(queue.task_state(3), wq.WORK_QUEUE_TASK_READY)
gone = queue.cancel_by_taskid(3)
same((gone.id, gone.result, queue.task_state(3)), (3, 32, wq.WORK_QUEUE_TASK_CANCELED))
same((queue.cancel_by_taskid(3), queue.cancel_by_taskid(99)), (None, None))
same(len(queue.cancel_by_category("default")), 9)
same((queue.empty(), queue.task_state(99), queue.stats.tasks_waiting), (1, 0, 0))

# Time
started = time.monotonic()
same(queue.wait(0), None)
assert 0.9 < time.monotonic() - started < 3

same(queue.specify_min_taskid(100), 100)
with worker(queue, "--feature", "oven"):
    # By tag, in any order
    for tag in "abc":
        task = wq.Task("echo " + tag)
        task.specify_tag(tag)
        task.specify_feature("oven")
        assert queue.submit(task) >= 100
    for tag in "cab":
        same(queue.wait_for_tag(tag, 60).output, tag + "\n")
    same((queue.task_state(100), queue.task_state(50), queue.empty()), (5, 0, 1))

    # Priority, and an open subclass that counts as false
    class Empty(wq.Task):
        def __len__(self):
            return 0

    low, high = Empty("true"), Empty("true")
    high.specify_priority(10)
    same((high.priority, low.priority), (10.0, 0.0))
    for task in (low, high):
        task.specify_feature("none such")
        queue.submit(task)
        same(queue.cancel_by_taskid(task.id) is task, True)

    # A result that nobody has taken can be canceled, too
    task = wq.Task("true")
    task.specify_tag("taken")
    queue.submit(task)
    until("the result", lambda: queue.task_state(task.id) == wq.WORK_QUEUE_TASK_RETRIEVED)
    same(queue.stats.tasks_with_results, 1)
    same(queue.cancel_by_tasktag("taken") is task, True)
    same((task.result, queue.empty(), queue.cancel_by_tasktag("taken")), (32, 1, None))

    # Categories
    same(queue.specify_category_mode("cat", wq.WORK_QUEUE_ALLOCATION_MODE_MAX), 1)
    same(queue.specify_category_mode("cat", 77), 0)
    same(queue.specify_category_mode(None, wq.WORK_QUEUE_ALLOCATION_MODE_MAX), 1)
    queue.specify_category_max_resources("cat", {"cores": 1, "memory": 100.0, "wall_time": 5})
    queue.specify_category_min_resources("cat", {"memory": 50})
    queue.specify_category_first_allocation_guess("cat", {"disk": 10})
    queue.specify_category_max_concurrent("cat", -1)
    same(queue.activate_fast_abort_category("cat", 3), 0)
    same(queue.activate_fast_abort_category("cat", 0), 1)
    same(queue.activate_fast_abort(-1), 0)
    task = wq.Task("true")
    task.specify_category("cat")
    finish(queue, task)
    same(task.resources_allocated.cores, 1.0)
    same(queue.stats_category("cat").tasks_done, 1)
    same([c["category"] for c in queue.status("categories") if c["category"] == "cat"], ["cat"])
    same((len(queue.status("queue")), len(queue.status("workers")), queue.status("x")), (1, 1, []))
    same(queue.workers_summary(), [{"workers": 1, "cores": 2, "memory": 1000, "disk": 1000, "gpus": 0}])
    same(queue.stats.workers_connected, 1)

    # Settings: each is taken
    queue.specify_algorithm(wq.WORK_QUEUE_SCHEDULE_RAND)
    queue.specify_task_order(wq.WORK_QUEUE_TASK_ORDER_LIFO)
    queue.specify_manager_mode(0)
    queue.specify_master_mode(0)
    queue.specify_priority(3)
    queue.specify_num_tasks_left(100)
    queue.specify_manager_preferred_connection("by_hostname")
    assert "by_ip" in raises(RuntimeError, queue.specify_manager_preferred_connection, "by_air")
    queue.specify_catalog_server("127.0.0.1", 9)
    queue.specify_keepalive_interval(60)
    queue.specify_keepalive_timeout(20)
    queue.estimate_capacity()
    queue.specify_max_resources({"cores": 1})
    queue.specify_min_resources({})
    queue.specify_max_resources({})
    queue.invalidate_cache_file("nothing")
    same(queue.specify_draining_by_hostname("elsewhere"), 0)
    same(queue.specify_draining_by_hostname("elsewhere", False), 0)
    queue.block_host_with_timeout("elsewhere", 5)
    queue.blacklist("elsewhere")
    queue.blacklist_clear("elsewhere")
    queue.unblock_host()
    same((queue.specify_log("stats.log"), queue.specify_transactions_log("tr.log")), (1, None))
    same((queue.specify_log("/proc/x/y"), queue.specify_password_file("/nowhere")), (0, 0))
    same((queue.enable_monitoring_full("summaries"), queue.enable_monitoring("/proc/x")), (1, 0))
    raises(NotImplementedError, queue.initialize_categories, "f", {})
    raises(NotImplementedError, queue.specify_category_autolabel_resource, "c", "cores", 1)
    finish(queue, wq.Task("true"))
    until("the logs", lambda: os.path.getsize("stats.log") and os.path.getsize("tr.log"))
    same(queue.shutdown_workers(0), 1)
    until("the worker's end", lambda: queue.stats.workers_connected == 0)

with wq.WorkQueue(port=0, ssl=True) as secret, worker(secret, "--ssl"):
    same((secret.using_ssl, finish(secret, wq.Task("echo s")).output), (True, "s\n"))

# The end: nothing more can be asked
del task, gone
queue._free()
queue._free()
same((queue.empty(), queue.port), (1, 0))
assert "ended" in raises(RuntimeError, queue.submit, wq.Task("true"))
assert "ended" in raises(RuntimeError, queue.wait, 1)
sys.exit(0)

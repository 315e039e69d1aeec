"""The numbers of a queue or category, by Work Queue's names, old ones included."""

_FIELDS = (
    "workers_connected workers_init workers_idle workers_busy workers_able "
    "workers_joined workers_removed workers_released workers_idled_out workers_fast_aborted "
    "workers_blocked workers_lost "
    "tasks_waiting tasks_on_workers tasks_running tasks_with_results "
    "tasks_submitted tasks_dispatched tasks_done tasks_failed tasks_cancelled "
    "tasks_exhausted_attempts "
    "time_when_started time_send time_receive time_send_good time_receive_good time_status_msgs "
    "time_internal time_polling time_application time_workers_execute time_workers_execute_good "
    "time_workers_execute_exhaustion "
    "bytes_sent bytes_received bandwidth "
    "capacity_tasks capacity_cores capacity_memory capacity_disk capacity_gpus "
    "capacity_instantaneous capacity_weighted manager_load "
    "total_cores total_memory total_disk total_gpus "
    "committed_cores committed_memory committed_disk committed_gpus "
    "max_cores max_memory max_disk max_gpus min_cores min_memory min_disk min_gpus"
).split()

# Old name -> today's
_ALIASES = {
    "total_workers_connected": "workers_connected",
    "total_workers_joined": "workers_joined",
    "total_workers_removed": "workers_removed",
    "total_workers_lost": "workers_lost",
    "total_workers_idled_out": "workers_idled_out",
    "total_workers_fast_aborted": "workers_fast_aborted",
    "tasks_complete": "tasks_with_results",
    "total_tasks_dispatched": "tasks_dispatched",
    "total_tasks_complete": "tasks_done",
    "total_tasks_failed": "tasks_failed",
    "total_tasks_cancelled": "tasks_cancelled",
    "total_exhausted_attempts": "tasks_exhausted_attempts",
    "start_time": "time_when_started",
    "total_send_time": "time_send",
    "total_receive_time": "time_receive",
    "total_execute_time": "time_workers_execute",
    "total_good_execute_time": "time_workers_execute_good",
    "total_exhausted_execute_time": "time_workers_execute_exhaustion",
    "total_bytes_sent": "bytes_sent",
    "total_bytes_received": "bytes_received",
    "capacity": "capacity_tasks",
    "avg_capacity": "capacity_tasks",
    "workers_ready": "workers_idle",
    "workers_full": "workers_busy",
    "workers_blacklisted": "workers_blocked",
}


class work_queue_stats:
    """One attribute a number; times in µs, sizes in bytes, memory and disk in MB."""

    __slots__ = (*_FIELDS, "_port", "_priority")

    def __init__(self):
        for name in _FIELDS:
            setattr(self, name, 0)
        self._port = 0
        self._priority = 0

    def _update(self, values):
        for name, value in values.items():
            if name in _KNOWN:
                setattr(self, name, value)

    @property
    def port(self):
        return self._port

    @property
    def priority(self):
        return self._priority

    @property
    def total_good_transfer_time(self):
        return self.time_send_good + self.time_receive_good

    @property
    def total_worker_slots(self):
        return self.workers_connected

    @property
    def efficiency(self):
        """Share of connected workers with a task, 0 to 1."""
        return 1.0 - self.idle_percentage

    @property
    def idle_percentage(self):
        """Share of connected workers without a task, 0 to 1."""
        return self.workers_idle / self.workers_connected if self.workers_connected else 0.0


_KNOWN = frozenset(_FIELDS)


def _alias(name):
    def read(self):
        return getattr(self, name)

    read.__doc__ = "Old name of `%s`." % name
    return property(read)


for _old, _new in _ALIASES.items():
    setattr(work_queue_stats, _old, _alias(_new))

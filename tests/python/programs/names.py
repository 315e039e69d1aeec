"""The modules as programs import them: no queue, no worker."""
import inspect
import os
import pickle
import sys
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import work_queue
    from work_queue import Factory, Task, WorkQueue
assert [w.category for w in caught] == [DeprecationWarning], caught

import ndcctools.work_queue as wq
from helpers import raises, same
from ndcctools import work_queue as other
from ndcctools.resource_monitor import rmsummary
from ndcctools.work_queue_display import JupyterDisplay

assert work_queue is wq is other
assert (Task, WorkQueue, Factory) == (wq.Task, wq.WorkQueue, wq.Factory)
assert JupyterDisplay is wq.JupyterDisplay
assert wq.__version__ == "8.0.0" and wq.__file__

# Everything comes with a star, and nothing that is named like a module of Python's own.
star = {}
exec("from ndcctools.work_queue import *", star)
for name in (
    "WorkQueue Task PythonTask PythonTaskNoResult RemoteTask Factory JupyterDisplay rmsummary "
    "work_queue_stats work_queue_task work_queue_result_str staging_directory "
    "cleanup_staging_directory set_debug_flag specify_debug_log specify_port_range "
    "cctools_debug_flags_set cctools_debug_config_file cctools_debug_config_file_size "
    "cctools_debug_config cctools_version_string os sys"
).split():
    assert name in star, name
assert not {"queue", "task", "stats", "client", "display"} & set(star)

CONSTANTS = {
    "DEFAULT_PORT": 9123, "RANDOM_PORT": 0, "WAITFORTASK": -1, "DEFAULT_KEEPALIVE_INTERVAL": 120,
    "DEFAULT_KEEPALIVE_TIMEOUT": 30, "INPUT": 0, "OUTPUT": 1, "NOCACHE": 0, "CACHE": 1, "SYMLINK": 2,
    "PREEXIST": 4, "WATCH": 16, "FAILURE_ONLY": 32, "SUCCESS_ONLY": 64, "FILE": 1, "BUFFER": 2,
    "REMOTECMD": 3, "FILE_PIECE": 4, "DIRECTORY": 5, "URL": 6, "SCHEDULE_UNSET": 0,
    "SCHEDULE_FCFS": 1, "SCHEDULE_FILES": 2, "SCHEDULE_TIME": 3, "SCHEDULE_RAND": 4,
    "SCHEDULE_WORST": 5, "TASK_ORDER_FIFO": 0, "TASK_ORDER_LIFO": 1, "MANAGER_MODE_STANDALONE": 0,
    "MANAGER_MODE_CATALOG": 1, "TASK_UNKNOWN": 0, "TASK_READY": 1, "TASK_RUNNING": 2,
    "TASK_WAITING_RETRIEVAL": 3, "TASK_RETRIEVED": 4, "TASK_DONE": 5, "TASK_CANCELED": 6,
    "ALLOCATION_MODE_FIXED": 0, "ALLOCATION_MODE_MAX": 1, "ALLOCATION_MODE_MIN_WASTE": 2,
    "ALLOCATION_MODE_MAX_THROUGHPUT": 3, "ALLOCATION_MODE_GREEDY_BUCKETING": 4,
    "ALLOCATION_MODE_EXHAUSTIVE_BUCKETING": 5, "ALLOCATION_MODE_DET_GREEDY_BUCKETING": 6,
    "ALLOCATION_MODE_DET_EXHAUSTIVE_BUCKETING": 7, "ALLOCATION_MODE_QUANTIZED_BUCKETING": 8,
}  # fmt: skip
for name, value in CONSTANTS.items():
    same((name, star["WORK_QUEUE_" + name]), (name, value))
RESULTS = {
    "SUCCESS": (0, "SUCCESS"), "INPUT_MISSING": (1, "INPUT_MISS"),
    "OUTPUT_MISSING": (2, "OUTPUT_MISS"), "STDOUT_MISSING": (4, "STDOUT_MISS"),
    "SIGNAL": (8, "SIGNAL"), "RESOURCE_EXHAUSTION": (16, "RESOURCE_EXHAUSTION"),
    "TASK_TIMEOUT": (24, "END_TIME"), "UNKNOWN": (32, "UNKNOWN"), "FORSAKEN": (40, "FORSAKEN"),
    "MAX_RETRIES": (48, "MAX_RETRIES"), "TASK_MAX_RUN_TIME": (56, "MAX_WALL_TIME"),
    "DISK_ALLOC_FULL": (64, "DISK_FULL"), "RMONITOR_ERROR": (72, "MONITOR_ERROR"),
    "OUTPUT_TRANSFER_ERROR": (80, "OUTPUT_TRANSFER_ERROR"),
}  # fmt: skip
for name, (value, text) in RESULTS.items():
    same((name, star["WORK_QUEUE_RESULT_" + name]), (name, value))
    same(wq.work_queue_result_str(value), text)
same(wq.work_queue_result_str(3), None)

fields = {n for n, _ in inspect.getmembers(wq.work_queue_stats, lambda m: not inspect.isroutine(m))}
assert {"workers_joined", "tasks_waiting", "bytes_sent", "total_workers_joined", "port"} <= fields

# A new task
task = wq.Task("true")
for name, value in {
    "tag": None, "category": "default", "command": "true", "priority": 0.0, "algorithm": 0, "id": 0,
    "output": None, "std_output": None, "return_status": -1, "result": 32, "result_str": "UNKNOWN",
    "host": None, "hostname": None, "exhausted_attempts": 0, "submit_time": 0, "finish_time": 0,
    "send_input_start": 0, "send_input_finish": 0, "execute_cmd_start": 0, "execute_cmd_finish": 0,
    "receive_output_start": 0, "receive_output_finish": 0, "app_delay": 0,
    "total_bytes_received": 0, "total_bytes_sent": 0, "total_bytes_transferred": 0,
    "total_transfer_time": 0, "cmd_execution_time": 0, "total_cmd_execution_time": 0,
    "total_cmd_exhausted_execute_time": 0, "limits_exceeded": None,
}.items():  # fmt: skip
    same((name, getattr(task, name)), (name, value))
same(task._task.result, 32)
same((task.resources_measured.memory, task.resources_allocated.cores), (-1.0, -1.0))
raises(AttributeError, lambda: task.total_submissions)


class Falsy(wq.Task):
    def __init__(self):
        self.item = 7
        super().__init__("true")

    def __len__(self):
        return 0


same(Falsy().clone().item, 7)

# Files
same(task.specify_input_file("a/b.txt"), 1)
same(task.specify_input_file("a/b.txt"), 1)
same(task.specify_input_file("c/b.txt"), 0)
same(task.specify_output_file("b.txt"), 0)
same(task.specify_buffer("x", "b.txt"), 0)
same(task.specify_output_file("out", "o"), 1)
same(task.specify_output_file("out", "p"), 0)
same(task.specify_output_file("out2", "o"), 1)
same(task.specify_directory("d"), 1)
same(task.specify_directory("d"), 0)
same(task.specify_file_piece("a/x", "piece", 5, 4), 0)
assert "absolute" in raises(ValueError, task.specify_input_file, "x", "/x")
raises(ValueError, task.specify_url, "http://x/", "x", wq.WORK_QUEUE_OUTPUT)
assert "%%" in raises(ValueError, task.specify_file_command, "echo", "x")
raises(NotImplementedError, task.specify_snapshot_file, "x")
raises(TypeError, task.specify_tag, 5)
raises(TypeError, task.specify_cores, "2")
raises(TypeError, wq.Task, 5)
raises(TypeError, task.specify_buffer, 5, "n")

# Records
record = rmsummary(memory=3.0, limits_exceeded=rmsummary(disk=2.0))
same(pickle.loads(pickle.dumps(record)).limits_exceeded.disk, 2.0)
same(rmsummary.from_dict(record.to_dict()), record)
record.note = "mine"

# What there is not
assert "cctools" in raises(AttributeError, lambda: wq.work_queue_submit)
raises(TypeError, wq.specify_port_range, 5, 4)
assert os.path.isdir(wq.staging_directory)
raises(TypeError, wq.WorkQueue, colour=1)
raises(ValueError, wq.WorkQueue, (1, 2, 3))
raises(ValueError, wq.Factory)
raises(ValueError, wq.Factory, "local", manager_host_port="here")
raises(OSError, wq.Factory, "local", "name", worker_binary="/nowhere")
factory = wq.Factory("local", "hal")
same(factory.manager_name, "hal")
factory.max_workers = 3
same(factory.max_workers, 3)
raises(KeyError, lambda: factory.cores)
raises(AttributeError, setattr, factory, "max_wrokers", 3)
raises(AttributeError, lambda: factory.max_wrokers)
raises(RuntimeError, factory.stop)
os.environ["WQX_BINARY"] = "/nowhere/wqx"
assert "Unable to create" in raises(Exception, wq.WorkQueue, 0)
assert "/nowhere/wqx" in raises(Exception, wq.WorkQueue, 0)
sys.exit(0)

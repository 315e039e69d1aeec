"""A command with its files and needs, and what became of it."""
import copy
import math
import numbers
import os

from ndcctools.resource_monitor import rmsummary

from ._client import dumps, quote
from ._constants import (
    WORK_QUEUE_BUFFER,
    WORK_QUEUE_DIRECTORY,
    WORK_QUEUE_FILE,
    WORK_QUEUE_FILE_PIECE,
    WORK_QUEUE_INPUT,
    WORK_QUEUE_OUTPUT,
    WORK_QUEUE_REMOTECMD,
    WORK_QUEUE_RESULT_UNKNOWN,
    WORK_QUEUE_SCHEDULE_UNSET,
    WORK_QUEUE_URL,
    work_queue_result_str,
)
from ._files import (
    add_input,
    add_output,
    encode_inputs,
    encode_outputs,
    flags_of,
    remote_name_of,
    type_of,
)

_RESOURCES = ("cores", "memory", "disk", "gpus")


def _text(name, value):
    if not isinstance(value, str):
        raise TypeError("%s is %r, not a str" % (name, value))
    return value


def _number(name, value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral) or hasattr(value, "__index__"):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError("%s is %r, not a number" % (name, value))


def _seconds_up(us):
    """Microseconds as the manager counts them: whole seconds, rounded up."""
    return math.ceil(int(us) / 1e6) * 1000000


# Most tasks need what others need; texts of so many different needs are kept.
_OPTIONS_TEXTS_MAX = 1000
_options_texts = {}


def _options_text(options):
    try:
        key = tuple(options.items())
        text = _options_texts.get(key)
    except TypeError:
        return dumps(options)  # lists and dicts among them
    if text is None:
        text = dumps(options)
        if len(_options_texts) >= _OPTIONS_TEXTS_MAX:
            _options_texts.clear()
        _options_texts[key] = text
    return text


class Task:
    """One command for a worker's shell, to be given to `WorkQueue.submit`.

    Memory and disk are in MB, instants in µs since the epoch, durations in µs where nothing else is
    said. An open class: subclasses and other attributes are welcome.
    """

    # What is left as it is here costs a task nothing. A subclass may set attributes of its own
    # before it calls __init__.
    _manager = None
    _wq_id = 0
    _wq_category = "default"
    _wq_tag = None
    _wq_algorithm = WORK_QUEUE_SCHEDULE_UNSET
    _wq_submitted_us = 0
    # A row of docs/api.md, "Results", and the bytes that it printed.
    _wq_row = None
    _wq_printed = None
    _wq_measured = None
    _wq_allocated = None
    # What counts for the journal in place of what the task is, see _journal.said_of.
    _wq_journal = None
    # Only where results are kept: a weak reference.
    _wq_queue = None

    def __init__(self, command):
        self._wq_command = _text("command", command)
        self._wq_inputs = []
        self._wq_outputs = []
        self._wq_options = {}

    def __del__(self):
        """For subclasses that call it."""

    @property
    def _task(self):
        return self

    def clone(self):
        """A copy that can be submitted: the same definition, nothing of what became of it."""
        made = copy.copy(self)
        made._wq_inputs = list(self._wq_inputs)
        made._wq_outputs = list(self._wq_outputs)
        made._wq_options = dict(self._wq_options)
        if "env" in made._wq_options:
            made._wq_options["env"] = dict(made._wq_options["env"])
        if "features" in made._wq_options:
            made._wq_options["features"] = list(made._wq_options["features"])
        made._wq_id = 0
        made._manager = None
        made._wq_forget()
        return made

    # For the queue

    def _wq_forget(self):
        self._wq_submitted_us = 0
        self._wq_row = self._wq_printed = self._wq_measured = self._wq_allocated = None

    def _wq_encode(self, task_id):
        """The task as a JSON list of the manager's API, and its buffers."""
        command = quote(self._wq_command)
        if not (self._wq_inputs or self._wq_outputs or self._wq_options):
            return "[%d,%s,%s]" % (task_id, command, quote(self._wq_category)), b""
        inputs, raw = encode_inputs(self._wq_inputs) if self._wq_inputs else ("[]", b"")
        outputs = encode_outputs(self._wq_outputs) if self._wq_outputs else "[]"
        text = "[%d,%s,%s,%s,%s,%s]" % (
            task_id,
            command,
            quote(self._wq_category),
            inputs,
            outputs,
            _options_text(self._wq_options),
        )
        return text, raw

    # What it is

    def specify_command(self, command):
        """Replaces the command line."""
        self._wq_command = _text("command", command)

    def specify_coprocess(self, coprocess):
        """Makes the command a function of the workers' coprocess of that name; None: not so."""
        if coprocess is None:
            self._wq_options.pop("coprocess", None)
        else:
            self._wq_options["coprocess"] = _text("coprocess", coprocess)

    def specify_algorithm(self, algorithm):
        """Accepted; wqx prefers workers that hold the task's cached inputs."""
        self._wq_algorithm = int(_number("algorithm", algorithm))

    def specify_tag(self, tag):
        self._wq_tag = _text("tag", tag)

    def specify_category(self, name):
        """Tasks of one category are expected to need the same; None: `default`."""
        self._wq_category = "default" if name is None else _text("category", name)

    def specify_feature(self, name):
        """Only workers that offer this feature, and those of earlier calls."""
        self._wq_options.setdefault("features", []).append(_text("feature", name))

    # Files

    def specify_file(
        self, local_name, remote_name=None, type=None, flags=None, cache=None, failure_only=None
    ):
        """Adds an input or output file, or a folder with all in it; 1, or 0 if it is refused."""
        local_name = str(local_name)
        name = remote_name_of(remote_name, local_name)
        bits = flags_of(flags, cache, failure_only)
        if type_of(type) == WORK_QUEUE_OUTPUT:
            return add_output(self, local_name, name, bits)
        return add_input(self, (WORK_QUEUE_FILE, local_name, name, bits, 0, 0))

    def specify_input_file(self, local_name, remote_name=None, flags=None, cache=None):
        return self.specify_file(local_name, remote_name, WORK_QUEUE_INPUT, flags, cache)

    def specify_output_file(
        self, local_name, remote_name=None, flags=None, cache=None, failure_only=None
    ):
        return self.specify_file(
            local_name, remote_name, WORK_QUEUE_OUTPUT, flags, cache, failure_only
        )

    def specify_directory(
        self,
        local_name,
        remote_name=None,
        type=None,
        flags=None,
        recursive=False,
        cache=None,
        failure_only=None,
    ):
        """An input that is not `recursive` is an empty folder; else the folder with all in it."""
        if recursive or type_of(type) == WORK_QUEUE_OUTPUT:
            return self.specify_file(local_name, remote_name, type, flags, cache, failure_only)
        name = remote_name_of(remote_name, local_name)
        if any(one[2] == name for one in self._wq_inputs):
            return 0
        bits = flags_of(flags, cache, failure_only)
        return add_input(self, (WORK_QUEUE_DIRECTORY, "", name, bits, 0, 0))

    def specify_buffer(self, buffer, remote_name, flags=None, cache=None):
        """An input file with this content: a str, or bytes."""
        if isinstance(buffer, str):
            buffer = buffer.encode("utf-8", "surrogateescape")
        elif not isinstance(buffer, (bytes, bytearray, memoryview)):
            raise TypeError("buffer is %r, not a str" % (buffer,))
        name = remote_name_of(_text("remote_name", remote_name), remote_name)
        bits = flags_of(flags, cache)
        return add_input(self, (WORK_QUEUE_BUFFER, bytes(buffer), name, bits, 0, 0))

    def specify_url(
        self, url, remote_name, type=None, flags=None, cache=None, failure_only=None
    ):
        """An input that the worker downloads."""
        return self._wq_remote(
            WORK_QUEUE_URL, url, remote_name, type, flags_of(flags, cache, failure_only)
        )

    def specify_file_command(
        self, cmd, remote_name, type=None, flags=None, cache=None, failure_only=None
    ):
        """An input that the worker makes by a command, in which `%%` stands for its path."""
        if "%%" not in _text("cmd", cmd):
            raise ValueError("%r does not say by %%%% where the file goes" % cmd)
        return self._wq_remote(
            WORK_QUEUE_REMOTECMD, cmd, remote_name, type, flags_of(flags, cache, failure_only)
        )

    def _wq_remote(self, kind, source, remote_name, type, flags):
        if type_of(type) == WORK_QUEUE_OUTPUT:
            raise ValueError("Workers fetch such files, and send none: they are inputs only")
        name = remote_name_of(_text("remote_name", remote_name), remote_name)
        return add_input(self, (kind, _text("source", source), name, flags, 0, 0))

    def specify_file_piece(
        self,
        local_name,
        remote_name=None,
        start_byte=0,
        end_byte=0,
        type=None,
        flags=None,
        cache=None,
        failure_only=None,
    ):
        """The bytes from `start_byte` to `end_byte`, both included, as an input."""
        if type_of(type) == WORK_QUEUE_OUTPUT:
            raise ValueError("A piece of a file is an input only")
        if end_byte < start_byte or start_byte < 0:
            return 0
        local_name = str(local_name)
        name = remote_name_of(remote_name, local_name)
        bits = flags_of(flags, cache, failure_only)
        piece = (WORK_QUEUE_FILE_PIECE, local_name, name, bits, int(start_byte), int(end_byte))
        return add_input(self, piece)

    def specify_snapshot_file(self, filename):
        raise NotImplementedError(
            "wqx measures whole tasks and takes no snapshots: leave specify_snapshot_file out"
        )

    # Needs and limits

    def _wq_amount(self, name, value):
        value = _number(name, value)
        if value < 0:
            self._wq_options.pop(name, None)
        else:
            self._wq_options[name] = value

    def specify_cores(self, cores):
        """Negative: what its category says."""
        self._wq_amount("cores", cores)

    def specify_memory(self, memory):
        """MB; negative: what its category says."""
        self._wq_amount("memory", memory)

    def specify_disk(self, disk):
        """MB; negative: what its category says."""
        self._wq_amount("disk", disk)

    def specify_gpus(self, gpus):
        """Negative: what its category says."""
        self._wq_amount("gpus", gpus)

    def specify_priority(self, priority):
        """Larger ones first; default 0."""
        self._wq_options["priority"] = _number("priority", priority)

    def specify_max_retries(self, max_retries):
        """Dispatched more than so many times it fails; less than 1: no limit."""
        self._wq_options["max_retries"] = int(_number("max_retries", max_retries))

    def specify_end_time(self, useconds):
        """µs since the epoch, by which it must have ended; less than 1: no limit."""
        self._wq_options["end_time"] = _seconds_up(_number("end_time", useconds))

    def specify_start_time_min(self, useconds):
        """µs since the epoch, before which it is not started."""
        self._wq_options["start_time_min"] = _seconds_up(_number("start_time_min", useconds))

    def specify_running_time(self, useconds):
        """µs that one attempt may take, rounded up to seconds."""
        self._wq_options["running_time"] = _seconds_up(_number("running_time", useconds))

    def specify_running_time_max(self, seconds):
        """Seconds that one attempt may take."""
        self._wq_options["running_time"] = math.ceil(_number("seconds", seconds)) * 1000000

    def specify_running_time_min(self, seconds):
        """Only workers that stay at least so many seconds."""
        self._wq_options["running_time_min"] = _number("seconds", seconds)

    def specify_environment_variable(self, name, value=None):
        """None: the variable is not set for the command."""
        env = self._wq_options.setdefault("env", {})
        env[_text("name", name)] = None if value is None else str(value)

    def specify_monitor_output(self, directory):
        """Folder in which the summary of what it used is kept."""
        self._wq_options["monitor_output"] = os.path.abspath(str(directory))

    # What was specified

    @property
    def tag(self):
        return self._wq_tag

    @property
    def category(self):
        return self._wq_category

    @property
    def command(self):
        return self._wq_command

    @property
    def priority(self):
        return float(self._wq_options.get("priority", 0))

    @property
    def algorithm(self):
        return self._wq_algorithm

    @property
    def resources_requested(self):
        wanted = {name: float(v) for name, v in self._wq_options.items() if name in _RESOURCES}
        return rmsummary(**wanted)

    # What became of it

    @property
    def id(self):
        """Of the last submit; 0 before."""
        return self._wq_id

    @property
    def std_output(self):
        """What the command printed, stdout and stderr as they came; None where it did not run."""
        if self._wq_printed is None:
            return None
        return self._wq_printed.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    @property
    def output(self):
        return self.std_output

    @property
    def result(self):
        """One of WORK_QUEUE_RESULT_*; SUCCESS says nothing of the exit code."""
        row = self._wq_row
        return WORK_QUEUE_RESULT_UNKNOWN if row is None else row[1]

    @property
    def result_str(self):
        return work_queue_result_str(self.result)

    @property
    def return_status(self):
        """Exit code, or number of the signal that ended the command; -1: it did not end."""
        row = self._wq_row
        return -1 if row is None else row[2]

    @property
    def why(self):
        """wqx's own: a sentence about what went wrong, or None."""
        row = self._wq_row
        return None if row is None else row[11]

    @property
    def host(self):
        """`address:port` of the worker, or None."""
        row = self._wq_row
        return None if row is None else row[4]

    @property
    def hostname(self):
        row = self._wq_row
        return None if row is None else row[5]

    @property
    def exhausted_attempts(self):
        return self._wq_sum(7)

    @property
    def total_submissions(self):
        raise AttributeError("total_submissions is no more; len of your own list of submits is")

    @property
    def submit_time(self):
        """µs since the epoch; never after the task began, whatever the manager's clock says."""
        if self._wq_row is None:
            return 0
        began = self._wq_time(0) or self._wq_time(4)
        return min(self._wq_submitted_us, began)

    @property
    def app_delay(self):
        return 0

    def _wq_sum(self, at):
        row = self._wq_row
        return 0 if row is None else row[7][at]

    def _wq_time(self, at):
        row = self._wq_row
        return 0 if row is None else row[6][at]

    @property
    def resources_measured(self):
        """Peaks that were measured; -1 where nothing was."""
        if self._wq_measured is None:
            row = self._wq_row
            values = dict(row[9] or {}) if row is not None else {}
            made = rmsummary(**values)
            if row is not None:
                if row[9] is not None:
                    made.category = self._wq_category
                    made.command = self._wq_command
                    made.taskid = str(self._wq_id)
                    made.exit_type = "normal" if row[10] is None else "limits"
                    made.exit_status = row[2]
                if row[10] is not None:
                    made.limits_exceeded = rmsummary(**row[10])
            self._wq_measured = made
        return self._wq_measured

    @property
    def resources_allocated(self):
        """What the last attempt had; -1 where it is not known."""
        if self._wq_allocated is None:
            box = None if self._wq_row is None else self._wq_row[8]
            values = dict(zip(_RESOURCES, map(float, box))) if box is not None else {}
            self._wq_allocated = rmsummary(**values)
        return self._wq_allocated

    @property
    def limits_exceeded(self):
        """The limits that were passed, -1 for others; None if none was."""
        return self.resources_measured.limits_exceeded


def _of_times(at, doc):
    return property(lambda self: self._wq_time(at), doc=doc + "; µs since the epoch, or 0.")


def _of_sums(at, doc):
    return property(lambda self: self._wq_sum(at), doc=doc)


# Positions in `times` and `sums` of a row.
for _name, _made in {
    "send_input_start": _of_times(0, "The inputs began to go to the worker"),
    "send_input_finish": _of_times(1, "The inputs were with the worker"),
    "execute_cmd_start": _of_times(0, "The task was given to the worker"),
    "execute_cmd_finish": _of_times(2, "The worker had its result"),
    "receive_output_start": _of_times(2, "The outputs began to come"),
    "receive_output_finish": _of_times(3, "The outputs were here"),
    "finish_time": _of_times(4, "The task ended"),
    "cmd_execution_time": _of_sums(0, "Of the last attempt on its worker; µs."),
    "total_cmd_execution_time": _of_sums(1, "Of all attempts; µs."),
    "total_cmd_exhausted_execute_time": _of_sums(2, "Of attempts that were exhausted; µs."),
    "total_bytes_sent": _of_sums(3, "Bytes of files that went to workers."),
    "total_bytes_received": _of_sums(4, "Bytes of files that came from workers."),
    "total_transfer_time": _of_sums(5, "Sending and receiving; µs."),
}.items():
    setattr(Task, _name, _made)

Task.total_bytes_transferred = property(
    lambda self: self._wq_sum(3) + self._wq_sum(4), doc="Bytes of files, both ways."
)

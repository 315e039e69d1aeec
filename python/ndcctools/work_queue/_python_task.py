"""A Python function with its arguments, as a task."""
import importlib.util
import os
import pickle
import sys

from wqx.environment import staged_archive, wrapper_script

from . import _staging
from ._constants import WORK_QUEUE_BUFFER, WORK_QUEUE_CACHE
from ._files import add_input
from ._task import Task

pythontask_available = importlib.util.find_spec("cloudpickle") is not None

# Runs on the worker. It knows which Python made the function.
_WRAPPER = '''\
import sys
import traceback

MADE_BY = %r

try:
    import cloudpickle
except ImportError as error:
    print("%%s, in %%s (Python %%d.%%d): the worker's Python needs cloudpickle"
          %% (error, sys.executable, *sys.version_info[:2]))
    sys.exit(1)


def load(path):
    with open(path, "rb") as file:
        return file.read()


def call(function, arguments):
    if sys.version_info[:2] != MADE_BY and b"_make_function" in function:
        raise RuntimeError(
            "The function was sent from Python %%d.%%d, and the worker has Python %%d.%%d (%%s): "
            "give workers the same, or import the function from a module"
            %% (*MADE_BY, *sys.version_info[:2], sys.executable))
    try:
        run = cloudpickle.loads(function)
        args, kwargs = cloudpickle.loads(arguments)
    except ImportError as error:
        print("%%s, in %%s (Python %%d.%%d)"
              %% (error, sys.executable, *sys.version_info[:2]))
        raise
    return run(*args, **kwargs)


code = 0
try:
    value = call(load(sys.argv[1]), load(sys.argv[2]))
except Exception as error:
    traceback.print_exc(file=sys.stdout)
    value = error
try:
    data = cloudpickle.dumps(value)
    # An exception may be made of other arguments than it keeps: better known here.
    if isinstance(value, Exception):
        cloudpickle.loads(data)
except Exception as error:
    traceback.print_exc(file=sys.stdout)
    code = 1
    data = cloudpickle.dumps(RuntimeError("The result (%%s) cannot be sent back: %%s: %%s"
                             %% (type(value).__name__, type(error).__name__, error)))
with open(sys.argv[3], "wb") as file:
    file.write(data)
print(value)
sys.exit(code)
''' % (sys.version_info[:2],)

_WRAPPER_NAME = "pytask_wrapper.py"
# Functions that were sent more than once stay with the workers; so many are remembered.
_SEEN_MAX = 10000
_seen = set()


class PythonTaskNoResult(Exception):
    """The task has not ended, or ended without a value."""


class PythonTask(Task):
    """Calls `func(*args, **kwargs)` on a worker that has a Python with cloudpickle.

    `output` is the value that it returned, or the Exception that it raised.
    """

    _wq_loaded = False
    _wq_value = None
    _wq_out = None

    def __init__(self, func, *args, **kwargs):
        """Raises RuntimeError without cloudpickle, and what cloudpickle raises."""
        if not pythontask_available:
            raise RuntimeError("PythonTask needs the package cloudpickle: pip install cloudpickle")
        import cloudpickle

        function = cloudpickle.dumps(func)
        arguments = cloudpickle.dumps([args, kwargs])
        super().__init__(
            "python%d %s function.p args.p out.p" % (sys.version_info[0], _WRAPPER_NAME)
        )
        digest = hash(function)
        seen = digest in _seen
        if len(_seen) >= _SEEN_MAX:
            _seen.clear()
        _seen.add(digest)
        for name, content, flags in (
            (_WRAPPER_NAME, _WRAPPER.encode(), WORK_QUEUE_CACHE),
            ("function.p", function, WORK_QUEUE_CACHE if seen else 0),
            ("args.p", arguments, 0),
        ):
            add_input(self, (WORK_QUEUE_BUFFER, content, name, flags, 0, 0))
        self._wq_out_file()

    def _wq_out_file(self):
        name = "out_%s.p" % os.urandom(16).hex()
        self._wq_out = os.path.join(_staging.staging_directory, name)
        self._wq_outputs.append((self._wq_out, "out.p", 0))

    def __del__(self):
        if self._wq_out is not None:
            try:
                os.unlink(self._wq_out)
            except OSError:
                pass  # it has not come, or its folder went before

    def clone(self):
        made = super().clone()
        del made._wq_outputs[0]
        made._wq_out_file()
        made._wq_outputs.insert(0, made._wq_outputs.pop())
        return made

    def _wq_forget(self):
        super()._wq_forget()
        self._wq_loaded, self._wq_value = False, None

    @property
    def output(self):
        """The value, or the Exception that was raised; PythonTaskNoResult if there is none.

        An error while the value is read is returned, too.
        """
        if self._wq_row is None:
            return PythonTaskNoResult("The task has not ended")
        if not self._wq_loaded:
            self._wq_value = self._wq_load()
            self._wq_loaded = True
        return self._wq_value

    def _wq_load(self):
        if self.result != 0:
            if self.std_output:
                print(self.std_output)
            return PythonTaskNoResult("The task ended without a value: %s" % self.result_str)
        try:
            with open(self._wq_out, "rb") as file:
                value = pickle.load(file)
        except Exception as error:
            value = error
        queue = self._wq_queue() if self._wq_queue is not None else None
        if queue is not None and isinstance(value, Exception):
            queue._wq_forget_result(self._wq_id)
        return value

    def specify_environment(self, env_file):
        """Runs it in a packed environment, a tarball, that is unpacked once a worker.

        Raises OSError if it cannot be read.
        """
        if not env_file:
            return
        archive = staged_archive(str(env_file))
        name = os.path.basename(archive)
        self.specify_input_file(archive, name, cache=True)
        self.specify_input_file(wrapper_script(), "poncho_package_run", cache=True)
        _, rest = self._wq_command.split(" ", 1)
        unpacked = '"$WORK_QUEUE_SANDBOX"/%s-env' % name
        self._wq_command = "./poncho_package_run -e %s --unpack-to %s python %s" % (
            name,
            unpacked,
            rest,
        )

    specify_package = specify_environment

"""Workers for a queue, kept in number by a `wqx factory` process."""
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from wqx.binary import find_wqx

# Written to the configuration, which the running factory reads again when it changes.
_CONFIG_OPTIONS = frozenset(
    "autosize capacity cores disk factory-timeout foremen-name manager-name max-workers memory "
    "min-workers tasks-per-worker timeout workers-per-cycle condor-requirements".split()
)
_COMMAND_OPTIONS = frozenset(
    "amazon-config batch-options batch-type catalog config-file debug debug-file debug-file-size env "
    "extra-options gpus k8s-image k8s-worker-image mesos-master mesos-path mesos-preload password "
    "python-env python-package run-factory-as-manager runos scratch-dir ssl worker-binary wrapper "
    "wrapper-input".split()
)
_OPTIONS = _CONFIG_OPTIONS | _COMMAND_OPTIONS
# Of Work Queue's factory, which wqx has no use for.
_NOT_HERE = frozenset(["mesos-master", "mesos-path", "mesos-preload"])

# Between looks of a factory that asks no batch system but this machine.
LOCAL_INTERVAL_SECONDS = 2
# For the factory to have read its settings and made its first plan; s.
START_SECONDS = 10
# For its workers to end; s.
STOP_SECONDS = 30
_LOOK_SECONDS = 0.02
# Workers here are often there before their queue: not to look for it only every other second, and
# ever more rarely. A catalog, which others use too, is asked as it is by default.
_SOON = "--min-backoff=100ms"
_SOON_AND_OFTEN = _SOON + " --max-backoff=2s"


class Factory:
    """Starts and removes workers of a batch system as a manager needs them.

    Options of `work_queue_factory` are attributes, with `_` for `-`: `max_workers`, `cores`,
    `memory` (MB), …. Used in a `with` block, or between `start` and `stop`; it may start again.
    """

    _process = None

    def __init__(
        self,
        batch_type="local",
        manager=None,
        manager_host_port=None,
        manager_name=None,
        factory_binary=None,
        worker_binary=None,
        log_file=os.devnull,
    ):
        """For a `manager` (WorkQueue, or project name), a project name, or `HOST:PORT`.

        Raises ValueError without any of these, OSError if a program is missing. Starts nothing.
        """
        set_here = super().__setattr__
        set_here("_opts", {})
        set_here("_scratch", None)
        set_here("_error_file", None)
        set_here("_config_file", None)
        set_here("_host_port", None)
        set_here("_log_file", log_file)
        set_here("_env_file", None)
        if isinstance(manager, str):
            manager, manager_name = None, manager
        self.batch_type = batch_type
        if manager is not None:
            if manager.using_ssl:
                self.ssl = True
            if batch_type == "local" or not manager.name:
                host = "localhost" if batch_type == "local" else os.uname().nodename
                set_here("_host_port", (host, str(manager.port)))
            else:
                self.manager_name = manager.name
        elif manager_host_port is not None:
            parts = str(manager_host_port).split(":")
            if len(parts) != 2 or not all(parts):
                raise ValueError("manager_host_port is %r, not HOST:PORT" % (manager_host_port,))
            set_here("_host_port", tuple(parts))
        elif manager_name is not None:
            self.manager_name = manager_name
        else:
            raise ValueError(
                "Say whom the workers are for: manager, manager_host_port or manager_name"
            )
        if factory_binary:
            factory = [_program(factory_binary)]
        else:
            factory = [find_wqx(), "factory", "--json"]
            if batch_type == "local":
                factory.append("--interval=%ds" % LOCAL_INTERVAL_SECONDS)
        set_here("_factory", factory)
        if worker_binary:
            self.worker_binary = _program(worker_binary)

    # Options

    def __getattr__(self, name):
        # Called for what is no attribute of the object.
        option = name.replace("_", "-")
        if name.startswith("_") or option not in _OPTIONS:
            raise AttributeError("%r is no option of factories" % name)
        return self._opts[option]

    def __setattr__(self, name, value):
        option = name.replace("_", "-")
        if name.startswith("_"):
            super().__setattr__(name, value)
        elif option not in _OPTIONS:
            raise AttributeError("%r is no option of factories" % name)
        elif option in _NOT_HERE:
            raise AttributeError("%r: wqx runs no workers by Mesos" % name)
        elif self._process is not None and option not in _CONFIG_OPTIONS:
            raise AttributeError("%r cannot be changed once the factory is running" % name)
        else:
            self._opts[option] = value
            if self._process is not None:
                self._write_config()

    def specify_environment(self, env):
        """Runs each worker in this packed environment, a tarball."""
        if env:
            self.python_env = env

    specify_package = specify_environment

    # Running

    def start(self):
        """Returns when it is at work; if it was already, its settings are written again.

        Raises RuntimeError with its own words if it cannot work.
        """
        if self._process is not None:
            self._write_config()
            return None
        base = self._opts.get("scratch-dir") or "wq-factory-%d" % os.getuid()
        os.makedirs(base, exist_ok=True)
        self._scratch = tempfile.mkdtemp(prefix="wqx-factory-", dir=os.path.abspath(base))
        self._config_file = os.path.join(self._scratch, "config.json")
        self._error_file = os.path.join(self._scratch, "error.log")
        self._write_config()
        log_path = self._log_file
        if log_path == os.devnull:
            log_path = os.path.join(self._scratch, "plans.jsonl")
        try:
            with open(log_path, "ab") as log, open(self._error_file, "wb") as error:
                before = os.fstat(log.fileno()).st_size
                # Its own session: what Ctrl-C means is for this process to decide.
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=error,
                    start_new_session=True,
                )
            self._wait_for_plan(log_path, before)
        except BaseException:
            self._end()
            raise
        return self

    def _wait_for_plan(self, log_path, before):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and os.path.getsize(log_path) == before:
            code = self._process.poll()
            if code is not None:
                with open(self._error_file, errors="replace") as file:
                    said = file.read().strip()
                raise RuntimeError("The factory ended with exit code %d: %s" % (code, said))
            time.sleep(_LOOK_SECONDS)

    def stop(self):
        """Ends it, and returns when its workers on this machine have ended.

        Raises RuntimeError if it was not started.
        """
        if self._process is None:
            raise RuntimeError("The factory is not running")
        self._end()

    def _end(self):
        process, self._process = self._process, None
        scratch, self._scratch = self._scratch, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                os.rmdir(os.path.dirname(scratch))
            except OSError:
                pass  # others use it

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def __del__(self):
        if self._process is not None and not sys.is_finalizing():
            self.stop()
        elif self._process is not None:
            self._process.terminate()

    def _command(self):
        words = [*self._factory, "--parent-death", "--config-file", self._config_file]
        options = {name: v for name, v in self._opts.items() if name in _COMMAND_OPTIONS}
        options["scratch-dir"] = self._scratch
        if self._opts.get("batch-type") == "local" and "worker-binary" not in options:
            given = options.get("extra-options") or ""
            soon = _SOON if self._host_port is None else _SOON_AND_OFTEN
            options["extra-options"] = ("%s %s" % (soon, given)).strip()
        for name, value in options.items():
            if value is True:
                words.append("--" + name)
            elif value is not None and value is not False:
                words.append("--%s=%s" % (name, value))
        if self._host_port is not None:
            words += self._host_port
        return words

    def _write_config(self):
        config = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in self._opts.items()
            if name in _CONFIG_OPTIONS and value is not None
        }
        # In one step: the factory may read at any time.
        new = self._config_file + ".new"
        with open(new, "w") as file:
            json.dump(config, file, indent=4)
        os.replace(new, self._config_file)


def _program(path):
    found = shutil.which(path)
    if found is not None:
        return os.path.abspath(found)
    if os.path.exists(path):
        raise OSError(errno.EPERM, "cannot be executed", path)
    raise OSError(errno.ENOENT, "there is no such program", path)

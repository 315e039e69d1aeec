"""A Python that has imported what its tasks import, and forks a process for each of them.

The worker (warm_python.ts) starts one per interpreter and environment. It sends requests on stdin
and reads answers on stdout, a JSON object a line:

    {"id": 1, "argv": [script, ...], "cwd": ..., "env": {...}, "output": path,
     "files": [[fd, "<" | ">" | ">>" | "&", path or fd], ...], "unbuffered": false}
    -> {"id": 1, "pid": 4711, "baseKb": 80000}    it waits for SIGUSR1; pid 0: no room for it
    -> {"ended": 4711, "privateKb": 12000, "rssKb": 201000}    at its end, unless it was killed
    -> {"threads": "name"}    this module starts threads, which no fork would have; this one ends

What tasks import is learned from the tasks: an audit hook names modules as they are imported, and
they are imported here as well, at the same time. A module that is not found or fails here is left
to the tasks. Arguments: a JSON list of packages to leave alone. Runs on Python 3.8 and later.
"""
import atexit
import gc
import importlib
import importlib.machinery
import io
import json
import os
import select
import signal
import sys
import threading
import time
import traceback

# Names that one template may learn: more than any environment has, fewer than would fill memory.
NAMES_MAX = 20_000
NAME_CHARS_MAX = 500
REAL_EXIT = os._exit
OUTPUT_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
OPEN_FLAGS = {
    "<": os.O_RDONLY,
    ">": OUTPUT_FLAGS,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


class Template:
    """The process that forks. Single-threaded: it serves, or it imports."""

    def __init__(self, avoid):
        self.requests = os.dup(0)
        self.answers = os.dup(1)
        # Whatever modules print while they are imported must not get into the answers.
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        self.learned, self.telling = os.pipe()
        os.set_blocking(self.telling, False)
        self.pids = os.pipe()
        self.avoid = frozenset(avoid)
        self.mark_at = address_of_mark()
        self.names = set()
        self.rest = {self.requests: b"", self.learned: b""}
        self.frozen = False

    def run(self):
        while True:
            ready, _, _ = select.select([self.requests, self.learned], [], [])
            # Imports come first: to wait for them is faster than to do them again in the task.
            if self.learned in ready:
                for line in self.lines(self.learned):
                    self.learn(line.decode("utf-8", "replace"))
            elif self.requests in ready:
                for line in self.lines(self.requests):
                    self.serve(json.loads(line))

    def lines(self, fd):
        data = os.read(fd, 1 << 16)
        if not data and fd == self.requests:
            REAL_EXIT(0)  # the worker is gone, or needs this no more
        *lines, self.rest[fd] = (self.rest[fd] + data).split(b"\n")
        return lines

    def answer(self, message):
        os.write(self.answers, (json.dumps(message) + "\n").encode())

    def learn(self, name):
        package = name.partition(".")[0]
        if name in self.names or len(self.names) >= NAMES_MAX or package in self.avoid:
            return
        self.names.add(name)
        if name in sys.modules or package in ("", "__main__"):
            return
        self.frozen = False
        try:
            importlib.import_module(name)
        except BaseException:  # the task that needs it will hear of it
            return
        if threading.active_count() > 1 or native_threads() > threads_of_blas():
            self.answer({"threads": package})
            REAL_EXIT(0)

    def serve(self, request):
        if not self.frozen:
            # The collector of a task then neither looks at what is here, nor makes copies of it.
            gc.collect()
            gc.freeze()
            self.frozen = True
        sys.stdout.flush()
        sys.stderr.flush()
        base_kb = anonymous_kb()
        try:
            first = os.fork()
        except OSError:
            self.answer({"id": request["id"], "pid": 0, "baseKb": 0})
            return
        if first == 0:
            # Twice, because orphans become children of the worker, which can then wait for them.
            pid = 0
            try:
                pid = os.fork()
                if pid == 0:
                    # Before the worker hears of it, which takes all of a session for the task's.
                    os.setsid()
                    pid = os.getpid()
                    os.write(self.pids[1], b"%10d" % pid)
                    Task(self, request).run()
            finally:
                if pid == 0:
                    os.write(self.pids[1], b"%10d" % 0)
                REAL_EXIT(0)
        os.waitpid(first, 0)
        pid = int(os.read(self.pids[0], 10))
        self.answer({"id": request["id"], "pid": pid, "baseKb": base_kb})


class Task:
    """In the new process: what `python script args` would be."""

    def __init__(self, template, request):
        self.template = template
        self.request = request
        self.pid = os.getpid()
        self.inherited = frozenset(sys.modules)

    def run(self):
        """Never returns."""
        code = 1
        try:
            # Sent when the worker knows this process; it stays pending until it is waited for.
            signal.sigwait([signal.SIGUSR1])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
            os.close(self.template.requests)
            os.chdir(self.request["cwd"])
            self.show_mark()
            self.set_environment()
            self.redirect()
            self.refresh()
            os._exit = self.leave
            sys.addaudithook(self.tell)
            code = self.script()
            self.finalize()
        except BaseException:
            traceback.print_exc()
        self.leave(code)

    def show_mark(self):
        """Others find this process, and what it forks, by the mark in the environment it began with."""
        if self.template.mark_at is None:
            return
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            # As long as the one that is there: marks have a fixed width.
            memory.seek(self.template.mark_at)
            memory.write(b"WQX_TASK=" + os.fsencode(self.request["env"]["WQX_TASK"]))

    def set_environment(self):
        """Nearly all of it is as it was: to set everything anew takes half a millisecond."""
        wanted = self.request["env"]
        for name in [name for name in os.environ if name not in wanted]:
            del os.environ[name]
        for name, value in wanted.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    def redirect(self):
        output = os.open(self.request["output"], OUTPUT_FLAGS, 0o600)
        for fd in (1, 2):
            os.dup2(output, fd)
        os.close(output)
        for fd, kind, target in self.request["files"]:
            try:
                opened = target if kind == "&" else os.open(target, OPEN_FLAGS[kind], 0o666)
                os.dup2(opened, fd)
            except OSError as error:
                verb = "create" if ">" in kind else "open"
                text = "sh: 1: cannot %s %s: %s\n" % (verb, target, error.strerror)
                os.write(2, text.encode())
                self.leave(2)
            if kind != "&" and opened != fd:
                os.close(opened)

    def refresh(self):
        """Anew what a fresh interpreter would have drawn, or read from its environment."""
        for name in ("random", "numpy.random"):
            if name in sys.modules:
                sys.modules[name].seed()
        if "tempfile" in sys.modules:
            sys.modules["tempfile"].tempdir = None
        time.tzset()
        if self.request["unbuffered"]:
            for name, fd in (("stdout", 1), ("stderr", 2)):
                old = getattr(sys, name)
                raw = io.FileIO(fd, "w", closefd=False)
                new = io.TextIOWrapper(raw, old.encoding, old.errors, write_through=True)
                setattr(sys, name, new)
                setattr(sys, "__%s__" % name, new)

    def script(self):
        """Returns the exit code."""
        sys.argv = list(self.request["argv"])
        path = sys.argv[0]
        if sys.version_info >= (3, 9):
            path = os.path.abspath(path)
        # In place of the folder of this file.
        sys.path[0] = os.path.dirname(os.path.realpath(path))
        forget_shadowed(sys.path[0])
        main = type(sys)("__main__")
        main.__dict__.update(
            __file__=path,
            __spec__=None,
            __cached__=None,
            __loader__=importlib.machinery.SourceFileLoader("__main__", path),
            __builtins__=sys.modules["builtins"],
        )
        sys.modules["__main__"] = main
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            text = "%s: can't open file %r: [Errno %d] %s\n"
            os.write(2, (text % (sys.executable, path, error.errno, error.strerror)).encode())
            return 2
        try:
            exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
        except SystemExit as error:
            return exit_code(error.code)
        except BaseException as error:
            # The first frame is this one.
            error.__traceback__ = error.__traceback__.tb_next
            sys.excepthook(type(error), error, error.__traceback__)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        return 0

    def finalize(self):
        """What the interpreter does at its end, for all that the task has made."""
        threading._shutdown()
        atexit._run_exitfuncs()
        # Files that were left open are flushed as their last name goes.
        folder = os.path.join(sys.path[0], "")
        for name in sys.modules.keys() - self.inherited | {"__main__"}:
            module = sys.modules[name]
            file = os.path.abspath(getattr(module, "__file__", None) or "")
            if name == "__main__" or file.startswith(folder):
                vars(module).clear()
        gc.collect()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass

    def tell(self, event, args):
        if event != "import" or not isinstance(args[0], str) or len(args[0]) > NAME_CHARS_MAX:
            return
        try:
            os.write(self.template.telling, args[0].encode() + b"\n")
        except OSError:
            pass  # the pipe is full; another task will tell

    def leave(self, code):
        """In place of os._exit: says first what memory was this task's own."""
        if os.getpid() == self.pid:
            try:
                with open("/proc/self/smaps_rollup") as file:
                    kb = {words[0]: words[1] for words in map(str.split, file)}
                private = int(kb["Private_Clean:"]) + int(kb["Private_Dirty:"])
                ended = {"ended": self.pid, "privateKb": private, "rssKb": int(kb["Rss:"])}
                self.template.answer(ended)
            except Exception:
                pass  # an old kernel, or nobody reads; then the peak tells less exactly
        REAL_EXIT(code)


def address_of_mark():
    """Of WQX_TASK in the environment that this process, and so its forks, began with; or None."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        at = memory.read(end - start).find(b"WQX_TASK=")
    return None if at < 0 else start + at


def exit_code(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stdout.flush()
    sys.stderr.write("%s\n" % (code,))
    return 1


def forget_shadowed(folder):
    """What lies beside the script comes before installed modules of the same name."""
    try:
        here = {entry.partition(".")[0] for entry in os.listdir(folder)}
    except OSError:
        return
    for name in list(sys.modules):
        if name.partition(".")[0] in here and name not in AT_START:
            del sys.modules[name]


def anonymous_kb():
    """What a child starts with: pages of files are mapped as it touches them."""
    with open("/proc/self/statm") as file:
        _, resident, shared = map(int, file.read().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") // 1024


def native_threads():
    """Without that of jemalloc (pyarrow's), which does without it after a fork."""
    count = 0
    for thread in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/comm" % thread) as file:
                count += file.read() != "jemalloc_bg_thd\n"
        except OSError:
            pass  # it has ended
    return count


def threads_of_blas():
    """Those of OpenBLAS may be there: it ends them before a fork, and starts them after it."""
    with open("/proc/self/maps") as file:
        copies = {line.split()[-1] for line in file if "openblas" in line}
    count = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    each = int(count) if count.isdigit() else os.cpu_count() or 1
    return 1 + len(copies) * (each - 1)


if __name__ == "__main__":
    AT_START = frozenset(sys.modules)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.chdir("/")
    Template(json.loads(sys.argv[1])).run()

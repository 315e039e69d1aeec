"""A manager process of our own, and the socket to it (docs/api.md of wqx).

Python runs signal handlers between any two steps of a program, and such a handler may raise
(KeyboardInterrupt) or ask the manager something in the midst of another question. So each step that
counts is one call into C or one assignment, and everything between may be repeated:

- What goes out is appended to an unlinked file by one `write`, and goes from there to the socket by
  `sendfile`: the kernel knows how far it is.
- What comes in is appended to a list by one `extend`. Frames are taken from a copy, and taken off
  the list by one assignment, if nobody else did so meanwhile. To take a frame twice does no harm:
  answers and results have ids.
"""
import gc
import itertools
import json
import os
import select
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import traceback
import weakref

from wqx.binary import find_wqx

API_VERSION = 1
HELLO, SUBMIT, REQUEST = 1, 2, 3
WELCOME, RESULTS, COUNTS, REPLY, REFUSED, FAILED = 16, 17, 18, 19, 20, 21
HEAD = struct.Struct("<IIII")

# Of what was submitted, before it is handed to the socket without a wait or a question; bytes.
FLUSH_BYTES = 64 * 1024
# Of what the manager has not taken yet: beyond, a submit waits for it; bytes.
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
# Of one file on the way out, which is left for another one when all of it is sent; bytes.
OUTBOX_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 1 << 18
# The longest wait without a look at what there is; ms.
POLL_MS = 200
# For a manager to end after it said that it would; s.
END_SECONDS = 10
# Of what the manager printed, in the sentence about its end; bytes.
LAST_WORDS_BYTES = 2000
# A Unix socket's path may have 107; "/api" and the random part are to fit.
FOLDER_CHARS_MAX = 80

dumps = json.JSONEncoder(separators=(",", ":")).encode
quote = json.encoder.encode_basestring_ascii


class ManagerLost(RuntimeError):
    """The manager process is gone, and with it all tasks that were not returned."""


class Outbox:
    """Bytes on their way to a socket, in a file that has no name."""

    def __init__(self):
        if hasattr(os, "memfd_create"):
            self.out = os.memfd_create("wqx-outbox")
        else:
            with tempfile.TemporaryFile() as file:
                self.out = os.dup(file.fileno())
        # Opened again, it has a position of its own.
        self.tail = os.open("/proc/self/fd/%d" % self.out, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def put(self, data):
        if os.write(self.tail, data) != len(data):
            raise OSError("There is no room for what is to be sent to the manager")

    def drain(self, fd):
        """Whether all was sent; False if the other side has to read first."""
        try:
            while os.sendfile(fd, self.out, None, 1 << 30) > 0:
                pass
        except BlockingIOError:
            return False
        return True

    @property
    def size(self):
        return os.fstat(self.out).st_size

    @property
    def left(self):
        return self.size - os.lseek(self.out, 0, os.SEEK_CUR)

    def __del__(self):
        os.close(self.out)
        os.close(self.tail)


class Client:
    """Starts a manager; it ends when this object is closed or this process is gone."""

    def __init__(self, options=(), log=None):
        """`options` of `wqx manager`; `log`: path to which its notes are appended.

        Raises OSError if there is no wqx, RuntimeError with its own sentence if it cannot start.
        """
        self.owner = os.getpid()
        self.failure = None
        # [taken, waiting, running, retrieving, workers, hungry_below]
        self.counts = (0, 0, 0, 0, 0, 10)
        self.replies = {}
        self.on_results = None
        self._requests = itertools.count(1)
        self._chunks = []
        self._frame_bytes = 0
        self._unsent = 0
        self._outboxes = [Outbox()]
        self._folder = _private_folder()
        self._said = open(log, "ab") if log else tempfile.TemporaryFile()
        self.process = self._socket = None
        try:
            self._start(options, log is not None)
        except BaseException:
            self._end()
            raise
        _clients.add(self)

    def _start(self, options, verbose):
        path = os.path.join(self._folder, "api")
        command = [find_wqx(), "manager", "--api", path, *options]
        if not verbose:
            command.append("--quiet")
        # Its own session: Ctrl-C is for this process to hear, and to decide upon.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            self.process.wait()
            raise RuntimeError(self._last_words() or "%s ended before it began" % command[0])
        self.process.stdout.close()
        told = json.loads(line)
        self.port, self.pid = told["port"], told["pid"]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._put(HELLO, dumps([API_VERSION, "ndcctools.work_queue of wqx"]).encode())
        self.flush()

    # Out

    def submit(self, text, raw=b""):
        """One task, as a JSON list; it is on its way at the latest with the next wait or ask."""
        if self.failure is not None:
            raise self.failure
        data = ("[" + text + "]").encode()
        data = HEAD.pack(len(data), len(raw), SUBMIT, 0) + data + raw
        self._outboxes[-1].put(data)
        self._unsent += len(data)
        if self._unsent > FLUSH_BYTES:
            self._unsent = 0
            if not self.flush() and self._outboxes[-1].left > BACKLOG_BYTES_MAX:
                self._wait_writable()

    def ask(self, method, *arguments, raw=b""):
        """The answer to a request; raises RuntimeError with the sentence of a refusal."""
        if self.failure is not None:
            raise self.failure
        request = next(self._requests)
        self._put(REQUEST, dumps((method,) + arguments).encode(), raw, request)
        self.flush()
        while request not in self.replies:
            if self.failure is not None:
                raise self.failure
            self.poll(-1)
        done, value = self.replies.pop(request)
        if not done:
            raise RuntimeError(value)
        return value

    def _put(self, kind, text, raw=b"", request=0):
        self._outboxes[-1].put(HEAD.pack(len(text), len(raw), kind, request) + text + raw)

    def flush(self):
        """Hands over what the socket takes; whether that was all."""
        if self._socket is None:
            return True
        boxes = self._outboxes
        try:
            for box in boxes:
                if not box.drain(self._socket.fileno()):
                    return False
        except (BrokenPipeError, ConnectionResetError):
            self._read()  # what it said last, and that it is gone
            self._lose()
            return True
        if boxes[-1].size > OUTBOX_BYTES_MAX:
            # The one before stays until here again: something may be appended to it right now.
            self._outboxes = [boxes[-1], Outbox()]
        return True

    def _wait_writable(self):
        while self.failure is None and not self.flush():
            self.poll(-1)

    # In

    def poll(self, seconds, wake_fd=None):
        """Waits until the manager says something, or `wake_fd` can be read, or it has been a while.

        Whether `wake_fd` can be read.
        """
        if self._socket is None:
            return False
        # One object a call: a signal handler may come here, too.
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | (0 if self.flush() else select.POLLOUT))
        if wake_fd is not None:
            poller.register(wake_fd, select.POLLIN)
        if self._socket is not None and self.failure is None:
            # Not for ever: a signal handler may have read meanwhile what is waited for.
            slice_ms = POLL_MS if seconds < 0 else min(POLL_MS, seconds * 1000)
            ready = poller.poll(slice_ms)
        else:
            ready = []
        self.take()
        return any(fd == wake_fd for fd, _ in ready)

    def take(self):
        """Takes in what has come, without waiting."""
        if self.failure is None and (self._read() or self._chunks):
            self._parse()

    def _read(self):
        try:
            self._chunks.extend(map(self._socket.recv, (READ_BYTES,)))
        except BlockingIOError:
            return False
        except (OSError, AttributeError):
            self._lose()
            return False
        if self._chunks and not self._chunks[-1]:
            self._lose()
        return True

    def _parse(self):
        chunks = self._chunks[:]
        if not chunks or sum(map(len, chunks)) < self._frame_bytes:
            return
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        at, end = 0, len(data)
        while end - at >= 16:
            text_bytes, raw_bytes, kind, request = HEAD.unpack_from(data, at)
            start = at + 16
            middle = start + text_bytes
            if middle + raw_bytes > end:
                break
            at = middle + raw_bytes
            self._frame(kind, request, json.loads(data[start:middle].decode()), data, middle)
        else:
            text_bytes = raw_bytes = 0
        if self._chunks and self._chunks[0] is chunks[0]:
            self._chunks[: len(chunks)] = [data[at:]] if at < end else []
            # A large one is put together once.
            self._frame_bytes = 16 + text_bytes + raw_bytes

    def _frame(self, kind, request, value, data, raw_at):
        if kind == RESULTS:
            counts, rows = value
            self.counts = counts
            self.on_results(rows, data, raw_at)
        elif kind == COUNTS:
            self.counts = value
        elif kind == REPLY:
            self.replies[request] = (True, value)
        elif kind == REFUSED:
            self.replies[request] = (False, value)
        elif kind == FAILED:
            self.failure = ManagerLost(value)

    # End

    def _lose(self):
        if self.failure is None and self._socket is not None:
            words = self._last_words()
            self.failure = ManagerLost(
                "The manager is gone, and with it all tasks that it had not returned"
                + ("; it said: " + words if words else "")
            )

    def _last_words(self):
        try:
            if not stat.S_ISREG(os.fstat(self._said.fileno()).st_mode):
                return ""  # a terminal: it has been read already
            with open("/proc/self/fd/%d" % self._said.fileno(), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def close(self, shutdown=False):
        """Ends the manager: its port is free then. With `shutdown`, idle workers exit."""
        if self.process is None or self.owner != os.getpid():
            return
        try:
            if self.failure is None:
                self.ask("close", bool(shutdown))
        except (RuntimeError, OSError):
            pass  # it is gone already
        finally:
            self._end()

    def _end(self):
        _clients.discard(self)
        process, self.process = self.process, None
        link, self._socket = self._socket, None
        if link is not None:
            link.close()
        if process is not None:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._said.close()
        self._outboxes = []
        _remove_folder(self._folder)

    def forget(self):
        """In a forked child: the manager is its parent's, and must not wait for the child's end."""
        self.failure = ManagerLost("This queue is that of the process which made it, not of its fork")
        link, self._socket = self._socket, None
        self._outboxes = []
        if link is not None:
            os.close(link.detach())
        if self.process is not None:
            self.process.stdin.close()
            # It is no child of this process.
            self.process.returncode = 0
            self.process = None


_clients = weakref.WeakSet()


def open_client(options, log, port):
    """A Client; if a queue of this process still has the port and nobody needs it, that one ends."""
    try:
        return Client(options, log)
    except RuntimeError:
        if not _release(port):
            raise
        return Client(options, log)


def weakly(method):
    """Of an object that nothing here keeps: whoever drops a queue has its port free at once."""
    reference = weakref.WeakMethod(method)

    def call(*arguments):
        there = reference()
        if there is not None:
            there(*arguments)

    return call


def _release(port):
    """Whether a queue of this process that nobody can reach any more had the port, and has ended.

    The traceback of the last error, which notebooks keep, holds the queue in which it came up: the
    variables of its frames are given up. Cycles of objects are another reason.
    """
    if not any(client.port == port for client in list(_clients)):
        return False
    error = getattr(sys, "last_value", None)
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        for frame, _ in traceback.walk_tb(error.__traceback__):
            frame.f_locals  # what a notebook showed is kept there, until asked for anew
        error = error.__cause__ or error.__context__
    del error
    gc.collect()
    return not any(client.port == port for client in list(_clients))


def _forget_all():
    for client in list(_clients):
        client.forget()
    _clients.clear()


os.register_at_fork(after_in_child=_forget_all)


def _private_folder():
    base = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="wqx-", dir=base if len(base) < FOLDER_CHARS_MAX else "/tmp")


def _remove_folder(path):
    for name in ("api", ""):
        full = os.path.join(path, name) if name else path
        try:
            (os.unlink if name else os.rmdir)(full)
        except OSError:
            pass  # the manager has removed it

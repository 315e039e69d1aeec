"""What goes with a task: files in and out, and which of them a task may have together.

An input is `(kind, source, remote_name, flags, first, last)`, an output is
`(path, remote_name, flags)`, as the manager's API has them; local paths may still be relative.
"""
import os
import sys

from ._client import quote
from ._constants import (
    WORK_QUEUE_BUFFER,
    WORK_QUEUE_CACHE,
    WORK_QUEUE_FAILURE_ONLY,
    WORK_QUEUE_FILE,
    WORK_QUEUE_FILE_PIECE,
    WORK_QUEUE_INPUT,
    WORK_QUEUE_NOCACHE,
    WORK_QUEUE_OUTPUT,
)

_LOCAL_KINDS = (WORK_QUEUE_FILE, WORK_QUEUE_FILE_PIECE)


def flags_of(flags, cache=None, failure_only=None):
    """The flags, with the bits that the keywords set or clear."""
    value = WORK_QUEUE_NOCACHE if flags is None else int(flags)
    for wanted, bit in ((cache, WORK_QUEUE_CACHE), (failure_only, WORK_QUEUE_FAILURE_ONLY)):
        if wanted is not None:
            value = value | bit if wanted else value & ~bit
    return value


def type_of(value, default=WORK_QUEUE_INPUT):
    """Input or output; raises ValueError for anything else."""
    value = default if value is None else value
    if value not in (WORK_QUEUE_INPUT, WORK_QUEUE_OUTPUT):
        raise ValueError("type is %r, not WORK_QUEUE_INPUT or WORK_QUEUE_OUTPUT" % (value,))
    return value


def remote_name_of(remote_name, local_name):
    """Name in the sandbox: as given, or the base name. Raises ValueError for what leads out."""
    name = str(remote_name) if remote_name else os.path.basename(str(local_name).rstrip("/"))
    if name.startswith("/"):
        raise ValueError(
            "The remote name %r is an absolute path: give one that is relative to the task's folder"
            % name
        )
    return name


def add_input(task, given):
    """1, or 0 with a line on stderr if the task has another input of that remote name."""
    kind, source, name, flags = given[:4]
    for other in task._wq_inputs:
        if other[2] != name:
            continue
        if kind != WORK_QUEUE_BUFFER and other[:2] == (kind, source):
            return 1
        return _refuse("input %s" % _shown(kind, source), name, _shown(other[0], other[1]))
    task._wq_inputs.append(given)
    return 1


def add_output(task, path, name, flags):
    """1, or 0 with a line on stderr if that remote or local name is taken."""
    for other in task._wq_inputs:
        if other[2] == name:
            return _refuse("output %s" % path, name, _shown(other[0], other[1]))
    for other_path, other_name, _ in task._wq_outputs:
        if other_path == path:
            return 1 if other_name == name else _refuse("output %s" % path, name, other_name)
    task._wq_outputs.append((path, name, flags))
    return 1


def _refuse(what, name, other):
    print("%s cannot be %s of the task: that is %s" % (what, name, other), file=sys.stderr)
    return 0


def _shown(kind, source):
    return "a buffer" if kind == WORK_QUEUE_BUFFER else str(source)


def encode_inputs(inputs):
    """JSON of the inputs, and the bytes of the buffers among them."""
    texts = []
    buffers = b""
    for kind, source, name, flags, first, last in inputs:
        if kind == WORK_QUEUE_BUFFER:
            texts.append("[2,%d,%s,%d]" % (len(source), quote(name), flags))
            buffers += source
            continue
        if kind in _LOCAL_KINDS and source[:1] != "/":
            source = os.path.abspath(source)
        if kind == WORK_QUEUE_FILE_PIECE:
            text = "[4,%s,%s,%d,%d,%d]" % (quote(source), quote(name), flags, first, last)
        else:
            text = "[%d,%s,%s,%d]" % (kind, quote(source), quote(name), flags)
        texts.append(text)
    return "[" + ",".join(texts) + "]", buffers


def encode_outputs(outputs):
    """JSON of the outputs."""
    texts = []
    for path, name, flags in outputs:
        if path[:1] != "/":
            path = os.path.abspath(path)
        texts.append("[%s,%s,%d]" % (quote(path), quote(name), flags))
    return "[" + ",".join(texts) + "]"

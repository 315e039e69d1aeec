"""Runs one task of WqxExecutor (wqx/coffea.py) in its sandbox; sent along, needs no wqx package.

    python3 wqx_coffea_task.py call FUNCTION ITEM OUT      ITEM in base64
    python3 wqx_coffea_task.py merge COMPRESSION OUT PART...

OUT is a line of JSON that tells how it went, and then the accumulator or the exception. Exit code
1: the function raised. Coffea's own functions pickle, compress and add.
"""
import base64
import json
import os
import sys
import time
import traceback


def main(argv):
    kind, first = argv[:2]
    out = argv[3] if kind == "call" else argv[2]
    try:
        if kind == "call":
            head, data = called(first, argv[2])
        else:
            head, data = merged(int(first), argv[3:])
    except BaseException as error:
        head, data = failed(error)
    with open(out + ".part", "wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.write(data)
    os.replace(out + ".part", out)
    return 0 if head["ok"] else 1


def called(function, item):
    import cloudpickle

    with open(function, "rb") as file:
        function, compression = cloudpickle.load(file)
    item = cloudpickle.loads(base64.b64decode(item))
    started = time.time()
    value = function(item)
    seconds = time.time() - started
    if value is None:
        return {"ok": True, "empty": True, "seconds": seconds}, b""
    return {"ok": True, "seconds": seconds}, packed(value, compression)


def merged(compression, parts):
    from coffea.processor import accumulate

    total = None
    for part in parts:
        one = value_in(part)
        total = one if total is None else accumulate([one], total)
    return {"ok": True}, packed(total, compression)


def packed(value, compression):
    import cloudpickle
    import lz4.frame

    try:
        data = cloudpickle.dumps(value)
    except Exception as error:
        path, why = unpicklable(value, cloudpickle.dumps, error)
        where = " at %s" % path if path else ""
        text = "process() returned what cannot be pickled%s: %s" % (where, why)
        raise TypeError(text) from error
    return lz4.frame.compress(data, compression_level=compression)


def value_in(path):
    import cloudpickle
    import lz4.frame

    with open(path, "rb") as file:
        file.readline()
        return cloudpickle.loads(lz4.frame.decompress(file.read()))


def unpicklable(value, dumps, error):
    """The innermost part that is to blame, as far as mappings lead to it."""
    if hasattr(value, "items"):
        for key, one in value.items():
            try:
                dumps(one)
            except Exception as inner:
                path, why = unpicklable(one, dumps, inner)
                return "[%r]%s" % (key, path), why
    return "", error


def failed(error):
    """The exceptions of the chain travel one by one: pickle forgets what caused them."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if any(isinstance(one, ImportError) for one in chain_of(error)):
        text += environment() + "\n"
    if isinstance(error, ImportError):
        error.args = ("%s; %s" % (error, environment()),) + error.args[1:]
        error.msg = error.args[0]
    sys.stderr.write(text)
    head = {"ok": False, "type": type(error).__name__, "traceback": text}
    try:
        import cloudpickle

        return head, cloudpickle.dumps([sendable(one, cloudpickle) for one in chain_of(error)])
    except Exception:
        return head, b""


def chain_of(error):
    chain = []
    while error is not None and len(chain) < 20:
        chain.append(error)
        error = error.__cause__
    return chain


def sendable(error, cloudpickle):
    try:
        data = cloudpickle.dumps(error)
        cloudpickle.loads(data)
        return data
    except Exception:
        return cloudpickle.dumps(RuntimeError("%s: %s" % (type(error).__name__, error)))


def environment():
    found = []
    for name in ("coffea", "uproot", "awkward", "numpy", "hist", "cloudpickle", "lz4"):
        try:
            from importlib.metadata import version

            found.append("%s %s" % (name, version(name)))
        except Exception:
            pass
    return "the Python of the worker, %s (%s), has %s" % (
        sys.executable,
        sys.version.split()[0],
        ", ".join(found) or "nothing of coffea",
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of libraries that read from afar do not always end by themselves.
    os._exit(code)

"""Runs one job of an analysis whose processor is one of coffea, in the sandbox of its task.

job.json (core/analysis/job.ts) in; outcome.json out, whatever happens. Processing and accumulating
leave result.acc: cloudpickle in an lz4 frame, and after the last merge plain cloudpickle, beside a
result.json with what of it has a form in JSON. Runs with coffea 0.7 and 202x, Python 3.8 and later.
"""
import json
import os
import sys
import traceback

UNSAFE_INTEGER = 1 << 53
# Names of these in a message tell most of what can differ between machines.
PACKAGES = ("coffea", "uproot", "awkward", "numpy", "hist", "cloudpickle", "lz4")
# A failure that arises in these is one of the file, and not of who reads it.
READERS = ("/uproot/", "/fsspec", "/XRootD/", "/xxhash/", "/cramjam/", "/lz4/", "/zstandard/")


class Failure(Exception):
    """Something that the user of the analysis must hear about; fields as in outcome.json."""

    def __init__(self, whose, message, fault=None, cause=None):
        super().__init__(message)
        self.error = {"whose": whose, "message": message}
        if fault is not None:
            self.error["fault"] = fault
        if cause is not None:
            self.error["stack"] = stack_of(cause)


def main():
    with open("job.json", encoding="utf-8") as file:
        job = json.load(file)
    proxy = os.environ.get("X509_USER_PROXY")
    if proxy == "x509_proxy":  # as the manager names it; XRootD looks for it from $PWD
        os.environ["X509_USER_PROXY"] = os.path.abspath(proxy)
    try:
        outcome = KINDS[job["kind"]](job)
    except Failure as failure:
        outcome = {"ok": False, "error": failure.error}
    except BaseException as error:
        told = {"whose": "internal", "message": words_of(error), "stack": stack_of(error)}
        outcome = {"ok": False, "error": told}
    if not outcome["ok"]:
        error = outcome["error"]
        for key in {"message", "stack"} & set(error):
            error[key] = error[key].replace(job.get("open") or "\0", job.get("file") or "")
        sys.stderr.write("%s\n%s" % (error["message"], error.get("stack", "")))
    write("outcome.json", json.dumps(outcome).encode())
    return 0 if outcome["ok"] else 1


# What the jobs are


def preprocess(job):
    with opened(job) as file:
        tree = tree_of(job, file)
        return {
            "ok": True,
            "kind": "preprocess",
            "entries": int(tree.num_entries),
            "uuid": uuid_of(file),
        }


def process(job):
    module = imported(job["coffea"])
    processor = processor_of(module, job["coffea"])
    schema = schema_of(module, job["coffea"]["schema"])
    with opened(job) as file:
        entries = tree_of(job, file).num_entries
        if uuid_of(file) != job["uuid"] or job["stop"] > entries:
            text = (
                "%s changed while the analysis ran: it was preprocessed with uuid %s, now it has "
                "%s and %d events; run the analysis again"
            )
            seen = (job["file"], job["uuid"], uuid_of(file), entries)
            raise Failure("data", text % seen)
        events = events_of(job, file, schema)
        call = getattr(processor, "process", processor)
        out = user("process()", lambda: call(events))
        if out is None:
            text = "process() returned nothing: return an accumulator"
            raise Failure("processor", text)
        source = getattr(file.file, "source", None)
        read = int(getattr(source, "num_requested_bytes", 0) or 0)
    write("result.acc", packed(out, "process()"))
    return {"ok": True, "kind": "process", "events": job["stop"] - job["start"], "bytesRead": read}


def accumulate(job):
    add = needed("coffea.processor").accumulate
    total = None
    for i, part in enumerate(job["parts"]):
        one = unpacked(part)
        try:
            total = one if i == 0 else add([one], total)
        except Exception as error:
            text = (
                "Cannot merge the partial result %s with those before it: %s; process() must "
                "return the same shape for every chunk"
            )
            raise Failure("processor", text % (part, words_of(error)), cause=error)
    if "postprocess" in job:
        told = job["postprocess"]["coffea"]
        module = imported(told)
        last_word = getattr(processor_of(module, told), "postprocess", None)
        if last_word is not None:
            returned = user("postprocess()", lambda: last_word(total))
            total = total if returned is None else returned
        by_value = getattr(needed("cloudpickle"), "register_pickle_by_value", None)
        if by_value is not None:
            by_value(module)
        write("result.acc", pickled(total, "postprocess()"))
        left_out = []
        plain = in_json(total, "", left_out)
        write("result.json", json.dumps({"accumulator": plain, "leftOut": left_out}).encode())
    else:
        write("result.acc", packed(total, "accumulating"))
    return {"ok": True, "kind": "accumulate", "events": 0, "bytesRead": 0}


KINDS = {"preprocess": preprocess, "process": process, "accumulate": accumulate}


# The processor


def imported(told):
    """The user's module, by its file, whatever else has its name."""
    import importlib.util

    needed("coffea.processor")
    name = os.path.splitext(told["file"])[0]
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(told["file"]))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    user("loading %s" % told["file"], lambda: spec.loader.exec_module(module))
    return module


def processor_of(module, told):
    """Instance or, where coffea allows it, function; classes are called without arguments."""
    file, name = told["file"], told["name"]
    if not hasattr(module, name):
        names = [one for one in vars(module) if not one.startswith("_")]
        text = '%s has no "%s"%s' % (file, name, meant(name, names))
        raise Failure("processor", text)
    found = getattr(module, name)
    if isinstance(found, type):
        found = user("%s()" % name, found)
    base = needed("coffea.processor").ProcessorABC
    if isinstance(found, base):
        return found
    if not version_0() and callable(found):
        return found
    text = "%s of %s is no processor of coffea: it must be a subclass of ProcessorABC, it is %s"
    raise Failure("processor", text % (name, file, type(found).__name__))


def version_0():
    return needed("coffea").__version__.startswith("0.")


def schema_of(module, name):
    if name is None:
        import dataclasses

        runner = needed("coffea.processor.executor").Runner
        return {one.name: one.default for one in dataclasses.fields(runner)}["schema"]
    nanoevents = needed("coffea.nanoevents")
    base = nanoevents.BaseSchema
    for where in (module, nanoevents, getattr(nanoevents, "schemas", None)):
        found = getattr(where, name, None)
        if isinstance(found, type) and issubclass(found, base):
            return found
    known = [
        one
        for one, value in vars(nanoevents).items()
        if isinstance(value, type) and issubclass(value, base)
    ]
    text = 'There is no schema "%s" in coffea.nanoevents%s: it has %s'
    raise Failure("processor", text % (name, meant(name, known), ", ".join(sorted(known))))


def user(doing, call):
    """The one door to the user's code, and what it reads through coffea."""
    try:
        return call()
    except Failure:
        raise
    except ImportError as error:
        raise Failure("processor", "Failed in %s: %s" % (doing, missing(error)), cause=error)
    except BaseException as error:
        if of_the_file(error):
            text = "Cannot read its events: %s" % words_of(error)
            raise Failure("data", text, fault="corrupt", cause=error)
        raise Failure("processor", "Failed in %s: %s" % (doing, words_of(error)), cause=error)


# The data


def opened(job):
    uproot = needed("uproot")
    try:
        return uproot.open({job["open"]: None})
    except ImportError as error:
        raise Failure("internal", missing(error), cause=error)
    except OSError as error:
        raise unreadable(job, "unreachable", error)
    except Exception as error:
        size = os.path.getsize(job["open"]) if os.path.exists(job["open"]) else None
        text = str(error)
        fault = "not-root" if "ROOT file" in text or size == 0 else "truncated"
        raise unreadable(job, fault, error)


def tree_of(job, file):
    try:
        return file[job["tree"]]
    except KeyError:
        trees = [
            key.split(";")[0]
            for key, name in file.classnames().items()
            if name.startswith(("TTree", "ROOT::RNTuple", "ROOT::Experimental::RNTuple"))
        ]
        text = '%s has no tree "%s"%s' % (job["file"], job["tree"], meant(job["tree"], trees))
        raise Failure("data", text, fault="no-tree")
    except Exception as error:
        raise unreadable(job, "corrupt", error)


def unreadable(job, fault, error):
    return Failure("data", "Cannot read %s: %s" % (job["file"], words_of(error)), fault=fault)


def uuid_of(file):
    import uuid

    raw = file.file.fUUID
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else ""


def events_of(job, file, schema):
    """The chunk, with the metadata that coffea's Runner gives."""
    import inspect

    metadata = {
        "dataset": job["dataset"],
        "filename": job["file"],
        "treename": job["tree"],
        "entrystart": job["start"],
        "entrystop": job["stop"],
        "fileuuid": job["uuid"],
    }
    metadata.update(job["metadata"])
    factory = needed("coffea.nanoevents").NanoEventsFactory
    options = {
        "treepath": job["tree"],
        "entry_start": job["start"],
        "entry_stop": job["stop"],
        "schemaclass": schema,
        "metadata": metadata,
    }
    if "mode" in inspect.signature(factory.from_root).parameters:
        options["mode"] = "virtual"
    return user("making NanoEvents", lambda: factory.from_root(file, **options).events())


def of_the_file(error):
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        wrong = isinstance(error, (KeyError, AttributeError, TypeError, NameError))
        if frames and not wrong and any(one in frames[-1].filename for one in READERS):
            return True
        error = error.__cause__ or error.__context__
    return False


# Partial results


def packed(value, by):
    return needed("lz4.frame").compress(pickled(value, by))


def pickled(value, by):
    dumps = needed("cloudpickle").dumps
    try:
        return dumps(value)
    except Exception as error:
        path, why = unpicklable(value, dumps, error)
        text = "%s returned what cannot be pickled%s: %s"
        raise Failure("processor", text % (by, path and ", at %s" % path, words_of(why)))


def unpicklable(value, dumps, error):
    """The innermost part that is to blame, as far as mappings lead to it."""
    from collections.abc import Mapping

    if isinstance(value, Mapping):
        for key, one in value.items():
            try:
                dumps(one)
            except Exception as inner:
                path, why = unpicklable(one, dumps, inner)
                return "[%r]%s" % (key, path), why
    return "", error


def unpacked(name):
    try:
        with open(name, "rb") as file:
            return needed("cloudpickle").loads(needed("lz4.frame").decompress(file.read()))
    except Failure:
        raise
    except ImportError as error:
        raise Failure("processor", missing(error), cause=error)
    except Exception as error:
        text = "Cannot read the partial result %s: %s" % (name, words_of(error))
        raise Failure("internal", text, cause=error)


# JSON of accumulators (core/accumulator/json.ts)


def in_json(value, path, left_out):
    """What has no form there is named in left_out, and left out."""
    import numbers
    from collections.abc import Mapping, Set

    numpy = needed("numpy")
    if value is None:
        return None
    if isinstance(value, (bool, numpy.bool_)):
        return int(value)
    if isinstance(value, numbers.Integral):
        return integer(int(value))
    if isinstance(value, (numbers.Real, numpy.floating)):
        return real(float(value))
    if hasattr(value, "to_hist") and type(value).__module__.startswith("coffea."):
        value = value.to_hist()
    if is_histogram(value):
        from boost_histogram.serialization import to_uhi

        try:
            return listed(to_uhi(value))
        except Exception as error:
            left_out.append("%s: %s" % (path, words_of(error)))
            return None
    if type(value).__module__.startswith("coffea.") and hasattr(value, "value"):
        return in_json(value.value, path, left_out)
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "iufb" and value.ndim > 0:
        return array(numpy, value)
    if isinstance(value, Mapping):
        return mapping(value, path, left_out)
    if isinstance(value, Set) and all(isinstance(one, (str, numbers.Real)) for one in value):
        members = sorted(value, key=lambda one: (isinstance(one, str), one))
        return {"$set": [one if isinstance(one, str) else number(one) for one in members]}
    if isinstance(value, (list, tuple)):
        return [
            one
            if isinstance(one, (str, bool))
            else in_json(one, "%s[%d]" % (path, i), left_out)
            for i, one in enumerate(value)
        ]
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else "%s.%s" % (
        kind.__module__,
        kind.__name__,
    )
    left_out.append("%s is %s" % (path or "the result", name))
    return None


def mapping(value, path, left_out):
    told = {}
    for key, one in value.items():
        inner = "%s[%r]" % (path, key)
        if not isinstance(key, (str, int)):
            left_out.append("%s has a key that is %s" % (inner, type(key).__name__))
            continue
        before = len(left_out)
        plain = in_json(one, inner, left_out)
        if plain is not None or len(left_out) == before:
            name = str(key)
            escaped = name.startswith("$") or name == "uhi_schema"
            told["$" + name if escaped else name] = plain
    return told


def is_histogram(value):
    import boost_histogram

    return isinstance(value, boost_histogram.Histogram)


def array(numpy, value):
    if value.ndim > 1:
        return [array(numpy, row) for row in value]
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind == "b":
        return {"$typed": "Uint8Array", "values": value.astype(int).tolist()}
    if kind == "f":
        narrow = size <= 4
        name = "Float32Array" if narrow else "Float64Array"
        return {"$typed": name, "values": [real(one) for one in value.astype(float).tolist()]}
    big = "Big" if size == 8 else ""
    name = "%s%s%dArray" % (big, "Int" if kind == "i" else "Uint", 8 * size)
    values = value.tolist()
    return {"$typed": name, "values": [str(one) for one in values] if big else values}


def number(value):
    return integer(value) if isinstance(value, int) else real(float(value))


def integer(value):
    return value if -UNSAFE_INTEGER < value < UNSAFE_INTEGER else {"$bigint": str(value)}


def real(value):
    if value != value:
        return {"$number": "NaN"}
    if value in (float("inf"), float("-inf")):
        return {"$number": "Infinity" if value > 0 else "-Infinity"}
    return {"$number": "-0"} if value == 0 and str(value) == "-0.0" else value


def listed(value):
    """The arrays of a UHI histogram as lists."""
    if isinstance(value, dict):
        return {key: listed(one) for key, one in value.items() if key != "writer_info" or one}
    if hasattr(value, "tolist"):
        return listed(value.tolist())
    if isinstance(value, (list, tuple)):
        return [listed(one) for one in value]
    return real(value) if isinstance(value, float) else value


# What is said


def needed(name):
    """A module that coffea brings along."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Failure("processor", missing(error), cause=error)


def missing(error):
    """Of an ImportError: what is missing, and what is there."""
    name = getattr(error, "name", None)
    what = 'there is no module "%s"' % name if name and not getattr(error, "path", None) else ""
    found = []
    try:
        from importlib.metadata import version

        for one in PACKAGES:
            try:
                found.append("%s %s" % (one, version(one)))
            except Exception:
                pass
    except ImportError:
        pass
    return "%s in the Python of the worker: %s (%s) has %s" % (
        what or words_of(error),
        sys.executable,
        sys.version.split()[0],
        ", ".join(found) or "none of " + ", ".join(PACKAGES),
    )


def meant(name, names):
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    return ': did you mean "%s"?' % near[0] if near else ""


def words_of(error):
    """`ValueError: no muons`, the first paragraph of it."""
    text = str(error).strip().split("\n\n")[0]
    return "%s: %s" % (type(error).__name__, text) if text else type(error).__name__


def stack_of(error):
    """The traceback, without the frames of this file that lead to it."""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None and is_ours(tb.tb_frame):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb)).rstrip() + "\n"


def is_ours(frame):
    file = frame.f_code.co_filename
    return os.path.abspath(file) == os.path.abspath(__file__) or file.startswith("<frozen importlib")


def write(name, data):
    """Whole or not at all."""
    part = name + ".part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, name)
    except OSError as error:
        import errno

        if os.path.exists(part):
            os.unlink(part)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = (
            "No space left in the sandbox: cannot write %s (%d bytes). Ask for more with "
            '"resources: {disk: ...}", or free some on the worker\'s disk'
        )
        raise Failure("sandbox", text % (name, len(data)))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of libraries that read from afar do not always end by themselves.
    os._exit(code)

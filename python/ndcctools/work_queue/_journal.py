"""What makes a task the same as one of an earlier run of the program, for the manager's journal.

Pickles of the same value differ from run to run: classes of the program bear random ids, sets are
in the order of this process's hashes, and code knows the file and line where it stood. So pickles
are compared by what they say, which is found without importing or calling anything.
"""
import hashlib
import importlib
import io
import os
import pickle
import re

from ._constants import WORK_QUEUE_BUFFER, WORK_QUEUE_FILE

VARIABLE = "WQX_JOURNAL"

# Larger ones are compared byte by byte; bytes.
_PICKLE_BYTES_MAX = 4 * 1024 * 1024
# Of functions that are sent over and over, so many digests are remembered.
_DIGESTS_MAX = 1000
# Of names of files that a task mentions.
_FILES_MAX = 100
_PATH_CHARS_MAX = 1024

_digests = {}


def folder_of(given):
    """Where results are kept: as given, or of the variable; None: nowhere."""
    given = given or os.environ.get(VARIABLE)
    return os.path.abspath(given) if given else None


def said_of(task):
    """The option `journal` of a task; False: no result of an earlier one would do for it."""
    said = getattr(task, "_wq_journal", None)
    if said is None:
        said = _of_coffea(task)
    if said is False:
        return False
    files = set((said or {}).get("files", ()))
    inputs = []
    for kind, source, _, _, _, _ in task._wq_inputs:
        digest, named = _digest_of(kind, source)
        inputs.append(digest)
        files.update(named)
    told = dict(said or {}, files=sorted(files)[:_FILES_MAX])
    if any(inputs):
        told["inputs"] = inputs
    return told


def _of_coffea(task):
    """Of coffea 0.7's own tasks: their commands may name a folder by this process's id."""
    if type(task).__module__ != "coffea.processor.work_queue_tools":
        return None
    # What is in a file elsewhere, nothing here would tell.
    if "://" in getattr(getattr(task, "item", None), "filename", "") and hasattr(task, "category"):
        if task.category == "preprocessing":
            return False
    own = "-env-%d " % os.getpid()
    return {"command": task.command.replace(own, "-env ")} if own in task.command else None


def _digest_of(kind, source):
    """Of an input that is a pickle, with the names of files in it; else None and no names."""
    if kind == WORK_QUEUE_BUFFER:
        data = bytes(source)
    elif kind == WORK_QUEUE_FILE:
        data = _small_file(source)
    else:
        data = b""
    if not data:
        return None, ()
    key = hashlib.sha256(data).digest()
    if key not in _digests:
        if len(_digests) >= _DIGESTS_MAX:
            _digests.clear()
        _digests[key] = digest_of_pickle(data)
    return _digests[key]


def _small_file(path):
    try:
        with open(path, "rb") as file:
            if file.read(1) != b"\x80" or os.fstat(file.fileno()).st_size > _PICKLE_BYTES_MAX:
                return b""
            return b"\x80" + file.read()
    except OSError:
        return b""


def digest_of_pickle(data):
    """The same for pickles that say the same, and the absolute paths in them.

    (None, ()) for what is no pickle, or one that is not understood.
    """
    if data[:1] != b"\x80" or data[-1:] != b"." or len(data) > _PICKLE_BYTES_MAX:
        return None, ()
    try:
        said = _Reader(io.BytesIO(data)).load()
        telling = _Telling()
        telling.tell(said)
    except Exception:
        return None, ()
    return "pickle " + telling.hash.hexdigest(), tuple(telling.paths)


def _decompressed(data):
    """What is in an LZ4 frame; other bytes as they are."""
    if data[:4] != b"\x04\"M\x18":
        return data
    try:
        import lz4.frame

        return lz4.frame.decompress(data)
    except Exception:
        return data


class _Said:
    """What a pickle says of an object: which callable makes it of what, and what is put into it."""

    named = ("", "of a class that the pickle makes")

    def __new__(cls, *args, **kwargs):
        if not isinstance(cls, type):
            return _Said(cls, *args, **kwargs)
        made = object.__new__(cls)
        made.said = [("made", args, kwargs)]
        return made

    def __call__(self, *args, **kwargs):
        return _Said(self, *args, **kwargs)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        self.said.append(("state", state))

    def __setitem__(self, key, value):
        self.said.append(("item", key, value))

    def append(self, value):
        self.said.append(("append", value))

    def extend(self, values):
        self.said.append(("extend", list(values)))

    add = append


class _Reader(pickle._Unpickler):
    """Reads without importing: a callable is a class that knows its own name."""

    def find_class(self, module, name):
        if name == "_builtin_type":
            return lambda name: self.find_class("types", name)
        made = type("Said", (_Said,), {"named": (module, name)})
        if name in ("_class_setstate", "_function_setstate"):
            # Called for what it does to its first argument; what it returns is dropped.
            return lambda about, state: about.said.append((name, state))
        return made


class _Telling:
    def __init__(self):
        self.hash = hashlib.sha256()
        self.seen = {}
        self.paths = set()

    def put(self, *words):
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self.hash.update(b"%d:" % len(data))
            self.hash.update(data)

    def tell(self, value):
        kind = type(value)
        if kind in (type(None), bool, int, float, complex):
            self.put(kind.__name__, repr(value))
        elif kind is str:
            self.put("str", value)
            if value[:1] == "/" and len(value) < _PATH_CHARS_MAX and "\0" not in value:
                self.paths.add(os.path.normpath(value))
        elif kind in (bytes, bytearray):
            # Coffea sends processors as pickles within the pickle.
            digest, paths = digest_of_pickle(_decompressed(bytes(value)))
            self.put(kind.__name__, digest or bytes(value))
            self.paths.update(paths)
        elif isinstance(value, type):
            self.put("global", *value.named)
        elif id(value) in self.seen:
            self.put("again", self.seen[id(value)])
        else:
            self.seen[id(value)] = len(self.seen)
            self.tell_new(kind, value)

    def tell_new(self, kind, value):
        if kind in (list, tuple):
            self.put(kind.__name__, len(value))
            for one in value:
                self.tell(one)
        elif kind is dict:
            # Where in the program it stands counts as little as what else is there.
            places = ("__file__", "__firstlineno__")
            items = [(key, one) for key, one in value.items() if key not in places]
            self.put("dict", len(items))
            for key, one in items:
                self.tell(key)
                self.tell(one)
        elif kind in (set, frozenset):
            self.put(kind.__name__, *sorted(self.apart(one) for one in value))
        else:
            self.put("object", *kind.named)
            for what, *parts in value.said:
                if what == "made":
                    args, keywords = parts
                    parts = (*_stable(kind.named[1], args), keywords)
                self.put(what, len(parts))
                for one in parts:
                    self.tell(one)

    def apart(self, value):
        """The digest of a member of a set, whatever was told before."""
        other = _Telling()
        other.tell(value)
        self.paths |= other.paths
        return other.hash.hexdigest()


def _stable(name, args):
    """Arguments without those that differ from run to run."""
    if name in ("_make_skeleton_class", "_make_skeleton_enum"):
        # The random id under which cloudpickle finds the class again.
        return [one for one in args if not _is_tracker(one)]
    if name == "CodeType":
        # The names of the file and the code, and numbers: file and first line do not count.
        at = next(i for i, one in enumerate(args) if isinstance(one, str))
        line = next(i for i in range(at, len(args)) if isinstance(args[i], int))
        return [one for i, one in enumerate(args) if i not in (at, line)]
    return args


def _is_tracker(one):
    return isinstance(one, str) and re.fullmatch("[0-9a-f]{32}", one) is not None


def track_classes_by_name():
    """Classes of the program get the same ids in cloudpickle in each run.

    A result of an earlier run that holds instances of such a class then finds the class of today.
    """
    try:
        module = importlib.import_module("cloudpickle.cloudpickle")
    except ImportError:
        return  # nothing is sent by it
    original = getattr(module, "_get_or_create_tracker_id", None)
    by_class = getattr(module, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", None)
    by_id = getattr(module, "_DYNAMIC_CLASS_TRACKER_BY_ID", None)
    if original is None or by_class is None or by_id is None or hasattr(original, "_wqx_original"):
        return

    def get_or_create(class_def):
        known = by_class.get(class_def)
        serial = 0
        while known is None:
            name = "%s.%s.%d" % (class_def.__module__, class_def.__qualname__, serial)
            made = hashlib.sha256(name.encode()).hexdigest()[:32]
            if by_id.setdefault(made, class_def) is class_def:
                by_class[class_def] = known = made
            serial += 1
        return known

    get_or_create._wqx_original = original
    module._get_or_create_tracker_id = get_or_create

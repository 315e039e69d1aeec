"""Imports every top-level module of this Python's site-packages, each in a process of its own.

Prints a line of JSON for each: its name, and null or what its import came to.
"""
import importlib
import json
import os
import re
import signal
import sys

seconds_max = 120
original = sys.argv[1] if len(sys.argv) > 1 else None


def modules(folder):
    found = set()
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        whole = re.match(r"([A-Za-z]\w*)(\.py|\.abi3\.so|\.cpython-.*\.so|\.so)?$", name)
        if whole is None:
            continue
        is_file = whole.group(2) is not None
        if is_file or os.path.isfile(os.path.join(path, "__init__.py")):
            found.add(whole.group(1))
    return sorted(found)


def mapped_from(prefix):
    """Files in memory that are not of this environment but of the one it was made from."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(None, 5)[5].strip() for line in maps if line.count("/")}
    except OSError:
        paths = set()
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths.update(file for file in files if file)
    return sorted(path for path in paths if path.startswith(prefix + "/"))


def outcome(name):
    signal.alarm(seconds_max)
    try:
        importlib.import_module(name)
    except BaseException as error:  # also SystemExit: some modules end the program
        last = str(error).strip().split("\n")[-1]
        return "%s: %s" % (type(error).__name__, last)
    used = mapped_from(original) if original else []
    return "it uses %s of the original" % used[0] if used else None


def checked(name):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        os.write(writing, json.dumps(outcome(name)).encode()[:60000])
        os._exit(0)
    os.close(writing)
    told = b""
    while True:
        piece = os.read(reading, 65536)
        if not piece:
            break
        told += piece
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    if told:
        return json.loads(told.decode())
    number = status & 0x7F
    if number == signal.SIGALRM:
        return "not imported within %d s" % seconds_max
    return "it ends Python" + (" by signal %d" % number if number else "")


inside = os.path.join(os.path.realpath(sys.prefix), "")
for folder in sys.path:
    is_of_packages = os.path.basename(folder) in ("site-packages", "dist-packages")
    if is_of_packages and os.path.realpath(folder).startswith(inside):
        for name in modules(folder):
            print(json.dumps([name, checked(name)]), flush=True)

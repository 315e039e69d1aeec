#!/usr/bin/env python
"""Gives the files of an unpacked environment the path of the folder that they are in.

Run it once after unpacking or moving; more often does no harm. Needs Python only.
"""
from __future__ import print_function

import argparse
import io
import json
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile

version = "@VERSION@"
# Longest first line of a script that every kernel takes.
first_line_max = 127


def replace_text(data, old, new):
    out = data.replace(old, new)
    if not out.startswith(b"#!") or out == data:
        return out
    line, newline, rest = out.partition(b"\n")
    if len(line) <= first_line_max and b" " not in new:
        return out
    if old not in data.partition(b"\n")[0]:
        return out
    match = re.match(b"#![ \t]*(" + re.escape(new) + b"[^ \t\r]*)(.*)$", line, re.S)
    if match is None:
        return out
    program, options = match.groups()
    name = program.rsplit(b"/", 1)[-1]
    if name.startswith(b"python"):
        line = b"#!/bin/sh\n'''exec' \"" + program + b'"' + options + b" \"$0\" \"$@\" #'''"
    else:
        line = b"#!/usr/bin/env " + (b"-S " if options.strip() else b"") + name + options
    return line + newline + rest


def replace_binary(data, old, new):
    def padded(match):
        text = match.group()
        out = text.replace(old, new)
        return out + b"\0" * (len(text) - len(out))

    return re.sub(re.escape(old) + b"[^\0]*", padded, data)


def write_in_place_of(path, data):
    """By another file that takes its name, so that a running program is not disturbed."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".unpack-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(partial, mode)
        os.rename(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def sign_again(path):
    """Macs with their own processor run no program whose signature does not fit."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        subprocess.call(["/usr/bin/codesign", "--force", "--sign", "-", path])


def read_replacements(prefix):
    path = os.path.join(prefix, "conda-meta", "wqx-relocate.json")
    try:
        with io.open(path, encoding="utf-8") as file:
            whole = json.load(file)
    except (IOError, OSError, ValueError) as error:
        raise SystemExit("conda-unpack: cannot read %s: %s" % (path, error))
    if whole.get("version") != 1:
        raise SystemExit("conda-unpack: %s is of another version than this script" % path)
    return whole["replacements"]


def main():
    parser = argparse.ArgumentParser(
        prog="conda-unpack",
        description="Finish unpacking: write the path of this folder into the files that need it.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every file changed")
    options = parser.parse_args()
    if options.version:
        print("conda-unpack %s" % version)
        return
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    encode = getattr(os, "fsencode", lambda path: path)  # Python 2: bytes already
    new = encode(prefix)
    replacements = read_replacements(prefix)
    # All that can be known is checked before the first file is changed.
    for group in replacements:
        room = len(group["placeholder"].encode("utf-8"))
        if group["mode"] == "binary" and len(new) > room:
            raise SystemExit(
                "conda-unpack: %s has %d characters, and compiled files such as %s have room for %d:"
                " unpack into a folder with a shorter path"
                % (prefix, len(new), group["paths"][0], room)
            )
    for group in replacements:
        old = group["placeholder"].encode("utf-8")
        replace = replace_binary if group["mode"] == "binary" else replace_text
        for path in group["paths"]:
            whole_path = os.path.join(prefix, path)
            try:
                with open(whole_path, "rb") as file:
                    data = file.read()
                changed = replace(data, old, new)
                if changed == data:
                    continue
                write_in_place_of(whole_path, changed)
            except (IOError, OSError) as error:
                raise SystemExit("conda-unpack: cannot relocate %s: %s" % (path, error))
            if group["mode"] == "binary":
                sign_again(whole_path)
            if options.verbose:
                print("%s: %s" % (group["mode"], path))


if __name__ == "__main__":
    main()

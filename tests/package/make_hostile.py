"""Writes packages that nobody should install, one for each way of doing harm.

    python make_hostile.py FOLDER
"""

import bz2
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

from backports import zstd

INDEX = {"name": "bad", "version": "1", "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64"}


def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                member.type, member.linkname = content
                archive.addfile(member)
            else:
                data = content if isinstance(content, bytes) else content.encode()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def info(paths, **more):
    entries = [p if isinstance(p, dict) else {"_path": p, "path_type": "hardlink"} for p in paths]
    files = {"index.json": INDEX, "paths.json": {"paths": entries, "paths_version": 1}, **more}
    return [(f"info/{name}", json.dumps(value)) for name, value in files.items()]


def old(folder, name, members):
    (folder / f"{name}-1-0.tar.bz2").write_bytes(bz2.compress(tar(members)))


def new(folder, name, payload, about, frames=1, method=zipfile.ZIP_STORED):
    def packed(data):
        size = -(-len(data) // frames)
        return b"".join(zstd.compress(data[i:i + size]) for i in range(0, len(data), size))

    with zipfile.ZipFile(folder / f"{name}-1-0.conda", "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        archive.writestr(f"pkg-{name}-1-0.tar.zst", packed(payload))
        archive.writestr(f"info-{name}-1-0.tar.zst", packed(tar(about)))


def main(folder):
    folder.mkdir()
    good = [("share/a.txt", "a\n")]
    old(folder, "parent", [("../../escaped.txt", "x"), *info(["share/a.txt"])])
    old(folder, "absolute", [("/tmp/wqx-escaped.txt", "x"), *info(["share/a.txt"])])
    old(folder, "device", [("dev/null", (tarfile.CHRTYPE, "")), *info([])])
    old(folder, "link", [("out", (tarfile.SYMTYPE, "/tmp")), ("out/escaped.txt", "x"), *info([])])
    old(folder, "hardlink", [("passwd", (tarfile.LNKTYPE, "/etc/passwd")), *info(["passwd"])])
    old(folder, "listed", [*good, *info(["share/a.txt", "../escaped.txt"])])
    old(folder, "missing", [*good, *info(["share/a.txt", "share/b.txt"])])
    sized = {"_path": "share/a.txt", "path_type": "hardlink", "size_in_bytes": 7}
    old(folder, "size", [*good, *info([sized])])
    hashed = {"_path": "share/a.txt", "path_type": "hardlink", "sha256": "00" * 32}
    old(folder, "hash", [*good, *info([hashed])])
    old(folder, "empty", [("readme", "no package")])
    points = {"noarch": {"type": "python", "entry_points": ["../../escaped = a:b"]}}
    old(folder, "entry", [*good, *info(["share/a.txt"], **{"link.json": points})])
    (folder / "text-1-0.tar.bz2").write_text("this is no archive")
    (folder / "text-1-0.conda").write_text("this is no archive")
    new(folder, "bomb", tar([("zeros", bytes(300 * 1024**2))]), info(["zeros"]))
    new(folder, "deflated", tar(good), info(["share/a.txt"]), method=zipfile.ZIP_DEFLATED)
    # Unusual, but whole: several frames one after the other.
    new(folder, "frames", tar(good), info(["share/a.txt"]), frames=3)
    # Links that are harmless, each in its package, and lead out together.
    old(folder, "first", [("a/b/d", (tarfile.SYMTYPE, "../..")),
                          *info([{"_path": "a/b/d", "path_type": "softlink"}])])
    old(folder, "second", [("a/b/x", (tarfile.SYMTYPE, "d/e/../../../..")),
                           *info([{"_path": "a/b/x", "path_type": "softlink"}])])
    old(folder, "third", [("a/b/x/escaped.txt", "x"), *info(["a/b/x/escaped.txt"])])
    old(folder, "folder", [("share/a.txt/b", "x"), *info(["share/a.txt/b"])])
    old(folder, "file", [*good, *info(["share/a.txt"])])


main(Path(sys.argv[1]))

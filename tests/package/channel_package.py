"""Writes one conda package of what is described, in either format, with the metadata of conda's docs."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from conda_package_handling import api

# As long as those that conda's own builds have.
PLACEHOLDER = ("/build/made_here/" + "_h_env_placehold" * 20)[:255]
# What old packages mean by a bare path in has_prefix; in parts, so that no file holds it.
OLD_PLACEHOLDER = "".join(["/opt/", "anaconda1", "anaconda2", "anaconda3"])


@dataclass
class Link:
    """A symbolic link."""

    target: str


@dataclass
class Script:
    """A text file that may be executed."""

    text: str


@dataclass
class Package:
    """`files`: path to text, bytes, Link, Script, or the Path of a file to copy."""

    name: str
    version: str
    files: dict
    build: str = "0"
    subdir: str = "linux-64"
    depends: list = field(default_factory=list)
    constrains: list = field(default_factory=list)
    noarch: str | None = None
    entry_points: list = field(default_factory=list)
    # Paths with a placeholder, to "text", "binary", or (old) "bare": text with the old placeholder.
    prefix: dict = field(default_factory=dict)
    no_link: list = field(default_factory=list)
    extension: str = ".conda"
    # With info/files and info/has_prefix in place of info/paths.json.
    old: bool = False
    index: dict = field(default_factory=dict)

    @property
    def stem(self):
        return f"{self.name}-{self.version}-{self.build}"


def write(package: Package, channel: Path) -> Path:
    """The archive, in the channel's folder of the package's platform."""
    folder = channel / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        paths = [_place(package, stage, path, what) for path, what in sorted(package.files.items())]
        info = stage / "info"
        info.mkdir()
        _json(info / "index.json", _index(package))
        _json(info / "about.json", {})
        if package.noarch == "python":
            link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
            if package.entry_points:
                link["noarch"]["entry_points"] = package.entry_points
            _json(info / "link.json", link)
        (info / "files").write_text("".join(f"{p['_path']}\n" for p in paths))
        if package.old:
            rows = [
                path if mode == "bare" else f"{PLACEHOLDER} {mode} {path}"
                for path, mode in package.prefix.items()
            ]
            (info / "has_prefix").write_text("".join(f"{row}\n" for row in rows))
            (info / "no_link").write_text("".join(f"{path}\n" for path in package.no_link))
        else:
            _json(info / "paths.json", {"paths": paths, "paths_version": 1})
        more = {"compression_level": 3} if package.extension == ".conda" else {}
        api.create(str(stage), None, f"{package.stem}{package.extension}", str(folder), **more)
    return folder / f"{package.stem}{package.extension}"


def _index(package):
    arch, platform = None, None
    if package.subdir != "noarch":
        platform, arch = package.subdir.split("-")
        arch = "x86_64" if arch == "64" else arch
    index = {
        "arch": arch,
        "build": package.build,
        "build_number": int(package.build) if package.build.isdigit() else 0,
        "depends": package.depends,
        "license": "BSD-3-Clause",
        "name": package.name,
        "platform": platform,
        "subdir": package.subdir,
        "timestamp": 1700000000000,
        "version": package.version,
        **package.index,
    }
    if package.constrains:
        index["constrains"] = package.constrains
    if package.noarch:
        index["noarch"] = package.noarch
    return index


def _place(package, stage, path, what):
    """One file of the package, and its entry in paths.json."""
    target = stage / path
    target.parent.mkdir(parents=True, exist_ok=True)
    entry = {"_path": path, "path_type": "hardlink"}
    if isinstance(what, Link):
        target.symlink_to(what.target)
        entry["path_type"] = "softlink"
    elif isinstance(what, Path):
        shutil.copyfile(what, target)
        target.chmod(0o755 if os.access(what, os.X_OK) else 0o644)
    elif isinstance(what, bytes):
        target.write_bytes(what)
    else:
        text = what.text if isinstance(what, Script) else what
        target.write_text(text)
        target.chmod(0o755 if isinstance(what, Script) else 0o644)
    if path in package.prefix:
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = package.prefix[path]
    if path in package.no_link:
        entry["no_link"] = True
    data = b"" if isinstance(what, Link) else target.read_bytes()
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    entry["size_in_bytes"] = len(data)
    return entry


def _json(path, value):
    path.write_text(json.dumps(value, indent=1, sort_keys=True))

"""Makes the channels that the tests of packages install from, with the tools that make real ones.

    python make_channel.py FOLDER

FOLDER gets `main` and `second` (channels) and `wheels` (a folder for `pip --find-links`). The
package `python` is made of the interpreter that runs this.
"""

import asyncio
import base64
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

from channel_package import OLD_PLACEHOLDER, PLACEHOLDER, Link, Package, Script, write
from conda_package_handling import api as cph
from rattler.index import index_fs
from rattler_build import Stage0Recipe, ToolConfiguration

PYTHON = "{}.{}".format(*sys.version_info)
NEXT_PYTHON = "{}.{}".format(sys.version_info[0], sys.version_info[1] + 1)
SITE = f"lib/python{PYTHON}/site-packages"
GLIBC = "__glibc >=2.17,<3.0.a0"


def interpreter():
    """The Python that runs this, its standard library included, as a package of its own."""
    variables = sysconfig.get_config_vars()
    base = Path(sys.base_prefix)
    stage = Path(tempfile.mkdtemp())
    (stage / "bin").mkdir()
    (stage / "lib").mkdir()
    program = stage / f"bin/python{PYTHON}"
    shutil.copy(Path(os.path.realpath(sys._base_executable)), program)
    for name in ("python", "python3"):
        (stage / "bin" / name).symlink_to(f"python{PYTHON}")
    shared = variables.get("LDLIBRARY") or ""
    for library in sorted(Path(variables["LIBDIR"]).glob(f"{shared}*")) if ".so" in shared else []:
        shutil.copy(library, stage / "lib", follow_symlinks=False)
    left_out = shutil.ignore_patterns(
        "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
        "config-*", "site-packages", "dist-packages", "EXTERNALLY-MANAGED", "_distutils_system_mod.py",
    )
    library = stage / f"lib/python{PYTHON}"
    stdlib = base / f"lib/python{PYTHON}"
    shutil.copytree(stdlib, library, symlinks=True, ignore=left_out)
    _as_upstream(library)
    prefix = {}
    for data in library.glob("_sysconfigdata*.py"):
        if not data.is_symlink():
            text = re.sub(rf"{re.escape(str(base))}(?=['\"/ :])", lambda _: PLACEHOLDER, data.read_text())
            data.write_text(text)
            prefix[str(data.relative_to(stage))] = "text"
    programs = [path for path in stage.rglob("*") if _is_elf(path)]
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", *map(str, programs)], check=True)
    if shared.endswith(".so"):
        _patchelf("--set-rpath", "$ORIGIN/../lib", str(program))
    files = {}
    for path in stage.rglob("*"):
        name = str(path.relative_to(stage))
        if path.is_symlink():
            files[name] = Link(os.readlink(path))
        elif path.is_file():
            files[name] = path
    return Package(
        "python", platform.python_version().rstrip("+"), files, build="0_cpython", depends=[GLIBC],
        prefix=prefix, index={"python_site_packages_path": SITE},
    )


def _as_upstream(library):
    """Debian's Python has folders of its own for packages; taken back."""
    schemes = library / "sysconfig.py"
    if "posix_local" not in schemes.read_text():
        return
    pattern = r"(LAYOUT', |prefix_scheme = )'posix_local'"
    schemes.write_text(re.sub(pattern, r"\1'posix_prefix'", schemes.read_text()))
    # Not in site.py: the interpreter has a frozen copy of that.
    custom = library / "sitecustomize.py"
    custom.unlink(missing_ok=True)
    custom.write_text(
        f"import site, sys\nsite.addsitedir(f'{{sys.prefix}}/{SITE}')\n"
        f"site.getsitepackages = lambda prefixes=None: [f'{{sys.prefix}}/{SITE}']\n"
    )


def _is_elf(path):
    return path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF"


def _patchelf(*args):
    subprocess.run([str(Path(sys.executable).parent / "patchelf"), *args], check=True)


def installed(name):
    """What is installed here under this name: path within site-packages → file, and its entry points."""
    dist = importlib.metadata.distribution(name)
    files = {
        str(file): Path(dist.locate_file(file))
        for file in dist.files or []
        if ".." not in file.parts and "__pycache__" not in file.parts and "tests" not in file.parts
        and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json")
    }
    points = [f"{p.name} = {p.value}" for p in dist.entry_points if p.group == "console_scripts"]
    return dist.version, files, points


def noarch_of(name, depends):
    version, files, points = installed(name)
    files = {f"site-packages/{path}": source for path, source in files.items()}
    return Package(
        name, version, files, build="pyhd8ed1ab_0", subdir="noarch", noarch="python",
        depends=["python >=3.9", *depends], entry_points=points,
    )


def numpy():
    version, files, points = installed("numpy")
    scripts = {
        f"bin/{point.split(' = ')[0]}": Script(
            f"#!{PLACEHOLDER}/bin/python\nimport sys\nfrom {point.split(' = ')[1].replace(':', ' import ')}"
            f"\nsys.exit({point.rsplit(':', 1)[1]}())\n"
        )
        for point in points
    }
    return Package(
        "numpy", version, {f"{SITE}/{path}": source for path, source in files.items()} | scripts,
        build=f"py{PYTHON.replace('.', '')}_0", prefix=dict.fromkeys(scripts, "text"),
        depends=[f"python >={PYTHON},<{NEXT_PYTHON}.0a0", GLIBC],
    )


def wheel(folder, name, version, files, points=(), requires=()):
    """A wheel, as PEP 427 has it."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = files | {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if points:
        files[f"{info}/entry_points.txt"] = "[console_scripts]\n" + "".join(f"{p}\n" for p in points)
    return _zip_wheel(folder, f"{name}-{version}", info, files)


def wheel_of(folder, name):
    """The wheel that something installed here came from."""
    version, files, _ = installed(name)
    info = next(path for path in files if path.endswith(".dist-info/METADATA")).split("/")[0]
    content = {p: f.read_bytes() for p, f in files.items() if not p.endswith("/RECORD")}
    return _zip_wheel(folder, f"{name}-{version}", info, content)


def _zip_wheel(folder, stem, info, files):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            data = content.encode() if isinstance(content, str) else content
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.writerow([name, f"sha256={digest}", len(data)])
        rows.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(f"{info}/RECORD", record.getvalue())
    return path


def sdist(folder, name, version):
    """A source archive that setuptools builds."""
    files = {
        "pyproject.toml": f"""[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "{version}"
[tool.setuptools]
py-modules = ["{name}"]
""",
        f"{name}.py": f"VERSION = '{version}'\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def small_packages():
    """Each for something that a solver or an installer has to get right."""

    def library(version, build="0", subdir="linux-64", **more):
        text = f"hepmath {version}\n"
        return Package(
            "hepmath", version, {"share/hepmath/version.txt": text}, build, subdir, **more,
        )

    yield library("1.0", extension=".tar.bz2", old=True)
    yield library("1.5", depends=[GLIBC])
    yield library("1.5", build="1", depends=[GLIBC])
    yield library("2.0", depends=["__glibc >=2.99"])
    for subdir in ("linux-aarch64", "osx-arm64", "osx-64"):
        yield library("1.5", subdir=subdir)
        files = {f"bin/python{PYTHON}": Script("#!/bin/sh\n"), "bin/python": Link(f"python{PYTHON}")}
        version = platform.python_version().rstrip("+")
        yield Package("python", version, files, build="0_cpython", subdir=subdir)
    yield Package("plotter", "1.0", {"share/plotter.txt": "1\n"}, depends=["hepmath >=1.5"])
    yield Package("oldfit", "1.0", {"share/oldfit.txt": "1\n"}, depends=["hepmath <1.2"])
    yield Package("limiter", "1.0", {"share/limiter.txt": "1\n"}, constrains=["hepmath <1.5"])
    yield Package("gpufit", "1.0", {"share/gpufit.txt": "1\n"}, depends=["__cuda >=11"])
    yield Package("blas", "1.0", {"share/blas.txt": "open\n"}, build="openblas")
    yield Package(
        "blas", "1.1", {"share/blas.txt": "mkl\n"}, build="mkl", index={"track_features": "mkl"}
    )
    yield Package("generic", "1.0", {"share/generic.txt": "g\n"}, subdir="noarch", noarch="generic")
    for owner in ("a", "b"):
        files = {"share/clash.txt": f"of {owner}\n", f"share/clash-{owner}.txt": "own\n"}
        yield Package(f"clash-{owner}", "1.0", files)
    yield Package(
        "postlink", "1.0",
        {"bin/.postlink-post-link.sh": Script('echo "linked $PKG_NAME $PKG_VERSION" >"$PREFIX/linked.txt"\n')},
    )
    yield Package(
        "app", "1.0",
        {
            "site-packages/app/__init__.py": "",
            "site-packages/app/cli.py": "import hepapp_data\n\n\ndef main():\n    print('app', hepapp_data.X)\n",
            "site-packages/hepapp_data.py": "X = 1\n",
            "python-scripts/app-script": Script(f"#!{PLACEHOLDER}/bin/python\nprint('script')\n"),
            "share/app/where.cfg": f"prefix={PLACEHOLDER}\nlib={PLACEHOLDER}/lib\n",
        },
        subdir="noarch", noarch="python", depends=["python >=3.9", "hepmath >=1.0,<2"],
        entry_points=["app = app.cli:main"],
        prefix={"python-scripts/app-script": "text", "share/app/where.cfg": "text"},
    )
    # With bare and full lines in has_prefix, and without paths.json.
    yield Package(
        "oldstyle", "1.0",
        {
            "share/bare.txt": f"{OLD_PLACEHOLDER}/share\n",
            "share/long.bin": f"a\0{PLACEHOLDER}/x\0b".encode(),
            "share/copied.txt": "copied\n",
            "share/link.txt": Link("copied.txt"),
        },
        prefix={"share/bare.txt": "bare", "share/long.bin": "binary"},
        no_link=["share/copied.txt"], extension=".tar.bz2", old=True,
    )


RELO = """
package:
  name: relo
  version: "1.0"
build:
  number: 0
  string: "0"
  dynamic_linking:
    binary_relocation: false
  script:
    - mkdir -p $PREFIX/bin $PREFIX/lib $PREFIX/share/relo $PREFIX/etc/conda/activate.d $PREFIX/etc/conda/deactivate.d
    - printf 'prefix=%s\\nlibs=%s/lib:%s/share\\n' "$PREFIX" "$PREFIX" "$PREFIX" >$PREFIX/share/relo/relo.cfg
    - printf 'A\\0%s/lib:%s/share\\0tail\\0%s/x\\0' "$PREFIX" "$PREFIX" "$PREFIX" >$PREFIX/share/relo/relo.bin
    - printf 'export RELO_HOME=%s/share/relo\\n' "$PREFIX" >$PREFIX/etc/conda/activate.d/relo.sh
    - printf 'unset RELO_HOME\\n' >$PREFIX/etc/conda/deactivate.d/relo.sh
    - printf '#!%s/bin/python -s\\nimport sys\\nprint(sys.prefix, sys.flags.no_user_site)\\n' "$PREFIX" >$PREFIX/bin/relo-script
    - printf '#!%s/bin/relo-where\\n' "$PREFIX" >$PREFIX/bin/relo-chain
    - chmod 755 $PREFIX/bin/relo-script $PREFIX/bin/relo-chain
    - ln -s relo.cfg $PREFIX/share/relo/link.cfg
    - printf 'const char *relo_where(void) { return PREFIX "/share/relo"; }\\n' >relo.c
    - printf '#include <stdio.h>\\nconst char *relo_where(void);\\nint main(void) { return puts(relo_where()) < 0; }\\n' >main.c
    - gcc -shared -fPIC -O0 -DPREFIX="\\"$PREFIX\\"" -o $PREFIX/lib/librelo.so relo.c
    - gcc -o $PREFIX/bin/relo-where main.c -L$PREFIX/lib -lrelo -Wl,-rpath,$PREFIX/lib
"""


def built_by_rattler(recipe, channel):
    """The recipe's package; its placeholders are found by the builder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage0 = Stage0Recipe.from_yaml(recipe, recipe_dir=folder / "recipe")
        for variant in stage0.render():
            result = variant.run_build(
                tool_config=ToolConfiguration(test_strategy="skip"),
                output_dir=folder / "out", channels=[],
            )
            for package in result.packages:
                target = channel / "linux-64"
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(package, target)


def greeter(wheels, channel):
    """Made from a wheel by whl2conda."""
    made = wheel(
        wheels, "greeter", "1.0",
        {"greeter/__init__.py": "def main():\n    print('hello')\n"}, ["greet = greeter:main"],
    )
    subprocess.run(
        [str(Path(sys.executable).parent / "whl2conda"), "convert", str(made), "--batch",
         "--format", "V2", "--out-dir", str(channel / "noarch"), "--ignore-pyproject"],
        check=True,
    )


def main(root):
    channel, second, wheels = root / "main", root / "second", root / "wheels"
    (channel / "noarch").mkdir(parents=True)
    write(interpreter(), channel)
    write(noarch_of("pip", ["setuptools", "wheel"]), channel)
    write(noarch_of("setuptools", []), channel)
    write(noarch_of("wheel", ["packaging"]), channel)
    write(noarch_of("packaging", []), channel)
    write(numpy(), channel)
    for package in small_packages():
        write(package, channel)
    # The same content in the other format: of two equals `.conda` is preferred.
    cph.transmute(str(channel / "linux-64/plotter-1.0-0.conda"), ".tar.bz2", str(channel / "linux-64"))
    for name in ("setuptools", "wheel", "packaging", "pip"):
        wheel_of(wheels, name)
    for version in ("1.0", "2.0"):
        wheel(wheels, "smallpkg", version, {"smallpkg.py": f"VERSION = '{version}'\n"}, ["small = smallpkg:x"])
    wheel(wheels, "hepapp", "1.1", {"app/__init__.py": "FROM = 'pip'\n"})
    sdist(wheels, "srcpkg", "1.0")
    greeter(wheels, channel)
    built_by_rattler(RELO, channel)
    write(Package("hepmath", "9.0", {"share/hepmath/version.txt": "9\n"}), second)
    write(Package("plotter", "2.0", {"share/plotter.txt": "2\n"}, depends=["hepmath"]), second)
    write(Package("onlysecond", "1.0", {"share/only.txt": "1\n"}), second)
    for folder in (channel, second):
        (folder / "noarch").mkdir(exist_ok=True)
        asyncio.run(index_fs(folder, write_zst=True, write_shards=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
    print(json.dumps({"python": platform.python_version()}))
    sys.stdout.flush()
    # py-rattler may crash while the interpreter ends, after all is done.
    os._exit(0)

"""Tells what Python files import, and what is installed for the Python that runs this.

Reads from standard input {"sources": [{"name", "text"}], "scope": "all" | "toplevel" | "function",
"function": name}; writes one object to standard output. Nothing of the user's is imported or run.
"""

import ast
import importlib.metadata
import json
import os
import re
import sys
import sysconfig

MODULE_ENDING = re.compile(r"(\.cpython-[^/]*|\.abi3|\.[a-z0-9_]+-linux-[a-z]+)?\.(py|so|pyd|dylib)$")
CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def module_names(paths):
    """Dotted names, three parts at most, of the modules that these files below sys.path are."""
    names = set()
    for path in paths:
        stem = MODULE_ENDING.sub("", path)
        if stem == path or path.startswith(".."):
            continue
        parts = stem.split("/")
        if parts[-1] == "__init__":
            parts.pop()
        for count in range(1, min(len(parts), 3) + 1):
            if all(part.isidentifier() for part in parts[:count]):
                names.add(".".join(parts[:count]))
    return sorted(names)


def conda_packages():
    folder = os.path.join(sys.prefix, "conda-meta")
    if not os.path.isdir(folder):
        return
    inside = re.compile(r"^lib/python[^/]*/(?:site-packages/)?")
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".json"):
            continue
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            record = json.load(file)
        if not {"name", "version"} <= record.keys():
            continue
        files = record.get("files") or []
        yield {
            "name": record["name"],
            "version": record["version"],
            "build": record.get("build", ""),
            "channel": record.get("channel", ""),
            "modules": module_names(
                inside.sub("", path) for path in files if "site-packages/" in path
            ),
            "metadata": [
                path.split("/")[-2] for path in files if path.endswith("info/METADATA")
            ],
        }


def project_modules(folder):
    """What can be imported of a project that is installed as editable."""
    found = set()
    for root in (folder, os.path.join(folder, "src")):
        for name in os.listdir(root) if os.path.isdir(root) else []:
            path = os.path.join(root, name)
            if os.path.isfile(os.path.join(path, "__init__.py")):
                found.add(name)
            elif name.endswith(".py") and name[:-3].isidentifier() and name != "setup.py":
                found.add(name[:-3])
    return sorted(found)


def distributions(owned):
    """What pip and others of its kind have installed; `owned` are metadata folders of conda's."""
    seen = set()
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        folder = os.path.basename(str(getattr(one, "_path", "")))
        # The first of a name is the one that is imported.
        if not name or folder in owned or name.lower() in seen:
            continue
        seen.add(name.lower())
        direct = json.loads(one.read_text("direct_url.json") or "{}")
        editable = None
        modules = set((one.read_text("top_level.txt") or "").split())
        if direct.get("dir_info", {}).get("editable"):
            editable = re.sub("^file://", "", direct.get("url", ""))
            modules.update(project_modules(editable))
        modules.update(module_names(str(path) for path in one.files or []))
        yield {
            "name": name,
            "version": one.version,
            "modules": sorted(modules),
            "editable": editable,
        }


def standard_modules():
    names = set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))
    folder = sysconfig.get_paths()["stdlib"]
    for place in (folder, os.path.join(folder, "lib-dynload")):
        for name in os.listdir(place) if os.path.isdir(place) else []:
            names.add(name.split(".")[0])
    return sorted(names)


class Imports(ast.NodeVisitor):
    """All imports below a node, and whether the code goes on without them."""

    def __init__(self, source):
        self.source = source
        self.optional = 0
        self.found = []

    def add(self, node, modules, level=0):
        self.found.append(
            {
                "source": self.source,
                "line": node.lineno,
                "modules": modules,
                "relative": level > 0,
                "optional": self.optional > 0,
            }
        )

    def visit_Import(self, node):
        for alias in node.names:
            self.add(node, [alias.name])

    def visit_ImportFrom(self, node):
        base = node.module or ""
        names = [f"{base}.{alias.name}" if base else alias.name for alias in node.names]
        self.add(node, names, node.level)

    def visit_Try(self, node):
        caught = set()
        for handler in node.handlers:
            types = getattr(handler.type, "elts", [handler.type])
            caught.update(getattr(one, "id", "Exception" if one is None else "") for one in types)
        self.optional += bool(caught & CATCHES)
        for child in node.body:
            self.visit(child)
        self.optional -= bool(caught & CATCHES)
        for child in node.handlers + node.orelse + node.finalbody:
            self.visit(child)

    def visit_If(self, node):
        test = getattr(node.test, "id", getattr(node.test, "attr", ""))
        self.optional += test == "TYPE_CHECKING"
        for child in node.body:
            self.visit(child)
        self.optional -= test == "TYPE_CHECKING"
        for child in node.orelse:
            self.visit(child)


def imports_of(source, scope, function):
    """None where there is no such function."""
    tree = ast.parse(source["text"], source["name"])
    visitor = Imports(source["name"])
    if scope == "toplevel":
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                visitor.visit(node)
    elif scope == "function":
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = (node for node in ast.walk(tree) if isinstance(node, kinds))
        node = next((node for node in nodes if node.name == function), None)
        if node is None:
            return None
        visitor.visit(node)
    else:
        visitor.visit(tree)
    return visitor.found


def main():
    job = json.load(sys.stdin)
    imports, faults, has_function = [], [], False
    for source in job["sources"]:
        try:
            found = imports_of(source, job["scope"], job.get("function"))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 0
            faults.append({"source": source["name"], "line": line, "message": str(error.args[0])})
            continue
        has_function = has_function or found is not None
        imports.extend(found or [])
    conda = list(conda_packages())
    owned = {name for package in conda for name in package.pop("metadata")}
    json.dump(
        {
            "version": "%d.%d.%d" % sys.version_info[:3],
            "imports": imports,
            "faults": faults,
            "hasFunction": has_function,
            "standard": standard_modules(),
            "conda": conda,
            "pip": list(distributions(owned)),
        },
        sys.stdout,
    )


main()

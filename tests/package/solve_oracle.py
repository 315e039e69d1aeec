"""Solves cases with rattler's own solver: JSON on stdin, a line of JSON for each case on stdout.

A case is {"channels": [folders], "platform", "priority", "specs", "virtual": [[name, version,
build]]}; an answer {"files": ["channel/subdir/file", ...]} with the channel by its position, or
{"refused": "why"}.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from rattler import (
    BuildString,
    Channel,
    ChannelPriority,
    GenericVirtualPackage,
    PackageName,
    SparseRepoData,
    Version,
)
from rattler.exceptions import SolverError
from rattler.solver.solver import solve_with_sparse_repodata

PRIORITIES = {"strict": ChannelPriority.Strict, "disabled": ChannelPriority.Disabled}


def virtual_package(name, version, build):
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


async def answer(case):
    sparse = []
    bases = {}
    for i, folder in enumerate(case["channels"]):
        channel = Channel(Path(folder).as_uri())
        bases[Path(folder).as_uri()] = i
        for subdir in (case["platform"], "noarch"):
            sparse.append(SparseRepoData(channel, subdir, f"{folder}/{subdir}/repodata.json"))
    try:
        records = await solve_with_sparse_repodata(
            specs=case["specs"],
            sparse_repodata=sparse,
            virtual_packages=[virtual_package(*one) for one in case["virtual"]],
            channel_priority=PRIORITIES[case["priority"]],
        )
    except SolverError as error:
        return {"refused": str(error)}
    files = []
    for record in records:
        base, subdir, name = record.url.rsplit("/", 2)
        files.append(f"{bases[base]}/{subdir}/{name}")
    return {"files": sorted(files)}


for case in json.load(sys.stdin):
    print(json.dumps(asyncio.run(answer(case))))
sys.stdout.flush()
# The interpreter's own end sometimes crashes in rattler, after all is done.
os._exit(0)

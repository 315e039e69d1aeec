"""Installs packages of a channel with py-rattler, and tells what it made of a prefix.

    rattler_install.py install CHANNEL PREFIX NAME...   what it installed, as file names
    rattler_install.py read PREFIX                      what conda-meta tells, as py-rattler reads it
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from rattler import Channel, PrefixRecord, VirtualPackage, install, solve


async def installed(channel, prefix, names):
    records = await solve(
        [Channel(channel)], names, platforms=["linux-64", "noarch"], virtual_packages=VirtualPackage.detect()
    )
    await install(records, target_prefix=prefix, show_progress=False)
    return sorted(record.file_name for record in records)


def read(prefix):
    found = {}
    for path in sorted(Path(prefix, "conda-meta").glob("*.json")):
        record = PrefixRecord.from_path(path)
        found[path.name] = {
            "name": record.name.normalized,
            "version": str(record.version),
            "build": str(record.build),
            "url": record.url,
            "files": sorted(str(file) for file in record.files),
            "requested": record.requested_specs,
            "paths": sorted(
                [
                    str(entry.relative_path),
                    entry.prefix_placeholder or "",
                    (entry.sha256_in_prefix or b"").hex(),
                    entry.size_in_bytes or 0,
                ]
                for entry in record.paths_data.paths
            ),
        }
    return found


command, *args = sys.argv[1:]
if command == "install":
    print(json.dumps(asyncio.run(installed(args[0], args[1], args[2:]))))
else:
    print(json.dumps(read(args[0])))
sys.stdout.flush()
# py-rattler may crash while the interpreter ends, after all is done.
os._exit(0)

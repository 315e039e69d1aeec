"""Solves and installs with rattler: an environment that wqx had no part in.

    python install_prefix.py CHANNEL PREFIX SPEC…
"""

import asyncio
import os
import sys
from pathlib import Path

from rattler import Channel, MatchSpec, Platform, VirtualPackage, install, solve


async def main(channel, prefix, specs):
    records = await solve(
        sources=[Channel(channel)],
        specs=[MatchSpec(spec) for spec in specs],
        platforms=[Platform("linux-64"), Platform("noarch")],
        virtual_packages=VirtualPackage.detect(),
    )
    cache = Path(os.environ["RATTLER_CACHE_DIR"])
    await install(records, prefix, cache_dir=cache, show_progress=False)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
sys.stdout.flush()
# Its threads may crash Python when that ends by itself; all work is done.
os._exit(0)

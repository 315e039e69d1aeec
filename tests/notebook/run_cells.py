"""run_cells.py NOTEBOOK: runs its code cells one after another, as a user's Jupyter would.

Prints a JSON object a line: {"cell", "seconds", "text", "error", "traceback"}, and for a kernel that
ended {"cell", "dead": true}. A cell's metadata may have `interrupt` or `kill`: path of a file that
appears when it is time for Ctrl-C, or for SIGKILL to the kernel.
"""

import asyncio
import json
import os
import re
import signal
import sys
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

PATIENCE_SECONDS = 300


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def text_of(outputs):
    parts = []
    for output in outputs:
        data = output.get("data", {})
        parts.append(output.get("text", "") or data.get("text/plain", ""))
    return plain("".join(parts))


async def when_there(path, act):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    await act()


async def run_cell(client, cell, index):
    """What is to be printed of it, and whether the kernel lives."""

    async def interrupt():
        await client.km.interrupt_kernel()

    async def kill():
        os.kill(client.km.provisioner.pid, signal.SIGKILL)

    acts = [(path, act) for path, act in [
        (cell.metadata.get("interrupt"), interrupt),
        (cell.metadata.get("kill"), kill),
    ] if path]
    waiting = [asyncio.ensure_future(when_there(path, act)) for path, act in acts]
    started = time.monotonic()
    report = {"cell": cell.get("id", str(index)), "error": None, "traceback": ""}
    lives = True
    try:
        await client.async_execute_cell(cell, index)
    except CellExecutionError as error:
        report["error"] = error.ename
        report["traceback"] = plain(error.traceback)
    except DeadKernelError:
        report["dead"] = True
        lives = False
    finally:
        for task in waiting:
            task.cancel()
    report["seconds"] = time.monotonic() - started
    report["text"] = text_of(cell.get("outputs", []))
    return report, lives


async def main(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=PATIENCE_SECONDS, kernel_name="python3")
    async with client.async_setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            report, lives = await run_cell(client, cell, index)
            print(json.dumps(report), flush=True)
            if not lives:
                break


asyncio.run(main(sys.argv[1]))

"""The table of a notebook, with what stands for IPython and ipywidgets."""
import sys
import types

from helpers import finish, same, worker, wq

# Outside of a kernel nothing is shown, nor asked for.
with wq.WorkQueue(port=0, status_display_interval=1) as queue:
    same(queue._info_widget.active, False)

shown = []


class HTML:
    def __init__(self, value):
        self.value = value


shell = types.SimpleNamespace(config={"IPKernelApp": {}})
ipython = types.ModuleType("IPython")
ipython.get_ipython = lambda: shell
ipython_display = types.ModuleType("IPython.display")
ipython_display.display = shown.append
widgets = types.ModuleType("ipywidgets")
widgets.HTML = HTML
sys.modules.update({"IPython": ipython, "IPython.display": ipython_display, "ipywidgets": widgets})


class Queue(wq.WorkQueue):
    def application_info(self):
        return {"application_info": {"values": {"events_done": 7}, "units": {"events_done": "k"}}}


with Queue(port=0, status_display_interval=1) as queue, worker(queue):
    finish(queue, wq.Task("true"))
    text = shown[0].value
    for wanted in ("events done", "7 k", "tasks done", "workers connected", "largest worker"):
        assert wanted in text, (wanted, text)
    same(len(shown), 1)
    queue.application_info = lambda: 1 / 0
    finish(queue, wq.Task("true"))

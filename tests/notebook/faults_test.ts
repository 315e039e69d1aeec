/** What goes wrong in notebooks, and that the next cell works all the same. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { type Cell, notebookTest } from "./notebook.ts";

const events = 20_000;

/** Names for the cells below; `same` of a result with what one process finds. */
const setup: Cell = {
  id: "setup",
  source: `
import json, os, sys
sys.path.insert(0, "notebook")
port = int(os.environ["WQX_PORT"])
import ndcctools.work_queue as wq
from coffea.processor import IterativeExecutor, Runner, WorkQueueExecutor
from ndcctools.work_queue import Factory
from muon_memory import MuonMemory
from own import Own

fileset = {"Muons": ["events.root"]}
expected = Runner(IterativeExecutor(status=False), metadata_cache={})(
    fileset, "Events", MuonMemory(kb_per_muon=0, pause_s=0)
)
workers = Factory("local", manager_host_port=f"localhost:{port}")
workers.max_workers = 1
workers.cores = 2
workers.memory = 1000
workers.disk = 1000


def run(processor, files=("notebook/muon_memory.py", "notebook/own.py"), **options):
    executor = WorkQueueExecutor(port=port, cores=1, extra_input_files=list(files), **options)
    with workers:
        return Runner(executor, chunksize=5_000)(fileset, "Events", processor)


def workers_running():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                own = b"TMPDIR=" + os.environ["TMPDIR"].encode() in file.read()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\\0")
        except OSError:
            continue
        if own and (b"worker" in words or b"factory" in words):
            found.append(pid)
    return len(found)
`,
};

/** Runs to the end, with all that one process finds. */
const whole: Cell = {
  id: "whole",
  source: `
print("workers left:", workers_running())
result = run(MuonMemory(kb_per_muon=0, pause_s=0))
print("whole:", all(result[key] == expected[key] for key in expected))
`,
};

/** A processor that tells of itself, and does one thing wrong or waits for ever. */
const own = `
import glob, os, time
from muon_memory import MuonMemory

class Own(MuonMemory):
    def __init__(self, deed, where, folder):
        super().__init__(kb_per_muon=0, pause_s=0)
        self.deed, self.where, self.folder = deed, where, folder

    def process(self, events):
        start = events.metadata["entrystart"]
        if self.where is not None and start != self.where:
            open(os.path.join(self.folder, "done-%d" % start), "w").close()
            return super().process(events)
        # Two others have begun: with two cores, one of them has been done.
        while self.where is not None and len(glob.glob(os.path.join(self.folder, "done-*"))) < 2:
            time.sleep(0.01)
        if self.deed == "wait":
            open(os.path.join(self.folder, "waiting"), "w").close()
            time.sleep(1000)
        raise ValueError("no muon at %d" % start)
`;

notebookTest(
  "Ctrl-C in a cell ends its run and its workers, and the next cell works",
  events,
  async (notebooks) => {
    const { bed } = notebooks;
    await bed.folder.write("notebook/own.py", own);
    const folder = JSON.stringify(bed.folder.path);
    const { ran } = await notebooks.run([
      setup,
      {
        id: "interrupted",
        source: `result = run(Own("wait", 0, ${folder}))\nprint("partial:", result["cutflow"])`,
        interrupt: bed.folder.join("waiting"),
      },
      whole,
      {
        id: "plain",
        source: `
queue = wq.WorkQueue(port)
queue.submit(wq.Task("touch ${bed.folder.join("started")}; sleep 1000"))
with workers:
    queue.wait()
`,
        interrupt: bed.folder.join("started"),
      },
      {
        id: "plain again",
        source: `
print("workers left:", workers_running())
print("canceled:", len(queue.cancel_by_category("default")))
queue.submit(wq.Task("echo hello"))
with workers:
    print("said:", queue.wait(60).output)
del queue
`,
      },
      { ...whole, id: "whole again" },
    ]);
    assert.equal(ran.get("setup")!.error, null, ran.get("setup")!.traceback);
    const interrupted = ran.get("interrupted")!;
    assert.equal(interrupted.error, null, interrupted.traceback);
    assert.match(interrupted.text, /Canceling processing tasks/);
    const [, partial] = /partial: .*'events': (\d+)/.exec(interrupted.text) ?? [];
    assert.ok(Number(partial) > 0 && Number(partial) < events, interrupted.text);
    assert.equal(ran.get("plain")!.error, "KeyboardInterrupt", ran.get("plain")!.traceback);
    const again = ran.get("plain again")!;
    assert.match(again.text, /workers left: 0\ncanceled: 1\n(.*\n)*said: hello/, again.traceback);
    for (const id of ["whole", "whole again"]) {
      const { text, traceback } = ran.get(id)!;
      assert.match(text, /workers left: 0/);
      assert.match(text, /whole: True/, traceback);
    }
    await bed.clean();
  },
);

notebookTest("a kernel that is killed leaves no process", events, async (notebooks) => {
  const { bed } = notebooks;
  await bed.folder.write("notebook/own.py", own);
  const { ran } = await notebooks.run([
    setup,
    {
      id: "killed",
      source: `run(Own("wait", 0, ${JSON.stringify(bed.folder.path)}))`,
      kill: bed.folder.join("waiting"),
    },
  ]);
  assert.equal(ran.get("killed")?.dead, true);
  // What Python itself would have removed; workspaces of workers are none of it.
  await until(async () => {
    for (const { name } of Deno.readDirSync(bed.folder.join("tmp"))) {
      if (name.startsWith("wq-py-staging-")) {
        await Deno.remove(bed.folder.join("tmp", name), { recursive: true });
      }
    }
    return true;
  }, { what: "the removal of a dead Python's files" });
  await bed.clean();
});

notebookTest(
  "an exception in a processor reaches the user once, and the next cell works",
  events,
  async (notebooks) => {
    const { bed } = notebooks;
    await bed.folder.write("notebook/own.py", own);
    const { ran } = await notebooks.run([
      setup,
      {
        id: "one",
        source: `result = run(Own("raise", 5_000, ${JSON.stringify(bed.folder.path)}), retries=0)`,
      },
      whole,
      { id: "all", source: `run(Own("raise", None, "."), retries=0)` },
      { ...whole, id: "whole again" },
      { id: "not sent", source: `run(Own("raise", 0, "."), files=(), retries=0)` },
    ]);
    assert.equal(ran.get("setup")!.error, null, ran.get("setup")!.traceback);
    const one = ran.get("one")!.text;
    assert.equal(one.match(/ValueError: no muon at 5000/g)?.length, 1, one);
    // Notebooks break lines where they like.
    assert.match(one, /own\.py",\s+line\s+\d+,\s+in\s+process/);
    assert.match(one, /unprocessed item/);
    // coffea 0.7 falls over an empty result; the reason is above that.
    const all = ran.get("all")!;
    assert.equal(all.error, "TypeError");
    assert.match(all.text, /ValueError: no muon at/);
    for (const id of ["whole", "whole again"]) {
      assert.match(ran.get(id)!.text, /whole: True/, ran.get(id)!.traceback);
    }
    // Named, and with it the Python that does not have it.
    const notSent = ran.get("not sent")!.text;
    assert.match(notSent, /lib\/python3\.\d+\/site-packages\/coffea\/[^]*No module named 'own'/);
    await bed.clean();
  },
);

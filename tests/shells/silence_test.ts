import assert from "node:assert/strict";
import { runWorker } from "../../worker/run.ts";
import { ScriptedManager } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { workerOptions } from "../support/worker_options.ts";
import { TestBed } from "../support/wqx.ts";

const silence = { askAfterMs: 500, answerMsMax: 500 };
const limits = { idleTimeoutMs: 60_000, keepTasksMs: 60_000, silence };

Deno.test("a worker comes back with its tasks from a link on which a manager of wqx fell silent", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const stop = new AbortController();
  const said: string[] = [];
  const log = (line: string) => void said.push(line);
  const ended = runWorker(workerOptions(manager, bed, { limits, log }), stop.signal);
  const first = await manager.accept();
  await first.greeting();
  const block = "task 1\ncmd 8\nsleep 60\nwqx-key k\ncores 1\nmemory 1\ndisk 1\nend\n";
  await first.send(`wqx-run r\n${block}`);
  await first.says(/^info tasks_running 1$/);
  await first.says(/^info wqx-ask \d+$/);
  await first.send("check\n");
  await first.says(/^alive$/);
  await first.closed();
  const second = await manager.accept();
  assert.match(said.join("\n"), /: the manager was silent for \d+ s and did not answer$/m);
  const lines = await second.greeting();
  assert.ok(lines.some((line) => line.startsWith("info wqx-kept r k ")), lines.join("\n"));
  stop.abort();
  await ended;
  await bed.clean();
});

Deno.test("a worker stays with a manager that never says a word", async () => {
  await using bed = await TestBed.create();
  using manager = new ScriptedManager();
  const stop = new AbortController();
  const ended = runWorker(workerOptions(manager, bed, { limits }), stop.signal);
  const link = await manager.accept();
  await link.greeting();
  const asked = () => link.lines.filter((line) => line.startsWith("info wqx-ask ")).length;
  await until(() => asked() >= 3, { what: "three questions" });
  assert.equal(link.ended, false);
  stop.abort();
  await ended;
  await bed.clean();
});

import assert from "node:assert/strict";
import { frameStart, kind } from "../../core/api/frames.ts";
import { ManagerClient, type TaskResult } from "../../io/api_client.ts";
import { askManager } from "../../io/manager_query.ts";
import { ApiLink, startApi } from "../support/api_link.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx, wqxFromSource } from "../support/wqx.ts";

function text(result: TaskResult): string | null {
  return result.printed === null ? null : new TextDecoder().decode(result.printed);
}

function startWorker(bed: TestBed, port: number, ...args: string[]): Wqx {
  return bed.start(["worker", "127.0.0.1", String(port), "--cores", "2", ...args]);
}

/** So many results, by id. */
async function take(client: ManagerClient, count: number): Promise<Map<number, TaskResult>> {
  const found = new Map<number, TaskResult>();
  if (count === 0) return found;
  for await (const result of client.results()) {
    assert.equal(found.has(result.id), false, "each task comes back once");
    found.set(result.id, result);
    if (found.size === count) break;
  }
  return found;
}

Deno.test("tasks come back with Work Queue's codes, what they printed, and their outputs", async () => {
  await using bed = await TestBed.create();
  const { folder } = bed;
  const path = await folder.write("in.txt", "0123456789");
  await folder.write("tree/sub/a", "A");
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  await using _worker = startWorker(bed, client.port);
  const out = folder.join("new", "folder", "out");
  const cases: [Parameters<ManagerClient["submit"]>[0], [number, number, string | null]][] = [
    [{ command: "echo out; echo err >&2; exit 3" }, [0, 3, "out\nerr\n"]],
    [{ command: "kill -9 $$" }, [0, 9, ""]],
    [{
      command: "cat in > o/out; ls t/sub; test -d made && cat piece buf",
      inputs: [
        { path, name: "./in", cache: true },
        { path: folder.join("tree"), name: "t" },
        { pieceOf: path, first: 2, last: 4, name: "piece" },
        { bytes: new TextEncoder().encode("héllo"), name: "buf" },
        { emptyDirectory: true, name: "made" },
        { emptyDirectory: true, name: "o" },
      ],
      outputs: [{ path: out, name: "o/out" }],
    }, [0, 0, "a\n234héllo"]],
    [{ command: "cat f", inputs: [{ command: "echo made > %%", name: "f" }] }, [0, 0, "made\n"]],
    [{ command: "true", inputs: [{ path: "/no/such", name: "f" }] }, [1, -1, null]],
    [{ command: "true", inputs: [{ path, name: "../f" }] }, [1, -1, null]],
    [{ command: "exit 4", outputs: [{ path: folder.join("no"), name: "no" }] }, [2, 4, ""]],
    [{ command: "echo x > o", outputs: [{ path: "/dev/null/o", name: "o" }] }, [80, 0, ""]],
    [{ command: "true", options: { end_time: 1 } }, [24, -1, null]],
    [{ command: "sleep 100", options: { running_time: 300_000 } }, [56, 9, ""]],
    [{
      command: "echo ${A-unset} $B",
      options: { env: { A: null, B: "é" } },
    }, [0, 0, "unset é\n"]],
    [{ command: "yes | head -c 3000000 | tail -c 2500000", options: { priority: -1 } }, [
      0,
      0,
      "y\n".repeat(1_250_000),
    ]],
  ];
  const ids = cases.map(([task]) => client.submit(task));
  const results = await take(client, cases.length);
  for (const [i, [{ command }, wanted]] of cases.entries()) {
    const result = results.get(ids[i]!)!;
    assert.deepEqual([result.code, result.exitCode, text(result)], wanted, command);
  }
  assert.equal(await Deno.readTextFile(out), "0123456789");
  const { row } = results.get(3)!;
  const [sendStart, sendEnd, receiveStart, receiveEnd, finished] = row[6];
  assert.ok(sendStart <= sendEnd && sendEnd <= receiveStart && receiveStart <= receiveEnd);
  assert.ok(Math.abs(finished / 1e6 - Date.now() / 1000) < 60, "seconds since the epoch");
  assert.equal(row[7][4], 10, "bytes received");
  const stats = await client.stats();
  assert.deepEqual([stats["tasks_done"], stats["tasks_waiting"]], [cases.length, 0]);
});

Deno.test("stats are exact right after a submit, and hungry needs no question", async () => {
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  for (let i = 1; i <= 12; i++) {
    assert.equal(client.hungry, i <= 10, `before task ${i}`);
    client.submit({ command: "true" });
  }
  assert.equal((await client.stats())["tasks_waiting"], 12);
  assert.equal(await client.ask("task_state", 5), 1);
  assert.deepEqual(await client.cancel([5, 5, 99]), [5]);
  assert.equal(await client.ask("task_state", 5), 0);
  assert.equal((await client.ask("cancel_category", "default") as number[]).length, 11);
  const { tasks_cancelled, tasks_waiting, tasks_submitted } = await client.stats();
  assert.deepEqual([tasks_cancelled, tasks_waiting, tasks_submitted], [12, 0, 12]);
});

Deno.test("a canceled task that runs is killed, and its worker goes on", async () => {
  await using bed = await TestBed.create();
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  await using _worker = startWorker(bed, client.port);
  const id = client.submit({ command: "sleep 1000" });
  await until(async () => await client.ask("task_state", id) === 2, { what: "the task to run" });
  assert.deepEqual(await client.cancel([id]), [id]);
  const next = client.submit({ command: "echo next" });
  const results = await take(client, 1);
  assert.equal(text(results.get(next)!), "next\n");
});

Deno.test("monitored tasks are measured, and what outgrows its memory comes back", async () => {
  await using bed = await TestBed.create();
  const summaries = bed.folder.join("summaries");
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  await client.ask("monitoring", "watchdog", summaries, false);
  await client.ask("category", "big", { mode: 0, max: { memory: 60, cores: 1 } });
  await using _worker = startWorker(bed, client.port, "--memory", "120");
  const command =
    `${Deno.execPath()} eval "new Uint8Array(300e6).fill(1); setTimeout(()=>{}, 2e4)"`;
  const big = client.submit({ command, category: "big" });
  const small = client.submit({ command: "sleep 0.2", options: { memory: 60, cores: 1 } });
  const results = await take(client, 2);
  const outgrown = results.get(big)!;
  assert.equal(outgrown.code, 16);
  assert.deepEqual(outgrown.row[10], { memory: 60 });
  assert.ok(outgrown.row[9]!["memory"]! > 60);
  assert.equal(outgrown.row[7][7], 1, "one exhausted attempt");
  const { row } = results.get(small)!;
  assert.ok(row[9]!["wall_time"]! >= 0.2 && row[9]!["memory"]! > 0);
  const path = await until(() =>
    [...Deno.readDirSync(summaries)].map(({ name }) => name)
      .find((name) => name.endsWith(`task-${small}.summary`)), { what: "the summary" });
  const summary = JSON.parse(await Deno.readTextFile(`${summaries}/${path}`));
  assert.deepEqual([summary.taskid, summary.exit_type, summary.memory[1]], ["2", "normal", "MB"]);
});

Deno.test("workers are summed up, told to leave, drained and blocked", async () => {
  await using bed = await TestBed.create();
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  const size = ["--memory", "500", "--disk", "500"];
  await using worker = startWorker(bed, client.port, ...size, "--single-shot");
  await until(() => client.counts.workers === 1, { what: "the worker" });
  assert.deepEqual(await client.ask("workers_summary"), [
    { workers: 1, cores: 2, memory: 500, disk: 500, gpus: 0 },
  ]);
  const [{ hostname }] = await client.ask("status", "workers") as [{ hostname: string }];
  await client.ask("block", hostname, 0);
  const id = client.submit({ command: "true" });
  assert.equal(await client.ask("task_state", id), 1);
  await client.ask("unblock", hostname);
  await take(client, 1);
  assert.equal(await client.ask("drain", hostname, false), 1);
  assert.equal(await client.ask("shutdown_workers", 0), 1);
  assert.equal(await worker.ended, 0);
});

Deno.test("close frees the port at once, and workers come to the next manager on it", async () => {
  await using bed = await TestBed.create();
  const first = await ManagerClient.start({ wqx: wqxFromSource });
  await using _worker = startWorker(bed, first.port);
  first.submit({ command: "true" });
  await take(first, 1);
  await first[Symbol.asyncDispose]();
  const args = ["--port", String(first.port)];
  await using second = await ManagerClient.start({ wqx: wqxFromSource, args });
  const id = second.submit({ command: "echo again" });
  assert.equal(text((await take(second, 1)).get(id)!), "again\n");
});

Deno.test("both logs tell what happened, as Work Queue's programs read them", async () => {
  await using bed = await TestBed.create();
  const [log, transactions] = [bed.folder.join("l", "stats.log"), bed.folder.join("trans.log")];
  {
    await using client = await ManagerClient.start({ wqx: wqxFromSource });
    await client.ask("log", log);
    await client.ask("transactions_log", transactions);
    await using _worker = startWorker(bed, client.port);
    client.submit({ command: "true", category: "few", options: { cores: 1 } });
    await take(client, 1);
  }
  const [head, ...rows] = (await Deno.readTextFile(log)).trimEnd().split("\n");
  const columns = head!.split(" ").slice(1);
  assert.equal(columns.length, 56);
  assert.ok(rows.length >= 2);
  for (const row of rows) assert.equal(row.split(" ").length, 56);
  const last = rows.at(-1)!.split(" ");
  assert.equal(last[columns.indexOf("tasks_done")], "1");
  const story = (await Deno.readTextFile(transactions)).split("\n").filter((line) =>
    /^\d+ \d+ /.test(line)
  ).map((line) => line.replace(/^\d+ \d+ /, "").replace(/ \S+:\d+ /, " HOST ").split(" {")[0]);
  for (
    const wanted of [
      "MANAGER START",
      "TASK 1 WAITING few FIRST_RESOURCES",
      "TASK 1 RUNNING HOST  FIRST_RESOURCES",
      "TASK 1 RETRIEVED SUCCESS  0 ",
      "TASK 1 DONE SUCCESS  0 ",
      "MANAGER END",
    ]
  ) assert.ok(story.includes(wanted), `${wanted} in ${JSON.stringify(story)}`);
});

Deno.test("a password that is set later is asked of workers that come later", async () => {
  await using bed = await TestBed.create();
  const file = await bed.folder.write("password", "secret\n");
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  await client.setPassword(new TextEncoder().encode("secret\n"));
  await using without = startWorker(bed, client.port, "--single-shot");
  await without.says(/password/);
  await using _worker = startWorker(bed, client.port, "--password", file);
  client.submit({ command: "true" });
  await take(client, 1);
});

Deno.test("a client that reads nothing stops the dispatch, not the manager", async () => {
  await using bed = await TestBed.create();
  const { manager, socket, port } = await startApi(bed, "api", ["--quiet"]);
  await using _manager = manager;
  using link = await ApiLink.greet(socket);
  await using _worker = startWorker(bed, port);
  // Three of them are more than may wait for a client.
  const print = [1, 2, 3, 4, 5, 6].map((id) => [id, "head -c 100000000 /dev/zero"]);
  await link.submit(...print);
  const address = { host: "127.0.0.1", port };
  await until(async () => {
    const [queue] = await askManager(address, "queue_status", {
      tls: false,
      password: null,
      timeoutMs: 5000,
      signal: AbortSignal.timeout(5000),
    });
    const of = (key: string) => Number(queue!.get(key));
    return of("tasks_done") >= 3 && of("tasks_waiting") > 0 && of("workers_busy") === 0;
  }, { what: "a manager that dispatches nothing more" });
  // All come, each once, when the client reads.
  const ids: number[] = [];
  while (ids.length < print.length) {
    const frame = await link.await(kind.results);
    const [, rows] = frame!.value as [unknown, [number, number, number, number][]];
    for (const [id, code, , size] of rows) {
      assert.deepEqual([code, size], [0, 100_000_000]);
      ids.push(id);
    }
  }
  assert.deepEqual(ids.toSorted((a, b) => a - b), [1, 2, 3, 4, 5, 6]);
  await link.send(frameStart(kind.request, ["close", true], { request: 7 }));
  assert.equal((await link.await(kind.reply))?.value, true);
  assert.equal(await manager.ended, 0);
});

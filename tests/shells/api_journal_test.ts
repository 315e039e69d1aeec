/** The journal of a manager that a client owns. Each manager is started by a process of its own. */
import assert from "node:assert/strict";
import { kind } from "../../core/api/frames.ts";
import type { ResultRow } from "../../core/api/result.ts";
import { frameStart } from "../../core/api/frames.ts";
import { journalHead } from "../../core/journal/frames.ts";
import { ApiLink } from "../support/api_link.ts";
import { TestBed, type Wqx, wqxFromSource } from "../support/wqx.ts";

interface Client extends AsyncDisposable {
  readonly manager: Wqx;
  readonly link: ApiLink;
  /** By id: the row, and what was printed. */
  run(...tasks: readonly unknown[]): Promise<Map<number, { row: ResultRow; printed: string }>>;
}

let serial = 0;

/** With a shell between us and the manager, which is its client as far as it can see. */
function start(bed: TestBed, journal: string): { manager: Wqx; socket: string } {
  const socket = bed.folder.join(`api-${serial++}`, "s");
  const command = ["sh", "-c", '"$@"; exit $?', "sh", ...wqxFromSource];
  const args = ["manager", "--api", socket, "--journal", journal];
  return { manager: bed.start(args, { command, stdin: "piped" }), socket };
}

async function connect(bed: TestBed, journal: string): Promise<Client> {
  const { manager, socket } = start(bed, journal);
  const [, port] = await manager.says(/"type":"listening".*"port":(\d+)/);
  const worker = bed.start(["worker", "127.0.0.1", port!, "--cores", "1", "--single-shot"]);
  const link = await ApiLink.greet(socket);
  return {
    manager,
    link,
    async run(...tasks) {
      await link.submit(...tasks);
      const found = new Map<number, { row: ResultRow; printed: string }>();
      while (found.size < tasks.length) {
        const frame = await link.await(kind.results);
        assert.ok(frame !== null, manager.stderr);
        const [, rows] = frame.value as [unknown, ResultRow[]];
        let at = 0;
        for (const row of rows) {
          const size = Math.max(0, row[3]);
          const printed = new TextDecoder().decode(frame.raw.subarray(at, at += size));
          found.set(row[0], { row, printed });
        }
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      link[Symbol.dispose]();
      await manager.ended;
      await worker[Symbol.asyncDispose]();
      await manager[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a later client gets what ended well, if all of it is still as it was", async () => {
  await using bed = await TestBed.create();
  const { folder } = bed;
  const [journal, ran] = [folder.join("journal"), folder.join("ran")];
  const long = "yes | head -c 20000";
  const input = await folder.write("in", "1");
  const tasks = (out: string, from: string) => [
    [1, `echo a >> ${ran}; cat in > o; ${long}`, "x", [[1, from, "in", 0]], [[out, "o", 0]]],
    [2, `echo b >> ${ran}; exit 3`],
    [3, `echo c >> ${ran}; echo said`],
    [4, `echo c >> ${ran}; echo said`],
    [5, `echo d >> ${ran}`, "x", [], [], { journal: false }],
  ];
  const runs = async () => {
    const lines = (await Deno.readTextFile(ran)).trim().split("\n").toSorted().join("");
    await Deno.remove(ran);
    return lines;
  };
  {
    await using client = await connect(bed, journal);
    const results = await client.run(...tasks(folder.join("out1"), input));
    assert.equal(results.get(1)!.printed.length, 20_000);
    assert.equal(await runs(), "abccd");
  }
  const moved = await folder.write("other/place/in", "1");
  {
    await using client = await connect(bed, journal);
    const out = folder.join("new", "out2");
    const results = await client.run(...tasks(out, moved));
    assert.equal(await Deno.readTextFile(out), "1");
    assert.deepEqual([results.get(1)!.row[1], results.get(1)!.printed.length], [0, 20_000]);
    assert.deepEqual([results.get(3)!.printed, results.get(4)!.printed], ["said\n", "said\n"]);
    assert.equal(await runs(), "bd", "what failed, and what was not to be kept, runs again");
    const again = await client.run([9, `echo c >> ${ran}; echo said`]);
    assert.equal(again.get(9)!.printed, "said\n");
    assert.equal(await runs(), "c", "each result is given once");
  }
  await folder.write("in", "2");
  for await (const { name } of Deno.readDir(`${journal}/queue-1/results`)) {
    if (name.endsWith(".printed")) {
      await Deno.writeTextFile(`${journal}/queue-1/results/${name}`, "");
    }
  }
  {
    await using client = await connect(bed, journal);
    const [changed, damaged] = [folder.join("out3"), folder.join("out4")];
    await client.run(tasks(changed, input)[0]);
    assert.deepEqual([await Deno.readTextFile(changed), await runs()], ["2", "a"]);
    const [, ...rest] = tasks(damaged, moved)[0]!;
    await client.run([7, ...rest]);
    assert.deepEqual([await Deno.readTextFile(damaged), await runs()], ["1", "a"]);
  }
  await bed.clean();
});

Deno.test("of a file that a task reads in place, and says so, a change is noticed", async () => {
  await using bed = await TestBed.create();
  const journal = bed.folder.join("journal");
  const data = await bed.folder.write("data", "1");
  const log = await bed.folder.write("log", "");
  const task = [1, `cat ${data}; echo x >> ${log}`, "x", [], [], {
    journal: { files: [data, log] },
  }];
  const printed = async () => {
    await using client = await connect(bed, journal);
    return (await client.run(task)).get(1)!.printed;
  };
  assert.equal(await printed(), "1\n".trim());
  await Deno.writeTextFile(log, "what it wrote itself does not count");
  assert.equal(await printed(), "1");
  assert.equal(await Deno.readTextFile(log), "what it wrote itself does not count");
  await Deno.writeTextFile(data, "22");
  assert.equal(await printed(), "22");
  await bed.clean();
});

Deno.test("what cannot be a journal is told of in a sentence", async () => {
  await using bed = await TestBed.create();
  const file = await bed.folder.write("file", "");
  await bed.folder.write("later/queue-1/journal", "");
  await Deno.writeFile(bed.folder.join("later/queue-1/journal"), journalHead(99));
  for (
    const [journal, why] of [
      [file, /^Cannot keep a journal in .*file: /m],
      [bed.folder.join("later"), /its format has version 99.*; remove .*queue-1, or name another/],
    ] as const
  ) {
    await using manager = start(bed, journal).manager;
    assert.equal(await manager.ended, 2, manager.stderr);
    assert.match(manager.stderr, why);
  }
  await using lonely = bed.start(["manager", "--journal", "x", "t.yaml"]);
  assert.equal(await lonely.ended, 2);
  assert.match(lonely.stderr, /Cannot keep a --journal without --api/);
});

Deno.test("with a journal, too, an id that repeats breaks the protocol", async () => {
  await using bed = await TestBed.create();
  const { manager, socket } = start(bed, bed.folder.join("journal"));
  await using _manager = manager;
  await manager.says(/"type":"listening"/);
  using link = await ApiLink.greet(socket);
  await link.send(frameStart(kind.submit, [[2, "true"], [2, "true"]]));
  assert.match(String((await link.await(kind.failed))?.value), /there is a task 2 already/);
  assert.equal(await manager.ended, 1);
});

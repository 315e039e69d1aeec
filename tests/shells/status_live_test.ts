/** The live screen on a terminal: drawn, driven by keys, and gone without a trace. */
import assert from "node:assert/strict";
import { Asking } from "../../cmd/status_asking.ts";
import { Watched } from "../../cmd/status_watched.ts";
import { type Keyboard, showLive } from "../../cmd/status_view.ts";
import type { FoundManager } from "../../core/catalog/selection.ts";
import { AnsweringManager, startCatalog } from "../support/status_peers.ts";
import { recordingTerminal } from "../support/terminal.ts";
import { until } from "../support/until.ts";

const answers = {
  queue_status: `[{"type":"wq_master","project":"demo","port":9123,"tasks_waiting":1,"workers":1,` +
    `"tasks_on_workers":0,"categories":[{"category":"fit","tasks_waiting":1}]}]`,
  task_status: `[{"taskid":7,"state":"WAITING","category":"fit","command":"./fit 7"}]`,
  worker_status: `[{"hostname":"node7","address_port":"192.0.2.7:4000","wqx_worker":"w1"}]`,
  "wqx_explain task 7": `[{"about":"task","name":"7","text":"Task 7 (fit) waits, alas."}]`,
};

/** A terminal of which the test is the user. */
class FakeTerminal implements Keyboard {
  raw: boolean[] = [];
  readonly recorded = recordingTerminal({ isTTY: true, columns: 90 });
  readonly readable: ReadableStream<Uint8Array>;
  #typing!: ReadableStreamDefaultController<Uint8Array>;

  constructor() {
    Object.defineProperty(this.recorded.stdout, "rows", { value: 20 });
    this.readable = new ReadableStream({ start: (typing) => void (this.#typing = typing) });
  }

  setRaw(raw: boolean): void {
    this.raw.push(raw);
  }

  type(keys: string): void {
    this.#typing.enqueue(new TextEncoder().encode(keys));
  }

  hangUp(): void {
    this.#typing.close();
  }

  /** What stands on the other screen now. */
  get screen(): string {
    const lines: string[] = [];
    const drawn = this.recorded.out().split("\x1b[2J").at(-1)!;
    // deno-lint-ignore no-control-regex -- these are what is looked for
    for (const [, row, text] of drawn.matchAll(/\x1b\[(\d+);1H(.*?)\x1b\[K/gs)) {
      // deno-lint-ignore no-control-regex -- colours
      lines[Number(row) - 1] = text!.replace(/\x1b\[[\d;]*m/g, "");
    }
    return lines.join("\n");
  }

  async shows(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.screen), { what: `${pattern} on:\n${this.screen}` });
  }
}

async function watch(
  terminal: FakeTerminal,
  { manager, catalog = 1 }: { manager?: number; catalog?: number },
): Promise<Promise<number>> {
  const stopping = new AbortController();
  const options = {
    project: undefined,
    catalogs: `127.0.0.1:${catalog}`,
    password: undefined,
    ssl: false,
    timeout: 2000,
  };
  const silent = { warn: () => {}, debug: () => {} };
  const asking = await Asking.prepare(options, stopping.signal, silent);
  const direct: FoundManager | null = manager === undefined
    ? null
    : asking.at({ host: "127.0.0.1", port: manager });
  const what = { source: "there", manager: direct, pattern: null, where: null };
  return showLive(new Watched(asking, what), {
    stdout: terminal.recorded.stdout,
    intervalMs: 20,
    stopping,
    keyboard: terminal,
  });
}

Deno.test("keys open panes, ask for explanations and end it; the terminal is as before", async () => {
  await using manager = new AnsweringManager(answers);
  const terminal = new FakeTerminal();
  const ended = watch(terminal, { manager: manager.port });
  await terminal.shows(/> fit +1/);
  terminal.type("\t\t");
  await terminal.shows(/> +7 +waiting +fit .*\.\/fit 7/);
  terminal.type("\x1b[A\x1b[Be");
  await terminal.shows(/Why: task 7\n\n +Task 7 \(fit\) waits, alas\./);
  terminal.type("\x1b");
  await terminal.shows(/\[Tasks 1\]/);
  terminal.type("/zz\r");
  await terminal.shows(/nothing has "zz" in it/);
  terminal.type("q");
  assert.equal(await ended, 0);
  assert.deepEqual(terminal.raw, [true, false]);
  const out = terminal.recorded.out();
  assert.ok(out.startsWith("\x1b[?1049h\x1b[?25l"), "it has drawn on the other screen");
  assert.ok(out.endsWith("\x1b[?25h\x1b[?1049l"), "and left it, with the cursor shown");
});

Deno.test("lines that are the same are not drawn again", async () => {
  await using manager = new AnsweringManager(answers);
  const terminal = new FakeTerminal();
  const ended = watch(terminal, { manager: manager.port });
  await terminal.shows(/> fit +1/);
  const looks = () => manager.asked.filter((line) => line === "queue_status").length;
  const [before, drawn] = [looks(), terminal.recorded.out().length];
  await until(() => looks() > before + 5, { what: "five more looks" });
  const added = terminal.recorded.out().slice(drawn);
  assert.doesNotMatch(added, /fit/, "only the clock moves");
  terminal.type("\x03");
  assert.equal(await ended, 0);
});

Deno.test("a manager that goes away is a line on the screen, and what it said stays", async () => {
  const manager = new AnsweringManager(answers);
  const terminal = new FakeTerminal();
  const ended = watch(terminal, { manager: manager.port });
  await terminal.shows(/> fit +1/);
  await manager[Symbol.asyncDispose]();
  await terminal.shows(/couldn't connect to 127\.0\.0\.1 port \d+[^]*> fit +1/);
  terminal.hangUp();
  assert.equal(await ended, 0, "a terminal that is gone ends it");
});

Deno.test("managers of a catalog are listed, opened, and asked themselves", async () => {
  await using manager = new AnsweringManager(answers);
  const records = [
    `{"type":"wq_master","project":"demo","name":"localhost","address":"127.0.0.1",` +
    `"port":${manager.port},"tasks_waiting":5,"manager_preferred_connection":"by_apparent_ip"}`,
    `{"type":"wq_factory","factory_name":"night","name":"localhost","workers_needed":3}`,
  ];
  await using catalog = startCatalog(records);
  const terminal = new FakeTerminal();
  const ended = watch(terminal, { catalog: catalog.port });
  await terminal.shows(/\[Managers 1\] +Factories 1[^]*> demo +localhost:\d+ +5/);
  terminal.type("\x1b[C");
  await terminal.shows(/demo › Categories[^]*> fit +1/);
  terminal.type("\x1b[D");
  await terminal.shows(/\[Managers 1\]/);
  terminal.type("q");
  assert.equal(await ended, 0);
});

Deno.test("a catalog that is down is a line on the screen", async () => {
  const port = (() => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return listener.addr.port;
  })();
  const terminal = new FakeTerminal();
  const ended = watch(terminal, { catalog: port });
  await terminal.shows(/failed to query catalog server: /);
  terminal.type("q");
  assert.equal(await ended, 0);
});

/**
 * How long a question to a catalog takes that knows 10,000 managers and hears 1,000 updates a
 * second: `wqx catalog`, and beside it catalog_server, asked in turns in the same run. Managers are
 * as lean as they send themselves by UDP.
 */
import { createSocket } from "node:dgram";
import { findPart } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import type { BenchRow } from "./row.ts";

const managers = 10_000;
const updatesPerSecond = 1_000;
/** Of each kind, for each server. */
const questions = 200;

const everything = "/query.json";
/** As `work_queue_status` asks for managers of one project. */
const filter = '(project=="project-4711") and ((type=="wq_master") or (type=="wq_manager"))';
const filtered = `/query/${btoa(filter)}`;

function record(i: number, turn: number): string {
  return JSON.stringify({
    type: "wq_master",
    port: 1000 + i,
    project: `project-${i}`,
    owner: `user${i % 50}`,
    version: "8.0.0 DEVELOPMENT",
    starttime: 1_790_000_000 + i,
    ssl: false,
    protocol: 11,
    manager_preferred_connection: "by_ip",
    network_interfaces: [{ family: "AF_INET", address: "10.1.2.3", interface: "eth0" }],
    tasks_waiting: turn * 7 + i,
    tasks_running: turn,
    tasks_complete: turn * 100,
    tasks_done: turn * 100,
    tasks_on_workers: turn,
    tasks_left: 0,
    tasks_total_cores: turn,
    tasks_total_memory: turn * 512,
    tasks_total_disk: turn * 1024,
    tasks_total_gpus: 0,
    capacity_tasks: 10,
    capacity_cores: 10,
    capacity_memory: 5120,
    capacity_disk: 10_240,
    capacity_gpus: 0,
    capacity_weighted: 10,
    manager_load: 0.25,
    workers: i % 17,
    workers_connected: i % 17,
    uuid: `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`,
    working_dir: `/data/user${i % 50}/analysis/run-${i}`,
  });
}

/** A steady stream of updates by UDP; `sent` counts them. */
class Updates implements Disposable {
  sent = 0;
  readonly #socket = createSocket("udp4");
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(private readonly port: number, perSecond: number) {
    const startMs = performance.now();
    this.#timer = setInterval(() => {
      const due = (performance.now() - startMs) / 1000 * perSecond;
      while (this.sent < due) this.#send();
    }, 5);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #send(): void {
    const turn = Math.floor(this.sent / managers);
    this.#socket.send(record(this.sent % managers, turn), this.port, "127.0.0.1");
    this.sent++;
  }
}

/** Asks, and reads to the end of the connection; the body's bytes and how long it took. */
async function ask(port: number, path: string): Promise<{ bytes: number; ms: number }> {
  const startMs = performance.now();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = `GET ${path} HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const buffer = new Uint8Array(1024 ** 2);
  let bytes = 0;
  for (let count; (count = await connection.read(buffer)) !== null;) bytes += count;
  return { bytes, ms: performance.now() - startMs };
}

async function countRecords(port: number): Promise<number> {
  const body = await (await fetch(`http://127.0.0.1:${port}${everything}`)).text();
  return body.split("\n").length - 3;
}

/** Fills it at a pace at which no datagram is lost. */
async function fill(port: number): Promise<void> {
  using _updates = new Updates(port, updatesPerSecond * 2);
  await until(async () => await countRecords(port) >= managers, {
    what: `${managers} records on port ${port}`,
    timeoutMs: 120_000,
  });
}

async function startServer(
  bed: TestBed,
  name: string,
  words: string[],
  command?: string[],
): Promise<{ server: Wqx; port: number }> {
  const portFile = bed.folder.join(`${name}.port`);
  const server = bed.start([
    ...words,
    ...["-Z", portFile, "-H", bed.folder.join(`${name}.history`)],
  ], command === undefined ? {} : { command });
  const read = () => Deno.readTextFile(portFile).catch(() => "");
  const port = await until(async () => Number(await read()) || null, {
    what: `the port of ${name}`,
  });
  await until(() => ask(port, everything).then(() => true, () => false), { what: name });
  return { server, port };
}

/** Of one server under load: sorted times of both kinds of questions, and its CPU. */
interface Figures {
  readonly all: readonly number[];
  readonly some: readonly number[];
  readonly bodyBytes: number;
  readonly cores: number;
}

async function measure({ server, port }: { server: Wqx; port: number }): Promise<Figures> {
  await fill(port);
  using _updates = new Updates(port, updatesPerSecond);
  const [startMs, startCpuMs] = [performance.now(), cpuMs(server.pid)];
  const all: number[] = [], some: number[] = [];
  let bodyBytes = 0;
  for (let i = 0; i < questions; i++) {
    const answer = await ask(port, everything);
    bodyBytes = answer.bytes;
    all.push(answer.ms);
    some.push((await ask(port, filtered)).ms);
  }
  const cores = (cpuMs(server.pid) - startCpuMs) / (performance.now() - startMs);
  const sorted = (times: number[]) => times.sort((a, b) => a - b);
  return { all: sorted(all), some: sorted(some), bodyBytes, cores };
}

/** Of the process and of its children that have ended: catalog_server answers in children. */
function cpuMs(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}

export async function catalogBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const rows: BenchRow[] = [];
  const figures = async (name: string, words: string[], command?: string[]) => {
    const started = await startServer(bed, name, words, command);
    await using _server = started.server;
    return await measure(started);
  };
  const ours = await figures("wqx", ["catalog", "-I", "127.0.0.1"]);
  const theirs = findPart("catalog_server") === null
    ? null
    : await figures("catalog_server", ["-u", "127.0.0.1:1", "-U", "86400"], ["catalog_server"]);
  const add = (what: string, of: (figures: Figures) => number, unit: string) => {
    const value = of(ours);
    if (theirs === null) return rows.push({ name: `wqx, ${what}`, value, unit });
    rows.push(
      {
        name: `wqx, ${what}`,
        value,
        unit,
        ratio: { to: "catalog_server", value: value / of(theirs) },
      },
      { name: `catalog_server, ${what}`, value: of(theirs), unit },
    );
  };
  const at = (times: readonly number[], share: number) => times[Math.floor(times.length * share)]!;
  const records = `of ${managers} managers, ${updatesPerSecond} updates/s`;
  add(`all ${records}: median`, ({ all }) => at(all, 0.5), "ms");
  add(`all ${records}: 99 %`, ({ all }) => at(all, 0.99), "ms");
  add("one project of them: median", ({ some }) => at(some, 0.5), "ms");
  add("one project of them: 99 %", ({ some }) => at(some, 0.99), "ms");
  add("answer with all", ({ bodyBytes }) => bodyBytes / 1e6, "MB");
  add("CPU while asked without pause", ({ cores }) => cores, "cores");
  return rows;
}

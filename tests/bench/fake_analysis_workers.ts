/**
 * `fake_analysis_workers.ts PORT COUNT CORES ENTRIES`: as fake_workers.ts, for an analysis whose
 * files have `ENTRIES` events each. Its tasks are done as soon as they arrive, and what comes of
 * them is the same for all of a kind. Says `chunks N` for every 1,000 chunks that a manager took.
 */
import type { Job, Outcome } from "../../core/analysis/job.ts";
import { encode } from "../../core/accumulator.ts";
import { concat } from "../../core/bytes.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import { measuredInfo } from "../../core/protocol/measured.ts";
import type { ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { textToManager } from "../../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { Outbox } from "../../io/outbox.ts";
import { Link } from "../../io/link.ts";

const [port, count, cores, entries] = Deno.args.map(Number) as [number, number, number, number];
const utf8 = new TextEncoder();
const result = encode({ events: 1 });
const toldEvery = 1000;
let chunks = 0;

function outcomeOf(kind: Job["kind"]): Uint8Array {
  const outcome: Outcome = kind === "preprocess"
    ? { ok: true, kind, entries, uuid: "u" }
    : { ok: true, kind, events: 1, bytesRead: 1 };
  return utf8.encode(JSON.stringify(outcome));
}

/** Of varying peaks, so that there is something to be learned. */
function measured(taskId: number): ToManager {
  const memoryPeakMb = 50 + taskId % 97;
  return measuredInfo(taskId, { cpuUserMs: 1, cpuSystemMs: 1, memoryPeakMb, monitored: {} });
}

async function work(index: number): Promise<void> {
  using link = await Link.connect("127.0.0.1", port);
  const outbox = new Outbox(link, () => {}, () => link.close());
  const send = (...messages: ToManager[]) => {
    for (const message of messages) outbox.push(textToManager(message));
  };
  const total = { workers: 1, disk: 1_000_000, memory: 1_000_000, gpus: 0, cores };
  send(
    {
      type: "workqueue",
      protocol: 11,
      hostname: `fake${index}`,
      os: "Linux",
      arch: "x86_64",
      version: "8.0.0",
    },
    { type: "info", key: "worker-id", value: `worker-${index}` },
    { type: "info", key: "wqx", value: "0.0.0" },
    { type: "alive" },
    ...Object.entries(total).map(([name, n]): ToManager => ({
      type: "resource",
      name,
      total: n,
      smallest: n,
      largest: n,
    })),
    { type: "resource tag", tag: 0 },
    { type: "info", key: "end_of_resource_update", value: "0" },
    { type: "info", key: "worker-end-time", value: "0" },
  );
  const decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
  /** What tasks are for, by the names of their jobs; of outputs by theirs. */
  const kinds = new Map<string, Job["kind"]>();
  const outputs = new Map<string, Uint8Array>();
  let done: number[] = [];
  let announced = false;
  /** The job that is arriving. */
  let arriving: { readonly name: string; readonly pieces: Uint8Array[] } | null = null;
  const answer = (m: Exclude<ReturnType<typeof decoder.next>, null>): void => {
    switch (m.type) {
      case "payload":
        if (arriving === null) return;
        arriving.pieces.push(m.bytes.slice());
        if (!m.last) return;
        kinds.set(arriving.name, jobIn(concat(arriving.pieces)).kind);
        arriving = null;
        return;
      case "put":
        arriving = m.cacheName.endsWith("-job.json") ? { name: m.cacheName, pieces: [] } : null;
        return;
      case "task": {
        const job = m.inputs.find(({ sandboxName }) => sandboxName === "job.json")!;
        const kind = kinds.get(job.cacheName)!;
        for (const { sandboxName, cacheName } of m.outputs) {
          outputs.set(cacheName, sandboxName === "outcome.json" ? outcomeOf(kind) : result);
        }
        if (kind === "process" && ++chunks % toldEvery === 0) say(`chunks ${chunks}`);
        done.push(m.taskId);
        break;
      }
      case "send_results":
        for (const taskId of done) {
          send(
            measured(taskId),
            { type: "result", status: 0, exitCode: 0, length: 0, wallUs: 1000, taskId },
          );
        }
        send({ type: "end" });
        done = [];
        announced = false;
        break;
      case "get": {
        const bytes = outputs.get(m.cacheName)!;
        const path = m.written ?? m.cacheName;
        outbox.push(textToManager({ type: "file", path, length: bytes.length }));
        outbox.push(bytes);
        send({ type: "end" });
        break;
      }
      case "unlink":
        kinds.delete(m.cacheName);
        outputs.delete(m.cacheName);
        break;
      case "check":
        send({ type: "alive" });
    }
    if (done.length === 0 || announced) return;
    announced = true;
    send({ type: "available_results" });
  };
  for await (const bytes of link.received()) {
    decoder.feed(bytes);
    for (let m = decoder.next(); m !== null; m = decoder.next()) answer(m);
  }
}

function jobIn(bytes: Uint8Array): Job {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function say(line: string): void {
  Deno.stdout.writeSync(utf8.encode(`${line}\n`));
}

await Promise.all(Array.from({ length: count }, (_, index) => work(index)));

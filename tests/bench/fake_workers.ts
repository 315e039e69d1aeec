/**
 * `fake_workers.ts PORT COUNT CORES [PROTOCOL]`: so many workers in one process, whose tasks are
 * done as soon as they arrive. They read no more of the protocol than that takes, to leave the work
 * to the manager.
 */
const [port, count, cores, protocol = 11] = Deno.args.map(Number) as [number, number, number];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Connections made at once: real managers listen with a backlog of 5. */
const lanes = 4;

async function work(index: number, connected: () => void): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  connected();
  conn.setNoDelay(true);
  const send = async (text: string) => {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
  };
  const resources = { workers: 1, disk: 100_000, memory: 64_000, gpus: 0, cores };
  await send(
    `workqueue ${protocol} fake${index} Linux x86_64 8.0.0\ninfo worker-id worker-${index}\nalive\n` +
      Object.entries(resources).map(([name, n]) => `resource ${name} ${n} ${n} ${n}\n`).join("") +
      "resource tag 0\ninfo end_of_resource_update 0\ninfo worker-end-time 0\n",
  );
  const buffer = new Uint8Array(64 * 1024);
  let rest = "";
  let done = "";
  let announced = false;
  for (;;) {
    const size = await conn.read(buffer).catch(() => null);
    if (size === null) return;
    const text = rest + decoder.decode(buffer.subarray(0, size));
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    let reply = "";
    // Of a block only its first line matters, which no other line begins like.
    for (const [line, id] of text.slice(0, end).matchAll(/^(?:task (\d+)|send_results|exit)/gm)) {
      if (id !== undefined) {
        done += `result 0 0 0 1 ${id}\n`;
      } else if (line === "exit") {
        return;
      } else {
        reply += `${done}end\n`;
        done = "";
        announced = false;
      }
    }
    if (done !== "" && !announced) {
      announced = true;
      reply += "available_results\n";
    }
    if (reply !== "") await send(reply);
  }
}

const working: Promise<void>[] = [];
let next = 0;
await Promise.all(Array.from({ length: lanes }, async () => {
  while (next < count) {
    const index = next++;
    await new Promise<void>((connected, failed) => {
      working.push(work(index, connected).catch(failed));
    });
  }
}));
await Promise.all(working);

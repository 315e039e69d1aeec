/**
 * `fake_workers.ts PORT COUNT CORES`: so many workers in one process, whose tasks are done as soon
 * as they arrive. They read no more of the protocol than that takes, to leave the work to the
 * manager.
 */
const [port, count, cores] = Deno.args.map(Number) as [number, number, number];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function work(index: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  const send = async (text: string) => {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
  };
  const resources = { workers: 1, disk: 100_000, memory: 64_000, gpus: 0, cores };
  await send(
    `workqueue 11 fake${index} Linux x86_64 8.0.0\ninfo worker-id worker-${index}\nalive\n` +
      Object.entries(resources).map(([name, n]) => `resource ${name} ${n} ${n} ${n}\n`).join("") +
      "resource tag 0\ninfo end_of_resource_update 0\ninfo worker-end-time 0\n",
  );
  const buffer = new Uint8Array(256 * 1024);
  let rest = "";
  let done: string[] = [];
  let announced = false;
  for (;;) {
    const size = await conn.read(buffer).catch(() => null);
    if (size === null) return;
    const lines = (rest + decoder.decode(buffer.subarray(0, size))).split("\n");
    rest = lines.pop()!;
    let reply = "";
    for (const line of lines) {
      if (line.startsWith("task ")) {
        done.push(line.slice(5));
      } else if (line.startsWith("send_results")) {
        for (const id of done) reply += `result 0 0 0 1 ${id}\n`;
        reply += "end\n";
        done = [];
        announced = false;
      } else if (line === "exit") {
        return;
      }
    }
    if (done.length > 0 && !announced) {
      announced = true;
      reply += "available_results\n";
    }
    if (reply !== "") await send(reply);
  }
}

await Promise.all(Array.from({ length: count }, (_, index) => work(index)));

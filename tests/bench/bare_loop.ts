/**
 * `bare_loop.ts TASKS WORKERS`: what a manager has to send and to read for `TASKS` × `true` on
 * 8-core workers, and nothing else: no queue, no choice, no checks, no state of tasks. It is what
 * sockets and fake workers allow, so a manager cannot be faster.
 */
const [taskCount, workerCount] = Deno.args.map(Number) as [number, number];
const coresEach = 8;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const ready = Promise.withResolvers<void>();
const finished = Promise.withResolvers<void>();
const starts: (() => void)[] = [];
let greeted = 0;
let sent = 0;
let returned = 0;

function block(id: number): string {
  return `task ${id}\ncmd 4\ntruecategory default\ncores 1.000\ngpus 0\nmemory 8000\ndisk 12500\nend\n`;
}

function nextBlocks(count: number): string {
  let text = "";
  for (let i = 0; i < count && sent < taskCount; i++) text += block(++sent);
  return text;
}

async function serve(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay(true);
  const send = async (text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  };
  const buffer = new Uint8Array(64 * 1024);
  let rest = "";
  for (;;) {
    const size = await conn.read(buffer).catch(() => null);
    if (size === null) return;
    const lines = (rest + decoder.decode(buffer.subarray(0, size))).split("\n");
    rest = lines.pop()!;
    let reply = "";
    let free = 0;
    for (const line of lines) {
      if (line.startsWith("result ")) {
        reply += `kill ${line.slice(line.lastIndexOf(" ") + 1)}\n`;
        free++;
      } else if (line === "available_results") {
        reply += "send_results -1\n";
      } else if (line.startsWith("resource tag")) {
        starts.push(() => void send(nextBlocks(coresEach)));
        if (++greeted === workerCount) ready.resolve();
      }
    }
    reply += nextBlocks(free);
    returned += free;
    if (reply !== "") await send(reply);
    if (free > 0 && returned === taskCount) finished.resolve();
  }
}

using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const say = (text: string) => Deno.stdout.writeSync(encoder.encode(`${text}\n`));
say(`port ${listener.addr.port}`);
void (async () => {
  for await (const conn of listener) void serve(conn);
})();
await ready.promise;
say(`workers ${workerCount}`);
const startedMs = performance.now();
for (const start of starts) start();
await finished.promise;
say(`repeated ${taskCount} ${(performance.now() - startedMs) / 1000}`);
Deno.exit();

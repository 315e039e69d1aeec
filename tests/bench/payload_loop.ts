/**
 * What moving a file through a socket takes at least: one process reads and sends, another one
 * receives and writes.
 *
 *   payload_loop.ts receive PATH BYTES    says `port N`, then `received SECONDS`
 *   payload_loop.ts send PATH PORT
 */
/** Of those tried (64 kB to 4 MB), with which it is fastest. */
const pieceBytes = 1024 ** 2;
const [role, path = "", number] = Deno.args;
const buffer = new Uint8Array(pieceBytes);
const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

async function carry(
  from: { read(into: Uint8Array): Promise<number | null> },
  to: { write(bytes: Uint8Array): Promise<number> },
): Promise<number> {
  let total = 0;
  for (;;) {
    const size = await from.read(buffer);
    if (size === null) return total;
    for (let at = 0; at < size;) at += await to.write(buffer.subarray(at, size));
    total += size;
  }
}

if (role === "receive") {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  say(`port ${listener.addr.port}`);
  using conn = await listener.accept();
  const startedMs = performance.now();
  using file = await Deno.create(path);
  const total = await carry(conn, file);
  if (total !== Number(number)) throw new Error(`${total} bytes came, not ${number}`);
  say(`received ${(performance.now() - startedMs) / 1000}`);
} else {
  using file = await Deno.open(path);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(number) });
  await carry(file, conn);
}

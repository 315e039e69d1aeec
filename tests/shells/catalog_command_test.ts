/** `wqx catalog` as a program: its ports, files, signals and sentences. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { sendStream } from "../support/catalog.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

/** The port that the program wrote to its file. */
async function portOf(bed: TestBed, name = "port"): Promise<number> {
  const read = () => Deno.readTextFile(bed.folder.join(name)).catch(() => "");
  return await until(async () => {
    const text = await read();
    return text.endsWith("\n") && Number(text);
  }, { what: "the port file", timeoutMs: 30_000 });
}

function start(bed: TestBed, ...words: string[]): Wqx {
  return bed.start(["catalog", "-I", "127.0.0.1", "-Z", "port", ...words], {
    env: { XDG_STATE_HOME: bed.folder.join("state") },
  });
}

async function records(port: number): Promise<Record<string, unknown>[]> {
  return await (await fetch(`http://127.0.0.1:${port}/query.json`)).json();
}

Deno.test("wqx catalog says where it listens and what to type, and ends by SIGTERM with 0", async () => {
  await using bed = await TestBed.create();
  await using wqx = start(bed);
  const port = await portOf(bed);
  await wqx.says(new RegExp(`http://\\S+:${port}/`));
  await wqx.says(/wqx manager .* -M NAME -C \S+:\d+/);
  await wqx.says(/history is in \S*\/state\/wqx\/catalog\./);
  wqx.signal("SIGHUP"); // means nothing to it
  assert.deepEqual(await records(port), []);
  wqx.signal("SIGTERM");
  assert.equal(await wqx.ended, 0);
  await bed.clean();
});

Deno.test("after kill -9 it knows what it had answered", async () => {
  await using bed = await TestBed.create();
  {
    await using wqx = start(bed, "-H", "history");
    const port = await portOf(bed);
    for (let i = 1; i <= 50; i++) await sendStream(port, `{"type":"x","port":${i}}`);
    await until(async () => (await records(port)).length === 50, { what: "50 records" });
    wqx.signal("SIGKILL");
    await wqx.ended;
  }
  await Deno.remove(bed.folder.join("port"));
  await using _wqx = start(bed, "-H", "history");
  assert.equal((await records(await portOf(bed))).length, 50);
});

/** A listener on a port whose neighbour below is free. */
function aboveFreePort(): Deno.TcpListener {
  while (true) {
    using below = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      return Deno.listen({ hostname: "127.0.0.1", port: below.addr.port + 1 });
    } catch {
      // Taken by someone else.
    }
  }
}

Deno.test("a port that is taken ends it with a sentence, whichever of the three it is", async () => {
  await using bed = await TestBed.create();
  const refusal = async (port: number) => {
    const words = ["catalog", "-I", "127.0.0.1", "-p", String(port), "-H", "history"];
    const { code, stderr } = await bed.run(words);
    assert.equal(code, 1, stderr);
    return stderr;
  };
  using listener = aboveFreePort();
  const { port } = listener.addr;
  assert.match(
    await refusal(port),
    new RegExp(`^Cannot listen on TCP port ${port}: it is in use; choose another`, "i"),
  );
  assert.match(
    await refusal(port - 1),
    new RegExp(`^Cannot listen on TCP port ${port}, to which updates come: it is in use;`, "i"),
  );
  const datagrams = createSocket("udp4");
  await new Promise<void>((resolve) => datagrams.bind(port - 1, "127.0.0.1", resolve));
  assert.match(
    await refusal(port - 1),
    new RegExp(`^Cannot listen on UDP port ${port - 1}: it is in use;`, "i"),
  );
  await new Promise<void>((resolve) => datagrams.close(() => resolve()));
});

for (
  const [words, message] of [
    [["--ssl-port", "0"], /needs both a certificate \(--ssl-cert\) and its key/],
    [["-C", "cert.pem", "-K", "key.pem"], /Say on which port to answer by HTTPS/],
    [["-P", "0", "-C", "none.pem", "-K", "none.pem"], /Cannot read the TLS key none\.pem/],
    [["-p", "70000"], /--port: "70000" is not a port/],
    [["-l", "0"], /--lifetime: "0" is no time to wait/],
    [["-M", "10X"], /--server-size: "10X" is no number of bytes/],
    [["-u", ""], /--update-host: the list of catalogs is empty/],
    [["--lifetim", "5"], /did you mean "--lifetime"/],
    [["extra"], /Unexpected argument "extra"/],
    [["-o", "/no/such/folder/log", "-d", "all"], /Cannot write the log to \/no\/such\/folder/],
  ] as const
) {
  Deno.test(`wqx catalog ${words.join(" ")} is refused before anything is done`, async () => {
    await using bed = await TestBed.create();
    const refused = await bed.run(["catalog", "-H", "history", ...words]);
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, message);
    assert.deepEqual([...Deno.readDirSync(bed.folder.path)].map(({ name }) => name), ["tmp"]);
  });
}

Deno.test("it tells another catalog of itself only if it is asked to", async () => {
  await using bed = await TestBed.create();
  await using _first = start(bed, "-H", "a");
  const port = await portOf(bed);
  await using _second = bed.start([
    ...["catalog", "-I", "127.0.0.1", "--port-file", "second", "-H", "b", "-n", "other.site"],
    ...["-u", `127.0.0.1:${port}`, "-U", "1"],
  ]);
  const second = await portOf(bed, "second");
  const [record] = await until(async () => {
    const found = await records(port);
    return found.length > 0 && found;
  }, { what: "the record of the second catalog" });
  assert.deepEqual([record!.type, record!.port, record!.url], [
    "catalog",
    second,
    `http://other.site:${second}`,
  ]);
  assert.deepEqual(await records(second), []);
});

Deno.test("as a daemon it leaves the terminal when it listens, and writes its number", async () => {
  await using bed = await TestBed.create();
  const started = await bed.run(
    ["catalog", "-I", "127.0.0.1", "-Z", "port", "-H", "history", "-b", "-B", "pid"],
  );
  assert.equal(started.code, 0, started.stderr);
  const pid = Number(await Deno.readTextFile(bed.folder.join("pid")));
  try {
    assert.deepEqual(await records(await portOf(bed)), []);
  } finally {
    Deno.kill(pid, "SIGTERM");
  }
  await bed.clean();
  const refused = await bed.run(["catalog", "-I", "127.0.0.1", "-H", "pid/x", "-p", "0", "-b"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Cannot write the history to .*pid\/x/);
});

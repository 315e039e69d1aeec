/** Trees of a real XRootD server: the same columns as from disk, whatever the server goes through. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { openTree, type TreeReader } from "../../analysis/root/mod.ts";
import { DataError } from "../../core/errors.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { TroubledWire, xrootdHere, xrootdReason, XrootdServer } from "../support/xrootd.ts";

const data = new URL("../../examples/dimuon/data", import.meta.url).pathname;
const files = [`${data}/dimuon_a.root`, `${data}/dimuon_b.root`];

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ ...needs(xrootdHere, xrootdReason, name), fn });
}

async function all(reader: TreeReader) {
  const names = reader.columns().map(({ name }) => name);
  return await reader.read(names, 0, reader.entries);
}

async function fromDisk() {
  await using reader = await openTree(files[0]!, "Events");
  return await all(reader);
}

/** The sentence with which it fails, `HOST` for the address. */
async function complaint(url: string, options: Parameters<typeof openTree>[2] = {}) {
  try {
    await using reader = await openTree(url, "Events", options);
    await all(reader);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return [error.fault, error.message.replaceAll(/127\.0\.0\.1:\d+/g, "HOST")];
  }
  throw new Error(`${url} was read`);
}

test("by XRootD the same columns come as from disk, those baskets only that are needed", async () => {
  await using server = await XrootdServer.start(files);
  await using local = await openTree(files[0]!, "Events");
  await using remote = await openTree(server.url("dimuon_a.root"), "Events");
  equal(remote.entries, local.entries);
  equal(remote.uuid, local.uuid);
  deepEqual(remote.columns(), local.columns());
  const before = remote.bytesRead;
  await remote.read(["Muon_pt", "Muon_eta", "Muon_phi"], 0, 10_000);
  const size = (await Deno.stat(files[0]!)).size;
  const bytes = remote.bytesRead - before;
  ok(bytes > 100_000 && bytes < size / 10, `${bytes} bytes of ${size}`);
  deepEqual(await all(remote), await all(local));
});

test("a server that sends its clients to another one is followed", async () => {
  await using server = await XrootdServer.start(files);
  const config = [`xrootd.redirect 127.0.0.1:${server.port} /`];
  await using redirector = await XrootdServer.start([], { config });
  await using reader = await openTree(redirector.url("dimuon_a.root"), "Events");
  deepEqual(await all(reader), await fromDisk());
});

test("after a lost connection the rest is read all the same", async () => {
  await using server = await XrootdServer.start(files);
  await using wire = new TroubledWire(server.port);
  await using reader = await openTree(server.url("dimuon_a.root", wire.port), "Events");
  wire.cutAfter(700_000);
  deepEqual(await all(reader), await fromDisk());
  ok(wire.cut, "the connection was never cut");
});

test("a server that is stopped in mid-read and started again is waited for", async () => {
  await using server = await XrootdServer.start(files);
  await using wire = new TroubledWire(server.port);
  await using reader = await openTree(server.url("dimuon_a.root", wire.port), "Events");
  const seen = wire.bytes;
  wire.silentAfter(500_000);
  const read = all(reader);
  read.catch(() => {}); // looked at below
  await until(() => wire.bytes > seen + 500_000, { what: "half of it" });
  await server.stop();
  wire.speak();
  await until(() => wire.refused > 1, { what: "attempts to find the server again" });
  await server.start();
  deepEqual(await read, await fromDisk());
});

test("a server that goes away for good is told as such", async () => {
  const server = await XrootdServer.start(files);
  try {
    await using reader = await openTree(server.url("dimuon_a.root"), "Events", { timeoutMs: 1000 });
    await server.stop();
    await rejects(all(reader), /refused the connection: is its server up\?|was lost/);
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

test("a server that falls silent stops nobody, and is given up after the timeout", async () => {
  await using server = await XrootdServer.start(files);
  await using wire = new TroubledWire(server.port);
  let ticks = 0;
  const clock = setInterval(() => ticks++, 20);
  try {
    await using reader = await openTree(server.url("dimuon_a.root", wire.port), "Events", {
      timeoutMs: 1000,
    });
    wire.silentAfter(500_000);
    await rejects(all(reader), { name: "DataError", fault: "unreachable", message: /no answer/ });
    ok(ticks > 20, `${ticks} ticks in a second`);
  } finally {
    clearInterval(clock);
  }
});

test("reading ends at once when its signal aborts", async () => {
  await using server = await XrootdServer.start(files);
  await using wire = new TroubledWire(server.port);
  const stop = new AbortController();
  await using reader = await openTree(server.url("dimuon_a.root", wire.port), "Events", {
    signal: stop.signal,
  });
  const seen = wire.bytes;
  wire.silentAfter(500_000);
  const read = all(reader);
  read.catch(() => {}); // looked at below
  await until(() => wire.bytes > seen + 500_000, { what: "the silence" });
  stop.abort(new Error("enough"));
  await rejects(read, /enough/);
});

test("a file that changes or is cut off while it is open is told as such", async () => {
  await using server = await XrootdServer.start(files);
  const path = `${server.folder}/dimuon_a.root`;
  {
    await using reader = await openTree(server.url("dimuon_a.root"), "Events");
    await Deno.truncate(path, 500_000);
    await rejects(all(reader), { name: "DataError", fault: "truncated", message: /cut off/ });
  }
  await Deno.copyFile(files[1]!, path);
  await using wire = new TroubledWire(server.port);
  await using reader = await openTree(server.url("dimuon_a.root", wire.port), "Events");
  await server.stop();
  await Deno.copyFile(files[0]!, path);
  const read = all(reader);
  read.catch(() => {}); // looked at below
  await until(() => wire.refused > 1, { what: "attempts to find the server again" });
  await server.start();
  await rejects(read, { name: "DataError", fault: "corrupt", message: /it changed while/ });
});

test("what cannot be read is told in a sentence, by the library and by xrdcp", async () => {
  await using server = await XrootdServer.start(files);
  await Deno.mkdir(`${server.folder}/sub`);
  await Deno.chmod(`${server.folder}/dimuon_b.root`, 0);
  const key = `${server.folder}/../key`;
  const made = await new Deno.Command("xrdsssadmin", { args: ["-k", "test", "add", key] }).output();
  ok(made.success, new TextDecoder().decode(made.stderr));
  if (Deno.uid() === 0) await Deno.chown(key, 65534, 65534);
  await using strict = await XrootdServer.start(files, {
    config: ["xrootd.seclib libXrdSec.so", `sec.protocol sss -s ${key}`, "sec.protbind * only sss"],
  });
  const closed = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = closed.addr;
  closed.close();
  const proxy = "voms-proxy-init makes a new one, and x509-proxy: FILE names it";
  const rows: readonly (readonly [url: string, why: string])[] = [
    [server.url("no.root"), "there is no such file on HOST"],
    [server.url("sub"), "it is a folder, not a file"],
    [server.url("dimuon_b.root"), `HOST does not let you read it: is your proxy valid? ${proxy}`],
    [strict.url("dimuon_a.root"), `HOST does not accept who asks: is your proxy valid? ${proxy}`],
    ["root://no.host.invalid//a.root", "there is no host no.host.invalid"],
    [server.url("a.root", port), "HOST refused the connection: is its server up?"],
    [
      server.url("a.root").replace(/\/\/a/, "/a"),
      "HOST does not let you read it; a path starts with a slash: root://HOST//a.root",
    ],
  ];
  for (const xrootdLibraries of [undefined, ["libNotThere.so"]]) {
    for (const [url, why] of rows) {
      const options = { timeoutMs: 500, ...xrootdLibraries && { xrootdLibraries } };
      const shown = url.replaceAll(/127\.0\.0\.1:\d+/g, "HOST");
      deepEqual(await complaint(url, options), [
        "unreachable",
        `Cannot read "${shown}": ${why}`,
      ]);
    }
  }
});

test("xrdcp, too, is tried again while a server starts", async () => {
  await using server = await XrootdServer.start(files);
  await using wire = new TroubledWire(server.port);
  await server.stop();
  const options = { xrootdLibraries: ["libNotThere.so"] };
  const opened = openTree(server.url("dimuon_a.root", wire.port), "Events", options);
  opened.catch(() => {}); // looked at below
  await until(() => wire.refused > 1, { what: "a second attempt" });
  await server.start();
  await using reader = await opened;
  deepEqual(await all(reader), await fromDisk());
});

test("without the library a file is copied by xrdcp, and the copy removed", async () => {
  await using server = await XrootdServer.start(files);
  await using folder = await TempFolder.create();
  const log = folder.join("log");
  const before = [...Deno.readDirSync(".")].length;
  Deno.env.set("WQX_TASK_DEBUG", log);
  try {
    const options = { xrootdLibraries: ["libNotThere.so"] };
    await using reader = await openTree(server.url("dimuon_a.root"), "Events", options);
    deepEqual(await all(reader), await fromDisk());
    await using _other = await openTree(server.url("dimuon_a.root"), "Events");
  } finally {
    Deno.env.delete("WQX_TASK_DEBUG");
  }
  const said = await Deno.readTextFile(log);
  match(
    said,
    /a\.root" is copied by \S+\/xrdcp, as there is no library: libNotThere\.so: cannot open/,
  );
  match(said, /a\.root" is read by libXrdPosixPreload\.so\S*, vector reads/);
  equal([...Deno.readDirSync(".")].length, before);
});

Deno.test("without any client of XRootD the package is named that has one", async () => {
  const path = Deno.env.get("PATH") ?? "";
  Deno.env.set("PATH", "/nowhere");
  try {
    deepEqual(await complaint("root://host//a.root", { xrootdLibraries: ["libNotThere.so"] }), [
      "unreachable",
      'Cannot read "root://host//a.root": there is no XRootD client on this machine. Install ' +
      "xrootd-client (Debian, Fedora, EPEL) or xrootd (conda-forge)",
    ]);
  } finally {
    Deno.env.set("PATH", path);
  }
});

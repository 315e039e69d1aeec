import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { RunError } from "../../core/errors.ts";
import { download } from "../../package/download.ts";
import { type ChannelFaults, serveChannel } from "../support/channel.ts";
import { TempFolder } from "../support/temp.ts";

const content = new Uint8Array(300_000).map((_, i) => (i * 7919) % 251);
const sha256 = createHash("sha256").update(content).digest("hex");
const md5 = createHash("md5").update(content).digest("hex");

interface Bed extends AsyncDisposable {
  readonly url: string;
  readonly target: string;
  readonly temp: TempFolder;
  readonly ranges: () => (string | null)[];
}

async function bed(faults: ChannelFaults = {}): Promise<Bed> {
  const temp = await TempFolder.create();
  await Deno.mkdir(temp.join("served"));
  await Deno.writeFile(temp.join("served/file"), content);
  const server = serveChannel(temp.join("served"), faults);
  return {
    url: `${server.url}/file`,
    target: temp.join("got/file"),
    temp,
    ranges: () => server.requests.map(({ range }) => range),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

const options = (expected = {}) => ({
  signal: new AbortController().signal,
  backoffMs: 1,
  expected,
});

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
}

Deno.test("download brings a file and tells its hash and progress", async () => {
  await using here = await bed();
  let last = 0;
  const got = await download(here.url, here.target, {
    ...options({ sha256, size: content.length }),
    onBytes: (bytes) => last = bytes,
  });
  assert.deepEqual(got, { sha256, size: content.length });
  assert.deepEqual(await Deno.readFile(here.target), content);
  assert.equal(last, content.length);
  assert.deepEqual(await names(here.temp.join("got")), ["file"]);
});

Deno.test("a download from a file URL is checked in the same way", async () => {
  await using here = await bed();
  const url = pathToFileURL(here.temp.join("served/file")).href;
  await download(url, here.target, options({ md5 }));
  assert.deepEqual(await Deno.readFile(here.target), content);
  await assert.rejects(
    download(`${url}x`, here.target, options()),
    (error) => error instanceof RunError && /Cannot read .*filex/.test(error.message),
  );
});

Deno.test("a server that stops in the middle is asked for the rest only", async () => {
  await using here = await bed({ cut: { path: /file/, afterBytes: 70_000, times: 3 } });
  await download(here.url, here.target, options({ sha256 }));
  assert.deepEqual(await Deno.readFile(here.target), content);
  const [first, ...others] = here.ranges();
  assert.equal(first, null);
  assert.ok(others.length >= 3 && others.every((range) => /^bytes=\d+-$/.test(range ?? "")));
});

Deno.test("a server without ranges is read from the start again", async () => {
  await using here = await bed({
    cut: { path: /file/, afterBytes: 70_000, times: 2 },
    noRanges: true,
  });
  await download(here.url, here.target, options({ sha256 }));
  assert.deepEqual(await Deno.readFile(here.target), content);
});

Deno.test("a download goes on where a killed one stopped, even if that was another file", async () => {
  await using here = await bed();
  await Deno.mkdir(here.temp.join("got"));
  await Deno.writeFile(`${here.target}.partial`, content.subarray(0, 100_000));
  await download(here.url, here.target, options({ sha256 }));
  assert.deepEqual(here.ranges(), ["bytes=100000-"]);
  await Deno.writeFile(`${here.target}.partial`, new Uint8Array(100_000));
  await download(here.url, here.target, options({ sha256 }));
  assert.deepEqual(await Deno.readFile(here.target), content);
  assert.deepEqual(here.ranges().slice(1), ["bytes=100000-", null]);
});

Deno.test("a busy server is asked again, and one that says no is not", async () => {
  await using busy = await bed({ status: { path: /file/, status: 503, times: 2 } });
  await download(busy.url, busy.target, options({ sha256 }));
  assert.equal(busy.ranges().length, 3);
  await using missing = await bed({ status: { path: /file/, status: 404, times: 9 } });
  await assert.rejects(
    download(missing.url, missing.target, options()),
    (error) => error instanceof RunError && /answers 404 Not Found/.test(error.message),
  );
  assert.equal(missing.ranges().length, 1);
  assert.deepEqual(await names(missing.temp.join("got")), []);
});

Deno.test("a server that never gets on is given up with a sentence", async () => {
  await using here = await bed({ cut: { path: /file/, afterBytes: 0, times: 99 } });
  await assert.rejects(
    download(here.url, here.target, options()),
    (error) =>
      error instanceof RunError && /Cannot download http.*given up after 5/.test(error.message),
  );
});

Deno.test("a server that falls silent counts as a broken connection", async () => {
  const silent = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
  );
  await using temp = await TempFolder.create();
  const url = `http://127.0.0.1:${silent.addr.port}/x`;
  await assert.rejects(
    download(url, temp.join("x"), { ...options(), silenceMs: 20 }),
    /nothing came for 1 s; given up after 5/,
  );
  await silent.shutdown();
});

Deno.test("a file that is not what was promised leaves nothing behind", async () => {
  await using here = await bed();
  const rows: [object, RegExp][] = [
    [{ sha256: "00".repeat(32) }, /its SHA-256 is [0-9a-f]{64}, and the channel tells 0{64}/],
    [{ md5: "00".repeat(16) }, /its MD5 is [0-9a-f]{32}, and the channel tells/],
    [{ size: content.length + 1 }, /has 300000 bytes, and the channel tells 300001/],
    [{ size: 1000 }, /longer than the 1000 bytes/],
  ];
  for (const [expected, pattern] of rows) {
    await assert.rejects(
      download(here.url, here.target, options(expected)),
      (error) =>
        error instanceof RunError && /^Cannot use http/.test(error.message) &&
        pattern.test(error.message),
    );
    assert.deepEqual(await names(here.temp.join("got")), []);
  }
});

Deno.test("a download that is called off says so, and may go on later", async () => {
  await using here = await bed({ cut: { path: /file/, afterBytes: 70_000, times: 1 } });
  const stop = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(
    download(here.url, here.target, {
      signal: stop.signal,
      backoffMs: 60_000,
      onBytes: () => setTimeout(() => stop.abort(reason), 0),
    }),
    reason,
  );
  await download(here.url, here.target, options({ sha256 }));
  assert.deepEqual(await Deno.readFile(here.target), content);
});

Deno.test("passwords in URLs are sent as HTTP wants them, and not shown", async () => {
  let authorization: string | null = null;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    authorization = request.headers.get("authorization");
    return new Response("no", { status: 403 });
  });
  await using temp = await TempFolder.create();
  const url = `http://me:s3cret@127.0.0.1:${server.addr.port}/t/tok3n/x`;
  const error = await download(url, temp.join("x"), options()).catch((error) => error);
  assert.equal(authorization, `Basic ${btoa("me:s3cret")}`);
  assert.match(error.message, /answers 403/);
  assert.doesNotMatch(error.message, /s3cret|tok3n/);
  await server.shutdown();
});

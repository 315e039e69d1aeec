import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { RunError, UsageError } from "../../core/errors.ts";
import { type ChannelSettings, defaultSettings } from "../../core/package/condarc.ts";
import type { PackageRecord } from "../../core/package/record.ts";
import type { ChannelFilesOptions } from "../../package/channel_files.ts";
import { Channels } from "../../package/channels.ts";
import { channelSettings, hostFacts } from "../../package/settings.ts";
import { unpackZstd } from "../../package/zstd.ts";
import {
  ChannelServer,
  record,
  type RepodataKind,
  writeFolder,
} from "../support/repodata_channel.ts";
import { TempFolder } from "../support/temp.ts";

const records = [record("a", "1", ["b >=1"]), record("a", "2"), record("b", "1.5")];

interface Read {
  readonly records: readonly PackageRecord[];
  readonly notes: readonly string[];
}

/** All records of `a` and `b` in a channel whose places are given. */
async function read(
  places: readonly string[],
  cache: string,
  options: Partial<Omit<ChannelFilesOptions, "settings">> & {
    readonly settings?: Partial<ChannelSettings>;
  } = {},
): Promise<Read> {
  const notes: string[] = [];
  using channels = new Channels({
    cache,
    offline: false,
    note: (line) => notes.push(line),
    retryDelayMs: 1,
    ...options,
    settings: { ...defaultSettings, ...options.settings },
  });
  const channel = { name: "c", url: "http://canonical/c", places };
  const sources = await channels.open(channel, "linux-64");
  const found = await Promise.all(sources.map((source) => source.recordsOf(["a", "b", "z"])));
  return { records: found.flat(), notes };
}

function filesOf({ records }: Read): string[] {
  return records.map(({ subdir, fileName }) => `${subdir}/${fileName}`).sort();
}

async function channelIn(folder: TempFolder, kind: RepodataKind = "plain"): Promise<void> {
  await writeFolder(folder.join("c", "linux-64"), records.slice(0, 2), kind);
  await writeFolder(folder.join("c", "noarch"), records.slice(2), kind);
}

const all = ["linux-64/a-1-0.conda", "linux-64/a-2-0.conda", "noarch/b-1.5-0.conda"];

Deno.test("a channel is read in all forms of repodata, from a server and from a folder", async (t) => {
  for (const kind of ["plain", "zst", "shards"] as const) {
    await t.step(kind, async () => {
      await using folder = await TempFolder.create();
      await channelIn(folder, kind);
      await using server = new ChannelServer(folder.path);
      for (const place of [server.url("c"), `file://${folder.join("c")}`]) {
        const found = await read([place], folder.join("cache"));
        assert.deepEqual(filesOf(found), all);
        assert.deepEqual(found.records[0], {
          name: "a",
          version: "1",
          build: "0",
          buildNumber: 0,
          subdir: "linux-64",
          noarch: null,
          depends: ["b >=1"],
          constrains: [],
          fileName: "a-1-0.conda",
          url: `${place}/linux-64/a-1-0.conda`,
          channel: "http://canonical/c",
        });
      }
    });
  }
});

Deno.test("what has not changed is not sent again, nor asked for offline", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder, "zst");
  const cache = folder.join("cache");
  let place: string;
  {
    await using server = new ChannelServer(folder.path);
    place = server.url("c");
    await read([place], cache);
    assert.equal(server.count(304), 0);
    assert.deepEqual(filesOf(await read([place], cache)), all);
    assert.equal(server.count(200), 2);
    assert.equal(server.count(304), 2);
    await writeFolder(folder.join("c", "noarch"), [record("b", "2")], "zst");
    assert.ok(filesOf(await read([place], cache)).includes("noarch/b-2-0.conda"));
    assert.equal(server.count(200), 3);
  }
  // The server is gone.
  const kept = await read([place], cache, { settings: { retriesMax: 0 } });
  assert.ok(filesOf(kept).includes("noarch/b-2-0.conda"));
  assert.match(kept.notes[0]!, /^Cannot read http:.*\. The copy of last time is taken\.$/);
  const offline = await read([place], cache, { offline: true });
  assert.ok(filesOf(offline).includes("noarch/b-2-0.conda"));
  assert.deepEqual(offline.notes, []);
  await assert.rejects(
    read([place], folder.join("other"), { offline: true }),
    /^RunError: Cannot read http:.*\/linux-64\/\S+ offline: no copy of it is kept$/,
  );
});

Deno.test("shards are kept by their hash", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder, "shards");
  const cache = folder.join("cache");
  await using server = new ChannelServer(folder.path);
  await read([server.url("c")], cache);
  const before = server.log.length;
  assert.deepEqual(filesOf(await read([server.url("c")], cache)), all);
  assert.deepEqual(server.log.slice(before).map((line) => line.replace(/\/c\/[\w-]+/, "")).sort(), [
    "GET 304 /repodata_shards.msgpack.zst",
    "GET 304 /repodata_shards.msgpack.zst",
  ]);
  assert.deepEqual(filesOf(await read([server.url("c")], cache, { offline: true })), all);
});

Deno.test("data that is cut off or damaged is refused, and read anew when the server is well", async (t) => {
  const cases:
    readonly (readonly [string, RepodataKind, string, (b: Uint8Array) => Uint8Array, RegExp])[] = [
      [
        "zst cut off",
        "zst",
        "repodata.json.zst",
        (b) => b.subarray(0, -9),
        /zst is cut off or no zstd/,
      ],
      [
        "zst empty",
        "zst",
        "repodata.json.zst",
        () => new Uint8Array(0),
        /zst is cut off or no JSON/,
      ],
      ["zst damaged", "zst", "repodata.json.zst", flipped, /zst is (damaged|cut off)/],
      ["JSON cut off", "plain", "repodata.json", (b) => b.subarray(0, -9), /is cut off or no JSON/],
      ["a page", "plain", "repodata.json", () => new TextEncoder().encode("<html>"), /no JSON/],
      [
        "no repodata",
        "plain",
        "repodata.json",
        () => new TextEncoder().encode("[]"),
        /no JSON object/,
      ],
      [
        "index cut off",
        "shards",
        "repodata_shards.msgpack.zst",
        (b) => b.subarray(0, -3),
        /cut off/,
      ],
      [
        "index is no msgpack",
        "shards",
        "repodata_shards.msgpack.zst",
        () => zstdCompressSync(new Uint8Array([0x81, 0xa1])),
        /is cut off or no msgpack/,
      ],
      ["shard damaged", "shards", "shards/", flipped, /its SHA-256 is not the one/],
    ];
  for (const [name, kind, file, spoil, sentence] of cases) {
    await t.step(name, async () => {
      await using folder = await TempFolder.create();
      await channelIn(folder, kind);
      const cache = folder.join("cache");
      let spoilt = true;
      await using server = new ChannelServer(folder.path, async ({ url }) => {
        const { pathname } = new URL(url);
        const name = pathname.replace(/^\/c\/linux-64\//, "").replace(/^shards\/.*/, "shards/");
        if (!spoilt || name !== file) return null;
        const bytes = spoil(await Deno.readFile(folder.path + pathname));
        return new Response(new Uint8Array(bytes), { headers: { etag: '"always"' } });
      });
      await assert.rejects(read([server.url("c")], cache), (error) => {
        assert.ok(error instanceof RunError, String(error));
        assert.match(error.message, sentence);
        assert.ok(error.message.includes("/c/linux-64"), error.message);
        return true;
      });
      spoilt = false;
      assert.deepEqual(filesOf(await read([server.url("c")], cache)), all);
    });
  }
});

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[copy.length >> 1]! ^= 0xff;
  return copy;
}

Deno.test("a server in trouble is asked again, and then named", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder);
  let troubles = 2;
  await using server = new ChannelServer(
    folder.path,
    () =>
      troubles-- > 0
        ? new Response("busy", { status: 503, headers: { "retry-after": "0" } })
        : null,
  );
  assert.deepEqual(filesOf(await read([server.url("c")], folder.join("cache"))), all);
  assert.equal(server.count(503), 2);
  troubles = Infinity;
  await assert.rejects(
    read([server.url("c")], folder.join("other"), { settings: { retriesMax: 1 } }),
    /Cannot read http:.*repodata_shards.msgpack.zst: the server answered 503$/,
  );
});

Deno.test("a connection that breaks in mid-body is made again", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder);
  let cuts = 1;
  await using server = new ChannelServer(folder.path, ({ url }) => {
    if (!url.endsWith("/linux-64/repodata.json") || cuts-- <= 0) return null;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"packages'));
        controller.close();
      },
    });
    return new Response(body, { headers: { "content-length": "5000" } });
  });
  assert.deepEqual(filesOf(await read([server.url("c")], folder.join("cache"))), all);
  assert.ok(cuts < 1);
});

Deno.test("a server that says nothing is not waited for", async () => {
  await using folder = await TempFolder.create();
  const stop = Promise.withResolvers<void>();
  await using server = new ChannelServer(folder.path, async () => {
    await stop.promise;
    return new Response("late");
  });
  await assert.rejects(
    read([server.url("c")], folder.path, { settings: { retriesMax: 0, readTimeoutMs: 30 } }),
    /nothing came from the server for 0\.03 s$/,
  );
  const aborted = new AbortController();
  const reading = read([server.url("c")], folder.path, { signal: aborted.signal });
  aborted.abort(new Error("enough"));
  await assert.rejects(reading, /enough/);
  stop.resolve();
});

Deno.test("a server that refuses is named with what would do, without the password", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder);
  const heads: (string | null)[] = [];
  await using server = new ChannelServer(folder.path, ({ headers }) => {
    heads.push(headers.get("authorization"));
    return heads.at(-1) === `Basic ${btoa("me:se:cret")}`
      ? null
      : new Response("", { status: 401 });
  });
  const withUser = (user: string) => server.url("c").replace("://", `://${user}@`);
  await assert.rejects(
    read([withUser("me:wrong")], folder.path),
    /^RunError: Cannot read http:\/\/127.*: the server answered 401; give user and password/,
  );
  assert.deepEqual(filesOf(await read([withUser("me:se%3Acret")], folder.path)), all);
  for await (const { name } of Deno.readDir(folder.join("repodata"))) {
    assert.doesNotMatch(await Deno.readTextFile(folder.join("repodata", name)), /cret/);
  }
});

Deno.test("a folder that is missing is empty with a note, a channel that is missing an error", async () => {
  await using folder = await TempFolder.create();
  await writeFolder(folder.join("c", "linux-64"), records);
  await using server = new ChannelServer(folder.path);
  for (const base of [server.url(""), `file://${folder.path}/`]) {
    const found = await read([`${base}c`], folder.join("cache"));
    assert.equal(found.records.length, 3);
    assert.deepEqual(found.notes, ["The channel http://canonical/c has nothing for noarch."]);
    await assert.rejects(
      read([`${base}none`], folder.join("cache")),
      (error: Error) => {
        assert.ok(error.message.startsWith(`There is no channel "c" at ${base}none: `));
        return error instanceof RunError;
      },
    );
  }
});

Deno.test("the next mirror is taken where one does not answer or has nothing", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder);
  await using server = new ChannelServer(folder.path);
  await using broken = new ChannelServer(folder.path, () => new Response("", { status: 500 }));
  const places = [broken.url("c"), server.url("nothing"), server.url("c")];
  const found = await read(places, folder.join("cache"), { settings: { retriesMax: 0 } });
  assert.deepEqual(filesOf(found), all);
  assert.equal(found.records[0]!.url, `${server.url("c")}/linux-64/a-1-0.conda`);
  assert.equal(found.records[0]!.channel, "http://canonical/c");
  assert.match(found.notes[0]!, /the server answered 500\.$/);
  await assert.rejects(
    read(places.slice(0, 2), folder.join("other"), { settings: { retriesMax: 0 } }),
    /the server answered 500$/,
  );
});

Deno.test("requests go by the proxy that the settings name", async () => {
  await using folder = await TempFolder.create();
  await channelIn(folder);
  await using proxy = new ChannelServer(folder.path);
  const proxies = new Map([["http", proxy.url("")]]);
  const found = await read(["http://far.invalid/c"], folder.join("cache"), {
    settings: { proxies },
  });
  assert.deepEqual(filesOf(found), all);
});

Deno.test("certificates are not left unchecked, and an authority's file must be there", async () => {
  await using folder = await TempFolder.create();
  await assert.rejects(
    read(["https://h.invalid/c"], folder.path, { settings: { sslVerify: false } }),
    /without a check of its certificate, as ssl_verify says: give ssl_verify the file/,
  );
  await assert.rejects(
    read(["https://h.invalid/c"], folder.path, { settings: { sslVerify: "/no/ca.pem" } }),
    /Cannot read the certificates in \/no\/ca\.pem: /,
  );
});

Deno.test("condarc files are read in conda's order, with variables in them", async () => {
  await using home = await TempFolder.create();
  await home.write(".conda/condarc", "channels: [old]\nchannel_alias: http://old\n");
  await home.write(".config/conda/condarc.d/site.yml", "channel_priority: disabled\n");
  await home.write(".condarc", "channels:\n  - https://$HOST_OF/c\nchannel_alias: http://new\n");
  const last = await home.write("last", "offline: true\n");
  const settings = await channelSettings({ CONDARC: last, HOST_OF: "h" }, home.path);
  assert.deepEqual(settings.channels, ["https://h/c", "old"]);
  assert.equal(settings.channelAlias, "http://new");
  assert.equal(settings.priority, "disabled");
  assert.equal(settings.offline, true);

  await home.write(".condarc", "channels: [a\n");
  await assert.rejects(channelSettings({}, home.path), (error: Error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, /\/\.condarc is no YAML: /);
    return true;
  });
});

Deno.test("what is known of this machine is its C library and kernel", () => {
  const { glibc, kernel, archspec, cuda } = hostFacts();
  assert.match(glibc ?? "", /^2\.\d+$/);
  assert.match(kernel ?? "", /^\d+\.\d+/);
  assert.deepEqual([archspec, cuda], [null, null]);
});

Deno.test("zstd data of several frames is read whole, and only up to a limit", async () => {
  const parts = ["one ", "two"].map((text) => zstdCompressSync(new TextEncoder().encode(text)));
  const both = new Uint8Array([...parts[0]!, ...parts[1]!]);
  assert.equal(new TextDecoder().decode(await unpackZstd(both, "x")), "one two");
  const bomb = zstdCompressSync(new Uint8Array(1024 ** 2));
  await assert.rejects(unpackZstd(bomb, "x", 1024), /^RunError: x becomes larger than 1024 bytes/);
});

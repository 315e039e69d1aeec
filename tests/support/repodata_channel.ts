/** Channels that are repodata only, on disk and on a server with the faults that servers have. */
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { encode } from "@msgpack/msgpack";
import type { Rng } from "../../core/env.ts";

/** A record as repodata has it. */
export type TestRecord = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly version: string;
  readonly build: string;
};

/** One that is complete. */
export function record(
  name: string,
  version: string,
  depends: readonly string[] = [],
  more: Readonly<Record<string, unknown>> = {},
): TestRecord {
  return { name, version, build: "0", build_number: 0, depends, ...more };
}

export function fileNameOf({ name, version, build }: TestRecord): string {
  return `${name}-${version}-${build}.conda`;
}

export function repodataOf(records: readonly TestRecord[], subdir: string): unknown {
  return {
    info: { subdir },
    packages: {},
    "packages.conda": Object.fromEntries(
      records.map((one) => [fileNameOf(one), { subdir, ...one }]),
    ),
  };
}

export type RepodataKind = "plain" | "zst" | "shards";

/** Writes the folder of a channel in one of the forms that channels have. */
export async function writeFolder(
  folder: string,
  records: readonly TestRecord[],
  kind: RepodataKind = "plain",
): Promise<void> {
  const subdir = folder.slice(folder.lastIndexOf("/") + 1);
  await Deno.mkdir(folder, { recursive: true });
  const text = new TextEncoder().encode(JSON.stringify(repodataOf(records, subdir)));
  switch (kind) {
    case "plain":
      return await Deno.writeFile(`${folder}/repodata.json`, text);
    case "zst":
      return await Deno.writeFile(`${folder}/repodata.json.zst`, zstdCompressSync(text));
    case "shards": {
      const shards: Record<string, Uint8Array> = {};
      await Deno.mkdir(`${folder}/shards`);
      for (const [name, own] of Map.groupBy(records, ({ name }) => name)) {
        const packages = Object.fromEntries(own!.map((one) => [fileNameOf(one), withBytes(one)]));
        const shard = encode({ packages: {}, "packages.conda": packages, removed: [] });
        const bytes = zstdCompressSync(shard);
        shards[name] = createHash("sha256").update(bytes).digest();
        await Deno.writeFile(`${folder}/shards/${shards[name]!.toHex()}.msgpack.zst`, bytes);
      }
      const info = { subdir, base_url: "", shards_base_url: "./shards/" };
      const index = zstdCompressSync(encode({ info, shards }));
      return await Deno.writeFile(`${folder}/repodata_shards.msgpack.zst`, index);
    }
  }
}

/** Shards have hashes as bytes. */
function withBytes(record: TestRecord): unknown {
  const { sha256 } = record;
  return typeof sha256 === "string" ? { ...record, sha256: Uint8Array.fromHex(sha256) } : record;
}

/** Serves a folder with ETags; `before` may answer in its place. */
export class ChannelServer implements AsyncDisposable {
  /** `METHOD STATUS PATH` of each request so far. */
  readonly log: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(
    private readonly folder: string,
    private readonly before: (request: Request) => Response | null | Promise<Response | null> =
      () => null,
  ) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const response = await this.before(request) ?? await this.#answer(request);
        this.log.push(`${request.method} ${response.status} ${new URL(request.url).pathname}`);
        return response;
      },
    );
  }

  url(name: string): string {
    return `http://127.0.0.1:${this.#server.addr.port}/${name}`;
  }

  /** Requests that were answered with some status. */
  count(status: number): number {
    return this.log.filter((line) => line.split(" ")[1] === `${status}`).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await Deno.readFile(this.folder + decodeURIComponent(new URL(request.url).pathname));
    } catch {
      return new Response("none", { status: 404 });
    }
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304 });
    return new Response(bytes, { headers: { etag } });
  }
}

export interface SolveCase {
  /** Records by channel and subdir. */
  readonly channels: readonly Readonly<Record<"linux-64" | "noarch", readonly TestRecord[]>>[];
  readonly specs: readonly string[];
  readonly virtual: readonly (readonly [name: string, version: string, build: string])[];
  readonly priority: "strict" | "disabled";
}

const versions = ["0.9", "1.0rc1", "1.0", "1.1.post1", "1.2", "1.10", "2.0", "2.1", "1!0.5"];

/** A small world with versions, builds, conflicts, limits, and one or two channels. */
export function randomCase(rng: Rng): SolveCase {
  const below = (count: number) => Math.floor(rng() * count);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const chance = (probability: number) => rng() < probability;
  const names = Array.from({ length: 4 + below(9) }, (_, i) => `${pick(["lib", "py", "x_"])}${i}`);
  const versionsOf = new Map(names.map((name) => {
    const some = versions.filter(() => chance(0.5));
    return [name, some.length === 0 ? ["1.0"] : some];
  }));
  // Channels write `1.2` for exactly that; what users write so, rattler wants as `==1.2`.
  const constraint = (name: string, exactly = ""): string => {
    const version = pick(versionsOf.get(name)!);
    const plain = pick(versions.filter((v) => !v.includes("!")));
    return pick([
      "",
      "",
      "",
      ` ${exactly}${version}`,
      ` >=${version}`,
      ` <${version}`,
      ` >=${plain},<2.1`,
      ` !=${version}`,
      ` ${plain.split(".")[0]}.*`,
      ` ${exactly}${version}|>${plain}`,
      ` ${exactly}${version} h${below(2)}*`,
      ` ~=1.0`,
    ]);
  };
  let timestamp = 1_600_000_000_000;
  const channelCount = chance(0.4) ? 2 : 1;
  const channels = Array.from({ length: channelCount }, (_, channel) => {
    const folders: Record<"linux-64" | "noarch", TestRecord[]> = { "linux-64": [], noarch: [] };
    names.forEach((name, i) => {
      if (channelCount > 1 && chance(0.3)) return;
      const subdir = chance(0.25) ? "noarch" : "linux-64";
      for (const version of versionsOf.get(name)!) {
        const builds = chance(0.3) ? 2 : 1;
        for (let build = 0; build < builds; build++) {
          const others = names.slice(0, i).filter(() => chance(2 / (i + 1)));
          // Now and then a circle, or something that no channel has.
          if (chance(0.05)) others.push(pick(names));
          const depends = others.map((other) => other + constraint(other));
          if (chance(0.1)) depends.push(pick(["__glibc >=2.17", "__glibc >=2.30", "__cuda"]));
          if (chance(0.03)) depends.push("nowhere >=1");
          const limited = pick(names);
          timestamp += 1 + below(1e9);
          folders[subdir].push(record(name, version, depends, {
            build: `h${build}_${build}`,
            // Of equal ones the solver guesses from dependencies, in each release otherwise.
            build_number: build * channelCount + channel,
            timestamp,
            constrains: chance(0.15) && limited !== name ? [limited + constraint(limited)] : [],
            ...chance(0.05) && { track_features: "old" },
          }));
        }
      }
    });
    return folders;
  });
  const asked = names.filter(() => chance(0.25));
  const specs = (asked.length === 0 ? [names.at(-1)!] : asked).map((name) => {
    const text = name + constraint(name, "==");
    return chance(0.2) ? `${name}=${pick(["1", "1.0", "2"])}` : text;
  });
  return {
    channels,
    specs,
    virtual: [["__unix", "0", "0"], ["__glibc", pick(["2.17", "2.28", "2.35"]), "0"]],
    priority: chance(0.75) ? "strict" : "disabled",
  };
}

/** Channels of real packages: made once by tests/package/make_channel.py, served with faults. */
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { PackageRecord } from "../../core/package/record.ts";
import { readRecord } from "../../core/package/repodata.ts";

const script = new URL("../package/make_channel.py", import.meta.url);
const writer = new URL("../package/channel_package.py", import.meta.url);

/** The Python that has the packaging tools, or null: it is in `WQX_TEST_PACKAGING`. */
export const packagingPython: string | null = Deno.env.get("WQX_TEST_PACKAGING") ?? null;

/** For `needs(packagingPython !== null, noPackaging, NAME)`. */
export const noPackaging = "WQX_TEST_PACKAGING names no Python with py-rattler and its companions";

/** What make_channel.py made. All of it is shared: nobody may write there. */
export interface RealChannel {
  /** Folder and `file:` URL of the channel `main`. */
  readonly dir: string;
  readonly url: string;
  /** A second channel, with other versions of what the first has, and a package of its own. */
  readonly second: string;
  /** Wheels and source archives for `--find-links`. */
  readonly wheels: string;
  /** Of the package `python`: `3.11`. */
  readonly pythonMinor: string;
}

/**
 * The channels, made by the first test that asks and kept under `~/.cache/wqx-ci` while the scripts
 * that make them and their Python stay as they are.
 */
export async function realChannel(): Promise<RealChannel> {
  if (packagingPython === null) throw new Error(noPackaging);
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME") ?? "/tmp", ".cache");
  await Deno.mkdir(join(cache, "wqx-ci"), { recursive: true });
  const folder = join(cache, "wqx-ci", `channel-${await fingerprint(packagingPython)}`);
  // Several test files may ask at once.
  using lock = await Deno.open(`${folder}.lock`, { create: true, write: true });
  await lock.lock(true);
  if (!await isThere(folder)) await make(packagingPython, folder);
  const dir = join(folder, "main");
  const [second, wheels] = [join(folder, "second"), join(folder, "wheels")];
  const [, pythonMinor = ""] = /^python-(\d+\.\d+)/.exec(fileNamesOf(dir, ["python"])[0]!) ?? [];
  return { dir, url: pathToFileURL(dir).href, second, wheels, pythonMinor };
}

async function fingerprint(python: string): Promise<string> {
  const list = "import sys, importlib.metadata as m; print(sys.version, sys.base_prefix, " +
    "sorted(f'{d.name} {d.version}' for d in m.distributions()))";
  const { stdout } = await new Deno.Command(python, { args: ["-c", list] }).output();
  const parts = [await Deno.readFile(script), await Deno.readFile(writer), stdout];
  const all = new Uint8Array(
    await new Blob(parts.map((part) => new Uint8Array(part))).arrayBuffer(),
  );
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return digest.toHex().slice(0, 16);
}

async function make(python: string, folder: string): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "wqx-channel-" });
  const partial = `${folder}.partial`;
  try {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
    const { success, stdout, stderr } = await new Deno.Command(python, {
      // -B: nothing is written into the checkout.
      args: ["-B", fileURLToPath(script), partial],
      env: { HOME: home, XDG_CACHE_HOME: home, RATTLER_CACHE_DIR: home, TMPDIR: home },
      stdin: "null",
    }).output();
    if (!success) {
      const text = new TextDecoder();
      throw new Error(`make_channel.py: ${text.decode(stdout)}${text.decode(stderr)}`);
    }
    await Deno.rename(partial, folder);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** What the server does wrong; nothing by default. */
export interface ChannelFaults {
  /** Answers that break off: path (or null for all) → after how many bytes, for the first `times`. */
  readonly cut?: { readonly path: RegExp; readonly afterBytes: number; readonly times: number };
  /** Answers with this status, for the first `times`. */
  readonly status?: { readonly path: RegExp; readonly status: number; readonly times: number };
  /** Ignores Range. */
  readonly noRanges?: boolean;
  /** Turns a byte in the middle of these. */
  readonly corrupt?: RegExp;
}

/** A folder over HTTP on a free port of this machine: ETags, ranges, and the faults asked for. */
export interface ServedChannel extends AsyncDisposable {
  /** Without a last slash. */
  readonly url: string;
  readonly requests: { readonly path: string; readonly range: string | null }[];
}

export function serveChannel(dir: string, faults: ChannelFaults = {}): ServedChannel {
  const requests: { path: string; range: string | null }[] = [];
  const counts = { cut: 0, status: 0 };
  const answer = async (request: Request): Promise<Response> => {
    const path = decodeURIComponent(new URL(request.url).pathname);
    const range = request.headers.get("range");
    requests.push({ path, range });
    if (faults.status?.path.test(path) && counts.status++ < faults.status.times) {
      return new Response("no", { status: faults.status.status });
    }
    const file = await Deno.readFile(dir + path).catch(() => null);
    if (file === null) return new Response("not found", { status: 404 });
    const stat = await Deno.stat(dir + path);
    const etag = `"${stat.size}-${stat.mtime?.getTime()}"`;
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304 });
    if (faults.corrupt?.test(path)) file[file.length >> 1]! ^= 1;
    const start = faults.noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (start > 0 && start >= file.length) return new Response(null, { status: 416 });
    const body = file.subarray(start);
    const headers = new Headers({ etag, "content-length": `${body.length}` });
    if (start > 0) {
      headers.set("content-range", `bytes ${start}-${file.length - 1}/${file.length}`);
    }
    const status = start > 0 ? 206 : 200;
    if (!faults.cut?.path.test(path) || counts.cut++ >= faults.cut.times) {
      return new Response(body, { status, headers });
    }
    return new Response(cutStream(body.subarray(0, faults.cut.afterBytes)), { status, headers });
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => new Response(null) },
    answer,
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Less than was promised: the server closes the connection. */
function cutStream(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let sent = false;
  return new ReadableStream({
    pull(controller) {
      if (sent || bytes.length === 0) controller.close();
      else controller.enqueue(bytes);
      sent = true;
    },
  }, { highWaterMark: 0 });
}

/**
 * Records of a channel's packages by their file names, in that order, as if the channel lay at `url`
 * (without last slash).
 */
export async function recordsOf(
  dir: string,
  url: string,
  fileNames: readonly string[],
): Promise<readonly PackageRecord[]> {
  const found = new Map<string, PackageRecord>();
  for (const subdir of ["linux-64", "noarch"]) {
    const repodata = JSON.parse(await Deno.readTextFile(join(dir, subdir, "repodata.json")));
    const folder = { channel: url, subdir, url: `${url}/${subdir}` };
    for (
      const [name, raw] of Object.entries({
        ...repodata.packages,
        ...repodata["packages.conda"],
      })
    ) {
      const record = readRecord(raw as Record<string, unknown>, name, folder);
      if (record !== null) found.set(name, record);
    }
  }
  return fileNames.map((name) => {
    const record = found.get(name);
    if (record === undefined) throw new Error(`${dir} has no ${name}`);
    return record;
  });
}

/** File names of the packages of a channel whose stems begin with `NAME-`, for each name, in order. */
export function fileNamesOf(dir: string, names: readonly string[]): readonly string[] {
  const all = ["linux-64", "noarch"].flatMap((subdir) =>
    [...Deno.readDirSync(join(dir, subdir))].map(({ name }) => name).sort()
  );
  return names.map((wanted) => {
    const found = all.filter((name) =>
      name.startsWith(`${wanted}-`) && /\.(conda|tar\.bz2)$/.test(name)
    )
      .filter((name) => /^-[^-]+-[^-]+$/.test(name.slice(wanted.length)));
    const [first] = found;
    if (first === undefined) throw new Error(`${dir} has no package ${wanted}`);
    return first;
  });
}

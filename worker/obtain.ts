/** Objects that the worker gets by itself: URLs, commands, paths of a shared file system. */
import { messageOf } from "../core/errors.ts";
import { quoted } from "../core/shell_words.ts";
import type { FetchMessage } from "../core/worker/actions.ts";
import { FileSink, removeIfThere } from "../io/files.ts";
import type { Spawner } from "./process.ts";
import type { Workspace } from "./workspace.ts";

/** What came of obtaining an object. */
export type Obtained =
  | {
    readonly ok: true;
    readonly cacheName: string;
    readonly bytes: number;
    readonly wallMs: number;
  }
  | { readonly ok: false; readonly cacheName: string; readonly why: string };

export class Obtainer {
  readonly #sources = new Map<string, FetchMessage>();
  readonly #underWay = new Map<string, Promise<string | null>>();
  readonly #stop = new AbortController();
  #serial = 0;

  /** @param done told of each object once, whether it could be had or not */
  constructor(
    private readonly workspace: Workspace,
    private readonly spawner: Spawner,
    private readonly done: (obtained: Obtained) => void,
  ) {}

  /** Remembers where an object can be had; a new source takes the place of an old one. */
  expect(source: FetchMessage): void {
    this.#sources.set(source.cacheName, source);
  }

  forget(cacheName: string): void {
    this.#sources.delete(cacheName);
  }

  /** Gets those of the objects that are expected and not there yet; `null`, or what is wrong. */
  async need(cacheNames: readonly string[]): Promise<string | null> {
    const troubles = await Promise.all(cacheNames.map((name) => this.#need(name)));
    return troubles.find((trouble) => trouble !== null) ?? null;
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#underWay.values());
  }

  #need(cacheName: string): Promise<string | null> {
    const source = this.#sources.get(cacheName);
    if (source === undefined || this.workspace.has(cacheName)) return Promise.resolve(null);
    let underWay = this.#underWay.get(cacheName);
    if (underWay === undefined) {
      underWay = this.#obtain(source).finally(() => this.#underWay.delete(cacheName));
      this.#underWay.set(cacheName, underWay);
    }
    return underWay;
  }

  async #obtain(source: FetchMessage): Promise<string | null> {
    const { cacheName } = source;
    const startedMs = performance.now();
    const path = this.workspace.cachePath(cacheName);
    try {
      if (source.from === "url") await this.#fetch(source, path);
      else if (source.from === "kept") await this.#take(source);
      else await this.#run(commandFor(source, path));
      const info = await Deno.stat(path).catch(() => {
        throw new Error("it ended well, but made nothing");
      });
      if (info.isFile) await Deno.chmod(path, (source.mode & 0o777) | 0o600);
      const wallMs = performance.now() - startedMs;
      this.done({ ok: true, cacheName, bytes: info.size, wallMs });
      return null;
    } catch (error) {
      await removeIfThere(path);
      const why = `cannot get ${source.source}: ${messageOf(error)}`;
      if (!this.#stop.signal.aborted) this.done({ ok: false, cacheName, why });
      return why;
    }
  }

  async #take({ source, cacheName }: FetchMessage): Promise<void> {
    try {
      await this.workspace.takeKept(source, cacheName, this.#stop.signal);
    } catch (error) {
      // Told once: by the time of a second complaint the manager may have sent the file itself.
      this.#sources.delete(cacheName);
      this.workspace.noteLacking(cacheName, messageOf(error));
      throw error;
    }
  }

  async #fetch({ source, mode }: FetchMessage, path: string): Promise<void> {
    const { signal } = this.#stop;
    const response = await fetch(source, { signal });
    if (!response.ok) {
      await response.body?.cancel();
      // An error page must not pass for the file.
      throw new Error(`the server answered ${response.status} ${response.statusText}`.trim());
    }
    const sink = new FileSink(path, (mode & 0o777) | 0o600);
    for await (const bytes of response.body ?? []) await sink.take(bytes);
    const trouble = await sink.finish();
    if (trouble !== null) throw new Error(trouble);
  }

  async #run(command: string): Promise<void> {
    const outputPath = `${this.workspace.path}/out.obtain.${++this.#serial}`;
    const cwd = `${this.workspace.path}/tmp`;
    const env = Deno.env.toObject();
    const process = await this.spawner.spawn({ command, cwd, env, outputPath });
    const stop = () => process.kill();
    this.#stop.signal.addEventListener("abort", stop);
    const { exitCode } = await process.exited;
    this.#stop.signal.removeEventListener("abort", stop);
    const said = (await Deno.readTextFile(outputPath)).trim().slice(-500);
    await removeIfThere(outputPath);
    if (exitCode !== 0) throw new Error(`the command ended with exit code ${exitCode}: ${said}`);
  }
}

/** `%%` stands for the object's path in the cache, `%%%%` for `%%`. */
function commandFor({ from, source }: FetchMessage, path: string): string {
  if (from === "command") {
    return source.replaceAll(/%%%%|%%/g, (found) => found === "%%" ? quoted(path) : "%%");
  }
  return `cp -rL -- ${quoted(source)} ${quoted(path)}`;
}

/** Gives an output to a path or, on its standard input, to a command. */
export function deliveryCommand(to: "command" | "path", target: string, path: string): string {
  return to === "path"
    ? `cp -r -- ${quoted(path)} ${quoted(target)}`
    : `( ${target} ) <${quoted(path)}`;
}

/**
 * The journal of a manager that a client owns: results of tasks that ended well stay in a folder,
 * and a program that is run again after it died gets them back for the tasks that ask for the same.
 *
 *   FOLDER/queue-N/manager      who has it: a lock, and the client's process in it
 *   FOLDER/queue-N/journal      which results there are
 *   FOLDER/queue-N/results/     their outputs, and what they printed
 *
 * A program with several queues has a folder for each, in the order in which they were made.
 */
import { copyFile, link, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { ClientResult, ResultRow } from "../core/api/result.ts";
import { type ApiRecord, KeptResults, taskKey } from "../core/api/kept.ts";
import type { Kept, SaidOfTask } from "../core/api/kept.ts";
import type { Submitted } from "../core/api/task.ts";
import { messageOf } from "../core/errors.ts";
import type { TaskId } from "../core/ids.ts";
import { describeEnd } from "../core/journal/frames.ts";
import type { TaskSpec } from "../core/scheduler/tasks.ts";
import { sha256Of } from "../io/hash.ts";
import { Contents, looksOf } from "./api_contents.ts";
import { ApiFolder } from "./api_folder.ts";
import { type FsyncMode, JournalFile, type JournalOwner } from "./journal.ts";

/** What is kept at most; the oldest results that the client has no use for go first. */
export const keptMax = { results: 200_000, bytes: 20 * 1024 ** 3 };

/** Printed text up to this size stands in the journal itself; bytes. */
const inlineBytesMax = 4096;

export interface ApiJournalOptions {
  /** Absolute. */
  readonly folder: string;
  readonly fsync: FsyncMode;
}

/** Who runs what is not known, and hears of results. */
export interface ApiJournalOwner extends JournalOwner {
  submit(submitted: Submitted): void;
  result(result: ClientResult): void;
  /** Something went wrong that is the client's fault, or ours. */
  failed(error: unknown): void;
}

interface KeptFile {
  readonly bytes: number;
  readonly digest: string;
}

/** What a result has to tell, as JSON in {@link Kept}. */
interface Told {
  readonly row: ResultRow;
  /** Base64; `null`: in a file, or nothing at all if the row says so. */
  readonly printed: string | null;
  readonly printedFile: KeptFile | null;
  /** In the order of the task's outputs; `null`: there was none. */
  readonly outputs: readonly (KeptFile | null)[];
  /** How files that it read in place looked. */
  readonly looks: Readonly<Record<string, string>>;
}

interface Running {
  readonly key: string;
  readonly spec: TaskSpec;
  readonly said: SaidOfTask;
  readonly looks: Readonly<Record<string, string>>;
}

export class ApiJournal implements AsyncDisposable {
  readonly #running = new Map<TaskId, Running>();
  readonly #contents = new Contents();
  readonly #keptIds = new Map<number, string>();
  #asked: Submitted[] = [];
  #looking: Promise<void> | null = null;
  readonly #keeping = new Set<Promise<void>>();
  #lookingCount = 0;
  #given = 0;
  #saidFull = false;

  private constructor(
    private readonly folder: ApiFolder,
    private readonly file: JournalFile,
    private readonly results: KeptResults,
    private readonly session: number,
    private readonly fsync: FsyncMode,
    private readonly owner: ApiJournalOwner,
  ) {}

  /** Throws a UsageError if the folder cannot be used. */
  static async open(
    { folder: path, fsync }: ApiJournalOptions,
    owner: ApiJournalOwner,
  ): Promise<ApiJournal> {
    const folder = await ApiFolder.take(path);
    try {
      const journaled = await folder.journaled();
      const records = (journaled?.records ?? []) as readonly ApiRecord[];
      const results = new KeptResults(keptMax);
      let session = 1;
      for (const record of records) {
        if (record.type === "opened") session = record.session + 1;
        results.replay(record);
      }
      // Begun anew as a whole, so that it does not grow with every manager.
      const file = await JournalFile.open(`${folder.journalPath}.partial`, { fsync, owner });
      file.append({ type: "opened", kind: "api", session } satisfies ApiRecord);
      const names = new Set<string>();
      for (const record of results.records()) {
        file.append(record);
        if (record.type === "ended") names.add(record.id);
      }
      await file.moveTo(folder.journalPath);
      await folder.removeOthers(names);
      const why = journaled === null ? null : describeEnd(folder.journalPath, journaled.end);
      if (why !== null) owner.note(why);
      if (results.size > 0) {
        owner.note(`${results.size} results of earlier tasks are kept in ${folder.path}`);
      }
      return new ApiJournal(folder, file, results, session, fsync, owner);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Of tasks of which it is not known yet whether they have to run. */
  get lookingCount(): number {
    return this.#lookingCount;
  }

  /** Of results that were given back. */
  get givenCount(): number {
    return this.#given;
  }

  submit(submitted: Submitted): void {
    this.#asked.push(submitted);
    this.#lookingCount++;
    this.#looking ??= this.#look();
  }

  /** A task of the manager's ended; the client hears of it when its result is kept. */
  ended(result: ClientResult): void {
    const [id, code, exitCode] = result.row;
    const running = this.#running.get(id as TaskId);
    this.#running.delete(id as TaskId);
    if (running === undefined || code !== 0 || exitCode !== 0) return this.owner.result(result);
    const keeping = this.#keep(running, result)
      .catch((error) => this.owner.note(`A result was not kept: ${messageOf(error)}`))
      .then(() => {
        this.#keeping.delete(keeping);
        this.owner.result(result);
      });
    this.#keeping.add(keeping);
  }

  /** Was canceled: it has no result. */
  canceled(ids: readonly number[]): void {
    for (const id of ids) this.#running.delete(id as TaskId);
  }

  /** The client finds no good in what these tasks of its own brought. */
  async forget(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      const kept = this.#keptIds.get(id);
      if (kept !== undefined) await this.#drop(kept);
      this.#keptIds.delete(id);
    }
  }

  /** Resolves when all that was submitted runs or has been given back, and all results are told. */
  async settled(): Promise<void> {
    while (this.#looking !== null || this.#keeping.size > 0) {
      await this.#looking;
      await Promise.all(this.#keeping);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
    await this.file[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
    if (this.#given > 0) {
      this.owner.note(`${this.#given} tasks had been done before: their results were given back`);
    }
  }

  async #look(): Promise<void> {
    await Promise.resolve(); // the others of the same frame
    try {
      while (this.#asked.length > 0) {
        const asked = this.#asked;
        this.#asked = [];
        for (const submitted of asked) {
          await this.#lookAt(submitted);
          this.#lookingCount--;
        }
      }
    } catch (error) {
      this.#asked = [];
      this.owner.failed(error);
    } finally {
      this.#looking = null;
    }
  }

  async #lookAt(submitted: Submitted): Promise<void> {
    const { id, spec, said } = submitted;
    const key = said === null ? null : await this.#keyOf(spec, said);
    if (key === null || said === null) return this.owner.submit(submitted);
    for (const kept of this.results.for(key, this.folder.client)) {
      const result = await this.#restore(kept, id, spec);
      if (result === "outdated") continue;
      if (result === "gone") {
        await this.#drop(kept.id);
        continue;
      }
      this.results.use(kept.id, this.folder.client);
      this.#keptIds.set(id, kept.id);
      this.#append({ type: "given", id: kept.id, user: this.folder.client });
      this.#given++;
      return this.owner.result(result);
    }
    this.#running.set(id, { key, spec, said, looks: await looksOf(said.files) });
    this.owner.submit(submitted);
  }

  async #keyOf(spec: TaskSpec, said: SaidOfTask): Promise<string | null> {
    const contents: string[] = [];
    for (const [i, { source }] of spec.inputs.entries()) {
      const content = said.inputs[i] ?? await this.#contents.of(source);
      if (content === null) return null;
      contents.push(content);
    }
    return taskKey(spec, said, contents);
  }

  /** `outdated`: files that it read are not what they were; `gone`: its own are not. */
  async #restore(
    { id, told }: Kept,
    task: TaskId,
    { outputs }: TaskSpec,
  ): Promise<ClientResult | "outdated" | "gone"> {
    const { row, printed, printedFile, outputs: files, looks }: Told = JSON.parse(told);
    const now = await looksOf(Object.keys(looks));
    if (Object.entries(looks).some(([path, look]) => now[path] !== look)) return "outdated";
    try {
      for (const [i, file] of files.entries()) {
        if (file === null) continue;
        const from = this.folder.resultPath(id, i);
        if (!await isSound(from, file)) return "gone";
        await place(from, outputs[i]!.path);
        await this.#contents.note(outputs[i]!.path, file.digest);
      }
      let bytes = printed === null ? null : Uint8Array.fromBase64(printed);
      if (printedFile !== null) {
        const from = this.folder.resultPath(id, "printed");
        if (!await isSound(from, printedFile)) return "gone";
        bytes = await Deno.readFile(from);
      }
      const [, ...rest] = row;
      return { row: [task, ...rest], printed: bytes };
    } catch {
      return "gone"; // as if there were none: the task finds out what is wrong with its outputs
    }
  }

  async #keep(running: Running, { row, printed }: ClientResult): Promise<void> {
    const { key, spec, said } = running;
    if (await this.#keyOf(spec, said) !== key) return; // inputs changed while it ran
    const id = `${this.session}-${row[0]}`;
    const outputs: (KeptFile | null)[] = [];
    let bytes = 0;
    const keepFile = async (from: string, part: number | "printed"): Promise<KeptFile> => {
      const to = this.folder.resultPath(id, part);
      if (part !== "printed") await place(from, to);
      await this.file.keep(to);
      const { size } = await stat(to);
      bytes += size;
      return { bytes: size, digest: await sha256Of(to) };
    };
    try {
      for (const [i, { path }] of spec.outputs.entries()) {
        const info = await stat(path).catch(() => null);
        if (info !== null && !info.isFile()) return; // a folder is not kept
        const file = info === null ? null : await keepFile(path, i);
        if (file !== null) await this.#contents.note(path, file.digest);
        outputs.push(file);
      }
      const isShort = printed === null || printed.length <= inlineBytesMax;
      if (!isShort) await Deno.writeFile(this.folder.resultPath(id, "printed"), printed);
      // What it wrote itself tells nothing of what it read.
      const now = await looksOf(said.files);
      const looks = Object.entries(running.looks).filter(([path, look]) => now[path] === look);
      const told: Told = {
        row,
        printed: isShort ? printed?.toBase64() ?? null : null,
        printedFile: isShort ? null : await keepFile("", "printed"),
        outputs,
        looks: Object.fromEntries(looks),
      };
      if (!await this.#makeRoom(bytes)) return;
      const kept: Kept = { id, key, bytes, told: JSON.stringify(told) };
      this.results.add(kept, this.folder.client);
      this.#keptIds.set(row[0], id);
      this.#append({ type: "ended", user: this.folder.client, ...kept });
      if (this.fsync === "always") await this.file.settled();
    } finally {
      if (this.#keptIds.get(row[0]) !== id) await this.folder.remove(id, spec.outputs.length);
    }
  }

  async #makeRoom(bytes: number): Promise<boolean> {
    const going = this.results.roomFor(bytes, this.folder.client);
    for (const id of going ?? []) await this.#drop(id);
    if (going === null && !this.#saidFull) {
      this.#saidFull = true;
      const { size, bytes: kept } = this.results;
      this.owner.note(
        `${this.folder.path} is full, with ${size} results of ${kept} bytes: those from here on ` +
          "are not kept",
      );
    }
    return going !== null;
  }

  async #drop(id: string): Promise<void> {
    const told = this.results.drop(id)?.told;
    if (told === undefined) return;
    this.#append({ type: "dropped", id });
    await this.folder.remove(id, (JSON.parse(told) as Told).outputs.length);
  }

  #append(record: ApiRecord): void {
    this.file.append(record);
  }
}

async function isSound(path: string, { bytes, digest }: KeptFile): Promise<boolean> {
  const info = await stat(path).catch(() => null);
  return info?.size === bytes && await sha256Of(path).catch(() => "") === digest;
}

/** The same file under another name, or a copy where that cannot be; whole or not at all. */
async function place(from: string, to: string): Promise<void> {
  const partial = `${dirname(to)}/.${crypto.randomUUID()}.partial`;
  await mkdir(dirname(to), { recursive: true });
  try {
    await link(from, partial).catch(() => copyFile(from, partial));
    await rename(partial, to);
    await rm(partial, { force: true }); // still there if both were the same file
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

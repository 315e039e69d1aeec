/**
 * The programs on the nodes, as a user starts them: a catalog, an analysis with a name and a
 * password, and a factory that keeps three workers, one on each of three nodes. What they said
 * outlives them.
 */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { Wqx } from "../support/wqx.ts";
import { type NodeName, workerNodes } from "./schedule.ts";
import type { Work } from "./work.ts";
import { addressOf, type World } from "./world.ts";

export type Program = "manager" | "catalog" | "factory";

/** Of every manager, in namespaces where nobody else listens: a resumed one must be found again. */
const port = "7001";

export class Fleet implements AsyncDisposable {
  readonly #running = new Map<Program, Wqx>();
  readonly #log: Record<Program, string[]> = { manager: [], catalog: [], factory: [] };
  /** Made when the work need not be slow any more. */
  readonly go: string;

  private constructor(readonly world: World, private readonly work: Work) {
    this.go = `${world.folder}/go`;
  }

  /** Writes the files that the programs need, and finds out what the result has to be. */
  static async create(world: World, work: Work): Promise<Fleet> {
    const fleet = new Fleet(world, work);
    const { folder } = world;
    await Deno.writeTextFile(`${folder}/password`, "open sesame\n", { mode: 0o600 });
    await Deno.writeTextFile(`${folder}/enter`, enterScript(world), { mode: 0o755 });
    for (const name of ["tmp", "scratch", "logs"]) await Deno.mkdir(`${folder}/${name}`);
    const calmly = async (args: readonly string[]) => {
      const env = fleet.#environment("calm-cache");
      await using wqx = new Wqx(["manager", ...args], { cwd: folder, env });
      assert.equal(await wqx.ended, 0, wqx.stderr);
    };
    await work.prepare({ folder, go: fleet.go, calmly });
    return fleet;
  }

  get output(): string {
    return `${this.world.diskOf("manager")}/out`;
  }

  program(name: Program): Wqx {
    return this.#running.get(name) ?? assert.fail(`${name} was never started`);
  }

  startCatalog(): void {
    this.#start("catalog", ["catalog", "-p", "9097", "-H", `${this.world.folder}/history`]);
  }

  startFactory(): void {
    this.#start("factory", [
      ...["factory", "-T", "local", "-M", "chaos", "-P", "password", "-w", "3", "-W", "3"],
      ...["--cores", "1", "--memory", "1000", "--interval", "500ms", "-S", "scratch"],
      ...["--wrapper", `${this.world.folder}/enter`],
    ]);
  }

  startManager(how: "first" | "again" | "resume"): void {
    const named = how === "resume"
      ? ["--resume", this.output]
      : [...this.work.args, "--output", this.output];
    const found = ["-M", "chaos", "-p", port, "--password", "password", "--workers", "none"];
    this.#start("manager", ["manager", ...named, ...(how === "resume" ? [] : found)]);
  }

  /** Waits until the factory has brought all workers, and the manager has them. */
  async assembled(): Promise<void> {
    await until(() => {
      const { running, stderr } = this.program("manager");
      assert.ok(running, `the manager ended:\n${this.logs()}`);
      return stderr.match(/^Worker \S+ joined/gm)?.length === workerNodes.length;
    }, { what: `three workers\n${this.logs()}`, timeoutMs: 120_000 });
  }

  /** The ends of all that was said. */
  logs(): string {
    const ends = Object.entries(this.#log).map(([name, before]) => {
      const now = this.#running.get(name as Program);
      const text = [...before, now === undefined ? "" : now.stdout + now.stderr].join("\n--\n");
      return `=== ${name}\n${endOf(text)}`;
    });
    for (const node of workerNodes) {
      try {
        ends.push(`=== ${node}\n${endOf(Deno.readTextFileSync(this.#logOf(node)))}`);
      } catch {
        // It was never started.
      }
    }
    return ends.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#running.values()) await program[Symbol.asyncDispose]();
  }

  #start(name: Program, args: readonly string[]): void {
    const before = this.#running.get(name);
    if (before !== undefined) this.#log[name].push(before.stdout + before.stderr);
    const started = new Wqx(args, {
      cwd: this.world.folder,
      command: this.world.wqxOn(name),
      env: this.#environment("cache"),
    });
    this.#running.set(name, started);
  }

  #environment(cache: string): Record<string, string> {
    const { folder } = this.world;
    return {
      CATALOG_HOST: `${addressOf("catalog")}:9097`,
      TMPDIR: `${folder}/tmp`,
      WQX_CACHE: `${folder}/${cache}`,
    };
  }

  #logOf(node: NodeName): string {
    return `${this.world.folder}/logs/${node}`;
  }
}

/**
 * Starts a worker on the first node that is free, or becomes free. The lock goes to all that the
 * worker starts, so that a node is free when nothing of the worker before is left.
 */
function enterScript(world: World): string {
  const tries = workerNodes.map((node) => {
    const enter = world.enter(node).map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return `  exec 9>>'${world.folder}/logs/lock-${node}'
  if ! [ -e '${world.downMarkOf(node)}' ] && flock -n 9; then
    export TMPDIR='${world.diskOf(node)}'
    exec ${enter} "$@" >>'${world.folder}/logs/${node}' 2>&1
  fi`;
  });
  return `#!/bin/sh\nwhile :; do\n${tries.join("\n")}\n  sleep 0.1 9>&-\ndone\n`;
}

const endBytes = 20_000;

function endOf(text: string): string {
  return text.length <= endBytes ? text : `…${text.slice(-endBytes)}`;
}

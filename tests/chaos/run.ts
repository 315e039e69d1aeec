/** One run under faults, from the undisturbed result to what may not be left. */
import assert from "node:assert/strict";
import { delay } from "../../io/clock.ts";
import { listProcesses, readStat } from "../../io/procfs.ts";
import { until } from "../support/until.ts";
import { type End, strike } from "./faults.ts";
import type { Fleet } from "./fleet.ts";
import {
  type Fault,
  managerKills,
  nodeNames,
  type Schedule,
  seconds,
  showFault,
} from "./schedule.ts";
import type { Attempts, Work } from "./work.ts";
import { argumentsOf } from "./world.ts";

/** Longer than a half-open connection takes to be found out. */
const convergeMsMax = 300_000;
/** The kernel gives up connections whose peer is gone after a minute. */
const goneMsMax = 90_000;

export interface ChaosReport extends Attempts {
  /** How many faults of each kind. */
  readonly struck: Readonly<Record<string, number>>;
  readonly resumes: number;
  /** From the last fault's end to the end of the run. */
  readonly convergedMs: number;
}

/** The fleet at work, and the schedule. */
export class ChaosRun {
  #baseMs = 0;
  #resumes = 0;
  /** The manager is down by us. */
  #down = false;
  /** Rejects as soon as something does not hold. */
  readonly #trouble = Promise.withResolvers<never>();

  constructor(
    private readonly fleet: Fleet,
    private readonly work: Work,
    private readonly schedule: Schedule,
    private readonly print: (line: string) => void,
  ) {
    this.#trouble.promise.catch(() => {}); // whoever waits at that time is told
  }

  /** Throws an AssertionError or an Error that says what did not hold. */
  async run(): Promise<ChaosReport> {
    const { fleet, work } = this;
    fleet.startCatalog();
    await fleet.program("catalog").says(/listens/);
    fleet.startFactory();
    fleet.startManager("first");
    await fleet.assembled();
    this.#baseMs = performance.now();
    const managing = this.#manage().catch(this.#trouble.reject);
    await Promise.race([this.#strikeAll(), this.#trouble.promise]);
    const calmMs = performance.now();
    await Deno.writeTextFile(fleet.go, "");
    this.#say("the faults are over");
    const ended = Promise.race([managing, this.#trouble.promise]);
    await within(ended, convergeMsMax, "the end of the run");
    const convergedMs = performance.now() - calmMs;
    assert.ok(this.#resumes >= managerKills, `the manager was resumed ${this.#resumes} times`);
    const attempts = await work.check(fleet.output);
    await this.#end();
    const struck = Object.fromEntries([...this.#struck].sort());
    return { ...attempts, struck, resumes: this.#resumes, convergedMs };
  }

  #say(line: string): void {
    const atMs = this.#baseMs === 0 ? 0 : performance.now() - this.#baseMs;
    this.print(`${seconds(atMs)} ${line}`);
  }

  readonly #struck = new Map<string, number>();

  async #strikeAll(): Promise<void> {
    const ends: Promise<void>[] = [];
    for (const fault of this.schedule.faults) {
      await delay(Math.max(0, this.#baseMs + fault.atMs - performance.now()));
      ends.push(this.#strike(fault).catch(this.#trouble.reject));
    }
    await Promise.all(ends);
  }

  async #strike(fault: Fault): Promise<void> {
    const isManager = fault.kind === "kill" && fault.on === "manager";
    if (isManager) {
      await until(() => this.#resumes === 0 || this.#isBack(), {
        what: `the manager that was resumed\n${this.fleet.logs()}`,
        timeoutMs: 60_000,
      });
      this.#down = true;
    }
    const end: End | string = await strike(this.fleet, fault);
    if (typeof end === "string") {
      this.#say(`(${showFault(fault).trim()}: ${end})`);
      return;
    }
    this.#struck.set(fault.kind, (this.#struck.get(fault.kind) ?? 0) + 1);
    this.#say(showFault(fault).slice(9));
    await delay(fault.forMs);
    await end();
    if (isManager) this.#resume();
  }

  /** What was killed is gone on with by both ways, in turns. */
  #resume(): void {
    const how = this.#resumes++ % 2 === 0 ? "resume" : "again";
    this.fleet.startManager(how);
    this.#down = false;
    this.#say(`the manager is started again (${how})`);
  }

  #isBack(): boolean {
    return /Going on with the run/.test(this.fleet.program("manager").stderr);
  }

  /** Until the run has ended by itself. */
  async #manage(): Promise<void> {
    for (;;) {
      const manager = this.fleet.program("manager");
      const code = await manager.ended;
      if (code === 0) return;
      const wasFull = this.fleet.world.isFull("manager");
      if (this.#down) {
        await until(() => !this.#down, { what: "the manager's return", timeoutMs: 60_000 });
      } else if (wasFull && /Cannot write|No space left/.test(manager.stderr)) {
        this.#say(`the manager cannot start on a full disk: ${manager.stderr.trim()}`);
        await until(() => !this.fleet.world.isFull("manager"), {
          what: "space on the manager's disk",
          timeoutMs: 60_000,
        });
        this.#resume();
      } else assert.fail(`the manager ended with ${code}:\n${manager.stderr}`);
    }
  }

  /** The rest is told to stop; then nothing may be left. */
  async #end(): Promise<void> {
    const { fleet } = this;
    for (const name of ["factory", "catalog"] as const) {
      const program = fleet.program(name);
      program.signal("SIGTERM");
      const code = await within(program.ended, 60_000, `the end of the ${name}`);
      assert.equal(code, 0, `the ${name} ended with ${code}:\n${program.stderr}`);
    }
    let left: string[] = [];
    const isClean = async () => (left = await this.#left()).length === 0;
    await until(isClean, { what: "an end without leftovers", timeoutMs: goneMsMax })
      .catch(() => assert.fail(`left behind:\n${left.join("\n")}`));
    for (const node of nodeNames) await fleet.world.unmount(node);
  }

  /** What is still there of the run, and should not be. */
  async #left(): Promise<string[]> {
    const { world } = this.fleet;
    const left = listProcesses().filter((pid) =>
      pid !== 1 && pid !== Deno.pid && readStat(pid)?.state !== "Z" && argumentsOf(pid).length > 0
    ).map((pid) => `process ${pid}: ${argumentsOf(pid).join(" ")}`);
    for (const node of nodeNames) {
      for (const socket of await world.socketsOn(node)) left.push(`socket of ${node}: ${socket}`);
      for (const { name } of Deno.readDirSync(world.diskOf(node))) {
        if (name !== "out") left.push(`file on ${node}: ${name}`);
      }
    }
    for (const { name } of Deno.readDirSync(`${world.folder}/tmp`)) left.push(`file: tmp/${name}`);
    for (const { name: scratch } of Deno.readDirSync(`${world.folder}/scratch`)) {
      for (const { name } of Deno.readDirSync(`${world.folder}/scratch/${scratch}`)) {
        if (/job\.|pwfile/.test(name)) left.push(`job: ${scratch}/${name}`);
      }
    }
    return left;
  }
}

async function within<T>(what: Promise<T>, ms: number, name: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`Waited ${ms / 1000} s in vain for ${name}`)),
    ms,
  );
  try {
    return await Promise.race([what, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A factory at work: one cycle after the other, until it is told to stop; then everything goes. */
import { type Address, showAddress } from "../core/addresses.ts";
import { anyOf, factoriesOnly, managersAmong, managersOnly } from "../core/catalog/selection.ts";
import { messageOf, RunError, unreachable } from "../core/errors.ts";
import type { FactoryFacts } from "../core/factory/advert.ts";
import { type FactoryAction, type FactoryEvent, FactoryMachine } from "../core/factory/machine.ts";
import type { Plan } from "../core/factory/plan.ts";
import type { FactorySettings } from "../core/factory/settings.ts";
import type { Answer, View } from "../core/factory/view.ts";
import { workerCommand, type WorkerTerms } from "../core/factory/worker_command.ts";
import { type JxObject, type JxValue, stringOf } from "../core/jx/value.ts";
import { CatalogClient, sendUpdate } from "../io/catalog_client.ts";
import { delay } from "../io/clock.ts";
import { askManager } from "../io/manager_query.ts";
import { BatchError, type BatchSystem, type WorkerJob } from "./batch/batch_system.ts";
import type { ConfigFile } from "./config_file.ts";
import type { Scratch } from "./scratch.ts";

/** What a factory does not change while it runs. */
export interface FactoryOptions {
  readonly settings: FactorySettings;
  readonly config: ConfigFile | null;
  readonly facts: FactoryFacts;
  readonly terms: WorkerTerms;
  /** Asked and told; empty: managers are not looked for by name, and nobody is told. */
  readonly catalogs: readonly Address[];
  readonly password: Uint8Array | null;
  readonly protocols: readonly number[] | null;
  /** Names in the scratch folder; the worker's first. */
  readonly inputs: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly intervalMs: number;
  readonly removeAfterMs: number | null;
  readonly connectMsMax: number;
  readonly output: FactoryOutput;
  readonly debug: (line: string) => void;
}

/** Where words go. */
export interface FactoryOutput {
  say(line: string): void;
  /** How the end comes along; what is left behind is said. */
  ending(line: string): void;
  /** Once a cycle, before its jobs are handed in. */
  report(plan: Plan, view: View): void;
  loaded(path: string, settings: FactorySettings): void;
}

/** What the batch system is told of the settings as they are now. */
export interface Live {
  settings: FactorySettings;
  hostsBlocked: readonly string[];
}

export interface Stops {
  /** Remove all workers and end. */
  readonly stop: AbortSignal;
  /** End at once, and say what is left. */
  readonly abort: AbortSignal;
}

/** For a manager to answer a question of ours. */
const managerMsMax = 30_000;
/** As above, where all of them are asked one after the other. */
const workerListMsMax = 5_000;
/** For the batch system to have removed what it was told to. */
const removalMsMax = 30_000;
const removalPollMs = 250;
/** The last words to a catalog may not hold the end up. */
const farewellMsMax = 2_000;

const everyManagerAndFactory = anyOf(managersOnly, factoriesOnly);

/** One factory in its scratch folder, on its batch system. */
export class Factory {
  readonly #machine: FactoryMachine;
  readonly #catalog: CatalogClient;
  #told: JxObject | null = null;
  #telling: Promise<void> = Promise.resolve();
  #untold = false;
  #view: View | null = null;

  constructor(
    private readonly options: FactoryOptions,
    private readonly batch: BatchSystem,
    private readonly scratch: Pick<Scratch, "keep" | "jobName" | "jobsBefore" | "removePassword">,
    private readonly live: Live,
  ) {
    this.#machine = new FactoryMachine(options);
    this.#catalog = new CatalogClient(options.catalogs, { debug: options.debug });
  }

  /** Returns the exit code: 1 if jobs are left in the queue. */
  async run(stops: Stops): Promise<number> {
    const { stop } = stops;
    await this.#adopt(stop);
    try {
      while (!stop.aborted) {
        const startedMs = performance.now();
        if (await this.#cycle(stop) === "end") break;
        const passedMs = performance.now() - startedMs;
        await delay(Math.max(0, this.options.intervalMs - passedMs), stop);
      }
    } catch (error) {
      if (!stop.aborted) {
        // Whatever broke, workers that nobody looks after must not stay.
        await this.#removeAll(stops);
        throw error;
      }
    }
    if (stop.aborted) {
      this.options.output.ending(typeof stop.reason === "string" ? stop.reason : stopText);
    }
    const code = await this.#removeAll(stops);
    await this.#farewell();
    return code;
  }

  /** What `run` would do first, and nothing done. `known`: an earlier run may have left jobs. */
  async planOnce(known: boolean, signal: AbortSignal): Promise<void> {
    if (known) {
      try {
        await this.#adopt(signal);
      } catch (error) {
        if (!(error instanceof BatchError)) throw error;
        this.#say(error.message);
      }
    }
    await this.#askJobs(signal);
    await this.#ask(signal);
    for (const action of this.#machine.handle({ type: "tick" }, Date.now())) {
      if (action.type === "report") this.options.output.report(action.plan, action.view);
    }
  }

  async #cycle(signal: AbortSignal): Promise<"end" | "on"> {
    this.#reload();
    await this.#ask(signal);
    await this.#askJobs(signal);
    if (signal.aborted) return "on";
    this.live.hostsBlocked = this.#machine.hostsBlocked;
    for (const action of this.#machine.handle({ type: "tick" }, Date.now())) {
      if (action.type === "end") {
        this.#say(action.why);
        return "end";
      }
      await this.#perform(action, signal);
    }
    return "on";
  }

  #reload(): void {
    const { config, output } = this.options;
    const news = config?.reload() ?? null;
    if (news === null) return;
    if ("complaint" in news) {
      this.#say(`${news.complaint} (the values before are kept)`);
      return;
    }
    news.warnings.forEach((warning) => this.#say(warning));
    this.live.settings = news.settings;
    this.#happened({ type: "config", settings: news.settings });
    output.loaded(config!.path, news.settings);
  }

  async #ask(signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#answer(signal);
      this.#happened({ type: "answer", answer });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof RunError)) throw error;
      this.#happened({ type: "no_answer", why: `${error.message}; asking again and again` });
    }
  }

  async #answer(signal: AbortSignal): Promise<Answer> {
    const { manager } = this.options.terms;
    const direct = manager === null ? null : await this.#askDirectly(manager, signal);
    if (this.options.catalogs.length === 0) return { records: [], direct };
    try {
      const patience = { patienceMs: 0, signal };
      return { records: await this.#catalog.query(everyManagerAndFactory, patience), direct };
    } catch (error) {
      signal.throwIfAborted();
      // The catalog has only foremen and other factories to add to what the manager says.
      if (direct === null) throw error;
      this.options.debug(messageOf(error));
      return { records: [], direct };
    }
  }

  /** Called by the name under which it was asked, as in Work Queue. */
  async #askDirectly(manager: Address, signal: AbortSignal): Promise<JxObject> {
    const { terms, password } = this.options;
    const timing = { timeoutMs: managerMsMax, signal };
    const [record] = await askManager(manager, "queue_status", {
      ...securityOf(terms),
      password,
      ...timing,
    });
    if (record === undefined) {
      throw new RunError(`The manager at ${showAddress(manager)} says nothing of itself`);
    }
    const called: [string, JxValue][] = [["name", manager.host], ["port", BigInt(manager.port)]];
    if (stringOf(record, "project") === null) called.push(["project", manager.host]);
    return new Map([...record, ...called]);
  }

  async #adopt(signal: AbortSignal): Promise<void> {
    const { jobName, jobsBefore } = this.scratch;
    const found = await this.batch.find(jobName, signal);
    const ids = [...new Set([...jobsBefore, ...found])];
    if (ids.length === 0) return;
    const statuses = await this.batch.status(ids, signal);
    const there = ids.filter((id) => (statuses.get(id)?.phase ?? "ended") !== "ended");
    this.#happened({ type: "adopted", ids: there });
    this.scratch.keep(this.#machine.jobIds());
  }

  async #askJobs(signal: AbortSignal): Promise<void> {
    const ids = this.#machine.jobIds();
    if (ids.length === 0) return;
    await this.#batchCall(signal, "jobs_unknown", async () => {
      this.#happened({ type: "jobs", statuses: await this.batch.status(ids, signal) });
      if (this.#machine.jobIds().length < ids.length) this.scratch.keep(this.#machine.jobIds());
    });
  }

  async #perform(action: FactoryAction, signal: AbortSignal): Promise<void> {
    switch (action.type) {
      case "say":
        return this.#say(action.line);
      case "report":
        this.#view = action.view;
        return this.options.output.report(action.plan, action.view);
      case "advertise":
        this.#told = action.record;
        return this.#tell(action.record, signal);
      case "submit":
        return await this.#submit(action.count, signal);
      case "remove":
        return await this.#batchCall(signal, "remove_failed", async () => {
          await this.batch.remove(action.ids, signal);
          this.#happened({ type: "removed", ids: action.ids });
        });
      case "ask_hosts":
        this.#happened({ type: "hosts", hosts: await this.#workerHosts(signal) });
        return;
      case "end":
        return;
      default:
        return unreachable(action);
    }
  }

  async #submit(count: number, signal: AbortSignal): Promise<void> {
    let refused = false;
    for (let i = 0; i < count && !refused && !signal.aborted; i++) {
      refused = true;
      await this.#batchCall(signal, "submit_failed", async () => {
        const id = await this.batch.submit(this.#job(), signal);
        this.#happened({ type: "submitted", id });
        this.scratch.keep(this.#machine.jobIds());
        refused = false;
      });
    }
  }

  #job(): WorkerJob {
    const { terms, inputs, env } = this.options;
    const { settings } = this.#machine;
    const { cores, memoryMb, diskMb, gpus } = settings;
    return {
      command: workerCommand(terms, settings),
      inputs,
      env,
      request: { cores, memoryMb, diskMb, gpus, wallTimeS: terms.wallTimeS },
      name: this.scratch.jobName,
    };
  }

  /** What goes wrong is the batch system's affair; all else is ours, and ends the factory. */
  async #batchCall(
    signal: AbortSignal,
    type: "submit_failed" | "jobs_unknown" | "remove_failed",
    call: () => Promise<void>,
  ): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof BatchError)) throw error;
      this.#happened({ type, why: error.message });
    }
  }

  /** Managers that cannot be asked leave the question open for all. */
  async #workerHosts(signal: AbortSignal): Promise<string[] | null> {
    const { terms, password } = this.options;
    const found = terms.manager === null
      ? managersAmong(this.#view?.managers ?? [], /^/, undefined)
      : [{ addresses: [terms.manager], ...securityOf(terms) }];
    const hosts: string[] = [];
    for (const { addresses, tls, pin } of found) {
      const options = { tls, pin, password, timeoutMs: workerListMsMax, signal };
      const workers = await firstOf(addresses, (at) => askManager(at, "worker_status", options));
      if (workers === null) return null;
      hosts.push(...workers.flatMap((worker) => stringOf(worker, "hostname") ?? []));
    }
    return hosts;
  }

  /** In the background: a catalog that does not answer holds nothing up. */
  #tell(record: JxObject, signal: AbortSignal): void {
    if (this.options.catalogs.length === 0) return;
    const before = this.#telling;
    this.#telling = (async () => {
      await before;
      try {
        await sendUpdate(this.options.catalogs, record, { signal });
        if (this.#untold) this.#say("The catalog hears of this factory again");
        this.#untold = false;
      } catch (error) {
        if (signal.aborted) return;
        this.options.debug(messageOf(error));
        if (!this.#untold) this.#say(`${messageOf(error)}; others do not see this factory`);
        this.#untold = true;
      }
    })();
  }

  /** So that other factories take over at once. */
  async #farewell(): Promise<void> {
    await this.#telling;
    if (this.#told === null || this.options.catalogs.length === 0) return;
    const none = ["submitted", "needed", "requested", "to_connect"].map((what) =>
      [`workers_${what}`, 0n] as const
    );
    const record = new Map([...this.#told, ...none, ["wqx_room", 0n], ["lifetime", 5n]]);
    const signal = AbortSignal.timeout(farewellMsMax);
    await sendUpdate(this.options.catalogs, record, { signal }).catch(() => {});
  }

  /** Until the batch system knows of none any more, or time is up. */
  async #removeAll({ abort }: Stops): Promise<number> {
    let left = this.#machine.jobIds();
    let trouble = "";
    const giveUpMs = performance.now() + removalMsMax;
    for (let first = true; !abort.aborted; first = false) {
      try {
        if (first) {
          // One may have been handed in just when we were told to stop.
          left = [...new Set([...left, ...await this.batch.find(this.scratch.jobName, abort)])];
          this.options.output.ending(`removing ${left.length} workers...`);
        }
        await this.batch.remove(left, abort);
        if (left.length > 0) {
          const statuses = await this.batch.status(left, abort);
          left = left.filter((id) => (statuses.get(id)?.phase ?? "ended") !== "ended");
        }
        trouble = "";
      } catch (error) {
        if (!abort.aborted && !(error instanceof BatchError)) throw error;
        trouble = ` (${messageOf(error)})`;
      }
      this.scratch.keep(left);
      if (left.length === 0 && trouble === "") {
        this.scratch.removePassword();
        this.options.output.ending("all workers removed.");
        return 0;
      }
      if (performance.now() > giveUpMs) break;
      await delay(removalPollMs, abort);
    }
    this.#say(
      left.length === 0
        ? `It is not known whether all workers are gone${trouble}`
        : `Not removed, and to be looked after by hand: ${left.join(", ")}${trouble}`,
    );
    return 1;
  }

  #happened(event: FactoryEvent): void {
    for (const action of this.#machine.handle(event, Date.now())) {
      if (action.type === "say") this.#say(action.line);
    }
  }

  #say(line: string): void {
    this.options.debug(line);
    this.options.output.say(line);
  }
}

/** How the manager of the command line is spoken to. */
function securityOf({ tls, join }: WorkerTerms): { readonly tls: boolean; readonly pin?: string } {
  return join === null ? { tls } : { tls: true, pin: join.pin };
}

const stopText = "received abort signal, shutting down workers...";

/** The first that comes; `null` where all fail. */
async function firstOf<T, R>(items: readonly T[], get: (item: T) => Promise<R>): Promise<R | null> {
  for (const item of items) {
    try {
      return await get(item);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
    }
  }
  return null;
}

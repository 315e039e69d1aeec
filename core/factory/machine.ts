/**
 * The factory's mind: what it hears goes in as events, what it wants done comes out as actions.
 * A shell asks catalog and batch system, hands in what they said, then one `tick` a cycle.
 */
import { hostsBlockedBy } from "../catalog/selection.ts";
import type { NowMs } from "../env.ts";
import { unreachable } from "../errors.ts";
import type { JxObject } from "../jx/value.ts";
import { type FactoryFacts, factoryRecord } from "./advert.ts";
import { type ArrivalMark, Arrivals } from "./arrivals.ts";
import type { JobId, JobStatus } from "./job.ts";
import { type JobEnd, Jobs } from "./jobs.ts";
import { needOf } from "./need.ts";
import { type Peer, peersAmong } from "./peers.ts";
import { type Plan, plan } from "./plan.ts";
import { plural } from "../units.ts";
import type { FactorySettings } from "./settings.ts";
import { type RunningJob, unconnectedHosts } from "./unconnected.ts";
import { type Answer, emptyView, type View, viewOf } from "./view.ts";

export interface MachineOptions {
  readonly facts: FactoryFacts;
  readonly settings: FactorySettings;
  /** Protocols that the workers speak; `null`: managers of all protocols are served. */
  readonly protocols: readonly number[] | null;
  /** Waiting jobs beyond the need are removed after so long; `null`: never. */
  readonly removeAfterMs: number | null;
  /** A worker that has run for so long should be connected. */
  readonly connectMsMax: number;
}

export type FactoryEvent =
  /** From a new version of the configuration file. */
  | { readonly type: "config"; readonly settings: FactorySettings }
  | { readonly type: "answer"; readonly answer: Answer }
  /** Neither catalog nor manager answered; `why` is a sentence. */
  | { readonly type: "no_answer"; readonly why: string }
  /** Jobs that an earlier factory of the same folder left. */
  | { readonly type: "adopted"; readonly ids: readonly JobId[] }
  | { readonly type: "jobs"; readonly statuses: ReadonlyMap<JobId, JobStatus> }
  /** The batch system does not say how the jobs are. */
  | { readonly type: "jobs_unknown"; readonly why: string }
  | { readonly type: "submitted"; readonly id: JobId }
  | { readonly type: "submit_failed"; readonly why: string }
  | { readonly type: "removed"; readonly ids: readonly JobId[] }
  | { readonly type: "remove_failed"; readonly why: string }
  /** Where the workers are that managers know of; `null`: they did not say. */
  | { readonly type: "hosts"; readonly hosts: readonly string[] | null }
  | { readonly type: "tick" };

export type FactoryAction =
  /** To be handed in one by one; the first that fails ends it for this cycle. */
  | { readonly type: "submit"; readonly count: number }
  | { readonly type: "remove"; readonly ids: readonly JobId[] }
  | { readonly type: "advertise"; readonly record: JxObject }
  /** The plan of this cycle, and what it was made from. */
  | { readonly type: "report"; readonly plan: Plan; readonly view: View }
  | { readonly type: "say"; readonly line: string }
  /** Wanted: a `hosts` event before the next tick. */
  | { readonly type: "ask_hosts" }
  /** There was no manager for too long. */
  | { readonly type: "end"; readonly why: string };

/** An answer of the catalog is relied on for so long after it stopped to answer. */
const viewAgeMsMax = 120_000;
/** Jobs that have waited longer, with none started meanwhile, say that there is no room. */
const stuckMs = 300_000;
const pauseMsMin = 30_000;
const pauseMsMax = 600_000;
/** Ended jobs of one cycle that get a line; more are counted. */
const endsShownMax = 3;

/** In which no jobs are handed in. */
interface Pause {
  readonly for: "ends" | "refusals";
  readonly untilMs: number;
  /** Why, and how long it is in all. */
  readonly text: string;
}

/** Complaints by what they are about: said when they change, and once more when they are over. */
type Subject = "answer" | "submit" | "jobs" | "remove" | "foreign";

export class FactoryMachine {
  readonly #jobs = new Jobs();
  readonly #arrivals = new Arrivals();
  readonly #said = new Map<Subject, string>();
  /** Running jobs that were named as unconnected. */
  readonly #named = new Set<JobId>();
  #settings: FactorySettings;
  #answer: { readonly view: View; readonly heardMs: number; readonly direct: boolean } | null =
    null;
  #fresh = false;
  #managersMs: number | null = null;
  #startedMs: number | null = null;
  #excessSinceMs: number | null = null;
  /** Cycles in a row in which jobs failed at once and none was well; since the first of them. */
  #failing: { cycles: number; readonly since: ArrivalMark } | null = null;
  #refusals = 0;
  /** Jobs that were to be handed in so far. */
  #brought = 0;
  #pause: Pause | null = null;
  #hosts: readonly string[] | null = null;

  constructor(private readonly options: MachineOptions) {
    this.#settings = options.settings;
  }

  get settings(): FactorySettings {
    return this.#settings;
  }

  /** All that the batch system may still have of ours. */
  jobIds(): JobId[] {
    return this.#jobs.ids();
  }

  get hostsBlocked(): string[] {
    const managers = this.#answer?.view.managers ?? [];
    return [...new Set(managers.flatMap(hostsBlockedBy))].sort();
  }

  /** Throws a UsageError where a name of the settings is no regular expression. */
  handle(event: FactoryEvent, nowMs: NowMs): FactoryAction[] {
    switch (event.type) {
      case "config":
        this.#settings = event.settings;
        // It may be what makes jobs start again.
        this.#pause = this.#failing = null;
        this.#refusals = 0;
        return [];
      case "answer":
        return this.#answered(event.answer, nowMs);
      case "no_answer":
        this.#fresh = false;
        return this.#complain("answer", event.why);
      case "adopted":
        for (const id of event.ids) this.#jobs.add(id, nowMs, this.#arrivals.mark);
        return event.ids.length === 0 ? [] : [
          say(
            `Going on with ${plural(event.ids.length, "job")} of an earlier run: ${few(event.ids)}`,
          ),
        ];
      case "jobs":
        return [
          ...this.#resolved("jobs", "The batch system answers again"),
          ...this.#seen(
            event.statuses,
            nowMs,
          ),
        ];
      case "jobs_unknown":
        return this.#complain("jobs", event.why);
      case "submitted":
        this.#jobs.add(event.id, nowMs, this.#arrivals.mark);
        this.#refusals = 0;
        return this.#resolved("submit", "The batch system takes jobs again");
      case "submit_failed":
        this.#refusals++;
        // The first time it may be a passing trouble.
        if (this.#refusals > 1) this.#hold("refusals", this.#refusals - 1, event.why, nowMs);
        return this.#complain("submit", event.why);
      case "removed":
        this.#jobs.markRemoved(event.ids);
        return this.#resolved("remove", "The batch system removes jobs again");
      case "remove_failed":
        return this.#complain("remove", event.why);
      case "hosts":
        this.#hosts = event.hosts;
        return this.#nameUnconnected(nowMs);
      case "tick":
        return this.#tick(nowMs);
      default:
        return unreachable(event);
    }
  }

  #answered(answer: Answer, nowMs: NowMs): FactoryAction[] {
    const view = viewOf(answer, this.#settings, this.options.protocols);
    this.#answer = { view, heardMs: nowMs, direct: answer.direct !== null };
    this.#fresh = true;
    this.#arrivals.heard([...view.managers, ...view.foremen ?? []], this.#peersIn(view));
    // The report of a worker may come after its end.
    if (this.#failing !== null && this.#arrivals.anySince(this.#failing.since)) this.#allIsWell();
    return [
      ...this.#resolved("answer", "There are answers again"),
      ...this.#aboutForeign(view.foreign),
    ];
  }

  #aboutForeign(foreign: readonly JxObject[]): FactoryAction[] {
    if (foreign.length === 0) {
      this.#said.delete("foreign");
      return [];
    }
    const names = foreign.map((record) =>
      `"${record.get("project") ?? record.get("name")}" (protocol ${record.get("protocol")})`
    );
    const served = this.options.protocols?.join(", ");
    return this.#complain(
      "foreign",
      `Left out: ${names.join(", ")}; our workers speak protocols ${served}`,
    );
  }

  #seen(statuses: ReadonlyMap<JobId, JobStatus>, nowMs: NowMs): FactoryAction[] {
    const { ended, held, started } = this.#jobs.update(statuses, nowMs);
    if (started > 0) this.#startedMs = nowMs;
    for (const { id } of ended) this.#named.delete(id);
    const failed = ended.filter(({ early }) => early);
    if (ended.length > failed.length || this.#jobs.someWell(nowMs)) this.#allIsWell();
    else if (failed.length > 0) this.#haveFailed(failed, nowMs);
    const lines = failed.slice(0, endsShownMax).map(({ id, why, host }) =>
      `Job ${id} ended too early${host === null ? "" : ` on ${host}`}: ${why}`
    );
    if (failed.length > endsShownMax) {
      lines.push(`${failed.length - endsShownMax} more jobs ended too early`);
    }
    lines.push(...held.map(({ id, why }) => `Job ${id} is held: ${why}`));
    return lines.map(say);
  }

  /** A worker that was killed after it had connected tells nothing of the command or the hosts. */
  #haveFailed(failed: readonly JobEnd[], nowMs: NowMs): void {
    const marks = failed.map(({ mark }) => mark);
    const since = this.#failing?.since ?? marks.reduce((a, b) => a < b ? a : b);
    if (this.#arrivals.anySince(since)) return this.#allIsWell();
    const cycles = (this.#failing?.cycles ?? 0) + 1;
    this.#failing = { cycles, since };
    const why = `jobs end as soon as they start (${failed[0]!.why})`;
    if (cycles > 1) this.#hold("ends", cycles - 1, why, nowMs);
  }

  /** Jobs that are handed in become workers. */
  #allIsWell(): void {
    this.#failing = null;
    if (this.#pause?.for === "ends") this.#pause = null;
  }

  /** 30 s, then twice as long every time, up to 10 minutes. */
  #hold(reason: Pause["for"], times: number, why: string, nowMs: NowMs): void {
    const ms = Math.min(pauseMsMax, pauseMsMin * 2 ** (times - 1));
    // How much of it is left would make every cycle's plan another one.
    const text = `${why}; the next try comes after ${ms / 1000} s`;
    this.#pause = { for: reason, untilMs: nowMs + ms, text };
  }

  #pauseNow(nowMs: NowMs): string | null {
    return this.#pause === null || nowMs >= this.#pause.untilMs ? null : this.#pause.text;
  }

  #peersIn({ factories, managers }: View): Peer[] {
    const { id } = this.options.facts;
    return peersAmong(factories, { id, managers, project: this.#settings.managerName });
  }

  #viewNow(nowMs: NowMs): View {
    if (this.#answer === null) return emptyView;
    const { view, heardMs, direct } = this.#answer;
    if (this.#fresh) return view;
    // A manager that does not answer itself has most likely ended.
    return direct || nowMs - heardMs > viewAgeMsMax ? emptyView : view;
  }

  #tick(nowMs: NowMs): FactoryAction[] {
    const view = this.#viewNow(nowMs);
    this.#managersMs ??= nowMs;
    if (this.#fresh && view.managers.length > 0) this.#managersMs = nowMs;
    const { factoryTimeoutS } = this.#settings;
    if (factoryTimeoutS > 0 && nowMs - this.#managersMs > factoryTimeoutS * 1000) {
      const why = "There have been no managers for longer then the factory timeout, exiting";
      return [{ type: "end", why }];
    }
    const kept = this.#jobs.kept();
    const waiting = kept.filter(({ phase }) => phase !== "running");
    const running = kept.length - waiting.length;
    const pause = this.#pauseNow(nowMs);
    const oldestMs = Math.min(...waiting.map(({ submittedMs }) => submittedMs));
    const since = Math.max(oldestMs, this.#startedMs ?? -Infinity);
    const stuck = pause !== null || (waiting.length > 0 && nowMs - since > stuckMs);
    const { id } = this.options.facts;
    const need = needOf(view, this.#settings);
    const made = plan(
      {
        need,
        managers: view.managers.length,
        peers: this.#peersIn(view),
        id,
        waiting,
        running,
        stuck,
        pause,
        excessSinceMs: this.#excessSinceMs,
      },
      this.#settings,
      this.options,
      nowMs,
    );
    this.#excessSinceMs = made.excess > 0 && this.#fresh ? this.#excessSinceMs ?? nowMs : null;
    const more = Math.max(0, this.#settings.maxWorkers - made.submitted);
    // Others may bring what has waited here in vain; then it is not needed here.
    const room = stuck ? -waiting.length : more;
    const { facts } = this.options;
    this.#brought += made.submit;
    const standing = {
      settings: this.#settings,
      view,
      plan: made,
      waiting: waiting.length,
      running,
      room,
      brought: this.#brought,
    };
    return [
      { type: "advertise", record: factoryRecord(facts, standing) },
      { type: "report", plan: made, view },
      ...(made.remove.length > 0 ? [{ type: "remove", ids: made.remove } as const] : []),
      ...(made.submit > 0 ? [{ type: "submit", count: made.submit } as const] : []),
      ...this.#doubtful(view, made, waiting.length, nowMs),
    ];
  }

  /** Managers are asked where their workers are only if some of ours should be there and are not. */
  #doubtful(view: View, made: Plan, waiting: number, nowMs: NowMs): FactoryAction[] {
    if (view.managers.length === 0 || !this.#fresh) return [];
    if (made.toConnect - waiting <= 0 || this.#overdue(nowMs).length === 0) return [];
    return [{ type: "ask_hosts" }];
  }

  #overdue(nowMs: NowMs): RunningJob[] {
    return this.#jobs.kept().flatMap(({ id, host, runningSinceMs: sinceMs }) => {
      const late = sinceMs !== null && nowMs - sinceMs > this.options.connectMsMax;
      return late && !this.#named.has(id) ? [{ id, host, sinceMs }] : [];
    });
  }

  #nameUnconnected(nowMs: NowMs): FactoryAction[] {
    const { connected } = needOf(this.#viewNow(nowMs), this.#settings);
    const sighting = { overdue: this.#overdue(nowMs), connected, hosts: this.#hosts };
    const findings = unconnectedHosts(sighting, nowMs);
    for (const id of findings.flatMap(({ jobs }) => jobs)) this.#named.add(id);
    return findings.map(({ text }) => say(text));
  }

  #complain(about: Subject, line: string): FactoryAction[] {
    if (this.#said.get(about) === line) return [];
    this.#said.set(about, line);
    return [say(line)];
  }

  #resolved(about: Subject, line: string): FactoryAction[] {
    return this.#said.delete(about) ? [say(line)] : [];
  }
}

function say(line: string): FactoryAction {
  return { type: "say", line };
}

function few(ids: readonly JobId[]): string {
  return ids.slice(0, 10).join(", ") + (ids.length > 10 ? ", …" : "");
}

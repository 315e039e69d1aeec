/** What a client may ask of its manager: a row a method (docs/api.md, "Requests"). */
import { boolean, list, number, oneOf, record } from "../core/api/fields.ts";
import { absolutePath, text, textOrNull, whole } from "../core/api/fields.ts";
import type { Amounts } from "../core/allocation/policy.ts";
import { parseCatalogs } from "../core/addresses.ts";
import { UsageError } from "../core/errors.ts";
import { monitorModes } from "../core/monitor/mode.ts";
import { didYouMean } from "../core/suggest.ts";
import type { CategoryChange, ClientManager } from "./api_manager.ts";

type Arguments = readonly unknown[];
type Method = (manager: ClientManager, given: Arguments, raw: Uint8Array) => unknown;

const connectionModes = ["by_ip", "by_hostname", "by_apparent_ip"] as const;
const questions = ["queue", "tasks", "workers", "categories"] as const;

const done = true;

const methods: Readonly<Record<string, Method>> = {
  stats: (manager) => manager.stats(),
  stats_category: (manager, [name]) => manager.statsOf(text("the category", name)),
  status: (manager, [what]) => manager.statusOf(oneOf("what to show", what, questions)),
  task_state: (manager, [id]) => manager.stateOf(whole("the id", id)),
  cancel: (manager, [ids]) => manager.cancel(list("the ids", ids).map((id) => whole("an id", id))),
  cancel_category: (manager, [name]) => manager.cancelCategory(text("the category", name)),
  category(manager, [name, settings]) {
    manager.setCategory(textOrNull("the category", name), categoryChange(settings));
    return done;
  },
  tune: (manager, [name, value]) =>
    manager.tune(text("the name", name), number("the value", value)) ? 0 : -1,
  monitoring(manager, [mode, folder = null, full = false]) {
    boolean("full", full);
    const kept = folder === null ? null : absolutePath("the folder", folder);
    return manager.monitor(oneOf("the mode", mode, monitorModes), kept).then(() => done);
  },
  name(manager, [name]) {
    return manager.rename(textOrNull("the name", name)).then(() => done);
  },
  catalog(manager, [addresses]) {
    const given = textOrNull("the catalogs", addresses);
    return manager.setCatalogs(given === null ? null : parseCatalogs(given)).then(() => done);
  },
  priority(manager, [priority]) {
    manager.present({ priority: whole("the priority", priority) });
    return done;
  },
  tasks_left(manager, [count]) {
    manager.present({ tasksLeft: Math.max(0, whole("the count", count)) });
    return done;
  },
  preferred_connection(manager, [mode]) {
    manager.present({ preferredConnection: oneOf("the mode", mode, connectionModes) });
    return done;
  },
  password(manager, _, raw) {
    const password = raw.length === 0 ? null : { content: raw.slice(), path: "of the client" };
    manager.present({ password });
    return done;
  },
  algorithm(_, [algorithm]) {
    whole("the algorithm", algorithm);
    return done;
  },
  drain: (manager, [host, on]) => manager.drain(text("the host", host), boolean("on", on)),
  block(manager, [host, seconds]) {
    manager.block(text("the host", host), number("the time", seconds));
    return done;
  },
  unblock(manager, [host]) {
    manager.unblock(textOrNull("the host", host));
    return done;
  },
  invalidate: (manager, [path]) => manager.invalidate(absolutePath("the path", path)),
  shutdown_workers: (manager, [count]) => manager.dismiss(whole("the count", count, 0)),
  workers_summary: (manager) => manager.workersSummary(),
  log: (manager, [path]) => manager.logStatistics(absolutePath("the path", path)).then(() => done),
  transactions_log: (manager, [path]) =>
    manager.logTransactions(absolutePath("the path", path)).then(() => done),
};

/** What became of a request; throws a UsageError, a sentence, for what cannot be done. */
export async function answerRequest(
  manager: ClientManager,
  value: unknown,
  raw: Uint8Array,
): Promise<unknown> {
  const [name, ...given] = list("a request", value);
  const method = typeof name === "string" && Object.hasOwn(methods, name)
    ? methods[name]
    : undefined;
  if (method === undefined) {
    const hint = typeof name === "string"
      ? didYouMean(name, [...Object.keys(methods), "close"])
      : "";
    throw new UsageError(`There is no request ${JSON.stringify(name) ?? ""}${hint}`);
  }
  try {
    return await method(manager, given, raw);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`Cannot do "${name}": ${error.message}`);
  }
}

function categoryChange(value: unknown): CategoryChange {
  const settings = record("settings", value);
  const change: { -readonly [K in keyof CategoryChange]: CategoryChange[K] } = {};
  for (const [key, setting] of Object.entries(settings)) {
    switch (key) {
      case "mode":
        change.mode = whole(key, setting, 0);
        break;
      case "max":
      case "min":
        change[key] = amounts(key, setting);
        break;
      case "first":
        change.guess = amounts(key, setting);
        break;
      case "max_concurrent":
        change.runningMax = number(key, setting) < 0 ? Infinity : number(key, setting);
        break;
      case "fast_abort":
        change.fastAbort = number(key, setting);
        break;
      default:
        throw new UsageError(`there is no setting ${JSON.stringify(key)} of categories`);
    }
  }
  return change;
}

/** What is not above 0 says nothing, as in Work Queue; other resources have no limits here. */
function amounts(name: string, value: unknown): Amounts {
  const given = record(name, value);
  const amount = (key: string) => {
    const one = given[key];
    return one === undefined || number(key, one) <= 0 ? undefined : number(key, one);
  };
  const [cores, memoryMb, diskMb, gpus] = ["cores", "memory", "disk", "gpus"].map(amount);
  return {
    ...(cores !== undefined && { cores }),
    ...(memoryMb !== undefined && { memoryMb }),
    ...(diskMb !== undefined && { diskMb }),
    ...(gpus !== undefined && { gpus }),
  };
}

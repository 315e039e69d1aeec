/**
 * Why a task waits, why a worker idles, and what holds the queue up, in a paragraph for the people
 * whose tasks they are: what it is, what is missing, and what would help.
 */
import { boxFor } from "../allocation/box.ts";
import { resourceNames } from "../allocation/policy.ts";
import { eachResource, minus, type Resources } from "../resources.ts";
import { formatSizeMb, plural } from "../units.ts";
import type { Placed, QueueFacts, TaskFacts, WaitingKind, WorkerFacts } from "./explain_facts.ts";
import {
  amount,
  amountsOf,
  are,
  describe,
  have,
  list,
  lower,
  needsOf,
  paragraph,
  sum,
  time,
  times,
  wholeWorker,
  workerOptions,
} from "./explain_words.ts";
import { countObstacles, lackingOf, nearest, nearestKind, obstacle, sorted } from "./obstacles.ts";

/** Why a task is where it is, and what would move it on. */
export function explainTask({ task, higher, earlier }: Placed, queue: QueueFacts): string {
  const name = nameOf(task);
  switch (task.phase) {
    case "running":
      return paragraph(`${name} runs ${places(task)}.`, overtaking(task), history(task));
    case "retrieving":
      return paragraph(
        `${name} has ended ${places(task)}; its outputs are being fetched.`,
        history(task),
      );
    case "waiting":
      return paragraph(
        `${name} waits: ${whyWaiting(task, queue)}.`,
        others(task, queue),
        mayStart(task, queue) ? learning(task) : "",
        history(task),
        mayStart(task, queue) ? queueing(higher, earlier) : "",
        caveat(queue),
      );
  }
}

/** Why a worker does what it does: mostly, nothing. */
export function explainWorker(worker: WorkerFacts, queue: QueueFacts): string {
  const name = `Worker ${workerName(worker)}`;
  const size = describe(worker.total);
  if (!worker.ready) {
    return `${name} has connected, and has not said yet what it has: it gets no tasks before. ` +
      "That takes a moment; a worker that stays like this is on its way out or broken.";
  }
  const busy = worker.tasks > 0
    ? `${name} has ${plural(worker.tasks, "task")} and ${describe(worker.free)} free of ${size}.`
    : `${name} idles, with ${size}.`;
  return paragraph(busy, fetching(worker), transfer(worker), whyNoMore(worker, queue));
}

/** What limits progress now. */
export function explainQueue(queue: QueueFacts): string {
  const { waiting, running, retrieving, done, held } = queue;
  const ready = queue.workers.filter(({ ready }) => ready);
  const counts = paragraph(
    `${plural(waiting, "task")} ${waiting === 1 ? "waits" : "wait"}, ${running} ` +
      `${running === 1 ? "runs" : "run"}, ${done} ${done === 1 ? "is" : "are"} done.`,
    retrieving > 0 ? `The outputs of ${retrieving} more are being fetched.` : "",
    held > 0
      ? `${plural(held, "task")} of the list ${held === 1 ? "waits" : "wait"} for others to ` +
        "succeed first."
      : "",
  );
  return paragraph(
    stillness(queue),
    counts,
    limit(queue, ready),
    stuck(queue),
    lasting(queue),
    caveat(queue),
  );
}

function stillness({ still }: QueueFacts): string {
  return still === null ? "" : `Nothing has moved for ${time(still.ms)}.`;
}

/** The task that may hang. */
function lasting({ still }: QueueFacts): string {
  const [copy] = still?.oldest?.on ?? [];
  if (still === null || still.oldest === null || copy === undefined) return "";
  const since = copy.sinceMs === null ? "" : ` for ${time(copy.sinceMs)}`;
  const usual = still.usualMs === null
    ? "no other has ended yet that would tell how long they take"
    : `others took ${time(still.usualMs)} on average`;
  return `${nameOf(still.oldest)} has run longest,${since} on ${copy.host}, and ${usual}. If it ` +
    "hangs, look at its process there; a wall time (`wall_time`) ends such tasks by itself, and a " +
    "straggler factor (`--fast-abort`) has them tried elsewhere.";
}

function limit({ waiting, running, kinds, workers }: QueueFacts, ready: readonly WorkerFacts[]) {
  if (workers.length === 0) {
    return waiting === 0
      ? "No worker is connected, and none is needed now."
      : `No worker is connected: that is what it takes. ${wanted(kinds)}`;
  }
  const idle = ready.filter((worker) => worker.tasks === 0).length;
  if (waiting === 0) {
    return idle === 0
      ? "Every task that there is has its worker: the tasks themselves take the time."
      : `${idle} of ${plural(ready.length, "worker")} ${idle === 1 ? "idles" : "idle"}, since ` +
        `there are no more tasks${running > 0 ? ": the time is that of the tasks that run" : ""}.`;
  }
  const hindered = kinds.map((kind) => ({ kind, why: countObstacles(kind.first, workers) }));
  const full = hindered.filter(({ why }) => why.full > 0);
  if (full.length > 0) {
    const tasks = sum(full.map(({ kind }) => kind.count));
    const busy = ready.filter((worker) => worker.tasks > 0);
    return `The number of workers limits progress: ${plural(tasks, "task")} would start if there ` +
      `were more room. ${plural(busy.length, "worker")} with ${describe(sumOf(busy))} ` +
      `${are(busy.length)} busy. ${wanted(full.map(({ kind }) => kind))}`;
  }
  if (hindered.some(({ why }) => why.none > 0)) {
    return "There is room for more tasks: the next ones start within a moment.";
  }
  return "Workers have room, but not for what waits.";
}

/** Of those kinds that no worker can take, however empty, why. */
function stuck(queue: QueueFacts): string {
  if (queue.workers.length === 0) return "";
  const lines = queue.kinds.flatMap(({ first, count }) => {
    const why = countObstacles(first, queue.workers);
    if (why.none > 0 || why.full > 0 || why.failed > 0) return [];
    const more = count > 1 ? ` (and ${count - 1} more like it)` : "";
    return [`${nameOf(first)}${more} waits: ${whyWaiting(first, queue)}.`];
  });
  const shown = lines.slice(0, kindsShownMax);
  const left = lines.length - shown.length;
  return [...shown, ...left > 0 ? [`${left} more kinds of tasks wait as well.`] : []].join(" ");
}

/** So many kinds of tasks are told of one by one. */
const kindsShownMax = 3;

// Tasks

function whyWaiting(task: TaskFacts, { workers }: QueueFacts): string {
  const needs = `it needs ${needsOf(task.wish)}`;
  if (workers.length === 0) return `no worker is connected, and ${needs}`;
  const by = sorted(task, workers);
  const able = [...by.full, ...by.none];
  if (by.none.length > 0) {
    return `${needs}, and ${
      workerName(by.none[0]!)
    } has room for it, so it starts within a moment ` +
      "unless tasks before it take the room";
  }
  if (by.full.length > 0) return whyFull(task, able, workers.length);
  if (by.failed.length > 0) {
    return `${needs}. It is kept from the workers on which it failed, and waits for another one`;
  }
  if (by.blocked.length > 0) return whyBlocked(needs, by.blocked);
  if (by.leaving.length > 0) return whyLeaving(task, needs, by.leaving);
  if (by.small.length > 0) return whySmall(task, needs, by.small);
  if (by.features.length > 0) return whyFeatures(task, workers);
  return `${
    plural(by.joining.length, "worker")
  } connected, and none of them has said yet what it has`;
}

function whyFull(task: TaskFacts, able: readonly WorkerFacts[], count: number): string {
  const large = able.length === count
    ? count === 1
      ? "the one worker is"
      : count === 2
      ? "both workers are"
      : `all ${count} workers are`
    : `${able.length} of ${plural(count, "worker")} ${able.length === 1 ? "is" : "are"}`;
  const near = nearest(task, able);
  const box = boxFor(task.wish, near.total)!;
  const short = lackingOf(box, near.free).length === resourceNames.length ||
      isNothing(near.free)
    ? ""
    : `: ${lack(box, near.free)} short`;
  const size = needsOf(task.wish) === wholeWorker ? "" : ` with ${needsOf(task.wish)}`;
  return `it gets ${describe(box)}, for which ${large} large enough, but busy. Nearest is ` +
    `${workerName(near)}, with ${describe(near.free)} free${short}. It starts when tasks ` +
    `there end; one more worker${size} would take it at once`;
}

function whyBlocked(needs: string, blocked: readonly WorkerFacts[]): string {
  const hosts = [...new Set(blocked.map(({ host }) => host))];
  const soonest = Math.min(...blocked.map(({ blockedMs }) => blockedMs ?? 0));
  return `${needs}, and the only workers that could take it are on ${list(hosts)}, where so many ` +
    `tasks failed one after the other that no more are sent there for ${time(soonest)}. Look at ` +
    "why tasks fail there, or start workers elsewhere";
}

function whyLeaving(task: TaskFacts, needs: string, leaving: readonly WorkerFacts[]): string {
  const latest = Math.max(...leaving.map(({ leavesInMs }) => leavesInMs ?? 0));
  const over = task.needsMs > 0 ? ` and up to ${time(task.needsMs)}` : "";
  return `${needs}${over}, and the workers that are large enough stop too soon, the last of them ` +
    `${latest <= 0 ? "now" : `in ${time(latest)}`}. Workers with more wall time would help`;
}

function whySmall(task: TaskFacts, needs: string, small: readonly WorkerFacts[]): string {
  const near = nearest(task, small);
  const which = small.length === 1 ? "the one worker that may take it" : "no worker";
  const has = (comma: string) => `${workerName(near)}${comma} has ${describe(near.total)}`;
  const said = small.length === 1
    ? `and ${which} is too small: ${has("")}`
    : `and ${which} is that large: the nearest, ${has(",")}`;
  return `${needs}, ${said}. A worker with at least ${needsOf(task.wish)} would help ` +
    `(${workerOptions(task.wish)})`;
}

function whyFeatures({ features }: TaskFacts, workers: readonly WorkerFacts[]): string {
  const missing = features.filter((one) => workers.every(({ features }) => !features?.has(one)));
  const wanted = missing.length > 0 ? missing : features;
  const options = wanted.map((feature) => `--feature ${feature}`).join(" ");
  return `it asks for workers with the feature${wanted.length === 1 ? "" : "s"} ${list(wanted)}, ` +
    `and ${
      workers.length === 1 ? "the one worker has not" : `none of the ${workers.length} has`
    } ` +
    `${wanted.length === 1 ? "it" : "all of them"}: start one with ${options}`;
}

/** What keeps the other workers from a task that only waits for its turn. */
function others(task: TaskFacts, { workers }: QueueFacts): string {
  const why = countObstacles(task, workers);
  if (why.full + why.none === 0) return "";
  const parts = [
    why.small > 0 && `${why.small} ${are(why.small)} too small`,
    why.features > 0 && `${why.features} ${have(why.features)} not the features that it asks for`,
    why.blocked > 0 && `${why.blocked} ${are(why.blocked)} on hosts that get no tasks for now`,
    why.leaving > 0 && `${why.leaving} ${why.leaving === 1 ? "stops" : "stop"} too soon`,
    why.failed > 0 && `on ${why.failed} it has failed before`,
    why.joining > 0 && `${why.joining} ${have(why.joining)} only just connected`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? "" : `Of the other workers, ${list(parts)}.`;
}

/** Of tasks that say themselves what they need, there is nothing to be learned that matters. */
function learning({ learning, category, wish }: TaskFacts): string {
  return learning === null || wish.request.memoryMb !== undefined
    ? ""
    : `What tasks of ${category} need is still being learned (${learning}); later ones may get less.`;
}

function history({ history }: TaskFacts): string {
  const { failedOn, lastWhy, lost, behindMs, outgrown } = history;
  const failed = failedOn.length === 0
    ? ""
    : `It has failed ${times(failedOn.length)}, on ${list([...new Set(failedOn)])}` +
      `${lastWhy === null ? "" : `, the last time because ${lastWhy}`}.`;
  return paragraph(
    failed,
    outgrown > 0
      ? `It has outgrown what it was given ${times(outgrown)}, and gets more since.`
      : "",
    lost > 0 ? `${lost === 1 ? "A worker" : `${lost} workers`} went away while it ran there.` : "",
    behindMs > 0
      ? `It may have taken them along, so other tasks go first, for ${time(behindMs)} at most.`
      : "",
  );
}

/** Whether its place in the line matters: a worker may take it, or none is there yet. */
function mayStart(task: TaskFacts, { workers }: QueueFacts): boolean {
  const { full, none } = countObstacles(task, workers);
  return workers.length === 0 || full + none > 0;
}

function queueing(higher: number, earlier: number): string {
  if (higher + earlier === 0) return "It is the next in line.";
  const parts = [
    higher > 0 && `${higher} of a higher priority`,
    earlier > 0 && `${earlier} that came earlier`,
  ].filter((part) => part !== false);
  const count = higher + earlier;
  return `${plural(count, "waiting task")} ${count === 1 ? "goes" : "go"} before it: ${
    list(parts)
  }.`;
}

function caveat({ foreign }: QueueFacts): string {
  return foreign
    ? "This manager is not one of wqx: features, blocked hosts and earlier failures are not known."
    : "";
}

function places({ on }: TaskFacts): string {
  return list(on.map(({ host, box, sinceMs }) => {
    const since = sinceMs === null ? "" : `, for ${time(sinceMs)} so far`;
    return `on ${host}, with ${describe(box)}${since}`;
  }));
}

function overtaking({ on }: TaskFacts): string {
  return on.length > 1
    ? "It was much slower than its like, so a second copy was started: the first result wins."
    : "";
}

// Workers

function fetching({ retrieving }: WorkerFacts): string {
  if (retrieving === 0) return "";
  return `${plural(retrieving, "of its tasks", "of its tasks")} ${have(retrieving)} ended, with ` +
    "outputs still under way to the manager.";
}

function transfer({ transfer }: WorkerFacts): string {
  if (transfer === null) return "";
  const way = transfer.to === "worker" ? "is being sent" : "is sending";
  const size = formatSizeMb(transfer.bytes / 1024 ** 2);
  return `It ${way} a file of ${size}, for ${time(transfer.sinceMs)} so far.`;
}

function whyNoMore(worker: WorkerFacts, queue: QueueFacts): string {
  const { waiting, kinds, held } = queue;
  if (worker.blockedMs !== null) {
    return `Its host gets no tasks for another ${time(worker.blockedMs)}, because so many failed ` +
      "there one after the other while others succeeded elsewhere.";
  }
  if (worker.leavesInMs !== null && worker.leavesInMs <= 0) {
    return "Its time is over: it gets no more tasks, and leaves when those that it has are back.";
  }
  if (waiting === 0) {
    return held > 0
      ? `No task is ready: ${held} of the list wait for others to succeed first.`
      : "No task waits, so there is nothing to give it.";
  }
  const hindrances = kinds.map(({ first }) => ({ first, why: obstacle(first, worker) }));
  if (hindrances.some(({ why }) => why === null)) {
    return "It has room for a task that waits, and gets one within a moment.";
  }
  const fulls = hindrances.filter(({ why }) => why === "full");
  if (fulls.length > 0) {
    const { first } = fulls[0]!;
    const lacking = isNothing(worker.free) ? "" : `: the next, ${lower(nameOf(first))}, is ` +
      `${lack(boxFor(first.wish, worker.total)!, worker.free)} short there`;
    return `It has no room for the tasks that wait${lacking}.`;
  }
  const { first } = nearestKind(kinds, worker);
  const which = waiting === 1
    ? `The task that waits may not run there: ${lower(nameOf(first))}`
    : `None of the ${waiting} tasks that wait may run there. Nearest is ` +
      `${lower(nameOf(first))}, which`;
  return `${which} ${whyNotHere(first, worker)}.${limitOfFactory(worker)}`;
}

function whyNotHere(task: TaskFacts, worker: WorkerFacts): string {
  switch (obstacle(task, worker)) {
    case "features": {
      const missing = task.features.filter((one) => !worker.features?.has(one));
      return `asks for the feature${missing.length === 1 ? "" : "s"} ${list(missing)}, and this ` +
        `worker was not started with ${missing.map((one) => `--feature ${one}`).join(" ")}`;
    }
    case "small":
      return `needs ${needsOf(task.wish)}, ${
        lack(amountsOf(task.wish), worker.total)
      } more than it has`;
    case "leaving":
      return `may take ${time(task.needsMs)}, and this worker leaves in ` +
        `${time(worker.leavesInMs ?? 0)}`;
    default:
      return "failed there before, and waits for another worker";
  }
}

function limitOfFactory({ factory }: WorkerFacts): string {
  return factory === null
    ? ""
    : ` The worker was started by the factory ${factory}, whose settings say how large its workers are.`;
}

function isNothing(free: Resources): boolean {
  return describe(free) === "nothing";
}

/** "1 core and 512 MB memory". */
function lack(need: Resources, has: Resources): string {
  const missing = minus(need, has);
  return list(lackingOf(need, has).map((name) => amount(name, missing[name])));
}

/** Which worker would help those who wait. */
function wanted(kinds: readonly WaitingKind[]): string {
  const [first] = kinds;
  if (first === undefined) return "";
  const whole = kinds.some(({ first }) => needsOf(first.wish) === wholeWorker);
  if (whole) return "Any worker would do: these tasks take a whole one each.";
  const needs = kinds.map(({ first }) => amountsOf(first.wish));
  const size = eachResource((name) => Math.max(...needs.map((need) => need[name])));
  return `A worker with ${describe(size)} or more takes any of them.`;
}

function nameOf({ id, name, category }: TaskFacts): string {
  return name === null ? `Task ${id} (${category})` : `Task ${id} ("${name}", ${category})`;
}

function workerName({ id, host, address }: WorkerFacts): string {
  return id === null ? `${host} (${address})` : `${host} (${id})`;
}

function sumOf(workers: readonly WorkerFacts[]): Resources {
  return eachResource((name) => sum(workers.map(({ total }) => total[name])));
}

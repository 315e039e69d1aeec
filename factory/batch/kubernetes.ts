/**
 * Kubernetes: a pod a worker. An image that has the worker runs it at once; into any other one the
 * worker and its files are copied when the pod runs, and the command waits for them.
 */
import { z } from "zod";
import { quoted } from "../../core/shell_words.ts";
import {
  type BatchContext,
  BatchError,
  type BatchSystem,
  type JobId,
  type JobRequest,
  type JobStatus,
  type WorkerJob,
} from "./batch_system.ts";
import { endedWords, lastWords } from "./job_files.ts";
import { failure, firstLine, type Programs } from "./program.ts";
import { inPieces, removeAll } from "./removal.ts";
import { programsOf } from "./script_queue.ts";

/** As in cctools; its images are still there. */
const imageDefault = "centos";
/** In a pod, where the files are copied to. */
const folder = "/tmp/wqx";
const nameLabel = "app";
const inputsAnnotation = "wqx/inputs";

const containerSchema = z.object({
  state: z.object({
    waiting: z.object({ reason: z.string().optional(), message: z.string().optional() }).optional(),
    terminated: z.object({ exitCode: z.number(), reason: z.string().optional() }).optional(),
  }).optional(),
});
const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    deletionTimestamp: z.string().optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.object({ nodeName: z.string().optional() }).optional(),
  status: z.object({
    phase: z.string().optional(),
    reason: z.string().optional(),
    message: z.string().optional(),
    startTime: z.string().optional(),
    conditions: z.array(z.object({ reason: z.string().optional(), message: z.string().optional() }))
      .optional(),
    containerStatuses: z.array(containerSchema).optional(),
  }).optional(),
});
type Pod = z.infer<typeof podSchema>;
const podsSchema = z.object({ items: z.array(podSchema) });

export function openKubernetes(context: BatchContext): BatchSystem {
  return new Kubernetes(context);
}

class Kubernetes implements BatchSystem {
  readonly name = "kubernetes";
  readonly #context: BatchContext;
  readonly #programs: Programs;
  readonly #staged = new Set<string>();

  constructor(context: BatchContext) {
    this.#context = context;
    this.#programs = programsOf(context);
  }

  async check(signal: AbortSignal): Promise<void> {
    this.#programs.require("kubectl");
    await this.find("wqx-0", signal);
  }

  async submit(job: WorkerJob, signal: AbortSignal): Promise<JobId> {
    const { extra, batchOptions } = this.#context;
    const workerImage = extra["k8s-worker-image"];
    const id = `${job.name}-${crypto.randomUUID().slice(0, 8)}`;
    const pod = podObject(job, {
      id,
      image: workerImage ?? extra["k8s-image"] ?? imageDefault,
      hasWorker: workerImage !== undefined,
    });
    await this.#programs.run({
      words: ["kubectl", "create", "-f", "-"],
      options: batchOptions,
      stdin: JSON.stringify(pod, null, 2),
    }, signal);
    return id as JobId;
  }

  async status(
    ids: readonly JobId[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<JobId, JobStatus>> {
    const pods = await this.#podsOf(ids, signal);
    const found = new Map<JobId, JobStatus>();
    for (const id of ids) {
      const pod = pods.get(id);
      if (pod !== undefined) await this.#stage(pod, signal);
      const status = podStatus(pod);
      found.set(
        id,
        pod !== undefined && status.phase === "ended" && status.exitCode !== 0
          ? { ...status, why: status.why + await this.#lastWords(id, signal) }
          : status,
      );
    }
    return found;
  }

  async remove(ids: readonly JobId[], signal: AbortSignal): Promise<void> {
    const remove = async (some: readonly JobId[]) => {
      const words = ["kubectl", "delete", "pods", "--ignore-not-found", "--wait=false", ...some];
      const answer = await this.#programs.ask({ words }, signal);
      return answer.exitCode === 0 ? null : failure("kubectl", answer).message;
    };
    const left = async (some: readonly JobId[]) => {
      const pods = await this.#podsOf(some, signal);
      return some.filter((id) => {
        const pod = pods.get(id);
        return pod !== undefined && pod.metadata.deletionTimestamp === undefined;
      });
    };
    await removeAll(ids, { remove, left }, signal);
  }

  async find(name: string, signal: AbortSignal): Promise<readonly JobId[]> {
    const pods = await this.#pods(["-l", `${nameLabel}=${name}`], signal);
    return pods.filter((pod) => podStatus(pod).phase !== "ended").map((pod) =>
      pod.metadata.name as JobId
    );
  }

  async #podsOf(ids: readonly JobId[], signal: AbortSignal): Promise<Map<string, Pod>> {
    const pods = new Map<string, Pod>();
    for (const some of inPieces(ids)) {
      for (const pod of await this.#pods(["--ignore-not-found", ...some], signal)) {
        pods.set(pod.metadata.name, pod);
      }
    }
    return pods;
  }

  async #pods(which: readonly string[], signal: AbortSignal): Promise<Pod[]> {
    const words = ["kubectl", "get", "pods", "-o", "json", ...which];
    const printed = await this.#programs.run({ words }, signal);
    if (printed.trim() === "") return [];
    try {
      const parsed: unknown = JSON.parse(printed);
      const one = podSchema.safeParse(parsed); // a single one comes without a list around it
      return one.success ? [one.data] : podsSchema.parse(parsed).items;
    } catch {
      throw new BatchError(`"kubectl get pods" printed what is no list: "${firstLine(printed)}"`);
    }
  }

  /** Copies the inputs into a pod that waits for them. One that cannot be reached is tried again. */
  async #stage(pod: Pod, signal: AbortSignal): Promise<void> {
    const { name, annotations } = pod.metadata;
    const inputs = annotations?.[inputsAnnotation];
    if (inputs === undefined || this.#staged.has(name) || pod.status?.phase !== "Running") return;
    try {
      for (const input of z.array(z.string()).parse(JSON.parse(inputs))) {
        await this.#programs.run(
          { words: ["kubectl", "cp", input, `${name}:${folder}/${input}`] },
          signal,
        );
      }
      const ready = ["kubectl", "exec", name, "--", "touch", `${folder}/.ready`];
      await this.#programs.run({ words: ready }, signal);
      this.#staged.add(name);
    } catch (error) {
      if (!(error instanceof BatchError)) throw error;
      this.#context.note(`Cannot copy the worker into pod ${name}: ${error.message}`);
    }
  }

  async #lastWords(id: JobId, signal: AbortSignal): Promise<string> {
    const answer = await this.#programs.ask({ words: ["kubectl", "logs", "--tail=3", id] }, signal);
    return answer.exitCode === 0 ? lastWords(answer.stdout) : "";
  }
}

export interface PodSettings {
  readonly id: string;
  readonly image: string;
  /** Whether the worker is in the image, so that nothing is copied. */
  readonly hasWorker: boolean;
}

/** The pod of one worker (v1 Pod). What it requests is also its limit. */
export function podObject(job: WorkerJob, { id, image, hasWorker }: PodSettings): unknown {
  const copied = !hasWorker && job.inputs.length > 0;
  const amounts = amountsOf(job.request);
  const { wallTimeS } = job.request;
  const waiting = `mkdir -p ${folder} && cd ${folder} && until [ -e .ready ]; do sleep 1; done; ` +
    job.command;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: id,
      labels: { [nameLabel]: job.name },
      ...copied ? { annotations: { [inputsAnnotation]: JSON.stringify(job.inputs) } } : {},
    },
    spec: {
      restartPolicy: "Never",
      ...wallTimeS === null ? {} : { activeDeadlineSeconds: Math.ceil(wallTimeS) },
      containers: [{
        name: "worker",
        image,
        imagePullPolicy: "IfNotPresent",
        // `exec sh -c` hands the signals of a removal on.
        command: ["/bin/sh", "-c", `exec /bin/sh -c ${quoted(copied ? waiting : job.command)}`],
        env: Object.entries(job.env).map(([name, value]) => ({ name, value: literal(value) })),
        ...Object.keys(amounts).length === 0
          ? {}
          : { resources: { requests: amounts, limits: amounts } },
      }],
    },
  };
}

function amountsOf({ cores, memoryMb, diskMb, gpus }: JobRequest): Record<string, string> {
  const amount = (name: string, value: number | null, unit: string) =>
    value === null || value <= 0 ? {} : { [name]: `${value}${unit}` };
  return {
    ...amount("cpu", cores, ""),
    ...amount("memory", memoryMb === null ? null : Math.ceil(memoryMb), "Mi"),
    ...amount("ephemeral-storage", diskMb === null ? null : Math.ceil(diskMb), "Mi"),
    ...amount("nvidia.com/gpu", gpus, ""),
  };
}

/** `$(NAME)` in a value would be replaced. */
function literal(value: string): string {
  return value.replaceAll("$(", "$$(");
}

/** Phases and reasons: Kubernetes documentation, "Pod Lifecycle". */
export function podStatus(pod: Pod | undefined): JobStatus {
  if (pod === undefined) {
    return { phase: "ended", exitCode: null, why: "removed from the queue (no such pod)" };
  }
  const { status } = pod;
  const container = status?.containerStatuses?.[0]?.state;
  switch (status?.phase) {
    case "Pending": {
      const condition = status.conditions?.find(({ message }) => message !== undefined);
      const { reason, message } = container?.waiting ?? condition ?? {};
      const why = [reason, message].filter((word) => word !== undefined).join(": ");
      // An image that is not there will not come by itself.
      return /ErrImage|ImagePull|InvalidImage|CreateContainer.*Error/.test(reason ?? "")
        ? { phase: "held", why }
        : { phase: "pending", why: why || null };
    }
    case "Running": {
      const startedMs = Date.parse(status.startTime ?? "");
      return {
        phase: "running",
        host: pod.spec?.nodeName ?? null,
        sinceEpochS: Number.isNaN(startedMs) ? null : startedMs / 1000,
      };
    }
    case "Succeeded":
    case "Failed": {
      const ended = container?.terminated;
      const exitCode = ended?.exitCode ?? (status.phase === "Succeeded" ? 0 : null);
      const reason = status.reason ?? ended?.reason;
      const words = status.reason === undefined && exitCode !== null
        ? endedWords(exitCode)
        : status.message ?? reason ?? "it failed";
      const told = reason === undefined || words === reason ? words : `${words} (${reason})`;
      return {
        phase: "ended",
        exitCode: exitCode !== null && exitCode > 128 ? null : exitCode,
        why: told,
      };
    }
    default:
      return { phase: "pending", why: `in a phase that is not known: ${status?.phase ?? "none"}` };
  }
}

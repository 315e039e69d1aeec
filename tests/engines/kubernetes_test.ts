/** Pods, held against the schema that Kubernetes publishes. */
import assert from "node:assert/strict";
import type { WorkerJob } from "../../factory/batch/batch_system.ts";
import { podObject, podStatus } from "../../factory/batch/kubernetes.ts";
import { FakeQueue } from "../support/fake_queue.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";

const job: WorkerJob = {
  command: "./work_queue_worker -M 'a|b' -t 300",
  inputs: ["work_queue_worker", "pwfile"],
  env: { GREETING: "$(HOME) is 'mine'" },
  request: { cores: 1.5, memoryMb: 1000.2, diskMb: 2000, gpus: 1, wallTimeS: 5400.5 },
  name: "wqx-abc",
};
const settings = { id: "wqx-abc-1", image: "centos", hasWorker: false };

const validate = `
import json, sys, kubernetes_validate
for pod in json.load(sys.stdin):
    try:
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        print("valid")
    except kubernetes_validate.ValidationError as error:
        print(error.message)
`;

const python = findPython(["kubernetes_validate"]);

Deno.test({
  ...needs("path" in python, "missing" in python ? python.missing : "", "pods are valid objects"),
  fn: async () => {
    assert.ok("path" in python);
    const nothing = { cores: null, memoryMb: null, diskMb: null, gpus: null, wallTimeS: null };
    const pods = [
      podObject(job, settings),
      podObject(job, { ...settings, hasWorker: true }),
      podObject({ ...job, request: nothing, env: {}, inputs: [] }, settings),
      { ...podObject(job, settings) as Record<string, unknown>, spec: { containers: 7 } },
    ];
    const child = new Deno.Command(python.path, {
      args: ["-c", validate],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(pods)));
    await writer.close();
    const { success, stdout, stderr } = await child.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const verdicts = new TextDecoder().decode(stdout).trim().split("\n");
    assert.deepEqual(verdicts.slice(0, 3), ["valid", "valid", "valid"]);
    assert.notEqual(verdicts[3], "valid", "the schema is looked at");
  },
});

Deno.test("a pod that runs gets the worker, and is told when all of it is there, once", async () => {
  await using queue = await FakeQueue.open("kubernetes", {
    file: "kubectl.sh",
    programs: ["kubectl"],
  });
  const { signal } = new AbortController();
  const id = await queue.system.submit(job, signal);
  await queue.system.status([id], signal);
  const copies = async () =>
    (await queue.calls()).filter(([, verb]) => verb === "cp" || verb === "exec").map((words) =>
      words.slice(1).join(" ").replaceAll(id, "POD")
    );
  assert.deepEqual(await copies(), [], "not while it waits");
  await queue.set(id, "running");
  await queue.system.status([id], signal);
  await queue.system.status([id], signal);
  assert.deepEqual(await copies(), [
    "cp work_queue_worker POD:/tmp/wqx/work_queue_worker",
    "cp pwfile POD:/tmp/wqx/pwfile",
    "exec POD -- touch /tmp/wqx/.ready",
  ]);
});

Deno.test("how a pod ended is told by its container, its limits, or its absence", () => {
  const ended = (
    status: Parameters<typeof podStatus>[0] extends infer P ? P extends { status?: infer S } ? S
      : never
      : never,
  ) => podStatus({ metadata: { name: "p" }, status });
  const container = (exitCode: number, reason: string) => ({
    containerStatuses: [{ state: { terminated: { exitCode, reason } } }],
  });
  assert.deepEqual(ended({ phase: "Succeeded", ...container(0, "Completed") }), {
    phase: "ended",
    exitCode: 0,
    why: "its worker ended with exit code 0 (Completed)",
  });
  assert.deepEqual(ended({ phase: "Failed", ...container(137, "OOMKilled") }), {
    phase: "ended",
    exitCode: null,
    why: "its worker was ended by signal 9 (OOMKilled)",
  });
  const evicted = { phase: "Failed", reason: "Evicted", message: "The node was low on memory" };
  assert.deepEqual(ended(evicted), {
    phase: "ended",
    exitCode: null,
    why: "The node was low on memory (Evicted)",
  });
  assert.deepEqual(podStatus(undefined), {
    phase: "ended",
    exitCode: null,
    why: "removed from the queue (no such pod)",
  });
});

/**
 * Which distributions pip's part of an environment consists of: asked of `uv` where it is on PATH,
 * else of the environment's own pip. An answer is kept for a day, since most builds change nothing
 * of it.
 */
import { RunError } from "../core/errors.ts";
import { keyOf } from "../core/package/layers.ts";
import type { LockedDistribution } from "../core/package/lock.ts";
import { readPipReport, readUvCompiled, readUvPlan } from "../core/package/pip_report.ts";
import { isOption, requirementName } from "../core/package/requirement.ts";
import { runProgram } from "./programs.ts";
import { uvEnvironment } from "./uv.ts";

export interface PipQuestion {
  /** Where conda's part is installed already. */
  readonly prefix: string;
  /** Lines of a requirements file: requirements and options. */
  readonly requirements: readonly string[];
  /** Paths of projects, perhaps with extras: what they depend on is chosen too. */
  readonly locals: readonly string[];
  /** Relative paths in options are from here. */
  readonly folder: string;
  /** For programs that work on the prefix. */
  readonly env: Readonly<Record<string, string>>;
  /** Path of `uv`, if there is one. */
  readonly uv: string | null;
  readonly offline: boolean;
  readonly signal: AbortSignal;
}

/** How long an answer of an index is taken for today's; ms. */
const answerLifetimeMs = 24 * 3_600_000;

/**
 * The answer to a question whose key is known, from `folder` where it is young enough; `fresh`
 * asks anyway.
 */
export async function resolvePip(
  question: PipQuestion,
  kept: { readonly folder: string; readonly key: string; readonly fresh: boolean },
): Promise<{ readonly chosen: readonly LockedDistribution[]; readonly ageMs: number | null }> {
  const path = `${kept.folder}/${kept.key}.json`;
  const answer = kept.fresh ? null : await readAnswer(path);
  if (answer !== null) return answer;
  const chosen = await ask(question);
  await Deno.mkdir(kept.folder, { recursive: true });
  const partial = await Deno.makeTempFile({ dir: kept.folder, prefix: ".making-" });
  await Deno.writeTextFile(partial, JSON.stringify(chosen));
  await Deno.rename(partial, path);
  return { chosen, ageMs: null };
}

/** What the answer depends on, besides the index and the time. */
export function pipQuestionKey(
  condaKey: string,
  requirements: readonly string[],
  descriptions: readonly string[],
): string {
  return keyOf(condaKey, ...requirements, "", ...descriptions);
}

async function readAnswer(path: string) {
  try {
    const { mtime } = await Deno.stat(path);
    const ageMs = Date.now() - (mtime?.getTime() ?? 0);
    if (ageMs > answerLifetimeMs) return null;
    // Our own file, put in place whole.
    const chosen = JSON.parse(await Deno.readTextFile(path)) as LockedDistribution[];
    return { chosen, ageMs };
  } catch {
    return null;
  }
}

async function ask(question: PipQuestion): Promise<readonly LockedDistribution[]> {
  if (question.requirements.every(isOption) && question.locals.length === 0) return [];
  // uv tells no hashes of what comes from a URL.
  const byName = question.requirements.every((line) =>
    isOption(line) || !/^[a-z+]+:\/\/|@/i.test(line) && requirementName(line) !== null
  );
  const file = await Deno.makeTempFile({ prefix: "wqx-requirements-", suffix: ".txt" });
  try {
    await Deno.writeTextFile(file, question.requirements.map((line) => `${line}\n`).join(""));
    // Where uv finds none, pip may (other settings), and its words are better known.
    const byUv = question.uv !== null && byName ? await askUv(question.uv, file, question) : null;
    return byUv ?? await askPip(file, question);
  } finally {
    await Deno.remove(file);
  }
}

async function askPip(file: string, question: PipQuestion): Promise<LockedDistribution[]> {
  const { prefix, locals, folder, env, offline, signal } = question;
  const report = `${file}.json`;
  const words = [
    `${prefix}/bin/python`,
    "-m",
    "pip",
    "install",
    ...["--dry-run", "--quiet", "--no-input", "--disable-pip-version-check"],
    ...["--report", report, "-r", file],
    ...offline ? ["--no-index"] : [],
    ...locals,
  ];
  try {
    const { code, stderr } = await runProgram(words, { cwd: folder, env, signal });
    if (code !== 0) throw new RunError(pipTrouble(stderr));
    return readPipReport(JSON.parse(await Deno.readTextFile(report)));
  } finally {
    await Deno.remove(report).catch(() => {}); // it was not written
  }
}

/**
 * What is missing of conda's part, then the hashes of those: uv has no one call for both. `null`
 * where it fails.
 */
async function askUv(
  uv: string,
  file: string,
  { prefix, requirements, locals, folder, env, offline, signal }: PipQuestion,
): Promise<LockedDistribution[] | null> {
  const common = ["--python", `${prefix}/bin/python`, ...offline ? ["--offline"] : []];
  const run = async (...words: string[]) =>
    await runProgram([uv, "pip", ...words, ...common], {
      cwd: folder,
      env: uvEnvironment(env),
      signal,
    });
  const plan = await run("install", "--dry-run", "--break-system-packages", "-r", file, ...locals);
  if (plan.code !== 0) return null;
  const chosen = readUvPlan(plan.stderr);
  if (chosen.length === 0) return [];
  const options = requirements.filter(isOption);
  const lines = [...options, ...chosen.map(({ name, version }) => `${name}==${version}`)];
  const wanted = `${file}.chosen.txt`;
  try {
    await Deno.writeTextFile(wanted, lines.map((line) => `${line}\n`).join(""));
    const compiled = await run("compile", "--quiet", "--no-deps", "--generate-hashes", wanted);
    return compiled.code === 0 ? readUvCompiled(compiled.stdout) : null;
  } finally {
    await Deno.remove(wanted);
  }
}

/** pip's own words, without what it says of itself. */
export function pipTrouble(stderr: string): string {
  if (/no such option: --(?:report|dry-run)/.test(stderr)) {
    return "Cannot choose pip packages: the environment's pip is too old; ask for pip >=22.2";
  }
  if (/No module named pip/.test(stderr)) {
    return "Cannot install pip packages: there is no pip in the environment; " +
      "add pip to the conda packages";
  }
  const errors = [...stderr.matchAll(/^ *ERROR: (.*)$/gm)].map(([, text]) => text);
  const said = errors.length > 0 ? errors : stderr.trim().split("\n").slice(-linesShownMax);
  return `Cannot install pip packages: ${said.join("; ")}`;
}

const linesShownMax = 5;

/** Lets conda, mamba or micromamba choose versions; which files they are is found out as ever. */
import { basename } from "node:path";
import { RunError, UsageError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { findProgram } from "../io/programs.ts";
import { runProgram } from "./programs.ts";

export interface ExternalQuestion {
  /** Name or path of the program. */
  readonly program: string;
  readonly specs: readonly string[];
  /** URLs, first choice first. */
  readonly channels: readonly string[];
  readonly platform: string;
  readonly priority: string;
  /** Virtual packages: name with underscores and version. */
  readonly virtual: ReadonlyMap<string, string>;
  readonly offline: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * The packages that the program would install, as specs of name, version and build. Throws a
 * UsageError if there is no such program, a RunError with its words if it fails.
 */
export async function askExternalSolver(question: ExternalQuestion): Promise<string[]> {
  const { program, env, signal } = question;
  const found = findProgram(program, env.PATH ?? "");
  if (!("path" in found)) throw new UsageError(`Cannot solve with "${program}": ${found.why}`);
  const overrides = [...question.virtual].flatMap(([name, version]) =>
    ["__glibc", "__linux", "__cuda", "__osx"].includes(name)
      ? [[`CONDA_OVERRIDE_${name.slice(2).toUpperCase()}`, version] as const]
      : []
  );
  const words = [
    found.path,
    "create",
    ...["--dry-run", "--json", "--yes", "--override-channels"],
    ...question.offline ? ["--offline"] : [],
    ...["--prefix", `/tmp/wqx-solve-${crypto.randomUUID().slice(0, 8)}`],
    ...question.channels.flatMap((channel) => ["--channel", channel]),
    ...question.specs,
  ];
  const { code, stdout, stderr } = await runProgram(words, {
    env: {
      ...env,
      CONDA_SUBDIR: question.platform,
      CONDA_CHANNEL_PRIORITY: question.priority,
      ...Object.fromEntries(overrides),
    },
    signal,
  });
  const answer = readAnswer(stdout);
  const links = isRecord(answer?.actions) ? answer.actions.LINK : undefined;
  if (code !== 0 || !Array.isArray(links)) {
    const said = [answer?.message, answer?.error].find((text) => typeof text === "string") ??
      (stderr.trim() || `it ended with ${code} and told nothing`);
    throw new RunError(`${basename(program)} found no solution: ${said}`);
  }
  return links.map((link: unknown) => {
    const { name, version, build_string: ofConda, build: ofMamba } = isRecord(link) ? link : {};
    const build = ofConda ?? ofMamba;
    if (typeof name === "string" && typeof version === "string" && typeof build === "string") {
      return `${name}=${version}=${build}`;
    }
    throw new RunError(
      `${basename(program)} answered with a package without name, version or build`,
    );
  });
}

/** Some print lines before the JSON. */
function readAnswer(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text.slice(Math.max(0, text.indexOf("{"))));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

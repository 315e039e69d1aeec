/** Analyses in temporary folders: what is made of them, or what is said against them. */
import assert from "node:assert/strict";
import type { AnalysisSpec } from "../../core/analysis/spec.ts";
import { loadRun } from "../../manager/run_file.ts";
import type { Overrides } from "../../manager/run_options.ts";
import { TempFolder } from "./temp.ts";

/** A folder with a processor, some data files, and the analysis. */
export async function folderWith(files: Record<string, string>): Promise<TempFolder> {
  const folder = await TempFolder.create("wqx-analysis-");
  const present = { "dimuon.ts": "", "data/a.root": "", "data/b.root": "", "data/c.txt": "" };
  for (const [name, text] of Object.entries({ ...present, ...files })) {
    await folder.write(name, text);
  }
  return folder;
}

/** The analysis as it is understood, and the folder that it was in. */
export async function load(
  yaml: string,
  files: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<AnalysisSpec & { folder: string }> {
  await using folder = await folderWith({ ...files, "analysis.yaml": yaml });
  const spec = await loadAnalysis(folder.join("analysis.yaml"), overrides);
  return { ...spec, folder: folder.path };
}

/** The file, which holds an analysis. */
export async function loadAnalysis(path: string, overrides: Overrides): Promise<AnalysisSpec> {
  const run = await loadRun(path, overrides);
  return run.kind === "analysis" ? run.spec : assert.fail("it was taken for a list of tasks");
}

/** The lines of the UsageError, with the temporary folder cut out. */
export async function refusal(
  yaml: string,
  files: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<string[]> {
  await using folder = await folderWith({ ...files, "analysis.yaml": yaml });
  let message = "";
  await assert.rejects(loadAnalysis(folder.join("analysis.yaml"), overrides), (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, "UsageError", error.stack ?? "");
    message = error.message.replaceAll(folder.path + "/", "");
    return true;
  });
  return message.split("\n");
}

/** A table of wrong analyses and what is said about each. */
export async function refuses(
  t: Deno.TestContext,
  cases: readonly (readonly [name: string, yaml: string, ...lines: string[]])[],
  files: Record<string, string> = {},
): Promise<void> {
  for (const [name, yaml, ...lines] of cases) {
    await t.step(name, async () => assert.deepEqual(await refusal(yaml, files), lines));
  }
}

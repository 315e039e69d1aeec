/**
 * pip's part of an environment, in two layers on top of conda's: distributions, then projects of
 * this machine. A layer that was made before is put in place again instead.
 */
import { changeBetween, layerKeys } from "../core/package/layers.ts";
import {
  type LockedDistribution,
  type LockedLocal,
  lockedRequirements,
} from "../core/package/lock.ts";
import { withoutScriptHashes } from "../core/package/made_twice.ts";
import type { PackageRecord } from "../core/package/record.ts";
import type { LayerStore } from "./layer_store.ts";
import { installPip } from "./pip.ts";
import { prefixFiles } from "./prefix_files.ts";

/** A project to be installed; `path` may end with extras. */
export interface LocalProject extends LockedLocal {
  readonly install: string;
}

export interface PipStage {
  readonly prefix: string;
  readonly conda: readonly PackageRecord[];
  readonly options: readonly string[];
  readonly distributions: readonly LockedDistribution[];
  readonly locals: readonly LocalProject[];
  /** As in pip.ts. */
  readonly uv: boolean;
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** A line for people. */
  note(line: string): void;
}

/** Which layers were taken from an earlier build; `null` where there is nothing in it. */
export interface LayersTaken {
  readonly pip: boolean | null;
  readonly locals: boolean | null;
}

/** Installs both layers; throws a RunError with pip's words. */
export async function installPipStage(stage: PipStage, layers: LayerStore): Promise<LayersTaken> {
  const { prefix, conda, options, distributions, locals, signal } = stage;
  const keys = layerKeys(conda, distributions, locals, prefix.length, stage.uv ? "uv" : "pip");
  const hashed = distributions.filter(({ sha256 }) => sha256.length > 0);
  const unhashed = distributions.filter(({ sha256 }) => sha256.length === 0);
  const pip = distributions.length === 0 ? null : await layer(keys.pip, async () => {
    // With hashes pip takes nothing that has none, so that those come by themselves.
    for (const part of [hashed, unhashed]) {
      if (part.length > 0) await install([...options, ...lockedRequirements(part)], []);
    }
  });
  const local = locals.length === 0 ? null : await layer(
    keys.locals,
    () => install([], locals.map(({ install }) => install)),
  );
  return { pip, locals: local };

  async function install(requirements: readonly string[], projects: readonly string[]) {
    const { cache, env, uv } = stage;
    const report = await installPip(prefix, {
      requirements,
      locals: projects,
      env,
      cache,
      uv,
      signal,
    });
    for (const { name, version, by } of report.replaced) {
      stage.note(`pip's ${by} takes the place of conda's ${name} ${version}`);
    }
  }

  async function layer(key: string, make: () => Promise<void>): Promise<boolean> {
    if (await layers.restore(key, prefix, signal)) return true;
    const before = await prefixFiles(prefix, signal);
    await make();
    const first = changeBetween(before, await prefixFiles(prefix, signal));
    for (const path of first.written.filter((path) => path.endsWith(".dist-info/RECORD"))) {
      const text = await Deno.readTextFile(`${prefix}/${path}`);
      await Deno.writeTextFile(`${prefix}/${path}`, withoutScriptHashes(text));
    }
    const change = changeBetween(before, await prefixFiles(prefix, signal));
    await layers.save(key, prefix, change, signal);
    return false;
  }
}

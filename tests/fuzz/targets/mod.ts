/** Every parser of input from outside, by name. */
import type { Target } from "../target.ts";
import { apiTargets } from "./api.ts";
import { archiveTargets } from "./archives.ts";
import { catalogTargets } from "./catalog.ts";
import { commandTargets } from "./commands.ts";
import { coprocessTargets } from "./coprocess.ts";
import { journalTargets } from "./journals.ts";
import { jxTargets } from "./jx.ts";
import { monitorTargets } from "./monitor.ts";
import { packageTargets } from "./packages.ts";
import { rootTargets } from "./root.ts";
import { wireTargets } from "./wire.ts";
import { yamlTargets } from "./yaml.ts";

export const targets: readonly Target[] = [
  ...wireTargets,
  ...catalogTargets,
  ...jxTargets,
  ...yamlTargets,
  ...apiTargets,
  ...journalTargets,
  ...archiveTargets,
  ...packageTargets,
  ...monitorTargets,
  ...commandTargets,
  ...coprocessTargets,
  ...rootTargets,
];

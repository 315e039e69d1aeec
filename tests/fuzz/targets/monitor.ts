/** What a monitor reads: /proc, summaries of others, limits. */
import assert from "node:assert/strict";
import { UsageError } from "../../../core/errors.ts";
import { parseLimits, parseLimitsFile } from "../../../core/monitor/limits.ts";
import { numberAfter, parseIo, parsePrivateKb } from "../../../core/monitor/proc_text.ts";
import { parsePssKb, parseStatReading, parseStatus } from "../../../core/monitor/proc_text.ts";
import { measuredIn, readSummary } from "../../../core/monitor/summary_reader.ts";
import { measuredInfo } from "../../../core/protocol/measured.ts";
import { orRefused, type Target, textOf } from "../target.ts";

export const monitorTargets: readonly Target[] = [
  {
    name: "proc",
    code: ["core/monitor/proc_text.ts"],
    words: [
      "VmHWM:",
      "VmRSS:",
      "Pss:",
      "Private_Dirty:",
      "kB\n",
      "rchar: ",
      "write_bytes: ",
      ") ",
      "(",
      "-1",
      " ",
    ],
    seeds: [
      "1234 (a (b) c) S 1 1234 1234 0 -1 4194304 100 0 0 0 5 6 7 8 20 0 3 0 12345 1000000 300 18446744073709551615\n",
      "Name:\tx\nState:\tS\nVmPeak:\t 100 kB\nVmHWM:\t 50 kB\nVmRSS:\t 40 kB\nThreads:\t3\n",
      "rchar: 5\nwchar: 6\nread_bytes: 7\nwrite_bytes: 8\n",
      "Pss: 5 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\n",
    ],
    run(bytes) {
      const text = textOf(bytes);
      parseStatReading(text);
      parseStatus(text);
      parseIo(text);
      parsePssKb(text);
      parsePrivateKb(text);
      numberAfter(text, "VmHWM:");
    },
  },
  {
    name: "summaries",
    code: ["core/monitor/summary_reader.ts"],
    words: [
      "exit_status",
      "exit_type",
      "limits_exceeded",
      "limits",
      "memory",
      "wall_time",
      "cpu_time",
      "cores",
      "disk",
    ],
    isJson: true,
    seeds: [
      Deno.readFileSync(new URL("../../golden/monitor/summary.json", import.meta.url)),
      '{"exit_status":137,"exit_type":"limits","limits_exceeded":{"memory":[5,"MB"]},"memory":[9,"MB"],"cpu_time":3}',
    ],
    run(bytes) {
      const summary = readSummary(bytes);
      if (summary === null) return;
      const info = measuredInfo(1, measuredIn(summary));
      assert.ok(!JSON.stringify(info).includes("\n"));
    },
  },
  {
    name: "limits",
    code: ["core/monitor/limits.ts"],
    words: ["memory: 5GB", "wall_time: 90s", "cores", "{", '[500, "MB"]', "-1", "# c", ",", "\n"],
    isJson: true,
    seeds: [
      "memory: 500, wall_time: 90s\ncores=2\n# c\n",
      '{"memory":[500,"MB"],"cores":2,"x":-1}',
    ],
    run(bytes) {
      const text = textOf(bytes);
      orRefused(() => parseLimits(text), UsageError);
      const parsed = orRefused(() => parseLimitsFile(text, "limits"), UsageError);
      for (const value of Object.values(parsed?.limits ?? {})) assert.ok(value >= 0);
    },
  },
];

/** Commands that a worker recognises, so as to run them without a shell. */
import assert from "node:assert/strict";
import {
  archiveName,
  environmentCommand,
  inEnvironment,
} from "../../../core/worker/environment_command.ts";
import { isEnvironmentWrapper } from "../../../core/worker/environment_command.ts";
import { pythonCommand } from "../../../core/worker/python_command.ts";
import { type Target, textOf } from "../target.ts";

const env = { HOME: "/h", A: "a b", WORK_QUEUE_SANDBOX: "/s" };

export const commandTargets: readonly Target[] = [
  {
    name: "commands",
    code: [
      "core/worker/python_command.ts",
      "core/worker/environment_command.ts",
      "core/worker/shell_tokens.ts",
    ],
    words: [
      "python3 ",
      "./poncho_package_run ",
      "-e env.tgz ",
      "-- ",
      "'",
      '"',
      "\\",
      "$HOME",
      "${A}",
      "2>&1",
      "> out",
      "< in",
      ">>",
      "&&",
      "|",
      ";",
      "exec ",
      "A=b ",
      "$(",
      "`",
      "*",
      "~",
      "#",
      "\n",
    ],
    lengthMax: 500,
    seeds: [
      "python3 -u run.py 'a b' \"$HOME\" > out 2>&1",
      "A=b exec ./poncho_package_run -d -e env.tgz -u \"$WORK_QUEUE_SANDBOX\"/x -w 5 -- sh -c 'a && b'",
      "./poncho_package_run -e env.tgz python3 x.py < in >> out; echo $?",
      inEnvironment("it's a test", "env.tgz"),
    ],
    run(bytes) {
      const text = textOf(bytes);
      const python = pythonCommand(text, env);
      if (python !== null) assert.ok(python.argv.length > 0 && !python.argv[0]!.startsWith("-"));
      environmentCommand(text, env, ["poncho_package_run", "env.tgz"]);
      const wrapped = environmentCommand(inEnvironment(text, "env.tgz"), env, [
        "poncho_package_run",
        "env.tgz",
      ]);
      const inner = wrapped?.inner;
      // What wqx writes itself, it knows again, to the letter.
      assert.equal(inner?.kind === "inside" ? inner.command : null, text);
      isEnvironmentWrapper(text);
      assert.match(archiveName(text, "a".repeat(64)), /^[^/]+$/);
    },
  },
];

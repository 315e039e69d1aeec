import assert from "node:assert/strict";
import fc from "fast-check";
import { pythonCommand } from "../../core/worker/python_command.ts";
import {
  archiveName,
  environmentCommand,
  inEnvironment,
  isEnvironmentWrapper,
} from "../../core/worker/environment_command.ts";

const env = { WORK_QUEUE_SANDBOX: "/tmp/worker-0-17", NAME: "x" };
const inputs = ["poncho_package_run", "py_wrapper", "env_file", "env.tar.gz", "fn_wrapper"];

/** What is to run inside, or what is wrong. */
function inside(command: string): string | null {
  const found = environmentCommand(command, env, inputs);
  return found?.inner.kind === "inside" ? found.inner.command : null;
}

Deno.test("environmentCommand() reads what Work Queue's PythonTask writes", () => {
  const command = "./poncho_package_run -e env.tar.gz --unpack-to " +
    '"$WORK_QUEUE_SANDBOX"/env.tar.gz-env python pytask_wrapper.py function.p args.p out.p';
  assert.deepEqual(environmentCommand(command, env, inputs), {
    wrapper: "poncho_package_run",
    archive: "env.tar.gz",
    env: {},
    inner: { kind: "inside", command: "python pytask_wrapper.py function.p args.p out.p" },
  });
});

Deno.test("environmentCommand() reads what coffea 0.7 writes, redirections included", () => {
  const command = './py_wrapper -d -e env_file -u "$WORK_QUEUE_SANDBOX"/env.tar.gz-env-4711 ' +
    "-- python fn_wrapper function.p args.p output.p >stdout.log 2>&1";
  const found = environmentCommand(command, env, inputs);
  assert.equal(found?.archive, "env_file");
  assert.equal(found?.wrapper, "py_wrapper");
  const inner = inside(command)!;
  assert.equal(inner, "python fn_wrapper function.p args.p output.p 1>stdout.log 2>&1");
  assert.deepEqual(pythonCommand(inner, env)?.redirections, [
    { fd: 1, kind: ">", path: "stdout.log" },
    { fd: 2, kind: "&", other: 1 },
  ]);
});

Deno.test("environmentCommand() keeps what is set for the command alone", () => {
  const command = "OMP_NUM_THREADS=2 exec ./py_wrapper -e ./env_file -- python x.py";
  const found = environmentCommand(command, env, inputs);
  assert.deepEqual(found?.env, { OMP_NUM_THREADS: "2" });
  assert.deepEqual(found?.inner, { kind: "inside", command: "python x.py" });
});

const inner: readonly (readonly [string, string])[] = [
  ["./poncho_package_run -e env_file", "true"],
  ["./poncho_package_run -e env_file --", "true"],
  ["./poncho_package_run --environment env_file --debug --wait-for-lock 9 -- ls", "ls"],
  ["./poncho_package_run -u x -e env_file ls -d -e y", "ls -d -e y"],
  ["./poncho_package_run -e env_file -- -x", "-x"],
  ["./poncho_package_run -e env_file -z", "-z"],
  ["'./poncho_package_run' -e 'env_file' -- python 'a b' \"$NAME\" ''", "python 'a b' x ''"],
  ["./poncho_package_run -e env_file -- python x.py A=1", "python x.py 'A=1'"],
  ["./poncho_package_run -e env_file -- sh -c 'a | b \"$X\"; exec c'", 'a | b "$X"; exec c'],
  ["./poncho_package_run -e env_file -- sh -c 'a; b' >out", "sh -c 'a; b' 1>out"],
  ["./poncho_package_run -e env_file -- sh -c 'a' b", "sh -c a b"],
];
for (const [command, expected] of inner) {
  Deno.test(`inside the environment of ${command} runs ${expected}`, () => {
    assert.equal(inside(command), expected);
  });
}

const around: readonly (readonly [string, string, string])[] = [
  ["./poncho_package_run -e env_file -- a | b", "", "a | b"],
  ["./poncho_package_run -e env_file python x.py $(cat a)", "", "python x.py $(cat a)"],
  ['A=1 ./poncho_package_run -e env_file -- python x "$(cat y)"', "A=1 ", 'python x "$(cat y)"'],
  ["./poncho_package_run -e env_file -- a; b", "", "a; b"],
  ["./poncho_package_run -e env_file -- *", "", "*"],
];
for (const [command, before, after] of around) {
  Deno.test(`a shell reads what follows the wrapper in ${command}`, () => {
    const found = environmentCommand(command, env, inputs);
    assert.deepEqual(found?.inner, { kind: "around", before, after });
  });
}

const others = [
  "",
  "python x.py",
  "./poncho_package_run",
  "./poncho_package_run -- python x.py",
  "./poncho_package_run -e",
  "./poncho_package_run -e -- ls",
  "./poncho_package_run -e /cvmfs/env.tar.gz -- ls",
  "./poncho_package_run -e other.tar.gz -- ls",
  "./poncho_package_run -h -e env_file",
  "./poncho_package_run -e env_file --help-env-creation",
  "./poncho_package_run -e env_file -w soon -- ls",
  "./poncho_package_run -e env_file $MORE",
  "./poncho_package_run -e $(echo env_file) -- ls",
  "./poncho_package_run -e env_file <in -- a | b",
  "cd x && ./poncho_package_run -e env_file -- ls",
  "/usr/bin/poncho_package_run -e env_file -- ls",
  "./poncho_package_run -e env_file 3>x -- ls",
];
for (const command of others) {
  Deno.test(`left to the shell: ${command}`, () => {
    assert.equal(environmentCommand(command, env, inputs), null);
  });
}

Deno.test("what inEnvironment() makes of a command, environmentCommand() takes apart again", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (command) => {
    const archive = "env-0123456789ab.tar.gz";
    const wrapped = inEnvironment(command, archive);
    const found = environmentCommand(wrapped, env, ["poncho_package_run", archive]);
    assert.deepEqual(found?.inner, { kind: "inside", command });
  }));
});

Deno.test("environmentCommand() takes any text", () => {
  const pieces = fc.constantFrom(
    ..."./poncho_package_run -e env_file -- -u -d ' \" $ ; | > < & a = \n".split(" "),
    " ",
    "  ",
  );
  fc.assert(fc.property(fc.array(pieces).map((list) => list.join("")), (command) => {
    environmentCommand(command, env, inputs);
  }));
});

Deno.test("archiveName() changes with the content and keeps the ending", () => {
  const hash = "0123456789abcdef".repeat(4);
  assert.equal(archiveName("/a/b/env.tar.gz", hash), "env-0123456789ab.tar.gz");
  assert.equal(archiveName("my env.tgz", hash), "my_env-0123456789ab.tgz");
  assert.equal(archiveName("env-1.2", hash), "env-1.2-0123456789ab");
  assert.equal(archiveName("/x/.tar.gz", hash), "environment-0123456789ab.tar.gz");
});

Deno.test("a wrapper is known by its mark, under any name", () => {
  assert.ok(isEnvironmentWrapper('#!/bin/bash\nif [ ! -e "$1"/.poncho_package_run_expanded ]'));
  assert.ok(isEnvironmentWrapper("#! /bin/sh\n: .python_package_run_expanded"));
  assert.ok(!isEnvironmentWrapper('#!/bin/sh\nexec "$@"\n'));
  assert.ok(!isEnvironmentWrapper("\x7fELF .poncho_package_run_expanded"));
});

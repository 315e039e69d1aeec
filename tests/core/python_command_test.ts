import assert from "node:assert/strict";
import { pythonCommand } from "../../core/worker/python_command.ts";

const env = { SANDBOX: "/scratch/w 1", SPLIT: "a b", DIR: "/data", EMPTY: "" };

const parsed: [string, Partial<NonNullable<ReturnType<typeof pythonCommand>>>][] = [
  ["python script.py", { program: "python", argv: ["script.py"], replacesShell: false }],
  ['python3 script.py a \'b c\' "d\\"e" f\\ g', {
    program: "python3",
    argv: ["script.py", "a", "b c", 'd"e', "f g"],
  }],
  ["  /opt/env/bin/python3.11 -u x.py  ", {
    program: "/opt/env/bin/python3.11",
    argv: ["x.py"],
    unbuffered: true,
  }],
  ["exec python3 x.py", { argv: ["x.py"], replacesShell: true }],
  ["python fn_wrapper function.p args.p output.p >stdout.log 2>&1", {
    argv: ["fn_wrapper", "function.p", "args.p", "output.p"],
    redirections: [
      { fd: 1, kind: ">", path: "stdout.log" },
      { fd: 2, kind: "&", other: 1 },
    ],
  }],
  ["python x.py 2>> err.log < in.txt", {
    argv: ["x.py"],
    redirections: [{ fd: 2, kind: ">>", path: "err.log" }, { fd: 0, kind: "<", path: "in.txt" }],
  }],
  ["A=1 B=$DIR/b python x.py", { env: { A: "1", B: "/data/b" }, argv: ["x.py"] }],
  ['python x.py "$SANDBOX"/env ${DIR}/y --opt=3', {
    argv: ["x.py", "/scratch/w 1/env", "/data/y", "--opt=3"],
  }],
  ['python x.py ""', { argv: ["x.py", ""] }],
  ["python x.py 2 >o", {
    argv: ["x.py", "2"],
    redirections: [{ fd: 1, kind: ">", path: "o" }],
  }],
];

for (const [command, expected] of parsed) {
  Deno.test(`a script is all of: ${command}`, () => {
    const found = pythonCommand(command, env);
    assert.notEqual(found, null);
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(found![key as keyof typeof found], value);
    }
  });
}

const others = [
  "",
  "true",
  "pythonic x.py",
  "python2 x.py",
  "python",
  "python -c 'print(1)'",
  "python -m module",
  "python - <x",
  "python -E x.py",
  "python x.py | cat",
  "python x.py && echo yes",
  "python x.py; true",
  "python x.py &",
  "python x.py *.root",
  "python x.py ~/data",
  "python x.py $SPLIT",
  "python x.py $EMPTY",
  "python x.py $1",
  "python x.py $(date)",
  'python x.py "$(date)"',
  "python x.py `date`",
  "python x.py 'open",
  'python x.py "open',
  "python x.py {a,b}",
  "python x.py # comment",
  "python x.py\ntrue",
  "python x.py >",
  "python x.py > >(cat)",
  "python x.py <<EOF",
  "python x.py 3>other",
  "python x.py >&file",
  "(python x.py)",
  "cd d && python x.py",
  "if true; then python x.py; fi",
  "env python x.py",
  "A='1 2' python x.py",
];

for (const command of others) {
  Deno.test(`a shell is needed for: ${command.replaceAll("\n", "\\n")}`, () => {
    assert.equal(pythonCommand(command, env), null);
  });
}

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  activated,
  dataVariables,
  differenceOf,
  parseEnvironment,
  plainActivation,
} from "../../core/package/activation.ts";

Deno.test("plainActivation() puts bin first, and takes that of another environment away", () => {
  const env = { PATH: "/old/bin:/usr/bin", CONDA_PREFIX: "/old", PYTHONPATH: "/mine" };
  const expected = { PATH: "/env/bin:/usr/bin", CONDA_PREFIX: "/env", PYTHONPATH: null };
  assert.deepEqual(plainActivation("/env", env), expected);
  assert.deepEqual(activated({ ...env, HOME: "/h" }, expected), {
    PATH: "/env/bin:/usr/bin",
    CONDA_PREFIX: "/env",
    HOME: "/h",
  });
  assert.deepEqual(plainActivation("/old", env), { PYTHONPATH: null });
  assert.match(plainActivation("/env", {}).PATH!, /^\/env\/bin:.*\/usr\/bin/);
});

Deno.test("dataVariables() reads plain exports, and leaves the rest to a shell", () => {
  const text = 'export DATA=$1/poncho/data/DATA\n# words\n\nexport B="$1/x.d"\n';
  assert.deepEqual(dataVariables(text, "/my env"), {
    DATA: "/my env/poncho/data/DATA",
    B: "/my env/x.d",
  });
  for (
    const line of ["export A=$(date)", "A=$1", "export A=$1/$B", "rm -rf $1", "export A=$1/a b"]
  ) {
    assert.equal(dataVariables(line, "/env"), null, line);
  }
});

const variables = fc.dictionary(
  fc.stringMatching(/^[A-Z][A-Z0-9_]{0,8}$/),
  fc.string().map((text) => text.replaceAll("\0", "")),
);

Deno.test("what was printed by env -0 is read again, and the difference leads from one to the other", () => {
  fc.assert(fc.property(variables, variables, (before, after) => {
    const printed = Object.entries(after).map(([name, value]) => `${name}=${value}\0`).join("");
    const read = parseEnvironment(new TextEncoder().encode(printed));
    assert.deepEqual({ ...read }, { ...after });
    const left = Object.entries(after).filter(([name]) =>
      !["PWD", "SHLVL", "OLDPWD"].includes(name)
    );
    const got = activated(before, differenceOf(before, after));
    for (const [name, value] of left) assert.equal(got[name], value);
    for (const name of Object.keys(got)) assert.ok(name in after || name === "PWD", name);
  }));
});

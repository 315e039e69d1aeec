import assert from "node:assert/strict";
import { pinOf } from "../../core/pin.ts";
import { keptIdentity } from "../../io/kept_identity.ts";
import { stateFolder } from "../../io/state_folder.ts";
import { createSecureContext } from "node:tls";
import { X509Certificate } from "node:crypto";
import { TempFolder } from "../support/temp.ts";

const quiet = (line: string) => assert.fail(`it said: ${line}`);
const modeOf = (path: string) => (Deno.lstatSync(path).mode ?? 0) & 0o777;

Deno.test("the key is made once, kept for its user only, and the pin is that of the key", async () => {
  await using folder = await TempFolder.create();
  const state = folder.join("state/wqx");
  const made = await keptIdentity(quiet, state);
  assert.deepEqual(await keptIdentity(quiet, state), made);
  const { publicKey } = new X509Certificate(made.certificate);
  assert.equal(made.pin, pinOf(publicKey.export({ type: "spki", format: "der" })));
  createSecureContext({ key: made.key, cert: made.certificate });
  assert.deepEqual([...Deno.readDirSync(state)].map(({ name }) => name), ["manager-identity.json"]);
  assert.equal(modeOf(`${state}/manager-identity.json`), 0o600);
  assert.equal(modeOf(state), 0o700);
});

Deno.test("managers that begin at once agree on one key", async () => {
  await using folder = await TempFolder.create();
  const all = await Promise.all([1, 2, 3].map(() => keptIdentity(quiet, folder.path)));
  assert.equal(new Set(all.map(({ pin }) => pin)).size, 1);
  assert.deepEqual(await keptIdentity(quiet, folder.path), all[0]);
});

Deno.test("a key that cannot be used is refused, with what to do about it", async () => {
  await using folder = await TempFolder.create();
  const path = folder.join("manager-identity.json");
  const made = await keptIdentity(quiet, folder.path);
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ["{", 0o600, /: it is no JSON; remove it to have another made$/],
    ["null", 0o600, /: it lacks key, certificate or pin; remove it/],
    [JSON.stringify({ ...made, pin: "x" }), 0o600, /: it lacks key, certificate or pin;/],
    [JSON.stringify(made), 0o640, /: others may read it, so it is a secret no more; remove it/],
  ];
  for (const [text, mode, message] of cases) {
    await Deno.writeTextFile(path, text);
    await Deno.chmod(path, mode);
    await assert.rejects(keptIdentity(quiet, folder.path), (error: Error) => {
      assert.equal(error.name, "UsageError");
      assert.ok(error.message.startsWith(`Cannot use the manager's key in ${path}: `));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("where no key can be kept, one is made for the run, and that is said", async () => {
  await using folder = await TempFolder.create();
  const file = await folder.write("file", "");
  const said: string[] = [];
  const one = await keptIdentity((line) => said.push(line), `${file}/wqx`);
  assert.match(one.pin, /^[\w-]{43}$/);
  assert.equal(said.length, 1);
  assert.match(
    said[0]!,
    /^Cannot keep the manager's key in .*: .*; it is for this run only, and so/,
  );
});

Deno.test("the state is kept where the environment says, unless that is relative", () => {
  const before = Deno.env.get("XDG_STATE_HOME");
  try {
    Deno.env.set("XDG_STATE_HOME", "/var/state");
    assert.equal(stateFolder(), "/var/state/wqx");
    Deno.env.set("XDG_STATE_HOME", "state");
    assert.match(stateFolder(), /^\/.*\/\.local\/state\/wqx$/);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_STATE_HOME");
    else Deno.env.set("XDG_STATE_HOME", before);
  }
});

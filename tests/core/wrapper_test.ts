import assert from "node:assert/strict";
import { wrapCommand } from "../../core/worker/wrapper.ts";

Deno.test("wrapCommand() puts the command where the wrapper wants it", () => {
  const command = 'echo "$HOME" `x` \\n $&';
  const quoted = '"echo \\"\\$HOME\\" \\`x\\` \\\\n \\$&"';
  assert.equal(wrapCommand("time {} ; {}", command), `time ${command} ; ${command}`);
  assert.equal(wrapCommand("run -- [] >log", command), `run -- ${quoted} >log`);
  assert.equal(wrapCommand("nice -n 5", command), `nice -n 5 /bin/sh -c ${quoted}`);
});

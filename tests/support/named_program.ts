/** A program for the tests of names: prints how it was called, and whether its tasks would see it. */
import { restoreEnvironment, selfExecutable, startedAs } from "../../io/self.ts";

restoreEnvironment();
const left = Object.keys(Deno.env.toObject()).filter((name) =>
  // The test's own are left out.
  name.startsWith("WQX_") && !name.startsWith("WQX_TEST_") && name !== "WQX_CACHE"
);
const text = JSON.stringify({ startedAs: startedAs(), executable: selfExecutable(), left });
Deno.stdout.writeSync(new TextEncoder().encode(text));

/** A small program for the tests of scripts/build.ts: does what its first argument says. */
import { restoreEnvironment, selfCommand } from "../../io/self.ts";

async function answer(what: string | undefined, args: readonly string[]): Promise<unknown> {
  switch (what) {
    case "args":
      return args;
    case "self":
      return selfCommand();
    case "environment":
      restoreEnvironment();
      return Deno.env.toObject();
    case "import":
      return (await import(args[0]!)).default;
    case "lazy":
      return (await import("./built_lazy.ts")).text;
    case "asset":
      return await Deno.readTextFile(new URL("./asset.txt", import.meta.url));
    default:
      throw new Error(`Not known: ${what}`);
  }
}

const [what, ...args] = Deno.args;
const text = JSON.stringify(await answer(what, args));
Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));

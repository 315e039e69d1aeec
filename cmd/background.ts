/** Commands that leave the terminal: the same command again, in a session of its own. */
import { RunError } from "../core/errors.ts";
import { selfCommand } from "../io/self.ts";

/** Tells the second process that it is the one, and which file says that it serves. */
const readyVariable = "WQX_BACKGROUND";

const pollMs = 20;

export class Background {
  private constructor(private readonly readyFile: string) {}

  /** This process, if it is one that was started by {@link startInBackground}. */
  static here(): Background | null {
    const readyFile = Deno.env.get(readyVariable);
    if (readyFile === undefined) return null;
    Deno.env.delete(readyVariable);
    return new Background(readyFile);
  }

  /** Lets the process that waits in the terminal end. */
  ready(): void {
    Deno.writeTextFileSync(this.readyFile, "ready");
  }
}

/**
 * Starts wqx with these words and resolves with its process number when it is ready. Throws a
 * RunError if it ends before; it has said why then.
 */
export async function startInBackground(words: readonly string[]): Promise<number> {
  const [program, ...first] = selfCommand();
  const readyFile = await Deno.makeTempFile({ prefix: "wqx-background-" });
  try {
    const child = new Deno.Command(program!, {
      args: [...first, ...words],
      env: { [readyVariable]: readyFile },
      stdin: "null",
      stdout: "null",
      stderr: "piped", // the terminal is not to be held open by it
      detached: true,
    }).spawn();
    const heard = hear(child.stderr);
    let code: number | null = null;
    void child.status.then((status) => code = status.code);
    while (await Deno.readTextFile(readyFile) === "") {
      if (code !== null) {
        await heard;
        throw new RunError("It has ended before it listened");
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    child.unref();
    return child.pid;
  } finally {
    await Deno.remove(readyFile);
  }
}

/** Passes on what it says, until this process ends. */
async function hear(stderr: ReadableStream<Uint8Array>): Promise<void> {
  for await (const piece of stderr) Deno.stderr.writeSync(piece);
}

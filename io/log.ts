/** A log for whoever looks for the cause of trouble: lines by subsystem, in a file that rotates. */

export interface DebugLogOptions {
  /** Those to be logged, or `all`. */
  readonly subsystems: readonly string[];
  /** Path; `:stdout` and `:stderr` are the streams. */
  readonly file: string;
  /** At this size the file becomes FILE.old; 0: never. Bytes. */
  readonly rotateBytes: number;
  /** Shown in each line. */
  readonly program: string;
}

/** Writes at once, so that the last line before a crash is there. */
export class DebugLog implements Disposable {
  readonly #wanted: ReadonlySet<string>;
  #file: Deno.FsFile | null = null;
  #bytes = 0;

  /** Throws the system's error if the file cannot be written. */
  constructor(private readonly options: DebugLogOptions) {
    this.#wanted = new Set(options.subsystems);
    if (this.#wanted.size > 0) this.#open();
  }

  write(subsystem: string, text: string): void {
    if (!this.#wanted.has(subsystem) && !this.#wanted.has("all")) return;
    const time = new Date().toISOString().replace("T", " ").replace("Z", "");
    const line = `${time} ${this.options.program}[${Deno.pid}] ${subsystem}: ${text}\n`;
    this.#put(new TextEncoder().encode(line));
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = null;
  }

  #put(bytes: Uint8Array): void {
    const { file, rotateBytes } = this.options;
    try {
      if (this.#file !== null && rotateBytes > 0 && this.#bytes + bytes.length > rotateBytes) {
        Deno.renameSync(file, `${file}.old`);
        this.#file.close();
        this.#open();
      }
      const target = this.#file ?? (file === ":stdout" ? Deno.stdout : Deno.stderr);
      for (let at = 0; at < bytes.length;) at += target.writeSync(bytes.subarray(at));
      this.#bytes += bytes.length;
    } catch {
      // A full disk must not end the worker that is being looked at.
    }
  }

  #open(): void {
    const { file } = this.options;
    if (file === ":stdout" || file === ":stderr") return;
    this.#file = Deno.openSync(file, { append: true, create: true });
    this.#bytes = this.#file.statSync().size;
  }
}

/** A manager that answers questions on its port as a test wants it to. */
import { printJx } from "../../core/jx/print.ts";
import type { JxObject } from "../../core/jx/value.ts";

export class FakeManager implements Disposable {
  /** `null`: it closes connections without a word. */
  record: JxObject | null = null;
  /** Answer to `worker_status`. */
  workers: readonly JxObject[] = [];
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });

  constructor() {
    void this.#serve();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      const line = new Uint8Array(100);
      const count = await conn.read(line).catch(() => null) ?? 0;
      const asked = new TextDecoder().decode(line.subarray(0, count));
      if (this.record !== null) {
        const records = asked.startsWith("worker_status") ? this.workers : [this.record];
        const text = `[${records.map(printJx).join(",")}]`;
        await conn.write(new TextEncoder().encode(text)).catch(() => 0);
      }
      conn.close();
    }
  }
}

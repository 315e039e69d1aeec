/**
 * Somebody outside of the thread that runs the parsers, who sees that one of them never comes back:
 * prints the input and ends the process, which nothing inside of it could do.
 */
const inputBytesMax = 64 * 1024;
/** Counts inputs; length of the present one, and of the name before it. */
const headCount = 3;

const watch = `
self.onmessage = ({ data: { shared, secondsMax, pid } }) => {
  const head = new Int32Array(shared, 0, ${headCount});
  let last = -1, since = 0;
  setInterval(() => {
    const count = Atomics.load(head, 0);
    if (count === 0 || count !== last) { last = count; since = 0; return; }
    if (++since < secondsMax) return;
    const bytes = new Uint8Array(shared, ${4 * headCount}, head[1] + head[2]).slice();
    const name = new TextDecoder().decode(bytes.subarray(0, head[2]));
    console.error("Does not end: " + name + " with " + JSON.stringify([...bytes.subarray(head[2])]));
    Deno.kill(pid, "SIGKILL");
  }, 1000);
};`;

export class Watcher implements Disposable {
  readonly #shared = new SharedArrayBuffer(4 * headCount + inputBytesMax);
  readonly #head = new Int32Array(this.#shared, 0, headCount);
  readonly #bytes = new Uint8Array(this.#shared, 4 * headCount);
  readonly #worker = new Worker(`data:text/javascript,${encodeURIComponent(watch)}`, {
    type: "module",
  });
  #count = 0;

  constructor(secondsMax = 30) {
    this.#worker.postMessage({ shared: this.#shared, secondsMax, pid: Deno.pid });
  }

  /** This input of that target is tried next. */
  runs(target: string, input: Uint8Array): void {
    const { written } = new TextEncoder().encodeInto(target, this.#bytes);
    const length = Math.min(input.length, inputBytesMax - written);
    this.#bytes.set(input.subarray(0, length), written);
    this.#head[1] = length;
    this.#head[2] = written;
    this.#count = this.#count % 0x7ffffffe + 1;
    Atomics.store(this.#head, 0, this.#count);
  }

  /** Nothing is tried for a while. */
  rest(): void {
    Atomics.store(this.#head, 0, 0);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

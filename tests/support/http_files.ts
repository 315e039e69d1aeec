/** A small HTTP server over a folder, with ranges, and with the faults that servers have. */

/** What the server does wrong; nothing by default. */
export interface HttpFaults {
  /** Ignores ranges and sends whole files. */
  readonly noRanges?: boolean;
  /** Answers every request with this status. */
  readonly status?: number;
  /** Never answers, or never gets beyond half of a body. */
  readonly hang?: "answer" | "body";
  /** Closes the connection after half of each body. */
  readonly cut?: boolean;
  /** Sends a byte less than asked, and says so. */
  readonly short?: boolean;
  /** Says "*" instead of the size of the file. */
  readonly sizeUnknown?: boolean;
  /** Claims that the file is a byte longer from the second request on. */
  readonly growing?: boolean;
  /** Sends `/to/NAME` on to `/NAME`. */
  readonly redirect?: boolean;
}

export class HttpFiles implements AsyncDisposable {
  /** Path and Range header of each request so far. */
  readonly requests: { readonly path: string; readonly range: string | null }[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();

  constructor(private readonly folder: string, readonly faults: HttpFaults = {}) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {}, signal: this.#stop.signal },
      (request) => this.#answer(request),
    );
  }

  url(name: string): string {
    return `http://127.0.0.1:${this.#server.addr.port}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#server.finished;
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const range = request.headers.get("range");
    this.requests.push({ path: pathname, range });
    const { faults } = this;
    if (faults.hang === "answer") await this.#stopped();
    if (faults.status !== undefined) return new Response("no", { status: faults.status });
    if (faults.redirect && pathname.startsWith("/to/")) {
      return new Response(null, { status: 302, headers: { location: pathname.slice(3) } });
    }
    let file: Uint8Array<ArrayBuffer>;
    try {
      file = await Deno.readFile(this.folder + decodeURIComponent(pathname));
    } catch {
      return new Response("not found", { status: 404 });
    }
    const wanted = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    if (wanted === null || faults.noRanges) return this.#send(file, 200, {});
    const start = Number(wanted[1]);
    if (start >= file.length) return new Response(null, { status: 416 });
    const stop = Math.min(Number(wanted[2]) + 1, file.length) - (faults.short ? 1 : 0);
    const grown = faults.growing && this.requests.length > 1 ? 1 : 0;
    const size = faults.sizeUnknown ? "*" : file.length + grown;
    const header = { "content-range": `bytes ${start}-${stop - 1}/${size}` };
    return this.#send(file.subarray(start, stop), 206, header);
  }

  #send(bytes: Uint8Array<ArrayBuffer>, status: number, headers: Record<string, string>): Response {
    const { hang, cut } = this.faults;
    if (hang !== "body" && !cut) return new Response(bytes, { status, headers });
    let sent = false;
    const body = new ReadableStream({
      pull: async (controller) => {
        if (!sent) controller.enqueue(bytes.subarray(0, bytes.length / 2));
        else if (hang === "body") await this.#stopped();
        // Less than was promised: the server closes the connection.
        if (sent) controller.close();
        sent = true;
      },
    }, { highWaterMark: 0 });
    return new Response(body, {
      status,
      headers: { ...headers, "content-length": `${bytes.length}` },
    });
  }

  #stopped(): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    });
  }
}

/**
 * A thread that reads one file through the XRootD client installed here. Its calls wait for the
 * server, which must not stop anybody else, and tell why they failed in a variable of the thread
 * that made them. Imports nothing: the single file has it beside the bundle, as it stands.
 */

/** Asked one after another; `id` is the one of the answer. */
export type ThreadRequest =
  | {
    readonly id: number;
    readonly ask: "open";
    readonly url: string;
    /** Names of the library, the first that can be loaded is taken. */
    readonly libraries: readonly string[];
  }
  | {
    readonly id: number;
    readonly ask: "read";
    readonly ranges: readonly { readonly start: number; readonly bytes: number }[];
  }
  | { readonly id: number; readonly ask: "close" };

export type ThreadAnswer =
  & { readonly id: number }
  & (
    | { readonly is: "open"; readonly size: number; readonly library: string; vector: boolean }
    /** As much as there is of each range. */
    | { readonly is: "read"; readonly parts: readonly Uint8Array<ArrayBuffer>[] }
    | { readonly is: "closed" }
    | { readonly is: "failed"; readonly errno: number }
    /** There is no library to be had. */
    | { readonly is: "unavailable"; readonly why: string }
  );

// The preload library has the calls in C, and by the way loads the one with the vector read.
const symbols = {
  XrdPosix_Open: { parameters: ["buffer", "i32"], result: "i32" },
  XrdPosix_Close: { parameters: ["i32"], result: "i32" },
  XrdPosix_Lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  XrdPosix_Pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  // XrdPosixXrootd::VRead(int, const XrdOucIOVec *, int), which has no name in C.
  vectorRead: {
    name: "_ZN14XrdPosixXrootd5VReadEiPK11XrdOucIOVeci",
    parameters: ["i32", "buffer", "i32"],
    result: "isize",
    optional: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

const O_RDONLY = 0, SEEK_END = 2;
const RTLD_LAZY = 1, RTLD_NODELETE = 0x1000;

/** What servers take at once, unless they are told otherwise: so many pieces of so many bytes. */
const piecesMax = 1024, pieceBytesMax = 2 * 1024 ** 2 - 16;
/** `struct XrdOucIOVec`: offset (8 bytes), size (4), free for use (4), address (8). */
const pieceStructBytes = 24;

class Failed extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}

const libc = () =>
  Deno.dlopen("libc.so.6", {
    __errno_location: { parameters: [], result: "pointer" },
    dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  });

class RemoteFile {
  constructor(
    readonly library: string,
    private readonly xrd: Deno.DynamicLibrary<typeof symbols>,
    private readonly c: ReturnType<typeof libc>,
    private readonly fd: number,
  ) {}

  static open(url: string, libraries: readonly string[]): RemoteFile | { readonly why: string } {
    const reasons: string[] = [];
    for (const name of libraries) {
      let xrd, c;
      try {
        c = libc();
        // The client has threads of its own, which must not lose their code at the end of this one.
        c.symbols.dlopen(cString(name), RTLD_LAZY | RTLD_NODELETE);
        xrd = Deno.dlopen(name, symbols);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        reasons.push(message.replace(/^(Could not open library: )+/, ""));
        continue;
      }
      const fd = xrd.symbols.XrdPosix_Open(cString(url), O_RDONLY);
      if (fd < 0) throw failure(c);
      return new RemoteFile(name, xrd, c, fd);
    }
    return { why: reasons.join("; ") };
  }

  get vector(): boolean {
    return this.xrd.symbols.vectorRead !== null;
  }

  size(): number {
    const size = this.xrd.symbols.XrdPosix_Lseek(this.fd, 0n, SEEK_END);
    if (size < 0n) throw failure(this.c);
    return Number(size);
  }

  /** Into a buffer each: by one question to the server where it takes several. */
  readAll(
    ranges: readonly { readonly start: number; readonly bytes: number }[],
  ): Uint8Array<ArrayBuffer>[] {
    if (ranges.length > 1) {
      const buffers = ranges.map(({ bytes }) => new Uint8Array(bytes));
      if (this.#readVector(ranges, buffers)) return buffers;
    }
    return ranges.map((range) => this.#read(range));
  }

  close(): void {
    this.xrd.symbols.XrdPosix_Close(this.fd);
  }

  /** False if it cannot be had so; then single reads tell why. */
  #readVector(
    ranges: readonly { readonly start: number }[],
    buffers: readonly Uint8Array<ArrayBuffer>[],
  ): boolean {
    const { vectorRead } = this.xrd.symbols;
    if (vectorRead === null) return false;
    const pieces = ranges.flatMap(({ start }, i) => piecesOf(start, buffers[i]!));
    for (let at = 0; at < pieces.length; at += piecesMax) {
      const some = pieces.slice(at, at + piecesMax);
      const vector = new DataView(new ArrayBuffer(some.length * pieceStructBytes));
      some.forEach(({ start, bytes, address }, i) => {
        vector.setBigInt64(i * pieceStructBytes, BigInt(start), true);
        vector.setInt32(i * pieceStructBytes + 8, bytes, true);
        vector.setBigUint64(i * pieceStructBytes + 16, address, true);
      });
      const wanted = some.reduce((sum, { bytes }) => sum + bytes, 0);
      if (Number(vectorRead(this.fd, vector, some.length)) !== wanted) return false;
    }
    return true;
  }

  /** Shorter only if the file ends. */
  #read({ start, bytes }: { readonly start: number; readonly bytes: number }) {
    const data = new Uint8Array(bytes);
    let filled = 0;
    while (filled < bytes) {
      const rest = data.subarray(filled);
      const at = BigInt(start + filled);
      const count = Number(
        this.xrd.symbols.XrdPosix_Pread(this.fd, rest, BigInt(rest.length), at),
      );
      if (count < 0) throw failure(this.c);
      if (count === 0) return data.slice(0, filled);
      filled += count;
    }
    return data;
  }
}

function piecesOf(start: number, buffer: Uint8Array<ArrayBuffer>) {
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const pieces: { start: number; bytes: number; address: bigint }[] = [];
  for (let at = 0; at < buffer.length; at += pieceBytesMax) {
    const bytes = Math.min(pieceBytesMax, buffer.length - at);
    pieces.push({ start: start + at, bytes, address: base + BigInt(at) });
  }
  return pieces;
}

function failure(c: ReturnType<typeof libc>): Failed {
  const location = c.symbols.__errno_location();
  return new Failed(location === null ? 0 : new Deno.UnsafePointerView(location).getInt32());
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

let file: RemoteFile | null = null;

function answer(request: ThreadRequest): ThreadAnswer {
  const { id } = request;
  switch (request.ask) {
    case "open": {
      const opened = RemoteFile.open(request.url, request.libraries);
      if (!(opened instanceof RemoteFile)) return { id, is: "unavailable", why: opened.why };
      file = opened;
      const { library, vector } = file;
      return { id, is: "open", size: file.size(), library, vector };
    }
    case "read":
      return { id, is: "read", parts: file?.readAll(request.ranges) ?? [] };
    case "close":
      file?.close();
      file = null;
      return { id, is: "closed" };
  }
}

self.onmessage = ({ data: request }: MessageEvent<ThreadRequest>) => {
  let answered: ThreadAnswer;
  try {
    answered = answer(request);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    answered = { id: request.id, is: "failed", errno: error.errno };
  }
  const parts = answered.is === "read" ? answered.parts.map(({ buffer }) => buffer) : [];
  self.postMessage(answered, { transfer: parts });
};

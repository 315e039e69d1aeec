/** How the making of an environment looks: three bars, or a line. */
import type { Counted } from "../core/analysis/progress.ts";
import { formatDuration, formatSizeMb } from "../core/units.ts";
import type { CreateWatcher } from "../package/create.ts";
import { createView, type Look, progressMode } from "./progress_view.ts";
import type { OutputMode, Stream } from "./render.ts";

interface CreateProgress {
  readonly phase: string;
  readonly elapsedMs: number;
  readonly downloadedMb: Counted;
  readonly installed: Counted;
  readonly packedMb: Counted;
}

const look: Look<CreateProgress> = {
  rows: [
    { title: "Downloaded", unit: "MB", counted: (p) => p.downloadedMb },
    { title: "Installed", unit: "package", counted: (p) => p.installed },
    { title: "Packed", unit: "MB", counted: (p) => p.packedMb },
  ],
  statusLine: ({ phase }) => phase,
  plainLine({ phase, elapsedMs, downloadedMb, installed, packedMb }) {
    const parts = [
      ...(downloadedMb.done > 0 ? [`${formatSizeMb(downloadedMb.done)} downloaded`] : []),
      ...(installed.total ? [`${installed.done}/${installed.total} packages installed`] : []),
      ...(packedMb.total
        ? [`${formatSizeMb(packedMb.done)} of ${formatSizeMb(packedMb.total)} packed`]
        : []),
    ];
    return [`[${formatDuration(elapsedMs)}] ${phase}`, ...parts].join("; ");
  },
};

/** A watcher that shows what it hears, until it is disposed of. */
export class CreateView implements CreateWatcher, Disposable {
  readonly #startedMs = performance.now();
  readonly #view;
  #isShown = false;
  #state: CreateProgress = {
    phase: "choosing packages",
    elapsedMs: 0,
    downloadedMb: { done: 0, total: null },
    installed: { done: 0, total: null },
    packedMb: { done: 0, total: null },
  };

  constructor(mode: OutputMode, stream: Stream) {
    this.#view = createView(look, progressMode(mode, stream), stream);
  }

  phase(phase: string): void {
    this.#show({ phase });
  }

  downloaded(bytes: number, total: number | null): void {
    this.#show({ downloadedMb: { done: mb(bytes), total: total === null ? null : mb(total) } });
  }

  installed(done: number, total: number): void {
    this.#show({ installed: { done, total } });
  }

  packed(done: number, total: number): void {
    this.#show({ packedMb: { done: mb(done), total: mb(total) } });
  }

  note(line: string): void {
    this.#view.note(line);
  }

  /** Shows the last state; may be called again. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#view.finish(this.#state);
    this.#isShown = false;
  }

  #show(change: Partial<CreateProgress>): void {
    this.#state = { ...this.#state, ...change, elapsedMs: performance.now() - this.#startedMs };
    this.#isShown = true;
    this.#view.update(this.#state);
  }
}

function mb(bytes: number): number {
  return Math.ceil(bytes / 1024 ** 2);
}

/**
 * The live screen on a terminal: keys in, lines out, a look now and then. The lines come from the
 * core; here they are drawn in the terminal's other screen, those that changed only.
 */
import { PassThrough } from "node:stream";
import { emitKeypressEvents } from "node:readline";
import {
  explained,
  type Key,
  type LiveModel,
  newModel,
  press,
  withData,
} from "../core/status/live.ts";
import type { Line, Span } from "../core/status/line.ts";
import { pageOf, screenOf } from "../core/status/live_screen.ts";
import { delay } from "../io/clock.ts";
import type { Stream } from "./render.ts";
import type { Watched } from "./status_watched.ts";

/** The shell's part of a terminal that is typed at. */
export interface Keyboard {
  /** Keys as they come, without waiting for the end of a line; `false`: as before. */
  setRaw(raw: boolean): void;
  readonly readable: ReadableStream<Uint8Array>;
}

export interface LiveOptions {
  readonly stdout: Stream;
  readonly intervalMs: number;
  /** Fired at the end: it breaks off what is being asked. */
  readonly stopping: AbortController;
  /** That of this process, if not given. */
  readonly keyboard?: Keyboard;
}

/** A signal ends the screen as `q` does. */
const endings = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Shows until `q`; returns the exit code. The terminal is left as it was found. */
export async function showLive(watched: Watched, options: LiveOptions): Promise<number> {
  const { stdout, intervalMs, stopping, keyboard = Deno.stdin } = options;
  const { signal } = stopping;
  const screen = new Screen(stdout);
  let model = newModel(watched.last, watched.single);
  let asked = false;
  let lookNow = Promise.withResolvers<void>();
  const draw = () => {
    const { columns, rows, unicode } = stdout;
    screen.draw(screenOf(model, { columns, rows }, { unicode }));
  };
  const become = (next: LiveModel) => {
    const before = model;
    model = next;
    if (next.quit) return stopping.abort();
    draw();
    // What is looked into for the first time is not there yet.
    if (next.opened !== before.opened || next.pane !== before.pane) lookNow.resolve();
    const { explaining } = next;
    if (explaining === null || explaining.text !== null) return;
    if (explaining.subject === before.explaining?.subject) return;
    const { subject } = explaining;
    const told = watched.explain(subject, next.opened);
    void told.then((text) => become(explained(model, subject, text))).catch(fail);
  };
  let failure: unknown;
  const fail = (error: unknown) => {
    if (signal.aborted) return;
    failure = error;
    stopping.abort();
  };
  const looking = async () => {
    while (!signal.aborted) {
      const data = await watched.look(model);
      if (signal.aborted) return;
      model = withData(model, data);
      if (!asked && watched.named && data.managers.length === 1) {
        model = press(model, { name: "enter", text: "" }, 1);
        lookNow.resolve();
      }
      asked = true;
      draw();
      await Promise.race([delay(intervalMs, signal), lookNow.promise]);
      lookNow = Promise.withResolvers();
    }
  };
  const resized = () => {
    screen.forget();
    draw();
  };
  const end = () => stopping.abort();
  using keys = new Keys(keyboard, (key) => become(press(model, key, pageOf(stdout))));
  using _signals = listening(resized, end);
  using _opened = screen.open();
  draw();
  const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  void keys.ended.then(end);
  await Promise.race([looking().catch(fail), ended]);
  await ended;
  if (failure !== undefined) throw failure;
  return 0;
}

function listening(resized: () => void, end: () => void): Disposable {
  Deno.addSignalListener("SIGWINCH", resized);
  for (const name of endings) Deno.addSignalListener(name, end);
  return {
    [Symbol.dispose]() {
      Deno.removeSignalListener("SIGWINCH", resized);
      for (const name of endings) Deno.removeSignalListener(name, end);
    },
  };
}

/** Keys of a terminal, by name. */
class Keys implements Disposable {
  /** The terminal is gone. */
  readonly ended: Promise<void>;
  readonly #input = new PassThrough();
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(private readonly keyboard: Keyboard, heard: (key: Key) => void) {
    keyboard.setRaw(true);
    emitKeypressEvents(this.#input);
    this.#input.on("keypress", (text: string | undefined, key: Pressed) => heard(keyOf(text, key)));
    this.#reader = keyboard.readable.getReader();
    this.ended = this.#read();
  }

  [Symbol.dispose](): void {
    // What is typed from now on is for the shell.
    void this.#reader.cancel().catch(() => {});
    this.#input.destroy();
    try {
      this.keyboard.setRaw(false);
    } catch {
      // The terminal has gone away.
    }
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) return;
        this.#input.write(value);
      }
    } catch {
      // The terminal has gone away.
    }
  }
}

/** A key as Node tells of it. */
interface Pressed {
  readonly name?: string;
  readonly ctrl?: boolean;
  readonly meta?: boolean;
  readonly shift?: boolean;
}

const names: Readonly<Record<string, string>> = { return: "enter", enter: "enter" };

function keyOf(text: string | undefined, { name = "", ctrl, meta, shift }: Pressed): Key {
  if (ctrl) return { name: name === "c" || name === "d" ? "interrupt" : `ctrl-${name}`, text: "" };
  if (name === "tab") return { name: shift ? "backtab" : "tab", text: "" };
  const written = text !== undefined && !meta && /^[^\p{Cc}]+$/u.test(text) ? text : "";
  // Letters are told apart by what they write: "S" is not "s".
  return { name: written === "" ? names[name] ?? name : written, text: written };
}

const enterOther = "\x1b[?1049h\x1b[?25l\x1b[2J";
const leaveOther = "\x1b[?25h\x1b[?1049l";
/** Terminals that know it show the whole frame at once. */
const [beginFrame, endFrame] = ["\x1b[?2026h", "\x1b[?2026l"];

/** The terminal's other screen, on which lines that are the same are left alone. */
class Screen {
  #drawn: string[] = [];
  #open = false;

  constructor(private readonly stream: Stream) {}

  /** Until disposed of, also where this program ends in a way that nobody thought of. */
  open(): Disposable {
    const close = () => {
      globalThis.removeEventListener("unload", close);
      if (this.#open) this.stream.write(leaveOther);
      this.#open = false;
    };
    this.#open = true;
    this.stream.write(enterOther);
    globalThis.addEventListener("unload", close);
    return { [Symbol.dispose]: close };
  }

  /** The next frame is drawn whole: the window was cleared. */
  forget(): void {
    this.#drawn = [];
    this.stream.write("\x1b[2J");
  }

  draw(lines: readonly Line[]): void {
    if (!this.#open) return;
    const texts = lines.map((line) => line.map((span) => this.#styled(span)).join(""));
    const changed = texts.flatMap((text, row) =>
      // Each line stands for itself: cursor to its start, text, the rest of the line cleared.
      text === this.#drawn[row] ? [] : [`\x1b[${row + 1};1H${text}\x1b[K`]
    );
    this.#drawn = texts;
    if (changed.length > 0) this.stream.write(beginFrame + changed.join("") + endFrame);
  }

  #styled({ text, style }: Span): string {
    return style === undefined ? text : this.stream.colors[style](text);
  }
}

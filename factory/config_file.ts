/** The configuration file of a factory: read at the start, and again whenever it has changed. */
import { messageOf, UsageError } from "../core/errors.ts";
import { readFactoryConfig } from "../core/factory/config.ts";
import type { FactorySettings } from "../core/factory/settings.ts";
import { readYaml } from "./config_yaml.ts";

export interface Loaded {
  readonly settings: FactorySettings;
  readonly warnings: readonly string[];
}

export class ConfigFile {
  /** Of what was read last, good or not. */
  #stamp = "";
  #complaint = "";
  #settings: FactorySettings;

  /** `settings` are those of the command line, over which the file stands. */
  constructor(readonly path: string, settings: FactorySettings) {
    this.#settings = settings;
  }

  /** Throws a UsageError that says what is wrong with the file. */
  load(): Loaded {
    this.#stamp = this.#stampNow();
    const loaded = readFactoryConfig(this.#read(), this.path, this.#settings, readYaml);
    this.#settings = loaded.settings;
    return loaded;
  }

  /** The new settings, `null` where nothing changed, or a complaint that was not made before. */
  reload(): Loaded | { readonly complaint: string } | null {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp && this.#complaint === "") return null;
    try {
      const loaded = this.load();
      this.#complaint = "";
      return loaded;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      if (error.message === this.#complaint) return null;
      this.#complaint = error.message;
      return { complaint: error.message };
    }
  }

  #read(): string {
    try {
      return Deno.readTextFileSync(this.path);
    } catch (error) {
      throw new UsageError(`Cannot read the configuration ${this.path}: ${messageOf(error)}`);
    }
  }

  /** Two edits in one second differ in size, in the fraction of the time, or in the inode. */
  #stampNow(): string {
    try {
      const { mtime, size, ino } = Deno.statSync(this.path);
      return `${mtime?.getTime()} ${size} ${ino}`;
    } catch {
      return "gone";
    }
  }
}

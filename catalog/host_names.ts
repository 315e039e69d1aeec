/** Names of the hosts that updates come from, by reverse look-up, remembered for a while. */
import { lookupService } from "node:dns/promises";

/** As long as cctools remembers answers of the DNS. */
const rememberedMs = 300_000;
/** Updates of a host wait so long for its name, and then go by its address. */
const patienceMs = 3_000;
const hostsMax = 10_000;

interface Known {
  readonly name: string;
  readonly untilMs: number;
}

export class HostNames {
  readonly #known = new Map<string, Known>();
  readonly #asked = new Map<string, Promise<string>>();

  constructor(
    private readonly nowMs: () => number,
    private readonly lookUp: (address: string) => Promise<string> = reverseName,
  ) {}

  /** The name, at once where it is known; the address if it has none. Never fails. */
  nameOf(address: string): string | Promise<string> {
    const known = this.#known.get(address);
    if (known === undefined) return this.#ask(address);
    // Meanwhile the old name does: a record must not change its key while a server is slow.
    if (known.untilMs < this.nowMs()) void this.#ask(address);
    return known.name;
  }

  #ask(address: string): Promise<string> {
    const asked = this.#asked.get(address);
    if (asked !== undefined) return asked;
    const answer = this.#answer(address);
    this.#asked.set(address, answer);
    return answer;
  }

  async #answer(address: string): Promise<string> {
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve(address), patienceMs);
    const name = await Promise.race([this.lookUp(address).catch(() => address), late.promise]);
    clearTimeout(timer);
    this.#known.delete(address);
    this.#known.set(address, { name, untilMs: this.nowMs() + rememberedMs });
    if (this.#known.size > hostsMax) this.#known.delete(this.#known.keys().next().value!);
    this.#asked.delete(address);
    return name;
  }
}

async function reverseName(address: string): Promise<string> {
  return (await lookupService(address, 0)).hostname;
}

/** `::ffff:10.0.0.7` is a way of listening; workers have to be told `10.0.0.7`. */
export function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/**
 * Who has connected and not greeted yet, and who has guessed passwords: so that strangers can take
 * neither all connections nor as many guesses as they like. Workers of one site often come from one
 * address, a thousand at once, and are let in; no limit is on those that have greeted.
 */
import { PeerProtocolError } from "../core/errors.ts";
import { delay } from "../io/clock.ts";

/** Limits; all of one address unless they say otherwise. */
export interface LobbyLimits {
  /** Connections without a greeting, from one address: twice the workers of a large batch. */
  readonly ungreetedPerAddressMax: number;
  /** Connections without a greeting, from everywhere: a fraction of the files one may open. */
  readonly ungreetedMax: number;
  /** Wrong passwords before logins from there are slowed down: people mistype. */
  readonly wrongFreeMax: number;
  /** Between two logins, after the first wrong password beyond the free ones; then it doubles; ms. */
  readonly slowMs: number;
  /** Five guesses a second find no password, and a thousand workers come in within minutes; ms. */
  readonly slowMsMax: number;
  /** Who would wait longer for a login is refused, and comes back later as all workers do; ms. */
  readonly lineMsMax: number;
  /** Without a wrong password for so long, all is forgiven; ms. */
  readonly forgivenMs: number;
  /** Addresses that are remembered for their wrong passwords; the oldest are forgotten first. */
  readonly rememberedMax: number;
}

export const usualLobby: LobbyLimits = {
  ungreetedPerAddressMax: 2000,
  ungreetedMax: 4000,
  wrongFreeMax: 20,
  slowMs: 10,
  slowMsMax: 200,
  lineMsMax: 60_000,
  forgivenMs: 60_000,
  rememberedMax: 10_000,
};

/** One connection that has not greeted. */
export interface Guest {
  /** It was closed to make room, which is no news of its own. */
  readonly evicted: boolean;
  /** It has greeted, or is gone. */
  leave(): void;
}

interface Wrong {
  count: number;
  lastMs: number;
  /** When the next login from there may begin. */
  nextMs: number;
}

export class Lobby {
  readonly #guests = new Map<string, Set<GuestEntry>>();
  /** Oldest wrong password first. */
  readonly #wrong = new Map<string, Wrong>();
  readonly #told = new Map<string, number>();
  #count = 0;

  /** `say`: hears of an address, and why connections from there are refused; once in a while. */
  constructor(
    private readonly say: (address: string, why: string) => void,
    private readonly limits: LobbyLimits = usualLobby,
    private readonly nowMs = () => performance.now(),
  ) {}

  /** Connections that have not greeted. */
  get size(): number {
    return this.#count;
  }

  /** `close` is called when the guest has to make room: the oldest one of the most from one place. */
  enter(address: string, close: () => void): Guest {
    const guest = new GuestEntry(close, () => this.#leave(address, guest));
    const here = this.#guests.get(address) ?? new Set();
    this.#guests.set(address, here.add(guest));
    this.#count++;
    const { ungreetedPerAddressMax, ungreetedMax } = this.limits;
    if (here.size > ungreetedPerAddressMax) {
      this.#evictOldest(address, `from there ${ungreetedPerAddressMax}`);
    } else if (this.#count > ungreetedMax) {
      this.#evictOldest(this.#fullest(), `${ungreetedMax} in all, most from there,`);
    }
    return guest;
  }

  /** Waits until a login from there may begin. Throws a PeerProtocolError if that is too long. */
  async turn(address: string, signal: AbortSignal): Promise<void> {
    const waitMs = this.waitMs(address);
    if (waitMs > 0) await delay(waitMs, signal);
  }

  /** How long the next login from there has to wait, in line with those before it. Throws as `turn`. */
  waitMs(address: string): number {
    const wrong = this.#wrong.get(address);
    if (wrong === undefined) return 0;
    const nowMs = this.nowMs();
    if (nowMs - wrong.lastMs > this.limits.forgivenMs) {
      this.#wrong.delete(address);
      return 0;
    }
    const beyond = wrong.count - this.limits.wrongFreeMax;
    if (beyond <= 0) return 0;
    const startMs = Math.max(nowMs, wrong.nextMs);
    if (startMs - nowMs > this.limits.lineMsMax) throw new PeerProtocolError(tooManyWrong);
    const { slowMs, slowMsMax } = this.limits;
    wrong.nextMs = startMs + Math.min(slowMsMax, slowMs * 2 ** Math.min(beyond - 1, 30));
    return startMs - nowMs;
  }

  /** A wrong password came from there. Returns whether that is still worth a line of its own. */
  wrongPassword(address: string): boolean {
    const nowMs = this.nowMs();
    const { wrongFreeMax, rememberedMax } = this.limits;
    const wrong = this.#wrong.get(address) ?? { count: 0, lastMs: nowMs, nextMs: nowMs };
    wrong.count++;
    wrong.lastMs = nowMs;
    this.#wrong.delete(address); // and in again, as the newest
    this.#wrong.set(address, wrong);
    if (this.#wrong.size > rememberedMax) this.#wrong.delete(this.#wrong.keys().next().value!);
    if (wrong.count <= wrongFreeMax) return true;
    this.#sayOnce(address, tooManyWrong);
    return false;
  }

  #leave(address: string, guest: GuestEntry): void {
    const here = this.#guests.get(address);
    if (here?.delete(guest) !== true) return;
    this.#count--;
    if (here.size === 0) this.#guests.delete(address);
  }

  #evictOldest(address: string, how: string): void {
    const [oldest] = this.#guests.get(address) ?? [];
    if (oldest === undefined) return;
    this.#sayOnce(address, `${how} connections wait without a greeting; the oldest are closed`);
    oldest.evict();
  }

  #fullest(): string {
    let fullest = "";
    let most = 0;
    for (const [address, { size }] of this.#guests) {
      if (size > most) [fullest, most] = [address, size];
    }
    return fullest;
  }

  #sayOnce(address: string, why: string): void {
    const nowMs = this.nowMs();
    if (nowMs - (this.#told.get(address) ?? -Infinity) < this.limits.forgivenMs) return;
    if (this.#told.size >= this.limits.rememberedMax) this.#told.clear();
    this.#told.set(address, nowMs);
    this.say(address, why);
  }
}

const tooManyWrong = "too many wrong passwords came from there; logins from there are slowed down";

class GuestEntry implements Guest {
  evicted = false;

  constructor(private readonly close: () => void, readonly leave: () => void) {}

  evict(): void {
    this.evicted = true;
    this.leave();
    this.close();
  }
}

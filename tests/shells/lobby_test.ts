import assert from "node:assert/strict";
import { Link } from "../../io/link.ts";
import { Lobby, usualLobby } from "../../manager/lobby.ts";
import { authenticate } from "../../io/handshake.ts";
import { HeardManager, workersGreeting } from "../support/heard_manager.ts";
import { patience } from "../support/link_pair.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;

/** A lobby of few seats, what it says, and whom it asks to go. */
function smallLobby(limits: Partial<typeof usualLobby> = {}) {
  const said: string[] = [];
  const gone: string[] = [];
  const clock = { nowMs: 0 };
  const lobby = new Lobby(
    (address, why) => said.push(`${address}: ${why}`),
    { ...usualLobby, ungreetedPerAddressMax: 3, ungreetedMax: 5, ...limits },
    () => clock.nowMs,
  );
  const enter = (address: string, name: string) => lobby.enter(address, () => gone.push(name));
  return { lobby, said, gone, enter, clock };
}

Deno.test("of too many that have not greeted the oldest goes, of the place with the most", () => {
  const { lobby, said, gone, enter } = smallLobby();
  const first = enter("a", "a1");
  const guests = ["a2", "a3"].map((name) => enter("a", name));
  assert.deepEqual(gone, []);
  enter("a", "a4");
  assert.deepEqual(gone, ["a1"]);
  assert.ok(first.evicted && !guests[0]!.evicted);
  enter("b", "b1");
  enter("c", "c1");
  enter("d", "d1");
  assert.deepEqual(gone, ["a1", "a2"], "the newcomer from elsewhere is let in");
  guests[0]!.leave(); // twice is once
  assert.equal(lobby.size, 5);
  guests[1]!.leave();
  assert.equal(lobby.size, 4);
  enter("a", "a5");
  enter("a", "a6");
  assert.equal(said.length, 1, "once for each place");
  assert.equal(
    said[0],
    "a: from there 3 connections wait without a greeting; the oldest are closed",
  );
});

Deno.test("wrong passwords slow down who comes from there, ever more, and nobody else", () => {
  const limits = { wrongFreeMax: 2, slowMs: 40, slowMsMax: 100, lineMsMax: 250 };
  const { lobby, said, clock } = smallLobby(limits);
  const line = (count: number) => Array.from({ length: count }, () => lobby.waitMs("a"));
  assert.deepEqual([lobby.wrongPassword("a"), lobby.wrongPassword("a")], [true, true]);
  assert.deepEqual(line(3), [0, 0, 0]);
  assert.equal(lobby.wrongPassword("a"), false, "no line of its own any more");
  assert.deepEqual(line(3), [0, 40, 80]);
  clock.nowMs += 1000;
  assert.equal(lobby.wrongPassword("a"), false);
  assert.deepEqual(line(3), [0, 80, 160]);
  const tooMany = "too many wrong passwords came from there; logins from there are slowed down";
  assert.deepEqual(said, [`a: ${tooMany}`], "once, not for each");
  assert.equal(lobby.waitMs("b"), 0, "another place is as before");
  clock.nowMs += 1000;
  for (let i = 0; i < 50; i++) lobby.wrongPassword("a");
  assert.deepEqual(line(3), [0, 100, 200], "no longer than that");
  assert.throws(() => lobby.waitMs("a"), /^PeerProtocolError: too many wrong passwords/);
});

Deno.test("who waits for a login waits as long as it was told, or until all is over", async () => {
  const { lobby } = smallLobby({ wrongFreeMax: 0, slowMs: 50_000, slowMsMax: 50_000 });
  lobby.wrongPassword("a");
  await lobby.turn("a", never);
  const over = new AbortController();
  let came = false;
  const coming = lobby.turn("a", over.signal).then(() => came = true);
  await lobby.turn("b", never);
  assert.equal(came, false);
  over.abort();
  await coming;
});

Deno.test("wrong passwords are forgiven after a while, and only so many places remembered", () => {
  const limits = { wrongFreeMax: 0, slowMs: 60_000, slowMsMax: 60_000 };
  const forgiving = smallLobby({ ...limits, forgivenMs: 1000 });
  forgiving.lobby.wrongPassword("a");
  assert.deepEqual([forgiving.lobby.waitMs("a"), forgiving.lobby.waitMs("a")], [0, 60_000]);
  forgiving.clock.nowMs += 1001;
  assert.deepEqual([forgiving.lobby.waitMs("a"), forgiving.lobby.waitMs("a")], [0, 0]);

  const { lobby } = smallLobby({ ...limits, rememberedMax: 2, lineMsMax: 1 });
  for (const address of ["a", "b", "c"]) lobby.wrongPassword(address);
  for (const address of ["a", "b", "c"]) assert.equal(lobby.waitMs(address), 0);
  assert.equal(lobby.waitMs("a"), 0);
  assert.throws(() => lobby.waitMs("b"), /too many wrong passwords/);
});

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const connectTo = ({ port }: HeardManager) => Link.connect("127.0.0.1", port);
const secret = bytesOf("open sesame\n");
const password = { content: secret, path: "pw" };

Deno.test("a thousand workers that come from one address at once are all let in", async () => {
  await using bed = new HeardManager({ password });
  const links = await Promise.all(Array.from({ length: 1000 }, () => connectTo(bed)));
  try {
    const logins = links.map(async (link) => {
      await authenticate(link, secret, { role: "worker", ...patience });
      await link.write(workersGreeting);
    });
    await Promise.all(logins);
    await until(() => bed.joined.length === 1000, {
      what: "a thousand workers",
      timeoutMs: 60_000,
    });
    assert.deepEqual([bed.refused, bed.left], [[], []]);
  } finally {
    for (const link of links) link.close();
  }
});

Deno.test("guesses of a password are told twenty times, then once, and who knows it comes in", async () => {
  await using bed = new HeardManager({ password });
  for (let i = 0; i < 25; i++) {
    using link = await connectTo(bed);
    await assert.rejects(
      authenticate(link, bytesOf(`guess ${i}`), { role: "worker", ...patience }),
      /it did not accept our password/,
    );
  }
  await until(() => bed.refused.length >= 21, { what: "21 lines" });
  const told = (words: string) => bed.refused.filter((line) => line.endsWith(words)).length;
  assert.equal(told("it presented the wrong password"), 20);
  assert.equal(told("logins from there are slowed down"), 1);
  assert.equal(bed.refused.length, 21);
  using link = await connectTo(bed);
  await authenticate(link, secret, { role: "worker", ...patience });
  await link.write(workersGreeting);
  await until(() => bed.joined.length === 1, { what: "the worker that knows it" });
});

/** What a worker says of itself: its greeting, and the info lines after it. */
import { PeerProtocolError } from "../errors.ts";
import { taskId } from "../ids.ts";
import { heldCountMax, parseHolds } from "../protocol/held.ts";
import { parseMeasured } from "../protocol/measured.ts";
import { keepsKey, offeredKey, parseOffered } from "../protocol/offered_tasks.ts";
import { protocolsSpoken, type ToManager } from "../protocol/messages.ts";
import { piecesKey } from "../protocol/pieces.ts";
import { askKey } from "../protocol/silence.ts";
import { noteFactory } from "./factories.ts";
import { newTalk, noteFile } from "./pieces.ts";
import { greetedKeeper, offeredTask } from "./reconnect.ts";
import type { SchedulerState } from "./state.ts";
import type { WorkerState } from "./workers.ts";

/** Its first message. Throws PeerProtocolError if it is no worker that can be served. */
export function greeted(state: SchedulerState, worker: WorkerState, message: ToManager): void {
  switch (message.type) {
    case "workqueue": {
      const { protocol, hostname, os } = message;
      if (!protocolsSpoken.some((spoken) => spoken === protocol)) {
        const spoken = protocolsSpoken.toReversed().join(", ");
        throw new PeerProtocolError(
          `${hostname} speaks protocol ${protocol}, not one of ${spoken}`,
        );
      }
      if (os === "foreman") {
        throw new PeerProtocolError(`${hostname} is a foreman; connect its workers directly`);
      }
      worker.greeting = message;
      worker.dialect = { ...worker.dialect, protocol };
      return;
    }
    case "status":
    case "http":
      state.act({ type: "answer_status", worker: worker.id, question: message });
      return;
    case "auth":
      throw new PeerProtocolError("it wants to authenticate, and this manager has no password");
    default:
      throw new PeerProtocolError(`Got "${message.type}" before the greeting`);
  }
}

/** Keys that are not known are passed over. */
export function info(
  state: SchedulerState,
  worker: WorkerState,
  { key, value }: { readonly key: string; readonly value: string },
  nowMs: number,
): void {
  switch (key) {
    case "from-factory":
      noteFactory(state, worker, value);
      break;
    case "wqx":
      worker.speaksWqx = true;
      break;
    case "worker-end-time": {
      const seconds = Number(value);
      worker.stopsAtMs = seconds > 0 ? seconds * 1000 : null;
      worker.dialect = { ...worker.dialect, endTimeInSeconds: true };
      break;
    }
    case "wqx-measured": {
      const parsed = parseMeasured(value);
      if (parsed !== null && worker.running.has(taskId(parsed.taskId))) {
        worker.measured.set(parsed.taskId, parsed.measured);
      }
      break;
    }
    case "wqx-holds": {
      const held = parseHolds(value);
      const { holds, speaksWqx, dialect } = worker;
      // Before protocol 11 it could not say that it has lost it.
      const isUsable = speaksWqx && dialect.protocol >= 11 && holds.size < heldCountMax;
      if (held === null || !isUsable) break;
      holds.set(held.sha256, held.bytes);
      noteFile(worker, held.bytes);
      break;
    }
    case keepsKey:
      if (value === "1") greetedKeeper(state, worker);
      break;
    case askKey:
      state.send(worker, { type: "check" });
      break;
    case offeredKey: {
      const offered = parseOffered(value);
      if (offered !== null) offeredTask(state, worker, offered, nowMs);
      break;
    }
    case piecesKey:
      if (value === "1" && worker.speaksWqx && worker.dialect.protocol >= 11) {
        worker.pieces ??= newTalk();
      }
  }
}

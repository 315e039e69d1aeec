/** The one door through which a task calls the user's code. */
import { messageOf } from "../core/errors.ts";
import { TaskFailure } from "./failure.ts";
import { userStack } from "./stack.ts";

/**
 * Calls into the user's module `name` (bundled, in the working folder) and waits for the answer.
 * Throws TaskFailure, the processor's fault with the user's own stack, if the call throws or leaves
 * a rejected promise behind.
 */
export async function callUser<T>(
  doing: string,
  name: string,
  call: () => T | Promise<T>,
): Promise<T> {
  const stray = Promise.withResolvers<never>();
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    stray.reject(event.reason);
  };
  addEventListener("unhandledrejection", onRejection);
  try {
    return await Promise.race([(async () => await call())(), stray.promise]);
  } catch (thrown) {
    throw new TaskFailure({
      whose: "processor",
      message: `Failed in ${doing}: ${messageOf(thrown)}`,
      stack: userStack(thrown, await Deno.readTextFile(name)),
    }, { cause: thrown });
  } finally {
    removeEventListener("unhandledrejection", onRejection);
  }
}

/** Work Queue's mode FIXED: what was declared, and nothing is learned. */
import { larger, override, type Policy, type Situation, type Wish } from "./policy.ts";

export class FixedPolicy implements Policy {
  readonly learning = { steady: true, why: "amounts are fixed" };

  observe(): void {}

  first({ declared, max, min }: Situation): Wish {
    const request = override(max, declared);
    return { request, floor: larger(request, min) };
  }

  next(task: Situation): Wish {
    return this.first(task);
  }
}

import { hostileInput } from "../support/hostile.ts";

const folder = new URL("../golden/wire/", import.meta.url);
const transcripts = [...Deno.readDirSync(folder)].map(({ name }) => name).sort()
  .map((name) => Deno.readTextFileSync(new URL(name, folder)));

for (const { name, check } of hostileInput(transcripts)) {
  Deno.test(name, () => check({ numRuns: 300 }));
}

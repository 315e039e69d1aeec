/**
 * The JSON interface as data: what each path takes and answers. The OpenAPI document is made from
 * these schemas, and answers are checked against their types by the compiler.
 */
import { createDocument, type ZodOpenApiPathsObject } from "zod-openapi";
import { z } from "zod";

/** What `rows` can ask for, and what it is without. */
export const limitDefault = 1_000;
export const limitMax = 10_000;

const amount = z.number().nullable();
const text = z.string().nullable();
const epoch = z.number().nullable().describe("Seconds since 1970");
const amounts = z.object({ cores: amount, memoryMb: amount, diskMb: amount, gpus: amount });
const texts = z.object({ cores: text, memoryMb: text, diskMb: text, gpus: text });
const inUse = z.object({ inUse: amount, total: amount });
const resources = z.object({ cores: inUse, memoryMb: inUse, diskMb: inUse, gpus: inUse })
  .meta({ id: "Resources", description: "Sizes are MB of 1024² bytes" });

const common = {
  key: z.string().describe("Under which the catalog keeps the record"),
  type: z.string(),
  host: text,
  address: text,
  port: amount,
  owner: text,
  version: text,
  project: text,
  startedS: epoch,
  heardS: epoch,
};

const service = z.object(common).meta({
  id: "Service",
  description: "A record of any kind; null is what it does not tell",
});

const managerFields = {
  ...common,
  ssl: z.boolean(),
  protocol: amount,
  waiting: amount,
  running: amount,
  onWorkers: amount,
  left: amount,
  done: amount,
  failed: amount,
  submitted: amount,
  workers: amount,
  workersBusy: amount,
  workersIdle: amount,
  hostsBlocked: z.array(z.string()).readonly(),
  resources,
  capacity: amount,
  worksFor: text.describe("Of a foreman: host:port of its manager"),
};
const manager = z.object(managerFields).meta({ id: "Manager" });

const category = z.object({
  name: z.string(),
  waiting: amount,
  running: amount,
  done: amount,
  failed: amount,
  workersAble: amount,
  allocation: amounts.describe("What the next task asks for"),
  largest: texts.describe("700 declared, ~700 largest seen, >699 exceeded, na"),
  chunkSize: amount.describe("Events a task"),
  eventsPerSecond: amount,
}).meta({ id: "Category" });

const worker = z.object({
  host: text,
  address: text,
  resources,
  running: amount,
  done: amount,
  joinedS: epoch,
}).meta({ id: "Worker" });

const factory = z.object({
  ...common,
  name: text,
  projectPattern: text,
  submitted: amount,
  needed: amount,
  requested: amount,
  toConnect: amount,
  workersMax: amount,
  managers: z.array(z.object({ project: text, host: text, port: amount })).readonly(),
}).meta({ id: "Factory" });

const point = z.object({
  atMs: z.number().describe("Milliseconds since 1970"),
  waiting: z.number(),
  running: z.number(),
  done: z.number(),
  workers: z.number(),
}).meta({ id: "Point" });

const managerDetail = z.object({
  ...managerFields,
  workingDir: text,
  categories: z.array(category).readonly(),
  workerList: z.array(worker).readonly().nullable().describe("null: it tells totals only"),
  wanted: amounts.describe("What waiting tasks ask for and running tasks hold"),
  series: z.array(point).readonly(),
  record: z.unknown().describe("The record as it was sent, as JSON"),
}).meta({ id: "ManagerDetail" });

const listOf = <Row extends z.ZodType>(row: Row) =>
  z.object({
    all: z.int().describe("How many there are, whatever the filter"),
    matching: z.int().describe("How many match the filter, even if not all are in `rows`"),
    rows: z.array(row).readonly(),
  });

export const answers = {
  managers: listOf(manager),
  manager: managerDetail,
  factories: listOf(factory),
  services: listOf(service),
  health: z.object({
    status: z.literal("ok"),
    name: z.string(),
    version: z.string(),
    nowMs: z.number(),
    startedMs: z.number(),
    records: z.int(),
  }),
  error: z.object({ error: z.string() }).meta({ id: "Error" }),
};

export const listQuery = z.object({
  filter: z.string().max(200).default("").describe(
    "Words that all occur in project, name, type, owner, host or address",
  ),
  limit: z.coerce.number().int().min(1).max(limitMax).default(limitDefault).describe(
    "Most rows in the answer",
  ),
});

/** What a stream says of each change. */
export const changeEvent = z.object({
  key: z.string(),
  kind: z.enum(["manager", "factory", "service"]).nullable().describe("null: it has expired"),
  row: z.union([manager, factory, service]).nullable(),
}).meta({ id: "Change" });

const json = (description: string, schema: z.ZodType) => ({
  description,
  content: { "application/json": { schema } },
});
const badQuery = json("A parameter that cannot be read, in a sentence", answers.error);

const list = (operationId: string, summary: string, schema: z.ZodType) => ({
  get: {
    operationId,
    summary,
    requestParams: { query: listQuery },
    responses: { "200": json("Those that match", schema), "400": badQuery },
  },
});

const paths: ZodOpenApiPathsObject = {
  "/api/v1/managers": list("listManagers", "Managers, by name", answers.managers),
  "/api/v1/managers/{key}": {
    get: {
      operationId: "getManager",
      summary: "One manager: categories, workers, its course, its record",
      requestParams: { path: z.object({ key: z.string().describe("As a list gives it") }) },
      responses: {
        "200": json("The manager", answers.manager),
        "404": json("No such manager (any more)", answers.error),
      },
    },
  },
  "/api/v1/factories": list("listFactories", "Factories, by name", answers.factories),
  "/api/v1/services": list("listServices", "All other records, by name", answers.services),
  "/api/v1/events": {
    get: {
      operationId: "watch",
      summary: "Changes as they happen, as server-sent events named `change`",
      responses: {
        "200": {
          description: "One event a changed record, at most every half second",
          content: { "text/event-stream": { schema: changeEvent } },
        },
        "503": { description: "Too many streams are open" },
      },
    },
  },
  "/api/v1/health": {
    get: {
      operationId: "health",
      summary: "Whether the catalog answers, and how many records it holds",
      responses: { "200": json("It does", answers.health) },
    },
  },
};

/** The OpenAPI document; `version` is that of wqx. */
export function openApiDocument(version: string): ReturnType<typeof createDocument> {
  return createDocument({
    openapi: "3.1.1",
    info: {
      title: "wqx catalog",
      version,
      description: "Who runs: managers, factories and other services that tell this catalog " +
        "about themselves. Everything can be read by everyone, nothing can be changed.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths,
  });
}

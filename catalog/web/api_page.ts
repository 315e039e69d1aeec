/** The JSON interface for people: the OpenAPI document, laid out. */
import { html } from "hono/html";
import { openApiDocument } from "../api_schema.ts";
import type { CatalogFacts } from "../facts.ts";
import { type Html, nothing, scrollingTable } from "./layout.ts";

/** As far as this page reads it; a `$ref` names one of the schemas below. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
}

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema?: Schema;
    readonly description?: string;
  }[];
  readonly responses?: Readonly<
    Record<
      string,
      {
        readonly description?: string;
        readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
      }
    >
  >;
}

interface Described {
  readonly paths: Readonly<Record<string, { readonly get: Operation }>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export function apiPage(facts: CatalogFacts): Html {
  // Through JSON, as readers of the document get it.
  const described: Described = JSON.parse(JSON.stringify(openApiDocument(facts.version)));
  return html`<h1>JSON interface</h1>
<p>All that the pages show, for programs: only <code>GET</code>, no key, open to pages of other hosts. The same for machines: <a href="/api/openapi.json">openapi.json</a>. Real Work Queue programs ask <a href="/query.json">/query.json</a>.</p>
<pre class="command"><code>curl http://${facts.name}:${facts.port}/api/v1/managers</code></pre>
<h2>Paths</h2>
${Object.entries(described.paths).map(([path, { get }]) => operation(path, get))}
<h2>Schemas</h2>
${
    Object.entries(described.components.schemas).map(([name, schema]) =>
      html`
        <section><h3 id="schema-${name}">${name}</h3>${schema
            .description === undefined
          ? nothing
          : html`<p>${schema.description}</p>`}${properties(schema, name)}</section>
      `
    )
  }`;
}

function operation(path: string, { summary, parameters = [], responses = {} }: Operation): Html {
  return html`
    <article class="operation">
      <h3><span class="method">GET</span> ${path.includes("{")
        ? html`<code>${path}</code>`
        : html`<a href="${path}"><code>${path}</code></a>`}</h3>
      <p>${summary}</p>
      <ul>${parameters.map(({ name, in: place, schema, description }) =>
        html`<li><code>${name}</code> (${place}): ${description ?? schema?.description ?? nothing}${
          schema?.default === undefined || schema.default === ""
            ? nothing
            : html`; ${String(schema.default)} if not given`
        }</li>`
      )}${Object.entries(responses).map(([status, { description, content = {} }]) => {
        const schema = Object.values(content)[0]?.schema;
        return html`<li><strong>${status}</strong> ${description}${
          schema === undefined ? nothing : html`: ${typeMarkup(schema)}`
        }</li>`;
      })}</ul>
    </article>
  `;
}

function properties({ properties = {} }: Schema, name: string): Html {
  const rows = Object.entries(properties).map(([field, schema]) =>
    html`
      <tr>
        <th scope="row"><code>${field}</code></th>
        <td>${typeMarkup(schema)}</td>
        <td>${schema.description ?? nothing}</td>
      </tr>
    `
  );
  return scrollingTable(`schema-${name}`, [["Field"], ["Type"], ["Meaning"]], rows);
}

function typeMarkup(schema: Schema): Html {
  const { $ref, type, items, anyOf, properties, enum: values } = schema;
  if ($ref !== undefined) {
    const name = $ref.slice($ref.lastIndexOf("/") + 1);
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (items !== undefined) return html`list of ${typeMarkup(items)}`;
  if (anyOf !== undefined) {
    return html`${anyOf.map((one, i) => html`${i === 0 ? nothing : " or "}${typeMarkup(one)}`)}`;
  }
  if (properties !== undefined) {
    return html`{ ${
      Object.entries(properties).map(([field, one], i) =>
        html`${i === 0 ? nothing : ", "}${field}: ${typeMarkup(one)}`
      )
    } }`;
  }
  if (values !== undefined) return html`${values.map(String).join(", ")}`;
  if (schema.const !== undefined) return html`“${String(schema.const)}”`;
  return html`${[type ?? "any"].flat().join(" or ")}`;
}

/** Where the modules are that run in threads of their own. */

/** The module `package/NAME.ts`, or what is bundled of it beside the bundled program. */
export async function threadModule(name: string): Promise<URL> {
  const bundled = new URL(`./${name}.js`, import.meta.url);
  try {
    await Deno.stat(bundled);
    return bundled;
  } catch {
    return new URL(`./${name}.ts`, import.meta.url);
  }
}

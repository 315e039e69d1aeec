/** The Python module, by programs that use it and check what they get. */
import { modulePython, runProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";

const found = modulePython();
const python = "path" in found ? found.path : "";
const reason = "missing" in found ? found.missing : "";

for (
  const [name, program] of [
    ["both names of the Python module are one module with Work Queue's whole surface", "names.py"],
    ["results, files, limits and resubmissions are Work Queue's", "results.py"],
    ["counts, states, tags, cancellations, categories and settings", "queue_methods.py"],
    ["functions, sequences of them, and futures", "functions.py"],
    ["signal handlers, forks and killed owners do no harm", "signals.py"],
    ["factories start, change and stop local workers, and may start again", "factories.py"],
    ["a factory finds a manager by its name, and knows the password", "by_name.py"],
    ["a status table is shown in a notebook only, and never raises", "display.py"],
  ] as const
) {
  Deno.test({
    ...needs(python !== "", reason, name),
    fn: async () => void await runProgram(python, program),
  });
}

import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import {
  analyze,
  type AnalyzeWishes,
  type ImportStatement,
  notebookCode,
  printSpec,
  type PythonReport,
} from "../../core/package/imports.ts";

function imports(...modules: (string | Partial<ImportStatement>)[]): PythonReport["imports"] {
  const plain = { source: "fit.py", line: 3, relative: false, optional: false };
  return modules.map((one) =>
    typeof one === "string" ? { ...plain, modules: [one] } : { ...plain, modules: [], ...one }
  );
}

const channel = "https://conda.anaconda.org/conda-forge/linux-64";
const conda = (name: string, version: string, build: string, ...modules: string[]) => ({
  name,
  version,
  build,
  channel,
  modules,
});
const pip = (name: string, version: string, ...modules: string[]) => ({
  name,
  version,
  modules,
  editable: null,
});

const condaPython: Omit<PythonReport, "imports"> = {
  version: "3.11.7",
  faults: [],
  hasFunction: true,
  standard: ["os", "sys"],
  conda: [
    conda("python", "3.11.7", "h1_0"),
    conda("pip", "24.0", "pyh_0", "pip"),
    conda("numpy", "1.26.4", "py311_0", "numpy", "numpy.linalg"),
    {
      ...conda("scikit-learn", "1.4.2", "py311_1", "sklearn"),
      channel: "file:///my/channel/noarch",
    },
  ],
  pip: [
    pip("opencv-python", "4.9.0.80", "cv2"),
    pip("PyYAML", "6.0.1+local", "yaml", "_yaml"),
    pip("protobuf", "5.1", "google", "google.protobuf"),
    pip("google-auth", "2.1", "google", "google.auth"),
    { ...pip("my_analysis", "0.1.dev3", "my_analysis"), editable: "/src/my_analysis" },
  ],
};

const wishes: AnalyzeWishes = {
  versions: "exact",
  mapping: new Map(),
  extra: [],
  isLocal: (module) => module === "helpers",
};

function dependenciesOf(report: PythonReport, more: Partial<AnalyzeWishes> = {}) {
  return analyze(report, { ...wishes, ...more }).spec.conda.dependencies;
}

Deno.test("analyze() names the package of each import, whatever that is called", () => {
  const report = {
    ...condaPython,
    imports: imports("os.path", "numpy.linalg", "sklearn", "cv2", "yaml", "my_analysis", "helpers"),
  };
  const { spec, local } = analyze(report, wishes);
  assert.deepEqual(spec.conda.channels, ["conda-forge", "file:///my/channel"]);
  assert.deepEqual(spec.conda.dependencies, [
    "numpy=1.26.4",
    "pip=24.0",
    "python=3.11.7",
    "scikit-learn=1.4.2",
    { pip: ["PyYAML==6.0.1", "my_analysis", "opencv-python==4.9.0.80"] },
  ]);
  assert.deepEqual(local, ["helpers"]);
  assert.match(printSpec(spec), /^\{\n {4}"conda": \{\n {8}"channels": \[\n/);
});

Deno.test("analyze() writes versions as asked", () => {
  const report = { ...condaPython, imports: imports("numpy", "cv2") };
  const first = (versions: AnalyzeWishes["versions"]) => {
    const [numpy, , , inPip] = dependenciesOf(report, { versions });
    return [numpy, inPip];
  };
  assert.deepEqual(first("build"), ["numpy=1.26.4=py311_0", { pip: ["opencv-python==4.9.0.80"] }]);
  assert.deepEqual(first("minor"), ["numpy=1.26", { pip: ["opencv-python==4.9.*"] }]);
  assert.deepEqual(first("none"), ["numpy", { pip: ["opencv-python"] }]);
});

Deno.test("analyze() takes one part of a namespace, and without conda what stands for Python", () => {
  const report = {
    ...condaPython,
    conda: [],
    imports: imports({ modules: ["google.protobuf.message"] }, {
      modules: ["mine"],
      relative: true,
    }),
  };
  const { spec, local } = analyze(report, wishes);
  assert.deepEqual(spec.conda, {
    channels: ["conda-forge"],
    dependencies: ["pip", "python=3.11.7", { pip: ["protobuf==5.1"] }],
  });
  assert.deepEqual(local, ["mine"]);
});

Deno.test("analyze() says all that it cannot tell, but not what the code can do without", () => {
  const report = {
    ...condaPython,
    imports: imports("nowhere.sub", "gone", { modules: ["ujson"], optional: true }),
  };
  assert.throws(
    () => analyze(report, wishes),
    /imported as nowhere \(fit\.py, line 3\), gone \(fit\.py, line 3\): .*--pkg-mapping/,
  );
  const mapping = new Map([["nowhere", "numpy"], ["gone", "opencv_python"]]);
  const { spec, notes } = analyze(report, { ...wishes, mapping, extra: ["Scikit.Learn"] });
  assert.deepEqual(spec.conda.dependencies[0], "numpy=1.26.4");
  assert.deepEqual(spec.conda.dependencies.slice(3), [
    "scikit-learn=1.4.2",
    { pip: ["opencv-python==4.9.0.80"] },
  ]);
  assert.deepEqual(notes, ["ujson is not installed, and fit.py can do without it"]);
  const wrong = { ...wishes, mapping: new Map([["gone", "nothing"]]) };
  assert.throws(() => analyze(report, wrong), /--pkg-mapping gone=nothing".*no package nothing is/);
  assert.throws(
    () => analyze({ ...report, imports: [] }, { ...wishes, extra: ["x"] }),
    /extra-pkg x/,
  );
});

Deno.test("notebookCode() keeps what is Python", () => {
  const cell = (source: string | string[], cell_type = "code") => ({ cell_type, source });
  const notebook = JSON.stringify({
    cells: [
      cell("# Title", "markdown"),
      cell(["%matplotlib inline\n", "import numpy\n", "if True:\n", "    !ls\n", "files = !ls\n"]),
      cell("%%bash\nimport nothing"),
      cell("%%time\nimport yaml\nnumpy.sum?"),
      cell("a = 5 % 3\nb = (a\n % 2)"),
    ],
  });
  assert.equal(
    notebookCode(notebook),
    "pass\nimport numpy\nif True:\n    pass\npass\n\n\n\n\nimport yaml\npass\n\n" +
      "a = 5 % 3\nb = (a\n % 2)\n",
  );
  assert.throws(() => notebookCode("[1"), UsageError);
  assert.throws(() => notebookCode("{}"), /it has no cells/);
});

/**
 * The linter's rules. The table of layers below is the one in ARCHITECTURE.md, in a form that is enforced: a folder may
 * import itself, the folders it names, and nothing else. Of several overrides that set one rule for a file the last one
 * counts, whole; that is why each layer's rule is built from the table and not put together from parts.
 */
import { defineConfig } from "oxlint";

const low = ["base"];
const clients = ["http-client", ...low];
const stored = ["chunk", "trace", "s3-client", ...clients];
const members = ["placement", "chunk", ...low];
const engine = ["store", "origin", "membership", "placement", ...stored];

/** What each folder of src/ may import besides itself. */
const layers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  chunk: low,
  placement: low,
  figures: low,
  trace: low,
  "http-client": low,
  "s3-client": clients,
  config: ["chunk", ...low],
  store: stored,
  origin: stored,
  membership: members,
  fill: engine,
  object: engine,
  mesh: ["fill", "object", "figures", ...engine],
  edge: ["fill", "object", "figures", ...engine],
  ops: ["fill", "object", "figures", ...engine],
  replica: ["config", "edge", "ops", "mesh", "fill", "object", "figures", ...engine],
  cli: ["replica", "config", "edge", "ops", "mesh", "fill", "object", "figures", ...engine],
};
const folders = Object.keys(layers);

const timeModules = ["node:timers", "node:timers/**"];
const rpcModules = ["@connectrpc/**", "@bufbuild/**"];
const httpModules = ["node:http", "node:https"];

/** Packages that are not for a folder. Unnamed folders may use none of these. */
function barredModules(folder: string): string[] {
  const barred = ["node:process", ...timeModules];
  if (folder === "mesh") return [...barred, ...httpModules];
  if (["edge", "ops", "cli", "replica", "http-client"].includes(folder))
    return [...barred, "node:http2", ...rpcModules];
  return [...barred, "node:http2", ...rpcModules, ...httpModules];
}

function layerRule(barredFolders: readonly string[], barred: readonly string[]) {
  const patterns = [
    {
      group: [...barredFolders.map((folder) => `**/${folder}/**`), "**/main.ts", "**/test/**", "**/deploy/**"],
      message: "Imports go one way: see the layers in ARCHITECTURE.md.",
    },
    { group: [...barred], message: "Not in this folder: see the layers in ARCHITECTURE.md." },
  ];
  return { "eslint/no-restricted-imports": ["error", { patterns }] as const };
}

const layerOverrides = folders.map((folder) => {
  const allowed = new Set([folder, ...(layers[folder] ?? [])]);
  const barredFolders = folders.filter((other) => !allowed.has(other));
  if (folder !== "mesh") barredFolders.push("gen");
  return { files: [`src/${folder}/**`], rules: layerRule(barredFolders, barredModules(folder)) };
});

const time = "Time comes from a Clock (src/base/clock.ts).";
const timeGlobals = ["setTimeout", "setInterval", "performance"].map((name) => ({ name, message: time }));
const processGlobal = { name: "process", message: "Only src/main.ts touches the process." };

export default defineConfig({
  plugins: ["typescript", "import", "node", "promise", "unicorn"],
  categories: { correctness: "error", suspicious: "error", perf: "warn" },
  options: { typeAware: true },
  ignorePatterns: ["gen/**"],
  rules: {
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/no-explicit-any": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/no-non-null-assertion": "error",
    "import/no-cycle": ["error", { ignoreTypes: false }],
    "import/no-default-export": "error",

    // Asserting `as` after an index or at an untyped boundary is how strict code says what it knows.
    "typescript/no-unsafe-type-assertion": "off",
    // These two take every `fill` for an array's, and every `postMessage` for a browser window's.
    "unicorn/no-array-fill-with-reference-type": "off",
    "unicorn/require-post-message-target-origin": "off",
    "eslint/no-await-in-loop": "off",
    "eslint/no-underscore-dangle": "off",
    "import/no-named-as-default-member": "off",
    "unicorn/no-new-array": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/prefer-add-event-listener": "off",
    "promise/always-return": "off",
    // The compiler checks this (noImplicitReturns), and knows when a switch is exhaustive.
    "typescript/consistent-return": "off",
    "promise/avoid-new": "off",
  },
  overrides: [
    {
      files: ["src/**", "deploy/**"],
      rules: {
        "eslint/max-lines": ["error", { max: 400 }],
        "eslint/max-lines-per-function": ["error", { max: 70 }],
      },
    },
    {
      files: ["src/**"],
      rules: {
        "eslint/no-console": "error",
        "eslint/no-restricted-globals": [
          "error",
          { checkGlobalObject: true, globals: [processGlobal, ...timeGlobals] },
        ],
        "eslint/no-restricted-properties": [
          "error",
          { object: "Date", property: "now", message: time },
          { object: "AbortSignal", property: "timeout", message: time },
          {
            object: "Math",
            property: "random",
            message: "Randomness comes from a Random (src/base/random.ts).",
          },
        ],
      },
    },
    {
      files: ["src/base/clock.ts"],
      rules: { "eslint/no-restricted-globals": "off", "eslint/no-restricted-properties": "off" },
    },
    // These run in a browser.
    { files: ["src/ops/console/console-assets/*.js"], rules: { "eslint/no-restricted-globals": "off" } },
    { files: ["src/base/random.ts"], rules: { "eslint/no-restricted-properties": "off" } },
    ...layerOverrides,
    {
      files: ["src/main.ts"],
      rules: {
        "eslint/no-restricted-globals": ["error", ...timeGlobals],
        ...layerRule([], [...timeModules, "node:http2", ...rpcModules]),
      },
    },
    {
      files: ["test/**"],
      rules: {
        // node:test runs what is registered; its promise is for those who nest by hand.
        "typescript/no-floating-promises": [
          "error",
          {
            allowForKnownSafeCalls: [
              { from: "package", package: "node:test", name: ["test", "it", "describe", "suite"] },
            ],
          },
        ],
      },
    },
  ],
});

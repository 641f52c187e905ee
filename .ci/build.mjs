/**
 * `npm run build`: makes dist/, a package of its own. Any Node from version 24 on runs it, without node_modules. The
 * sources cannot be installed: Node does not strip types from files below a node_modules folder.
 *
 *     npm run build
 *     node .ci/build.mjs FOLDER     # instead of dist/; the folder is replaced
 *
 * Each `import()` of the sources stays one, so a command loads no more than from the sources. Each module that a source
 * names as `new URL("./x-thread.ts", import.meta.url)` becomes a file of its own. All code lies in one folder, so that
 * such a URL is right in whichever file it ends up.
 */
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { rolldown } from "rolldown";
import { bundledPackages, noticesOf } from "./third-party-notices.mjs";

const root = resolve(import.meta.dirname, "..");
const dist = resolve(process.argv[2] ?? join(root, "dist"));

/** What stands beside the code. The log names pages of docs/, and these lead to the unit of systemd. */
const pages = [
  "LICENSE",
  "README.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "docs",
  "deploy/systemd",
];
/** What the page of /console loads beside its own files (src/ops/console/console-endpoints.ts). */
const chartFiles = ["uPlot.esm.js", "uPlot.min.css"].map((name) => join(root, "node_modules/uplot/dist", name));
/** What Node needs beside its arguments, see src/main.ts. */
const shebang = "#!/usr/bin/env -S node --disable-sigusr1";

/** Makes an entry of each thread's module, and lets the source name the file that is made of it. */
const threads = {
  name: "threads",
  transform: {
    filter: { id: /\/src\/.*\.ts$/, code: /import\.meta\.url/ },
    handler(code, id) {
      const named = code.replaceAll(/new URL\("\.\/([\w-]+)\.ts", import\.meta\.url\)/g, (_, name) => {
        this.emitFile({ type: "chunk", id: resolve(dirname(id), `${name}.ts`), fileName: `lib/${name}.js` });
        return `new URL("./${name}.js", import.meta.url)`;
      });
      // Lines stay where they are, which is all that a stack trace needs.
      return { code: named, map: null };
    },
  },
};

async function bundle() {
  const bundled = await rolldown({
    cwd: root,
    input: { orca: "src/main.ts" },
    platform: "node",
    plugins: [threads],
  });
  const { output } = await bundled.write({
    dir: dist,
    format: "esm",
    sourcemap: true,
    entryFileNames: "lib/[name].js",
    chunkFileNames: "lib/[name]-[hash].js",
    banner: ({ name }) => (name === "orca" ? shebang : ""),
  });
  await bundled.close();
  const chunks = output.filter(({ type }) => type === "chunk");
  const names = new Set(chunks.map(({ fileName }) => fileName));
  for (const { fileName, imports, dynamicImports } of chunks) {
    const foreign = [...imports, ...dynamicImports].find((name) => !names.has(name) && !isBuiltin(name));
    // The bundler leaves an import that it cannot find as it is. It would fail where Orca is installed.
    if (foreign !== undefined) throw new Error(`Cannot build: ${fileName} imports "${foreign}", which is not installed`);
  }
  return chunks;
}

/** The manifest of what is installed: it depends on nothing, and cannot be published by accident. */
function manifest() {
  const { name, version, description, license, type } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const engines = { node: ">=24" };
  const bin = { orca: "lib/orca.js" };
  return { name, version, description, private: true, license, type, engines, bin };
}

if (existsSync(dist) && readdirSync(dist).length > 0 && !existsSync(join(dist, "lib/orca.js"))) {
  throw new Error(`Cannot build into "${dist}": it holds something else. Name an empty folder, or remove it`);
}
rmSync(dist, { recursive: true, force: true });
const chunks = await bundle();
const packages = bundledPackages(
  [...chunks.flatMap(({ moduleIds }) => moduleIds), ...chartFiles],
  root,
);
chmodSync(join(dist, "lib/orca.js"), 0o755);
writeFileSync(join(dist, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
writeFileSync(join(dist, "THIRD-PARTY-NOTICES.txt"), noticesOf(packages));
cpSync(join(root, "src/ops/console/console-assets"), join(dist, "lib/console-assets"), { recursive: true });
for (const file of chartFiles) cpSync(file, join(dist, "lib/console-assets", basename(file)));
for (const page of pages) cpSync(join(root, page), join(dist, page), { recursive: true });
const bytes = chunks.reduce((sum, { code }) => sum + code.length, 0);
console.log(`Wrote ${chunks.length} files of code (${(bytes / 1e6).toFixed(1)} MB), with ${packages.length} packages, into ${basename(dist)}/`);

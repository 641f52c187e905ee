/**
 * The licences of the packages whose code is in a bundle, as one text. Their licences ask for that: who passes the code
 * on must pass on the notices. Packages with the same text share it.
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folderOfPackage = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/;

/** Packages that ship no licence file, and where else its text is. Apache-2.0 is the licence of Orca itself. */
const licencesElsewhere = {
  "Apache-2.0": (_, root) => readFileSync(join(root, "LICENSE"), "utf8"),
  // @bufbuild/protobuf: the part that Google wrote has its licence at its head.
  "(Apache-2.0 AND BSD-3-Clause)": (folder, root) => {
    const [head] = readFileSync(join(folder, "dist/esm/wire/varint.js"), "utf8").split(/^(?!\/\/)/m);
    return `${head.replace(/^\/\/ ?/gm, "")}\n\n${readFileSync(join(root, "LICENSE"), "utf8")}`;
  },
};

/** `{ name, version, license, text }` of each package that one of `moduleIds` lies in. @throws where no text is found. */
export function bundledPackages(moduleIds, root) {
  const folders = new Set(moduleIds.map((id) => folderOfPackage.exec(id)?.[0]).filter((folder) => folder !== undefined));
  return [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = globSync("{LICEN[CS]E,licen[cs]e,COPYING,NOTICE}*", { cwd: folder }).sort();
    const text =
      files.length > 0
        ? files.map((file) => readFileSync(join(folder, file), "utf8")).join("\n")
        : licencesElsewhere[license]?.(folder, root);
    if (!text) throw new Error(`Cannot write the notice of ${name}: it has no licence file and says "${license}"`);
    return { name, version, license, text: text.replaceAll("\r\n", "\n").trim() };
  });
}

export function noticesOf(packages) {
  const byText = Map.groupBy(packages, ({ text }) => text);
  const parts = [...byText].map(([text, sharing]) => {
    const names = sharing.map(({ name, version, license }) => `${name} ${version} (${license})`);
    return `${names.join("\n")}\n\n${text}\n`;
  });
  const head = "Orca contains code of the packages below. Each list of packages is followed by their licence.\n";
  return [head, ...parts].join(`\n${"-".repeat(80)}\n\n`);
}

/** Which file declares a name of protobuf, and that file as others read it: a descriptor, with all that it imports. */
import { createRegistry, type DescFile, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

type Declaration = ReturnType<Registry["get"]> & {};

export class SchemaIndex {
  readonly #filesByName = new Map<string, DescFile>();
  readonly #filesBySymbol = new Map<string, DescFile>();

  /** Of `roots` and all that they import. */
  constructor(roots: readonly DescFile[]) {
    const files = withImports(roots);
    for (const file of files) this.#filesByName.set(file.proto.name, file);
    for (const declaration of createRegistry(...files)) {
      for (const symbol of symbolsOf(declaration)) this.#filesBySymbol.set(symbol, declaration.file);
    }
  }

  /** By its path below proto/: `orca/v1/fill.proto`. */
  fileByName(name: string): DescFile | undefined {
    return this.#filesByName.get(name);
  }

  /** By anything it declares: `orca.v1.FillService.FillChunk`. */
  fileBySymbol(symbol: string): DescFile | undefined {
    return this.#filesBySymbol.get(symbol);
  }
}

/** The file's FileDescriptorProto, then those of its imports and theirs, each once. */
export function fileDescriptors(file: DescFile): Uint8Array[] {
  return Array.from(withImports([file]), ({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function withImports(roots: readonly DescFile[]): Set<DescFile> {
  const files = new Set(roots);
  // A set that grows while it is walked through is walked to its new end.
  for (const { dependencies } of files) for (const imported of dependencies) files.add(imported);
  return files;
}

/** Its name and those of its parts. The values of an enum are named beside it, not below it. */
function symbolsOf(declaration: Declaration): string[] {
  const { typeName } = declaration;
  switch (declaration.kind) {
    case "service":
      return [typeName, ...declaration.methods.map(({ name }) => `${typeName}.${name}`)];
    case "message":
      return [typeName, ...declaration.members.map(({ name }) => `${typeName}.${name}`)];
    case "enum": {
      const scope = typeName.slice(0, typeName.lastIndexOf(".") + 1);
      return [typeName, ...declaration.values.map(({ name }) => scope + name)];
    }
    default:
      return [typeName];
  }
}

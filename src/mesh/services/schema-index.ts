/**
 * Finds the file that declares a protobuf name, and encodes it for other programs: as its descriptor, followed by those
 * of all files that it imports.
 */
import { createRegistry, type DescFile, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

type Declaration = ReturnType<Registry["get"]> & {};

export class SchemaIndex {
  readonly #filesByName = new Map<string, DescFile>();
  readonly #filesBySymbol = new Map<string, DescFile>();

  /** Indexes `roots` and all files that they import. */
  constructor(roots: readonly DescFile[]) {
    const files = withImports(roots);
    for (const file of files) this.#filesByName.set(file.proto.name, file);
    for (const declaration of createRegistry(...files)) {
      for (const symbol of symbolsOf(declaration)) this.#filesBySymbol.set(symbol, declaration.file);
    }
  }

  /** Finds a file by its path below proto/, for example `orca/v1/fill.proto`. */
  fileByName(name: string): DescFile | undefined {
    return this.#filesByName.get(name);
  }

  /** Finds a file by a name that it declares, for example `orca.v1.FillService.FillChunk`. */
  fileBySymbol(symbol: string): DescFile | undefined {
    return this.#filesBySymbol.get(symbol);
  }
}

/** The FileDescriptorProto of the file, then those of its direct and indirect imports, each once. */
export function fileDescriptors(file: DescFile): Uint8Array[] {
  return Array.from(withImports([file]), ({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function withImports(roots: readonly DescFile[]): Set<DescFile> {
  const files = new Set(roots);
  // The iteration of a set includes elements that are added during it.
  for (const { dependencies } of files) for (const imported of dependencies) files.add(imported);
  return files;
}

/** The name of the declaration and those of its parts. In protobuf, enum values are siblings of their enum. */
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

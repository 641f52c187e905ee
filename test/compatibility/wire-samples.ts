/**
 * Bytes on the wire: each message of `proto/orca/v1/` with a value in every field, as protobuf and as JSON. A field's value
 * follows from its name and number, so that two fields that change places show.
 */
import type { DescField, DescFile, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { fromBinary, fromJson, ScalarType, toBinary, toJson } from "@bufbuild/protobuf";
import { file_orca_v1_cache } from "../../gen/orca/v1/cache_pb.ts";
import { file_orca_v1_chunk } from "../../gen/orca/v1/chunk_pb.ts";
import { file_orca_v1_errors } from "../../gen/orca/v1/errors_pb.ts";
import { file_orca_v1_fill } from "../../gen/orca/v1/fill_pb.ts";
import { file_orca_v1_membership } from "../../gen/orca/v1/membership_pb.ts";
import { file_orca_v1_object } from "../../gen/orca/v1/object_pb.ts";

export interface WireSample {
  /** `orca.v1.Member`; `#1` and on for those of a message with a oneof, one for each of its fields. */
  readonly name: string;
  readonly hex: string;
  readonly json: JsonValue;
}

const files: readonly DescFile[] = [
  file_orca_v1_cache,
  file_orca_v1_chunk,
  file_orca_v1_errors,
  file_orca_v1_fill,
  file_orca_v1_membership,
  file_orca_v1_object,
];
const messages = new Map(files.flatMap((file) => file.messages.map((each) => [each.typeName, each])));

export function wireSamples(): WireSample[] {
  return [...messages.values()].flatMap((message) => {
    const count = Math.max(1, ...message.oneofs.map(({ fields }) => fields.length));
    return Array.from({ length: count }, (_, choice) => sampleOf(message, choice));
  });
}

/** What today's code makes of the bytes of a sample, and of its JSON. Undefined where it knows no such message. */
export function readAgain({ name, hex, json }: WireSample): WireSample | undefined {
  const message = messages.get(name.split("#")[0] ?? "");
  return (
    message && {
      name,
      hex: hexOf(toBinary(message, fromJson(message, json))),
      json: toJson(message, fromBinary(message, Buffer.from(hex, "hex"))),
    }
  );
}

/** The calls of every service, as `orca.v1.FillService/FillChunk request -> response`. */
export function wireCalls(): string[] {
  return files.flatMap(({ services }) =>
    services.flatMap(({ typeName, methods }) =>
      methods.map(
        ({ name, methodKind, input, output }) =>
          `${typeName}/${name} ${methodKind} ${input.typeName} ${output.typeName}`,
      ),
    ),
  );
}

function sampleOf(message: DescMessage, choice: number): WireSample {
  const value = fromJson(message, fieldsOf(message, choice));
  return {
    name: choice === 0 ? message.typeName : `${message.typeName}#${choice}`,
    hex: hexOf(toBinary(message, value)),
    json: toJson(message, value),
  };
}

function fieldsOf(message: DescMessage, choice: number): JsonObject {
  const fields = message.fields.filter(
    (field) => !field.oneof || field.oneof.fields.indexOf(field) === choice % field.oneof.fields.length,
  );
  return Object.fromEntries(fields.map((field) => [field.jsonName, valueOf(field, choice)]));
}

function valueOf(field: DescField, choice: number): JsonValue {
  switch (field.fieldKind) {
    case "scalar":
      return scalarOf(field.scalar, field, choice);
    case "enum":
      return field.enum.values.at(-1 - choice)?.name ?? "";
    case "message":
      return fieldsOf(field.message, choice);
    case "map":
      return { [`${field.name} é`]: "1", "": "" };
    case "list":
      if (field.listKind === "message") return [0, 1].map((next) => fieldsOf(field.message, next));
      return field.listKind === "scalar" ? [0, 1].map((next) => scalarOf(field.scalar, field, next)) : [];
  }
}

function scalarOf(type: ScalarType, { name, number }: DescField, choice: number): JsonValue {
  switch (type) {
    case ScalarType.STRING:
      return `${name} é ${choice}`;
    case ScalarType.BYTES:
      return Buffer.from([0, number, choice, 255]).toString("base64");
    case ScalarType.BOOL:
      return true;
    case ScalarType.DOUBLE:
      return number + 0.25;
    case ScalarType.INT64:
      return String(-(2n ** 40n) - BigInt(number));
    case ScalarType.UINT64:
      return String(2n ** 53n + BigInt(number));
    default:
      return 1000 * number + choice;
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

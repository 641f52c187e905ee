/**
 * Encodes and decodes the figures of a replica (proto/orca/v1/figures.proto). Their JSON has the names of the message's
 * fields, so the JSON form of protobuf does it. What a peer sends is summed and shown, so each number must be one.
 */
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type FiguresResponse,
  type ReplicaFigures as Message,
  ReplicaFiguresSchema,
} from "../../../gen/orca/v1/figures_pb.ts";
import { KiB } from "../../base/units.ts";
import type { ReplicaFigures } from "../../figures/replica-figures.ts";
import { malformedMessage } from "./message-field.ts";

/** A history of an hour has 2,160 numbers. */
const valuesMax = 8192;
const textLengthMax = 256 * KiB;

export function encodeFigures(figures: ReplicaFigures): Message {
  return fromJson(ReplicaFiguresSchema, figures as unknown as JsonValue);
}

/** @throws OrcaError `invalid_argument`. */
export function decodeFigures({ figures }: FiguresResponse): ReplicaFigures {
  if (!figures?.fills || !figures.history) throw malformedMessage("it has no figures");
  checkValues(figures);
  const json = toJson(ReplicaFiguresSchema, figures, { useProtoFieldName: true, alwaysEmitImplicit: true });
  return json as unknown as ReplicaFigures;
}

function checkValues(message: Message): void {
  let [values, textLength] = [0, 0];
  const check = (value: unknown): void => {
    values += 1;
    if (values > valuesMax) throw malformedMessage(`it has more than ${valuesMax} values`);
    if (typeof value === "number") {
      if (!Number.isFinite(value) || value < 0) throw malformedMessage(`${value} is no figure`);
    } else if (typeof value === "string") {
      textLength += value.length;
      if (textLength > textLengthMax)
        throw malformedMessage(`its texts are longer than ${textLengthMax} characters`);
    } else if (Array.isArray(value)) {
      for (const each of value) check(each);
    } else if (typeof value === "object" && value !== null) {
      for (const [name, each] of Object.entries(value)) {
        if (name === "$typeName" || name === "$unknown") continue;
        check(name);
        check(each);
      }
    }
  };
  check(message);
}

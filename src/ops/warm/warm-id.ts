/**
 * The id of a warm-up: its source and the mark up to which all objects are done. A warm-up is resumed from its id alone, on
 * any replica and after a restart, because no replica has to remember it. Another position gives another id.
 */
import { OrcaError } from "../../base/orca-error.ts";

export interface WarmPosition {
  /** @see WarmSource.name */
  readonly source: string;
  /** Empty at the start. */
  readonly after: string;
}

const version = "w1";
/** A bucket and two keys, in Base64. */
const idCharactersMax = 8192;

export function warmId({ source, after }: WarmPosition): string {
  return `${version}.${Buffer.from(JSON.stringify([source, after])).toString("base64url")}`;
}

/** @throws OrcaError `invalid_argument`. */
export function warmPositionOf(id: string): WarmPosition {
  const [prefix, text] = id.length <= idCharactersMax ? id.split(".") : [];
  const fields = prefix === version && text !== undefined ? parsed(text) : undefined;
  if (Array.isArray(fields) && fields.length === 2) {
    const [source, after] = fields as unknown[];
    const isMark = typeof after === "string" && (after === "" || isMarkOf(source, after));
    if (typeof source === "string" && /^[pm]./s.test(source) && isMark) return { source, after };
  }
  throw new OrcaError("invalid_argument", "client", "Cannot resume: that is not the id of a warm-up");
}

function isMarkOf(source: unknown, after: string): boolean {
  return typeof source === "string" && (source.startsWith("p") || /^\d{1,6}$/.test(after));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return undefined;
  }
}

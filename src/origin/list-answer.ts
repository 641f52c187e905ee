/** What the listings of S3 and Azure have in common: their bounds, their faults and the texts in them. */
import { OrcaError } from "../base/orca-error.ts";
import { MiB } from "../base/units.ts";
import type { WholeAnswer } from "../http-client/whole-answers.ts";
import type { AnswerDetail } from "./error-of-status.ts";
import { continuationTokenBytesMax, type ListedObject } from "./origin.ts";
import { MalformedXml, scanXml, type XmlElement } from "./xml-scanner.ts";

/**
 * Bytes of one answer. 1,000 keys of 1,024 bytes, each of them escaped as three, with all else that S3 says of an object,
 * have 4 MiB. Azure's largest page, which is used to skip names, has 5,000.
 */
export const listingBytesMax = 16 * MiB;

/** Objects and prefixes of one answer, twice Azure's largest page. */
const entriesMax = 10_000;

/** An object while it is parsed. */
export type ListedEntry = { -readonly [Field in keyof ListedObject]: ListedObject[Field] };

/**
 * Scans the XML of a page. `onElement` returns whether an object or a prefix has ended.
 * @throws OrcaError origin_unavailable if it is malformed (it may have been cut); origin_unsupported for too many entries.
 */
export async function scanListing(
  body: Buffer,
  root: string,
  action: string,
  onElement: (element: XmlElement) => boolean,
): Promise<void> {
  let entries = 0;
  try {
    await scanXml(body, root, (element) => {
      if (!onElement(element)) return;
      entries += 1;
      if (entries <= entriesMax) return;
      const message = `${action}: the answer has more than ${entriesMax} entries`;
      throw new OrcaError("origin_unsupported", "origin", message);
    });
  } catch (thrown) {
    if (!(thrown instanceof MalformedXml)) throw thrown;
    throw OrcaError.from(thrown, "origin_unavailable", "origin", action);
  }
}

/** The code and the region that the origin gives beside the status of an error. */
export function answerDetail({ body }: Pick<WholeAnswer, "body">): AnswerDetail {
  const text = body.toString("utf8");
  return {
    remoteCode: /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1],
    region: /<Region>([\w-]{1,64})<\/Region>/.exec(text)?.[1],
  };
}

/** @throws MalformedXml */
export function listedSize(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new MalformedXml(`the size "${text.slice(0, 32)}" is not a whole number`);
}

/** @throws OrcaError origin_unsupported for a token that neither clients nor replicas could send back. */
export function checkedToken(token: string, action: string): string {
  const bytes = Buffer.byteLength(token);
  if (bytes <= continuationTokenBytesMax) return token;
  const message = `${action}: the token of the next page has ${bytes} bytes, and Orca takes ${continuationTokenBytesMax}`;
  throw new OrcaError("origin_unsupported", "origin", message);
}

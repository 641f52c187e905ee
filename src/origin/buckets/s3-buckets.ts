/**
 * Requests ListBuckets and parses it. AWS sends pages of at most 10,000 buckets, and only to a client that asks for pages
 * where an account may have more. Most compatible servers ignore the parameters and send all buckets at once.
 */
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { OtherKey, SignedRequests } from "../../s3-client/signed-requests.ts";
import { errorOfStatus } from "../error-of-status.ts";
import { wholeSeconds } from "../http-object.ts";
import { answerDetail, checkedToken, listingBytesMax, scanListing } from "../list-answer.ts";
import { bucketNameCharactersMax, bucketsListedMax, type ListedBucket } from "../origin.ts";

const pageSize = 1000;

/** @see Origin.listBuckets */
export async function listS3Buckets(
  requests: SignedRequests,
  signAs: OtherKey | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly ListedBucket[]> {
  const action = "Cannot list the buckets";
  const buckets: ListedBucket[] = [];
  let token = "";
  do {
    const query = { "max-buckets": String(pageSize), ...(token !== "" && { "continuation-token": token }) };
    const answer = await requests.whole({ query, bytesMax: listingBytesMax, action, signAs }, signal);
    if (answer.status !== 200) {
      const detail = answerDetail(answer);
      throw errorOfStatus(answer.status, (name) => answer.header(name), action, clock.now(), detail);
    }
    token = await parsePage(answer.body, action, buckets);
    if (buckets.length > bucketsListedMax) throw tooManyBuckets(action);
  } while (token !== "");
  return buckets;
}

/** Resolves with the token of the next page, empty on the last one. */
async function parsePage(body: Buffer, action: string, buckets: ListedBucket[]): Promise<string> {
  let name = "";
  let createdMs: number | undefined;
  let token = "";
  await scanListing(body, "ListAllMyBucketsResult", action, (element) => {
    if (element.parent === "Bucket") {
      if (element.name === "Name") name = element.text();
      else if (element.name === "CreationDate") createdMs = wholeSeconds(element.text());
    } else if (element.name === "Bucket") {
      if (name.length <= bucketNameCharactersMax) buckets.push({ name, createdMs });
      createdMs = undefined;
      return true;
    } else if (element.name === "ContinuationToken") token = element.text();
    return false;
  });
  return checkedToken(token, action);
}

export function tooManyBuckets(action: string): OrcaError {
  const message = `${action}: there are more than ${bucketsListedMax}. Name those to serve in origin.buckets`;
  return new OrcaError("origin_unsupported", "origin", message);
}

/** Requests List Containers of Azure and parses it. A container that is being deleted, or whose name starts with `$`, is left out. */
import type { Clock } from "../../base/clock.ts";
import type { WholeAnswer } from "../../http-client/whole-answers.ts";
import { errorOfStatus } from "../error-of-status.ts";
import { wholeSeconds } from "../http-object.ts";
import { answerDetail, checkedToken, scanListing } from "../list-answer.ts";
import { bucketNameCharactersMax, bucketsListedMax, type ListedBucket } from "../origin.ts";
import { tooManyBuckets } from "./s3-buckets.ts";

/** Sends one request about the account, with this query. */
export type AskAccount = (query: Readonly<Record<string, string>>) => Promise<WholeAnswer>;

const pageSize = 5000;

/** @see Origin.listBuckets */
export async function listContainers(
  ask: AskAccount,
  action: string,
  clock: Clock,
): Promise<readonly ListedBucket[]> {
  const containers: ListedBucket[] = [];
  let marker = "";
  do {
    const answer = await ask({
      comp: "list",
      maxresults: String(pageSize),
      ...(marker !== "" && { marker }),
    });
    if (answer.status !== 200) {
      const detail = answerDetail(answer);
      throw errorOfStatus(answer.status, (name) => answer.header(name), action, clock.now(), detail);
    }
    marker = await parsePage(answer.body, action, containers);
    if (containers.length > bucketsListedMax) throw tooManyBuckets(action);
  } while (marker !== "");
  return containers;
}

/** Resolves with the marker of the next page, empty on the last one. */
async function parsePage(body: Buffer, action: string, containers: ListedBucket[]): Promise<string> {
  let name = "";
  let createdMs: number | undefined;
  let marker = "";
  await scanListing(body, "EnumerationResults", action, (element) => {
    if (element.parent === "Container" && element.name === "Name") name = element.text();
    else if (element.name === "Last-Modified") createdMs = wholeSeconds(element.text());
    else if (element.name === "NextMarker") marker = element.text();
    else if (element.name === "Container") {
      if (name.length <= bucketNameCharactersMax) containers.push({ name, createdMs });
      createdMs = undefined;
      return true;
    }
    return false;
  });
  return checkedToken(marker, action);
}

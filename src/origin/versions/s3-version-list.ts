/** Requests one page of ListObjectVersions and parses it. Versions and delete markers keep the origin's order. */
import type { Clock } from "../../base/clock.ts";
import { isVersionId } from "../../chunk/version-id.ts";
import type { SignedRequests } from "../../s3-client/signed-requests.ts";
import { checkedToken, type ListedEntry, scanListing } from "../list-answer.ts";
import type { ListedVersion, ListPage, ListRequest, VersionMarker } from "../origin.ts";
import { askForPage, decodeKey, newListedEntry, takeEntryField } from "../s3-list.ts";
import type { XmlElement } from "../xml-scanner.ts";

/** @see Origin.list `request.versionIdMarker` is defined. */
export async function listS3Versions(
  requests: SignedRequests,
  request: ListRequest,
  action: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ListPage> {
  const { startAfter, versionIdMarker = "" } = request;
  const place = {
    versions: "",
    ...(startAfter !== "" && { "key-marker": startAfter }),
    // AWS rejects an empty one.
    ...(versionIdMarker !== "" && { "version-id-marker": versionIdMarker }),
  };
  const body = await askForPage(requests, request, place, action, clock, signal);
  const parser = new VersionPageParser();
  await scanListing(body, "ListVersionsResult", action, (element) => parser.take(element));
  return parser.page(action);
}

type MutableVersion = { -readonly [Field in keyof ListedVersion]: ListedVersion[Field] };

class VersionPageParser {
  readonly #objects: ListedEntry[] = [];
  readonly #prefixes: string[] = [];
  #entry = newListedEntry();
  #version = newVersion();
  #isEncoded = false;
  #isTruncated = false;
  #nextKey = "";
  #nextVersionId = "";

  /** Returns whether an entry has ended. */
  take(element: XmlElement): boolean {
    const { name, parent } = element;
    if (parent === "Version" || parent === "DeleteMarker") this.#takeField(element);
    else if (parent === "CommonPrefixes" && name === "Prefix") {
      this.#prefixes.push(element.text());
      return true;
    } else if (parent === "ListVersionsResult") return this.#takeTop(element);
    return false;
  }

  page(action: string): ListPage {
    const decode = (key: string): string => (this.#isEncoded ? decodeKey(key, action) : key);
    for (const object of this.#objects) object.key = decode(object.key);
    const commonPrefixes = this.#prefixes.map(decode);
    const page = { objects: this.#objects, commonPrefixes, nextContinuationToken: "" };
    return this.#isTruncated ? { ...page, nextVersion: this.#next(page, decode, action) } : page;
  }

  /** Ceph RGW does not encode this one key. It is that of the last entry, whatever the server. */
  #next(page: ListPage, decode: (key: string) => string, action: string): VersionMarker {
    const isLast = [page.objects.at(-1)?.key, page.commonPrefixes.at(-1)].includes(this.#nextKey);
    const startAfter = checkedToken(isLast ? this.#nextKey : decode(this.#nextKey), action);
    return { startAfter, versionIdMarker: checkedToken(this.#nextVersionId, action) };
  }

  #takeField(element: XmlElement): void {
    const { name } = element;
    if (name === "VersionId") this.#version.id = element.text();
    else if (name === "IsLatest") this.#version.isLatest = element.text() === "true";
    else takeEntryField(this.#entry, element);
  }

  #takeTop(element: XmlElement): boolean {
    const { name } = element;
    if (name === "IsTruncated") this.#isTruncated = element.text() === "true";
    else if (name === "NextKeyMarker") this.#nextKey = element.text();
    else if (name === "NextVersionIdMarker") this.#nextVersionId = element.text();
    else if (name === "EncodingType") this.#isEncoded = element.text() === "url";
    else if (name === "Version" || name === "DeleteMarker") {
      this.#version.isDeleteMarker = name === "DeleteMarker";
      // One that could not be asked for is not listed.
      if (isVersionId(this.#version.id)) this.#objects.push({ ...this.#entry, version: this.#version });
      this.#entry = newListedEntry();
      this.#version = newVersion();
      return true;
    }
    return false;
  }
}

function newVersion(): MutableVersion {
  return { id: "", isLatest: false, isDeleteMarker: false };
}

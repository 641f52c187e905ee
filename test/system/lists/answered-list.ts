/** Sends a LIST, and takes the answer apart: each element, what it says, and in which order S3 has them. */
import assert from "node:assert/strict";
import { isXmlText, unescapeXml } from "../../edge/xml-text.ts";
import { httpGet } from "../../support/http-get.ts";
import type { ListQuery } from "./list-model.ts";

export interface AnsweredList {
  /** Elements that are there once, keys decoded. */
  readonly fields: Readonly<Record<string, string>>;
  readonly objects: readonly Readonly<Record<string, string>>[];
  readonly commonPrefixes: readonly string[];
}

/** Elements that `encoding-type=url` is about. */
const encodedElements = new Set(["Key", "Prefix", "Delimiter", "Marker", "NextMarker", "StartAfter"]);

/** @param position what the query goes on from: the marker of V1, the token of V2. */
export async function answerTo(
  endpoint: string,
  bucket: string,
  query: ListQuery,
  position: string | undefined,
) {
  const { version, prefix, delimiter, after, maxKeys, encodesKeys, fetchesOwner } = query;
  const parameters = {
    ...(version === 2 && { "list-type": "2" }),
    ...(prefix !== "" && { prefix }),
    ...(delimiter !== "" && { delimiter }),
    ...(version === 1 && (position ?? after) !== "" && { marker: position ?? after }),
    ...(version === 2 && after !== "" && { "start-after": after }),
    ...(version === 2 && position !== undefined && { "continuation-token": position }),
    "max-keys": String(maxKeys),
    ...(encodesKeys && { "encoding-type": "url" }),
    ...(fetchesOwner && version === 2 && { "fetch-owner": "true" }),
  };
  const text = Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const response = await httpGet(`${endpoint}/${bucket}?${text.join("&")}`);
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return parsed(body, encodesKeys);
}

function parsed(xml: string, encodesKeys: boolean): AnsweredList {
  const list =
    /^<\?xml [^>]*\?>\n?<ListBucketResult xmlns="http:\/\/s3\.amazonaws\.com\/doc\/2006-03-01\/">(.*)<\/ListBucketResult>$/s;
  const inside = list.exec(xml)?.[1];
  assert.ok(inside !== undefined, xml);
  const objects: Record<string, string>[] = [];
  const commonPrefixes: string[] = [];
  const own = inside.replaceAll(
    /<(Contents|CommonPrefixes)>(.*?)<\/\1>/gs,
    (_, name: string, entry: string) => {
      const fields = fieldsOf(entry, encodesKeys);
      if (name === "Contents") objects.push(fields);
      else commonPrefixes.push(fields["Prefix"] ?? "");
      return "";
    },
  );
  return { fields: fieldsOf(own, encodesKeys), objects, commonPrefixes };
}

function fieldsOf(xml: string, encodesKeys: boolean): Record<string, string> {
  const fields: Record<string, string> = {};
  const rest = xml.replaceAll(
    /<(Owner)>.*?<\/\1>|<(\w+)>([^<]*)<\/\2>|<(\w+)\/>/gs,
    (_, owner, name, text, empty) => {
      const element = (owner ?? name ?? empty) as string;
      assert.ok(fields[element] === undefined, `${element} is there twice`);
      const value = (text ?? (owner === undefined ? "" : "known")) as string;
      assert.ok(isXmlText(value), value);
      const isEncoded = encodesKeys && encodedElements.has(element);
      fields[element] = isEncoded ? decodeURIComponent(value) : unescapeXml(value);
      return "";
    },
  );
  assert.equal(rest, "");
  return fields;
}

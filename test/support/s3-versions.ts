/**
 * The versions of the objects of one bucket of the in-repo S3 server, and ListObjectVersions over them
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html).
 */
import { compareKeys } from "./s3-listing.ts";
import type { S3Object } from "./s3-object.ts";

export interface S3Version {
  readonly id: string;
  /** Undefined for a delete marker. */
  readonly object: S3Object | undefined;
  readonly lastModifiedMs: number;
}

export class S3Versions {
  /** The newest first. */
  readonly #versions = new Map<string, S3Version[]>();

  add(key: string, version: S3Version): void {
    this.#versions.set(key, [version, ...(this.#versions.get(key) ?? [])]);
  }

  remove(key: string, id: string): void {
    this.#versions.set(
      key,
      this.of(key).filter((version) => version.id !== id),
    );
  }

  of(key: string): readonly S3Version[] {
    return this.#versions.get(key) ?? [];
  }

  /** The XML of a page. No delimiter. */
  page(bucket: string, query: URLSearchParams): string {
    const prefix = query.get("prefix") ?? "";
    const keyMarker = query.get("key-marker") ?? "";
    const idMarker = query.get("version-id-marker");
    const maxKeys = Number(query.get("max-keys") ?? 1000);
    const entries = [...this.#versions.keys()]
      .sort(compareKeys)
      .filter((key) => key.startsWith(prefix))
      .flatMap((key) => this.of(key).map((version, index) => ({ key, version, isLatest: index === 0 })));
    const start = entries.findIndex(({ key }, index) => {
      const order = compareKeys(key, keyMarker);
      const last = entries[index - 1];
      const followsMarker = idMarker !== null && last?.key === key && last.version.id === idMarker;
      return order > 0 || (order === 0 && followsMarker);
    });
    const rest = start < 0 ? [] : entries.slice(start);
    const listed = rest.slice(0, maxKeys);
    const last = listed.at(-1);
    const next =
      last && rest.length > listed.length
        ? `<NextKeyMarker>${encodeURIComponent(last.key)}</NextKeyMarker><NextVersionIdMarker>${last.version.id}</NextVersionIdMarker>`
        : "";
    const versions = listed.map(({ key, version, isLatest }) => {
      const { id, object, lastModifiedMs } = version;
      const name = object ? "Version" : "DeleteMarker";
      const bytes = object ? `<ETag>&quot;${object.etag}&quot;</ETag><Size>${object.sizeBytes}</Size>` : "";
      const modified = new Date(lastModifiedMs).toISOString();
      return `<${name}><Key>${encodeURIComponent(key)}</Key><VersionId>${id}</VersionId><IsLatest>${isLatest}</IsLatest><LastModified>${modified}</LastModified>${bytes}</${name}>`;
    });
    return `<ListVersionsResult><Name>${bucket}</Name>${next}<EncodingType>url</EncodingType><IsTruncated>${next !== ""}</IsTruncated>${versions.join("")}</ListVersionsResult>`;
  }
}

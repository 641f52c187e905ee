/**
 * Why there is no object to read, as an error that directories cache: there is none of this key, no such version, or a
 * delete marker in its place. S3 tells clients of the marker, so the error carries it.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { DeleteMarker, ObjectLocation } from "../../origin/origin.ts";
import { ownText } from "../heap-text.ts";

type AbsenceCode = "no_such_key" | "no_such_version" | "delete_marker";

export class Absence extends OrcaError {
  /** The version that was asked for; undefined for the current one. */
  readonly versionId: string | undefined;
  readonly marker: DeleteMarker | undefined;

  private constructor(
    code: AbsenceCode,
    reason: string,
    { key, versionId }: ObjectLocation,
    marker: DeleteMarker | undefined,
  ) {
    const what = versionId === undefined ? `"${key}"` : `version "${versionId}" of "${key}"`;
    super(code, "object", `Cannot find ${what}: ${reason}`);
    // It is cached, and keeps no part of the request or the response that these came in.
    this.versionId = versionId === undefined ? undefined : ownText(versionId);
    const markerId = marker?.versionId;
    this.marker = marker && { ...marker, versionId: markerId === undefined ? undefined : ownText(markerId) };
  }

  static of(location: ObjectLocation, marker?: DeleteMarker): Absence {
    if (location.versionId === undefined)
      return new Absence("no_such_key", "the origin has no such key", location, marker);
    return marker
      ? new Absence("delete_marker", "it is a delete marker", location, marker)
      : new Absence("no_such_version", "the origin has no such version", location, undefined);
  }
}

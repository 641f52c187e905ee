/**
 * Which dates of objects Orca can use: those that HTTP, S3 and the messages of the mesh can write. The origin's drivers
 * and the codecs of the mesh ask here, so that a date that one replica accepts is accepted by all.
 */
const dateMsMin = Date.parse("0001-01-01T00:00:00Z");
const dateMsMax = Date.parse("9999-12-31T23:59:59.999Z");

/** A time in milliseconds since the epoch; undefined for none, and for one outside the years 1 to 9999. */
export function usableDateMs(timeMs: number | undefined): number | undefined {
  return timeMs !== undefined && timeMs >= dateMsMin && timeMs <= dateMsMax ? timeMs : undefined;
}

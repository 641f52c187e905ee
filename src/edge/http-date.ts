/**
 * Reads and writes dates of HTTP and S3. It reads all three formats of RFC 9110 §5.6.7 and writes the first. Anything else
 * is undefined, because the RFC requires a server to ignore a condition whose date it cannot read.
 */

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const shortDay = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const longDay = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const month = `(?<month>${months.join("|")})`;
const time = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`;

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const imfFixdate = new RegExp(String.raw`^${shortDay}, (?<day>\d\d) ${month} (?<year>\d{4}) ${time} GMT$`);
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const rfc850Date = new RegExp(String.raw`^${longDay}, (?<day>\d\d)-${month}-(?<year>\d\d) ${time} GMT$`);
/** `Sun Nov  6 08:49:37 1994` */
const asctimeDate = new RegExp(String.raw`^${shortDay} ${month} (?<day>[ \d]\d) ${time} (?<year>\d{4})$`);

/** The first millisecond after the last four-digit year. */
const yearTenThousandMs = Date.UTC(10_000, 0);

/**
 * Milliseconds since the epoch, or undefined if `text` is not an HTTP date. `nowMs` places two-digit years: one more than
 * 50 years ahead lies in the past. The weekday is not checked.
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const trimmed = text.trim();
  const shortYear = rfc850Date.exec(trimmed)?.groups;
  const fields = shortYear ?? (imfFixdate.exec(trimmed) ?? asctimeDate.exec(trimmed))?.groups;
  if (fields === undefined) return undefined;
  const year = shortYear === undefined ? Number(fields.year) : fullYear(Number(fields.year), nowMs);
  const monthIndex = months.indexOf(fields.month ?? "");
  const day = Number(fields.day);
  const [hour, minute, second] = [Number(fields.hour), Number(fields.minute), Number(fields.second)];
  // Date.UTC takes years below 100 for the 1900s and rolls the 31st of February over into March: neither is a date.
  if (year < 100 || hour > 23 || minute > 59 || second > 60) return undefined;
  const midnight = new Date(Date.UTC(year, monthIndex, day));
  if (midnight.getUTCMonth() !== monthIndex || midnight.getUTCDate() !== day) return undefined;
  return Date.UTC(year, monthIndex, day, hour, minute, second);
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`, or undefined for a time outside the range of HTTP dates. */
export function formatHttpDate(milliseconds: number | undefined): string | undefined {
  return isWritable(milliseconds) ? new Date(milliseconds).toUTCString() : undefined;
}

/** `1994-11-06T08:49:37.000Z`, as S3 writes dates in XML, or undefined for a time outside its range. */
export function formatIsoDate(milliseconds: number | undefined): string | undefined {
  return isWritable(milliseconds) ? new Date(milliseconds).toISOString() : undefined;
}

/** From 1970 on. A negative or infinite time is a fault of a driver, not a date. */
function isWritable(milliseconds: number | undefined): milliseconds is number {
  return milliseconds !== undefined && milliseconds >= 0 && milliseconds < yearTenThousandMs;
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const inThisCentury = thisYear - (thisYear % 100) + twoDigits;
  return inThisCentury > thisYear + 50 ? inThisCentury - 100 : inThisCentury;
}

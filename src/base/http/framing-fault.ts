/**
 * Requests whose end depends on the reader. Node's parser lets them through, and a proxy in front may find another end: then
 * bytes of one request's body are another request to Orca (request smuggling). Their sender gets an error, and the
 * connection closes. What Node's parser itself rejects, such as Content-Length beside Transfer-Encoding, never comes here.
 */

/** The part of node:http's IncomingMessage that frames it. */
export interface MessageHead {
  readonly httpVersion: string;
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  /** Flat `[name, value, …]`. */
  readonly rawHeaders: readonly string[];
}

export interface FramingFault {
  /** Ends the sentence "Cannot read the request:". */
  readonly reason: string;
  /** Whether the body has a coding that is not known, which is no error of the sender: 501 and not 400. */
  readonly isUnknownCoding: boolean;
}

const twoHosts = fault("it has more than one Host");
const noHost = fault("it has no Host");
const invalidHost = fault("its Host is not a host and port");
const oldChunks = fault("it has a Transfer-Encoding, and HTTP/1.0 has none");
const endlessBody = fault('the last coding of its Transfer-Encoding is not "chunked"');
const unknownCoding = { ...fault('its Transfer-Encoding is not "chunked" alone'), isUnknownCoding: true };

/** RFC 3986 §3.2.2 and §3.2.3. It may be empty (RFC 9110 §7.2). */
const hostPattern = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\w.:~!$&'()*+,;=-]*\])(?::\d*)?$/;

/** The last Host that was valid, because nearly all requests have the same. */
let validHost = "";

/** By RFC 9112 §3.2 and §6. Names are compared by their length first, because every request comes here. */
export function framingFault({
  httpVersion,
  httpVersionMajor,
  httpVersionMinor,
  rawHeaders,
}: MessageHead): FramingFault | undefined {
  if (httpVersionMajor !== 1) return fault(`it is HTTP/${httpVersion}, and Orca serves HTTP/1.1`);
  let host: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4) {
      if (name !== "Host" && name.toLowerCase() !== "host") continue;
      if (host !== undefined) return twoHosts;
      host = rawHeaders[index + 1] as string;
    } else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      if (httpVersionMinor === 0) return oldChunks;
      const found = faultOfCodings(rawHeaders[index + 1] as string);
      if (found) return found;
    }
  }
  if (host === undefined) return httpVersionMinor === 0 ? undefined : noHost;
  if (host === validHost) return undefined;
  if (!hostPattern.test(host)) return invalidHost;
  validHost = host;
  return undefined;
}

/** Proxies differ in which spellings beside `chunked` they take for it, so there is none. */
function faultOfCodings(codings: string): FramingFault | undefined {
  const lower = codings.toLowerCase();
  if (lower === "chunked") return undefined;
  return /(?:^|[,\t ])chunked[\t ]*$/.test(lower) ? unknownCoding : endlessBody;
}

function fault(reason: string): FramingFault {
  return { reason, isUnknownCoding: false };
}

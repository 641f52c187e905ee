/** HTTP/2 frames, written by hand for peers that do what no client library does (RFC 9113, RFC 7541). */

export const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** RFC 9113 §4.1: length, type, flags, stream. */
export function frame(type: number, streamId: number, payload: Buffer = Buffer.alloc(0), flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export const settingsFrame = frame(4, 0);

/** RFC 7541 §6.2.2: a field that is not indexed, with a new name. Name and value have fewer than 127 bytes. */
export function literalHeader(name: string, value: string): Buffer {
  const [nameBytes, valueBytes] = [Buffer.from(name, "latin1"), Buffer.from(value, "latin1")];
  return Buffer.concat([
    Buffer.from([0, nameBytes.length]),
    nameBytes,
    Buffer.from([valueBytes.length]),
    valueBytes,
  ]);
}

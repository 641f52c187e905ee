/**
 * One buffer for the reads of all connections of a thread. By default Node allots 64 KiB for each read, cuts them to what
 * came, and makes an object of them that V8 has to collect. That is a sixth of a hit of 4 KiB.
 *
 * net.Socket has an option for that, `onread`, but only for connections that the process opens. So a socket of a server gets
 * here what the constructor does for `onread`. Where a Node does that in another way, nothing is changed and the bytes come
 * as `data` events. (docs/decisions/0075-reads-of-clients-go-to-one-buffer.md)
 */
import type { Socket } from "node:net";

/** As much as Node reads at once. */
export const readBufferBytes = 64 * 1024;

/** The bytes are overwritten after it has returned. False: nothing is read until the socket is resumed. */
type OnRead = (lengthBytes: number, buffer: Buffer) => boolean;

interface Handle {
  useUserBuffer?(buffer: Buffer): void;
}

/** False: it cannot be done. To be called before the socket has read anything. */
export function readIntoBuffer(socket: Socket, buffer: Buffer, onRead: OnRead): boolean {
  const { _handle: handle } = socket as { _handle?: Handle };
  const bufferField = fieldOf(socket, "kBuffer");
  const callbackField = fieldOf(socket, "kBufferCb");
  if (!handle?.useUserBuffer || !bufferField || !callbackField) return false;
  Object.assign(socket, { [bufferField]: buffer, [callbackField]: onRead });
  handle.useUserBuffer(buffer);
  return true;
}

function fieldOf(socket: Socket, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
}

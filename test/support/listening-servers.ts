import assert from "node:assert/strict";
import { type AddressInfo, Server } from "node:net";
import process from "node:process";

/** The server of this process that listens on `port`: for errors that no test can bring about from outside. */
export function serverOn(port: number): Server {
  const handles = (process as unknown as { _getActiveHandles: () => unknown[] })._getActiveHandles();
  const server = handles.find(
    (handle): handle is Server =>
      handle instanceof Server && (handle.address() as AddressInfo | null)?.port === port,
  );
  assert.ok(server, `no server listens on ${port}`);
  return server;
}

/** As node:net reports that accept(2) failed. */
export function failAccept(server: Server, code: string): void {
  server.emit("error", Object.assign(new Error(`accept ${code}`), { code, syscall: "accept" }));
}

/**
 * Makes sure that a port is free before threads share it. With SO_REUSEPORT a second process could listen there as well,
 * and the system would give each of them a part of the connections without a word to anybody.
 */
import { createServer } from "node:net";
import { ListeningServer, type ListeningServerOptions } from "../../base/listening-server.ts";

/** Resolves with the port: a free one where `port` is 0. @throws OrcaError config_invalid if it cannot listen there. */
export async function freePort(
  { host, port }: { readonly host: string; readonly port: number },
  options: ListeningServerOptions,
): Promise<number> {
  const server = createServer();
  const listening = new ListeningServer(server, options);
  const address = await listening.listen({ host, port, exclusive: true });
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return address.port;
}

/** Both ends of the mesh on loopback: a server that answers what a test says, and the sessions of another replica. */
import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { MembershipService, PingResponseSchema } from "../../gen/orca/v1/membership_pb.ts";
import { SeededRandom } from "../../src/base/random.ts";
import {
  MeshServer,
  type MeshServerOptions,
  type StreamHandler,
} from "../../src/mesh/session/mesh-server.ts";
import { MeshTls } from "../../src/mesh/session/mesh-tls.ts";
import { Peers, type PeersOptions } from "../../src/mesh/session/peers.ts";
import { type CertificateFiles, serverName } from "./cluster-certificates.ts";
import { FakeClock } from "./fake-clock.ts";
import { neverDies } from "./never-dies.ts";
import { RecordedLogger } from "./recorded-logger.ts";

export const pollIntervalMs = 1000;

export interface MeshFixture {
  readonly clock: FakeClock;
  readonly logger: RecordedLogger;
  readonly tls: (files: CertificateFiles, name?: string) => Promise<MeshTls>;
  readonly serve: (
    options?: Partial<MeshServerOptions>,
    bytesPort?: number,
  ) => Promise<{ readonly server: MeshServer; readonly port: number; readonly address: string }>;
  readonly peers: (options?: Partial<PeersOptions>) => Peers;
}

/** All that it makes ends with the test. */
export function meshFixture(context: TestContext): MeshFixture {
  const clock = new FakeClock(Date.now());
  const logger = new RecordedLogger();
  return {
    clock,
    logger,
    tls: async (files, name = serverName) => {
      const tls = await MeshTls.load({ ...files, serverName: name, clock, logger, pollIntervalMs });
      context.after(() => tls.stop());
      return tls;
    },
    serve: async (options = {}, bytesPort) => {
      const server = new MeshServer({
        host: "127.0.0.1",
        port: 0,
        tls: undefined,
        handlers: new Map(),
        routes: (router) =>
          router.service(MembershipService, {
            ping: ({ targetId }) => create(PingResponseSchema, { responder: { replicaId: targetId } }),
          }),
        clock,
        logger,
        onDied: neverDies,
        ...options,
      });
      const { port } = await server.start(bytesPort);
      context.after(async () => {
        const drained = server.drain(0);
        await clock.advance(0);
        await drained;
      });
      return { server, port, address: `127.0.0.1:${port}` };
    },
    peers: (options = {}) => {
      const peers = new Peers({ tls: undefined, clock, random: new SeededRandom(1), logger, ...options });
      context.after(() => peers.close());
      return peers;
    },
  };
}

export function membershipOf(peers: Peers, address: string): Client<typeof MembershipService> {
  return createClient(MembershipService, peers.at(address).transport);
}

/** Answers with `bytes` zeros, from one piece of memory, as fast as they are taken. */
export function zeros(bytes: number, pieceBytes = 1024 * 1024): StreamHandler {
  const piece = Buffer.alloc(pieceBytes);
  return (stream) => {
    stream.respond({ ":status": 200 });
    let left = bytes;
    const write = (): void => {
      while (left > 0) {
        const length = Math.min(left, pieceBytes);
        left -= length;
        if (!stream.write(length === pieceBytes ? piece : piece.subarray(0, length))) {
          stream.once("drain", write);
          return;
        }
      }
      stream.end();
    };
    write();
  };
}

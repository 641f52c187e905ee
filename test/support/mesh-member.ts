/** Replicas that have nothing but their membership, on real sockets and the clock of a {@link MeshFixture}. */
import type { TestContext } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import type { AgreedSettings } from "../../src/membership/agreed-settings.ts";
import { Membership } from "../../src/membership/membership.ts";
import { StaticSeeds } from "../../src/membership/seeds.ts";
import { MembershipClient } from "../../src/mesh/services/membership-client.ts";
import { routeMembership } from "../../src/mesh/services/membership-service.ts";
import { ServiceCalls } from "../../src/mesh/session/service-calls.ts";
import { agreedSettings } from "./membership-fixture.ts";
import type { MeshFixture } from "./mesh-fixture.ts";
import { RecordedLogger } from "./recorded-logger.ts";

export interface MeshMember {
  readonly address: string;
  readonly membership: Membership;
  readonly client: MembershipClient;
  /** What its service has answered. */
  readonly calls: ServiceCalls;
  readonly logger: RecordedLogger;
}

export interface MeshMemberOptions {
  readonly agreedSettings?: AgreedSettings;
  /** Those it looks for when it is started. */
  readonly seeds?: readonly MeshMember[];
}

/** It listens and is not started; it ends with the test. */
export async function meshMember(
  context: TestContext,
  { clock, serve, peers }: MeshFixture,
  replicaId: string,
  options: MeshMemberOptions = {},
): Promise<MeshMember> {
  const calls = new ServiceCalls();
  const logger = new RecordedLogger();
  // It must know its address before it can be made, and is called by nobody until then.
  let membership: Membership;
  const { address } = await serve({
    routes: (router) =>
      routeMembership(
        router,
        {
          admit: (source, fingerprint) => membership.admit(source, fingerprint),
          checkSender: (...sender) => membership.checkSender(...sender),
          receivePing: (message) => membership.receivePing(message),
          receivePingIndirect: (message) => membership.receivePingIndirect(message),
          receiveSync: (view) => membership.receiveSync(view),
        },
        calls,
      ),
  });
  const client = new MembershipClient({ peers: peers(), clock });
  membership = new Membership({
    replicaId,
    address,
    zone: "",
    agreedSettings: options.agreedSettings ?? agreedSettings,
    seeds: [new StaticSeeds((options.seeds ?? []).map((seed) => seed.address))],
    transport: client,
    clock,
    random: new SeededRandom(1),
    logger,
  });
  context.after(() => membership.stop());
  return { address, membership, client, calls, logger };
}

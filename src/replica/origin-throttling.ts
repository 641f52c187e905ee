/**
 * Connects the throttles of the origins with the rest of a replica: a cut is logged once for an episode and goes to the
 * other replicas by gossip, and what they report cuts here.
 */
import type { Clock } from "../base/clock.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";
import type { Random } from "../base/random.ts";
import { isLive, type Member } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import { throttleRumor } from "../mesh/codec/rumor-codec.ts";
import type { LimitCut, Throttle } from "../origin/throttling/throttle.ts";

export interface ThrottlesOptions {
  readonly origins: readonly {
    readonly id: string;
    readonly throttle: Throttle | undefined;
    readonly requestsInFlightMax: number;
  }[];
  readonly replicaId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Undefined in a cluster of one. */
  readonly membership: Pick<Membership, "publish" | "listen" | "subscribe" | "live"> | undefined;
}

/** To be called once, before the origins are asked. */
export function connectThrottles(options: ThrottlesOptions): void {
  const { origins, membership, replicaId, random } = options;
  const publish = (originId: string, cut: LimitCut): void => {
    const id = `${replicaId}-${Math.floor(random.next() * 2 ** 48).toString(16)}`;
    membership?.publish(throttleRumor(id, { originId, ...cut }));
  };
  logEpisodes(options, publish);
  membership?.listen("throttle", ({ originId, ...cut }) => {
    origins.find(({ id }) => id === originId)?.throttle?.heard(cut);
  });
  membership?.subscribe((member, previous) => {
    if (!isLive(member) || (previous && isLive(previous)) || !isTeller(options, member)) return;
    for (const { id, throttle } of origins) {
      const cut = throttle?.state;
      if (cut) publish(id, cut);
    }
  });
}

/** One replica tells a new one, the first by id. Another view may choose another; an item too many does nothing. */
function isTeller({ membership, replicaId }: ThrottlesOptions, joined: Member): boolean {
  const first = membership?.live.find((member) => member.replicaId !== joined.replicaId);
  return first?.replicaId === replicaId && joined.replicaId !== replicaId;
}

function logEpisodes(
  { origins, clock, logger }: ThrottlesOptions,
  publish: (originId: string, cut: LimitCut) => void,
): void {
  const pace = new LogPace(clock);
  for (const origin of origins) {
    const { id, throttle } = origin;
    if (!throttle) continue;
    let isLogged = false;
    throttle.events = {
      onCut: (cut, { began, heard }) => {
        if (!heard) publish(id, cut);
        const suppressed = began ? pace.take(id) : undefined;
        if (!suppressed) return;
        isLogged = true;
        const { part } = cut;
        const limit = origin.requestsInFlightMax;
        const source = heard ? "as another replica reports" : "it answered 503 or 429";
        logger.warn(
          { origin: id, part, limit, ...suppressed, see: pages.originThrottles },
          `Origin "${id}" throttles: ${source}. Its requests in flight are cut, and grow again over time`,
        );
      },
      onRecovered: () => {
        if (!isLogged) return;
        isLogged = false;
        const { cuts, cutsHeard } = throttle.stats;
        logger.info(
          { origin: id, limit: origin.requestsInFlightMax, cuts, cutsHeard },
          `Origin "${id}" does not throttle any more: its requests in flight have grown to the whole share`,
        );
      },
    };
  }
}

/**
 * All that membership needs of the wire. Each call rejects when there is no answer within its time, connecting
 * included, or when the other side refused; what an answer says is checked here and not there. The other direction are
 * the `receive…` methods of Membership, whose errors the wire hands back typed.
 */
import type { IndirectPing, IndirectPingAnswer, Ping, PingAnswer, View } from "./membership-message.ts";

export interface MembershipTransport {
  ping(address: string, message: Ping, timeoutMs: number): Promise<PingAnswer>;
  /** Asks the replica at `address` to ping `message.target`. */
  pingIndirect(address: string, message: IndirectPing, timeoutMs: number): Promise<IndirectPingAnswer>;
  sync(address: string, view: View, timeoutMs: number): Promise<View>;
}

/** Commands that ask the ops listener of a replica: run with what they write caught, against a server in its place. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { OpsCommandOptions } from "../../src/cli/ops-call.ts";
import { FakeClock } from "./fake-clock.ts";

export type OpsCommand = (options: OpsCommandOptions) => Promise<number>;

export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Fails where the command leaves a timer behind. */
export async function runOps(
  command: OpsCommand,
  ops: string,
  options: Partial<OpsCommandOptions> = {},
): Promise<CommandOutcome> {
  const written = { stdout: "", stderr: "" };
  const clock = new FakeClock();
  const exitCode = await command({
    ops,
    json: false,
    clock,
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
    ...options,
  });
  assert.equal(clock.pendingTimers, 0);
  return { exitCode, ...written };
}

/** A server that is asked in place of a replica. Resolves with its `host:port`. */
export async function serveOps(context: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

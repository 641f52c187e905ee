/**
 * Tests that hold for `server.threads: 1` alone, also where `ORCA_TEST_THREADS` asks for more: they measure what is another
 * thread's then, or what several threads do in another order. test/e2e/threads.test.ts counts them, so none is added unseen.
 */
import type { SettingsTree } from "../../src/config/load.ts";

/** For the section `server`. */
export function oneThread(_reason: string): SettingsTree {
  return { threads: 1 };
}

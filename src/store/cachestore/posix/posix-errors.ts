/** What an error of the shared file system says about the store, in the words of cachestore-driver.ts. */
import { type ErrorCode, OrcaError } from "../../../base/orca-error.ts";

const codeBySystemError: Readonly<Record<string, ErrorCode>> = {
  EACCES: "store_denied",
  EPERM: "store_denied",
  EROFS: "store_denied",
  // Of this process, not of the store.
  EMFILE: "overloaded",
  ENFILE: "overloaded",
  ENOMEM: "overloaded",
  EAGAIN: "overloaded",
  // A store that is full can still be read from.
  ENOSPC: "overloaded",
  EDQUOT: "overloaded",
};

/** `action` completes "Cannot …". */
export function posixError(systemCode: string, action: string): OrcaError {
  const code = codeBySystemError[systemCode] ?? "store_unavailable";
  return new OrcaError(code, "cachestore", `Cannot ${action}: ${systemCode}`);
}

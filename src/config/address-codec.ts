/**
 * The kinds of scalar by which replicas know each other. They are stricter than the addresses of services, because each
 * is passed on to every member and dialled by it: what only some replica could make sense of is refused at the start.
 */
import { isIP } from "node:net";
import { type Codec, InvalidValue } from "./codec.ts";
import { quoted } from "./fault.ts";

const hostAndPort = /^(?:[\w.-]+|\[[\da-f:.]+\]):(?<port>\d{1,5})$/i;

/** Another replica as `https://host:8444` or `http://host:8444`. The port is required: 443 would never be meant. */
export function replicaUrl(): Codec<string> {
  return {
    unit: "",
    bounds: "",
    parse(given) {
      const [, scheme, address = ""] = /^(https?):\/\/([^/]+)\/?$/.exec(given) ?? [];
      if (scheme !== undefined && isDialable(address)) return `${scheme}://${address}`;
      // Not quoted where it may hold a password.
      const shown = given.includes("@") ? "one with a user" : quoted(given);
      return new InvalidValue("a replica's address such as https://host:8444", shown);
    },
    print: (value) => value,
  };
}

/** `host:port` or `[v6]:port` at which others can connect. */
export function dialAddress(): Codec<string> {
  return {
    unit: "",
    bounds: "",
    parse(given) {
      if (isDialable(given)) return given;
      return new InvalidValue("an address that others can connect to, such as 10.0.0.7:8444", quoted(given));
    },
    print: (value) => value,
  };
}

/** An address of one machine, IPv4 or IPv6. */
export function ipAddress(): Codec<string> {
  return {
    unit: "",
    bounds: "",
    parse(given) {
      if (isIP(given) !== 0 && !given.includes("%") && !isWildcard(given)) return given;
      return new InvalidValue("an IP address such as 10.0.0.7", quoted(given));
    },
    print: (value) => value,
  };
}

/** Whether `host` is every address of a machine and so of no use to anybody else: `0.0.0.0`, `::` in any spelling. */
export function isWildcard(host: string): boolean {
  return /^[0:.]+$/.test(host);
}

function isDialable(address: string): boolean {
  const port = Number(hostAndPort.exec(address)?.groups?.["port"] ?? 0);
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return port > 0 && port <= 65_535 && !isWildcard(host) && URL.canParse(`http://${address}`);
}

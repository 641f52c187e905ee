/**
 * The types of setting that name a replica's address. They are stricter than the addresses of services, because
 * every member learns them and connects to them: an address that means something to this machine alone stops the start.
 */
import { isIP } from "node:net";
import { type Codec, InvalidValue } from "./codec.ts";
import { quoted } from "./fault.ts";

const hostAndPort = /^(?:[\w.-]+|\[[\da-f:.]+\]):(?<port>\d{1,5})$/i;

/** Another replica as `https://host:8444` or `http://host:8444`. The port is required: nobody means 443 here. */
export function replicaUrl(): Codec<string> {
  return {
    unit: "",
    type: "URL",
    bounds: "",
    parse(given) {
      const [, scheme, address = ""] = /^(https?):\/\/([^/]+)\/?$/.exec(given) ?? [];
      if (scheme !== undefined && isDialable(address)) return `${scheme}://${address}`;
      // It may hold a password, so it is not quoted.
      const shown = given.includes("@") ? "one with a user" : quoted(given);
      return new InvalidValue("a replica's address such as https://host:8444", shown);
    },
    print: (value) => value,
  };
}

/** `host:port` or `[v6]:port` to which others can connect. */
export function dialAddress(): Codec<string> {
  return {
    unit: "",
    type: "host:port",
    bounds: "",
    parse(given) {
      if (isDialable(given)) return given;
      return new InvalidValue("an address that others can connect to, such as 10.0.0.7:8444", quoted(given));
    },
    print: (value) => value,
  };
}

/** The address of one machine, IPv4 or IPv6. */
export function ipAddress(): Codec<string> {
  return {
    unit: "",
    type: "IP address",
    bounds: "",
    parse(given) {
      if (isIP(given) !== 0 && !given.includes("%") && !isWildcard(given)) return given;
      return new InvalidValue("an IP address such as 10.0.0.7", quoted(given));
    },
    print: (value) => value,
  };
}

/** Whether `host` stands for all addresses of a machine, so that no other machine can connect to it: `0.0.0.0`, `::`. */
export function isWildcard(host: string): boolean {
  return /^[0:.]+$/.test(host);
}

/** Whether only this machine reaches `host`: `localhost`, 127.0.0.0/8, `::1`. Another name may resolve to anything. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith("127.");
  return host.toLowerCase() === "localhost" || /^(?:0*:)*:?0*1$/.test(isIP(host) === 6 ? host : "");
}

function isDialable(address: string): boolean {
  const port = Number(hostAndPort.exec(address)?.groups?.["port"] ?? 0);
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return port > 0 && port <= 65_535 && !isWildcard(host) && URL.canParse(`http://${address}`);
}

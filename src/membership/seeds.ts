/** The addresses where a replica first looks for others: a configured list, or the addresses of a host name. */

export interface Seeds {
  /** `host:port` of possible replicas. Rejects if the look-up fails. */
  addresses(): Promise<readonly string[]>;
}

/** `cluster.peers`. */
export class StaticSeeds implements Seeds {
  readonly #addresses: readonly string[];

  /** Each as `host:port`. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  addresses(): Promise<readonly string[]> {
    return Promise.resolve(this.#addresses);
  }
}

/** Resolves a host name to its current addresses, v4 or v6. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

/** `cluster.service`: a headless Service has one address per replica, and all replicas listen on one port. */
export class ServiceSeeds implements Seeds {
  readonly #service: string;
  readonly #port: number;
  readonly #lookup: Lookup;

  constructor(service: string, port: number, lookup: Lookup) {
    this.#service = service;
    this.#port = port;
    this.#lookup = lookup;
  }

  async addresses(): Promise<readonly string[]> {
    const hosts = await this.#lookup(this.#service);
    return hosts.map((host) => (host.includes(":") ? `[${host}]:${this.#port}` : `${host}:${this.#port}`));
  }
}

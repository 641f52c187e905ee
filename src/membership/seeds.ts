/** Where a replica finds the first others: a list that was configured, or the addresses behind a name. */

export interface Seeds {
  /** `host:port` of replicas that may be there. Rejects when it cannot be known at the moment. */
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

/** The addresses of a host name, v4 or v6, as a resolver knows them now. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

/** `cluster.service`: a headless Service has one address for each replica, and all of them listen on one port. */
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

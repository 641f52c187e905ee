/**
 * Keys that a token service on loopback hands out, and that an S3 server takes: replaced and expired when the test says.
 * The service answers in the words of AWS: of STS, of the instance metadata (IMDSv2) and of a container's endpoint.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../src/base/clock.ts";
import { bytesOf } from "./http-get.ts";
import type { S3User } from "./s3-signature.ts";

export interface RotatingKey {
  readonly id: string;
  readonly secret: string;
  readonly token: string;
  readonly expiration: string;
}

const lifeMs = 3_600_000;

export class RotatingKeys {
  /** What the S3 server takes. */
  readonly users = new Map<string, S3User>();
  readonly #clock: Clock;
  #made = 0;
  #current: RotatingKey;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#current = this.#make();
  }

  /** What the service hands out. */
  get current(): RotatingKey {
    return this.#current;
  }

  /** Another key from now on, which lives for an hour. The S3 server goes on to take the old one. */
  rotate(): void {
    this.#current = this.#make();
  }

  /** The S3 server takes no key but the current one. */
  expireOthers(): void {
    for (const id of this.users.keys()) if (id !== this.#current.id) this.users.delete(id);
  }

  #make(): RotatingKey {
    this.#made += 1;
    const id = `KEY${this.#made}`;
    const secret = `secret-of-${id}`;
    this.users.set(id, { secretKey: secret, mayRead: () => true });
    const expiration = `${new Date(this.#clock.now() + lifeMs).toISOString().slice(0, -5)}Z`;
    return { id, secret, token: `token-of-${id}`, expiration };
  }
}

/** What a token service answers: a status, and a body. */
export type ServiceAnswer = readonly [status: number, body: string];

/** A server on loopback whose every answer is the test's. It counts those that are 200 and hold a key or a token. */
export class TokenService {
  readonly url: string;
  /** Answers that were not 200. */
  denied = 0;
  readonly #close: () => void;

  static async start(
    answer: (request: IncomingMessage, body: string) => ServiceAnswer,
  ): Promise<TokenService> {
    let service: TokenService | undefined;
    const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const [status, body] = answer(request, (await bytesOf(request)).toString());
      if (service && status !== 200) service.denied += 1;
      response.writeHead(status, { "content-type": body.startsWith("<") ? "text/xml" : "application/json" });
      response.end(body);
    };
    const server = createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const close = (): void => {
      server.close();
      server.closeAllConnections();
    };
    service = new TokenService(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, close);
    return service;
  }

  private constructor(url: string, close: () => void) {
    this.url = url;
    this.#close = close;
  }

  stop(): void {
    this.#close();
  }
}

/** As the instance metadata and a container's endpoint answer. */
export function keyJson({ id, secret, token, expiration }: RotatingKey): string {
  return JSON.stringify({
    Code: "Success",
    Type: "AWS-HMAC",
    AccessKeyId: id,
    SecretAccessKey: secret,
    Token: token,
    Expiration: expiration,
  });
}

/** As STS answers. */
export function keyXml(action: string, { id, secret, token, expiration }: RotatingKey): string {
  const credentials = `<Credentials><AccessKeyId>${id}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey><SessionToken>${token}</SessionToken><Expiration>${expiration}</Expiration></Credentials>`;
  const user =
    "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>";
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${credentials}${user}</${action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${action}Response>`;
}

/** As STS denies. */
export function stsError(code: string): string {
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`;
}

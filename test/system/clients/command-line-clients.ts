/** Clients of S3 that are one command a request. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Client,
  debian,
  downloaded,
  linesOf,
  listTarget,
  namesIn,
  pathOf,
  programsOf,
} from "./client.ts";

/** Debian's, whatever else is on the PATH. */
const aws = "/usr/bin/aws";

const awsCli: Client = {
  name: "aws",
  required: debian("awscli", () => existsSync(aws)),
  open: async (access) => {
    const run = programsOf(access);
    const awsWith = (...args: string[]): Promise<string> =>
      run(aws, "--endpoint-url", access.endpoint, "--output", "json", ...args);
    const where = (key: string): string[] => ["--bucket", access.bucket, "--key", key];
    return {
      // Pages of two, so that it follows a token.
      list: async (prefix) =>
        linesOf(await awsWith("s3", "ls", "--page-size", "2", `s3://${access.bucket}/${prefix}`)).map(
          (line) => line.slice(31),
        ),
      head: async (key) => {
        const head = JSON.parse(await awsWith("s3api", "head-object", ...where(key))) as {
          ContentLength: number;
        };
        return head.ContentLength;
      },
      // Several ranges at once, as the object has more than 8 MiB.
      read: (key) => downloaded(access, (file) => awsWith("s3", "cp", `s3://${access.bucket}/${key}`, file)),
      readRange: (key, first, last) =>
        downloaded(access, (file) =>
          awsWith("s3api", "get-object", "--range", `bytes=${first}-${last}`, ...where(key), file),
        ),
    };
  },
  missing: /\(404\)/,
  denied: /\(403\)|SignatureDoesNotMatch/,
  unknown: /\(403\)|InvalidAccessKeyId/,
  rangesOfLarge: 3,
};

const curl: Client = {
  name: "curl",
  required: debian("curl"),
  open: async (access) => {
    const run = programsOf(access);
    const { accessKeyId, secretAccessKey } = access.key;
    const curlWith = (target: string, ...args: string[]): Promise<string> =>
      run(
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--globoff",
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        `${accessKeyId}:${secretAccessKey}`,
        ...args,
        `${access.endpoint}/${access.bucket}${target}`,
      );
    const into = (key: string, ...args: string[]): Promise<Buffer> =>
      downloaded(access, (file) => curlWith(`/${pathOf(key)}`, "--output", file, ...args));
    return {
      list: async (prefix) => namesIn(await curlWith(listTarget(prefix)), prefix),
      head: async (key) =>
        Number(/^content-length: (\d+)/im.exec(await curlWith(`/${pathOf(key)}`, "--head"))?.[1]),
      read: (key) => into(key),
      readRange: (key, first, last) => into(key, "--range", `${first}-${last}`),
    };
  },
  missing: /error: 404/,
  denied: /error: 403/,
  rangesOfLarge: 0,
};

const rclone: Client = {
  name: "rclone",
  required: debian("rclone"),
  open: async (access) => {
    const run = programsOf(access, {
      RCLONE_CONFIG: join(access.folder, "rclone.conf"),
      RCLONE_CONFIG_ORCA_TYPE: "s3",
      RCLONE_CONFIG_ORCA_PROVIDER: "Other",
      RCLONE_CONFIG_ORCA_ENV_AUTH: "true",
      RCLONE_CONFIG_ORCA_ENDPOINT: access.endpoint,
      RCLONE_CONFIG_ORCA_REGION: "us-east-1",
      RCLONE_S3_LIST_CHUNK: "2",
      RCLONE_RETRIES: "1",
      RCLONE_LOW_LEVEL_RETRIES: "1",
    });
    writeFileSync(join(access.folder, "rclone.conf"), "");
    const copyFlags = [
      "--multi-thread-cutoff=1M",
      "--multi-thread-streams=4",
      "--error-on-no-transfer",
      "--verbose",
    ];
    const remote = (key: string): string => `orca:${access.bucket}/${key}`;
    return {
      list: async (prefix) => linesOf(await run("rclone", "lsf", remote(prefix))),
      head: async (key) => {
        const stat = JSON.parse(await run("rclone", "lsjson", "--stat", remote(key))) as {
          IsDir: boolean;
          Size: number;
        };
        if (stat.IsDir) throw new Error("rclone finds a directory");
        return stat.Size;
      },
      // Four ranges at once. It compares the MD5 that is an ETag, or in the metadata.
      read: (key) => downloaded(access, (file) => run("rclone", "copyto", ...copyFlags, remote(key), file)),
      readRange: async (key, first, last) => {
        const args = ["cat", `--offset=${first}`, `--count=${last + 1 - first}`, remote(key)];
        return downloaded(access, (file) => run("sh", "-c", 'exec rclone "$@" > "$0"', file, ...args));
      },
    };
  },
  // To rclone, a prefix without keys is an empty directory.
  missing: /nothing to transfer|finds a directory/,
  denied: /403/,
  rangesOfLarge: 4,
};

const s3cmd: Client = {
  name: "s3cmd",
  required: debian("s3cmd"),
  open: async (access) => {
    const { host } = new URL(access.endpoint);
    const file = join(access.folder, "s3cfg");
    const { accessKeyId, secretAccessKey } = access.key;
    writeFileSync(
      file,
      `[default]
access_key = ${accessKeyId}
secret_key = ${secretAccessKey}
host_base = ${host}
host_bucket = ${host}
use_https = False
max_retries = 1
`,
    );
    const run = programsOf(access);
    const s3cmdWith = (...args: string[]): Promise<string> => run("s3cmd", "--config", file, ...args);
    const uri = (key: string): string => `s3://${access.bucket}/${key}`;
    return {
      list: async (prefix) =>
        linesOf(await s3cmdWith("ls", uri(prefix))).map((line) =>
          line.slice(line.indexOf(uri(prefix)) + uri(prefix).length),
        ),
      head: async (key) => Number(/File size: +(\d+)/.exec(await s3cmdWith("info", uri(key)))?.[1]),
      read: (key) => downloaded(access, (target) => s3cmdWith("get", uri(key), target)),
      // It has no ranges: it goes on where a download broke off.
      readRange: async (key, first, last) => {
        const bytes = await downloaded(access, async (target) => {
          writeFileSync(target, Buffer.alloc(first));
          await s3cmdWith("get", "--continue", uri(key), target);
        });
        return bytes.subarray(first, last + 1);
      },
    };
  },
  missing: /does not exist|404/,
  denied: /403/,
  rangesOfLarge: 0,
};

export const commandLineClients: readonly Client[] = [awsCli, curl, rclone, s3cmd];

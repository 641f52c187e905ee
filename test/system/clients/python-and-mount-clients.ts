/** Clients of S3 that are libraries of Python, which scripts beside this file use, and one that is a mount. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { open as openFile, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { findOnPath, run, TestProcess } from "../../support/process.ts";
import { until } from "../../support/until.ts";
import { type Access, type Client, debian, downloaded, linesOf, programsOf, type Session } from "./client.ts";

/** Debian's, which sees Debian's modules. */
export const python = "/usr/bin/python3";
const pythonModules = "/usr/lib/python3/dist-packages";

async function pythonSession(access: Access, script: string, env: Record<string, string>): Promise<Session> {
  const program = programsOf(access, { ...env, BUCKET: access.bucket });
  const scriptWith = (...args: string[]): Promise<string> =>
    program(python, join(import.meta.dirname, script), ...args);
  return {
    list: async (prefix) => linesOf(await scriptWith("list", prefix)),
    head: async (key) => Number(await scriptWith("head", key)),
    read: (key) => downloaded(access, (file) => scriptWith("read", key, file)),
    readRange: (key, first, last) =>
      downloaded(access, (file) => scriptWith("range", key, String(first), String(last), file)),
  };
}

export const boto3: Client = {
  name: "boto3",
  required: debian("python3-boto3", () => existsSync(join(pythonModules, "boto3"))),
  open: (access) => pythonSession(access, "boto3-client.py", { ENDPOINT: access.endpoint }),
  missing: /\(404\)|NoSuchKey/,
  denied: /\(403\)|SignatureDoesNotMatch/,
  unknown: /\(403\)|InvalidAccessKeyId/,
  rangesOfLarge: 3,
};

const gdal: Client = {
  name: "GDAL's /vsis3",
  required: debian("gdal-bin", () => existsSync(join(pythonModules, "osgeo"))),
  open: (access) =>
    pythonSession(access, "gdal-client.py", {
      AWS_S3_ENDPOINT: new URL(access.endpoint).host,
      AWS_HTTPS: "NO",
      AWS_VIRTUAL_HOSTING: "FALSE",
    }),
  missing: /cannot stat/,
  // It does not say why it cannot list.
  denied: /: 403\n|cannot list/,
};

const s3fs: Client = {
  name: "s3fs",
  required: {
    ...debian("s3fs", () => findOnPath("s3fs") !== undefined && existsSync("/dev/fuse")),
    // A container may have no FUSE.
    isInstalledByCi: false,
  },
  open: async (access) => {
    const { accessKeyId, secretAccessKey } = access.key;
    const passwords = join(access.folder, "passwd-s3fs");
    const mount = join(access.folder, "mount");
    writeFileSync(passwords, `${accessKeyId}:${secretAccessKey}\n`, { mode: 0o600 });
    mkdirSync(mount);
    const options = [
      "ro",
      `url=${access.endpoint}`,
      "use_path_request_style",
      "sigv4",
      `passwd_file=${passwords}`,
    ];
    const mounted = (): boolean => readFileSync("/proc/mounts", "utf8").includes(` ${mount} `);
    const child = new TestProcess(
      "s3fs",
      "s3fs",
      [access.bucket, mount, "-f", ...options.flatMap((option) => ["-o", option])],
      { env: { PATH: process.env["PATH"], HOME: access.folder, LC_ALL: "C.UTF-8" } },
    );
    const close = async (): Promise<void> => {
      if (mounted()) await run("umount", ["--lazy", mount]);
      await child.stop();
    };
    try {
      await until(() => mounted() || !child.running, 20_000);
      // It mounts first, and looks at the bucket then. Below a mount that has ended lies an empty directory.
      const listed = await readdir(mount).catch(() => []);
      if (listed.length === 0) {
        await until(() => !child.running, 20_000);
        throw child.failure("ended");
      }
    } catch (error) {
      await close();
      throw error;
    }
    return {
      list: (prefix) => readdir(join(mount, prefix)),
      head: async (key) => (await stat(join(mount, key))).size,
      read: (key) => readFile(join(mount, key)),
      readRange: async (key, first, last) => {
        await using file = await openFile(join(mount, key));
        const { buffer } = await file.read(Buffer.alloc(last + 1 - first), 0, last + 1 - first, first);
        return buffer;
      },
      close,
    };
  },
  missing: /ENOENT/,
  denied: /invalid credentials/i,
};

export const pythonAndMountClients: readonly Client[] = [boto3, gdal, s3fs];

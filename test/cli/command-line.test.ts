import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { AssertionFailure } from "../../src/base/assert.ts";
import { wordsOf } from "../../src/cli/command-help.ts";
import { version } from "../../src/cli/orca-command.ts";
import { declaredCommands, runOrca } from "../support/command-line.ts";

const overview = `Usage: orca COMMAND [options]

Run and look into Orca, a read-only S3 origin cache.

Options:
  --version     Print the version
  -h, --help    Show this help

Commands:
  serve         Serve S3 clients from a cache in front of an origin
  config check  Report every fault of a configuration file
  config print  Print the effective configuration, without secrets
  doctor        Find what is wrong around a replica, and say what to do
  certs         Write certificates for a cluster under development
  token         Make a bearer token for a client of server.auth.mode bearer
  status        Show the cluster as one replica sees it
  top           Show what the cluster does, refreshing
  inspect       Show where the chunks of an object are, by replica and tier
  explain       Show which way a read of an object would go now, and why
  verify-reads  Compare what Orca serves with the origin, byte for byte
  cache stats   Show what a replica holds, by tier
  cache verify  Check the chunks on a replica's disk, and delete damaged ones
  cache clear   Delete what a replica holds, of all objects or of some
  warm          Fetch objects into the cluster before they are read
  pins          Show what a replica keeps from being evicted, and until when
  unpin         Let all replicas evict pinned objects again
  purge         Make all replicas forget objects, their metadata and their bytes
  log-level     Show the level of a replica's log, or change it for some time
  profile cpu   Record where a replica spends its time
  profile heap  Record what allocates the memory that a replica holds
  completion    Print a completion script for bash or zsh
  help          Show the commands, or the help of one

Examples:
  orca serve --config /etc/orca/config.yaml
  orca help cache verify
  source <(orca completion bash)

Environment:
  Every setting can come from a variable: ORCA_MEMORY_MAX_BYTES=4GiB sets memory.max_bytes.
  Credentials come from ORCA_AWSS3_ACCESS_KEY and ORCA_AWSS3_SECRET_KEY, from
  ORCA_AZUREBLOB_ACCOUNT_KEY, or from where the SDKs of AWS and Azure find them.
`;

const serveHelp = `Usage: orca serve [--config FILE | --origin URL] [options]

Serve S3 clients from a cache in front of an origin.

URL is one of
  s3://BUCKET[/PREFIX][?endpoint=...&region=...&path_style=true]
  azblob://ACCOUNT/CONTAINER[/PREFIX][?endpoint=...]
  file:///DIRECTORY
With PREFIX, clients see the keys below it, without that part.

An option overrides the environment, and the environment overrides FILE. SIGTERM
or Ctrl-C stops the replica after the responses in progress; a second one stops
it at once.

Options:
  -c, --config FILE       Take the settings from FILE, in YAML [default:
                          /etc/orca/config.yaml]
  --origin URL            Serve the origin at URL, with the default settings
  --listen HOST:PORT      Accept S3 clients at HOST:PORT [default: 0.0.0.0:8443]
  --ops-listen HOST:PORT  Answer health checks and metrics at HOST:PORT
                          [default: 0.0.0.0:8442]
  --memory SIZE           Keep up to SIZE of chunks in memory [default: 1GiB]
  --disk DIR              Also keep chunks on disk, in DIR [default: memory
                          only]
  --disk-size SIZE        Keep up to SIZE of chunks on disk [default: 10GiB]
  -h, --help              Show this help

Examples:
  orca serve --config /etc/orca/config.yaml
  orca serve --origin s3://models/llama --memory 8GiB
  orca serve --origin file:///srv/data --disk /var/cache/orca --disk-size 500GiB
`;

test("orca: alone, with help and with --help it prints the commands", async () => {
  for (const args of [[], ["help"], ["--help"], ["-h"]])
    assert.deepEqual(await runOrca(args), { exitCode: 0, stdout: overview, stderr: "" }, args.join(" "));
});

test("orca serve --help: usage, details, options with defaults, examples", async () => {
  assert.deepEqual(await runOrca(["serve", "--help"]), { exitCode: 0, stdout: serveHelp, stderr: "" });
});

test("orca --version: the version of package.json", async () => {
  const packageJson = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");
  assert.equal(version, (JSON.parse(packageJson) as { version: string }).version);
  assert.deepEqual(await runOrca(["--version"]), { exitCode: 0, stdout: `${version}\n`, stderr: "" });
});

for (const command of declaredCommands()) {
  const [, ...words] = wordsOf(command);
  const name = ["orca", ...words].join(" ");

  test(`${name}: --help, -h and orca help say the same, on 80 columns`, async () => {
    const { exitCode, stdout, stderr } = await runOrca([...words, "--help"]);
    assert.deepEqual([exitCode, stderr], [0, ""]);
    assert.deepEqual(await runOrca([...words, "-h"]), { exitCode, stdout, stderr });
    assert.deepEqual(await runOrca(["help", ...words]), { exitCode, stdout, stderr });
    assert.ok(stdout.startsWith(`Usage: ${name} `));
    assert.ok(stdout.includes(`\n\n${command.summary()}.\n`));
    assert.doesNotMatch(stdout, /[<>](?!\(|\s)/, "values are FILE, and not <FILE>");
    const [wrapped = ""] = stdout.split("\nExamples:");
    for (const line of wrapped.split("\n")) assert.ok(line.length <= 80, line);
    for (const option of command.options) {
      assert.match(option.description, /^[A-Z].*[^.]$/, option.flags);
      assert.ok(
        [`  ${option.long} `, `  ${option.long}\n`, `  ${option.short}, ${option.long} `].some((start) =>
          wrapped.includes(start),
        ),
        option.flags,
      );
    }
    assert.doesNotMatch(command.summary(), /\.$/);
  });

  test(`${name}: its examples are command lines it takes`, async () => {
    assert.ok(command.commands.length > 0 || command.examples.length >= 2);
    assert.ok(command.examples.length <= 3);
    for (const example of command.examples) {
      const typed = /(?:^|[\s(])orca ([^)>]*)/.exec(example)?.[1]?.trim().split(" ") ?? [];
      assert.deepEqual(command.parent ? typed.slice(0, words.length) : [], words, example);
      if (!command.parent) continue;
      const { operands, unknown } = command.parseOptions(typed.slice(words.length));
      assert.deepEqual(unknown, [], example);
      const required = command.registeredArguments.filter((argument) => argument.required).length;
      assert.ok(operands.length >= required, example);
      if (!command.registeredArguments.at(-1)?.variadic)
        assert.ok(operands.length <= command.registeredArguments.length, example);
    }
  });

  test(`${name}: an unknown option is named, with the help to read`, async () => {
    const help = `See: ${name} --help\n`;
    assert.deepEqual(await runOrca([...words, "--zzzzzzzz"]), {
      exitCode: 2,
      stdout: "",
      stderr: `orca: unknown option "--zzzzzzzz" of "${name}". ${help}`,
    });
    assert.deepEqual(await runOrca([...words, "--hepl"]), {
      exitCode: 2,
      stdout: "",
      stderr: `orca: unknown option "--hepl" of "${name}"; did you mean "--help"? ${help}`,
    });
  });
}

test("help: long lines are wrapped to the terminal, at most 100 columns", async () => {
  for (const [columns, width] of [
    [60, 60],
    [100, 100],
    [300, 100],
  ] as const) {
    let text = "";
    const stdout = { isTTY: true, columns, write: (piece: string) => void (text += piece) };
    await runOrca(["certs", "--help"], { stdout });
    const [wrapped = ""] = text.split("\nExamples:");
    const [, ...lines] = wrapped.split("\n");
    const longest = Math.max(...lines.map((line) => line.length));
    assert.ok(longest <= width && longest > width - 15, `${longest} of ${columns}`);
  }
});

const usageErrors: readonly (readonly [string, string])[] = [
  ["sreve", 'unknown command "sreve" of "orca"; did you mean "serve"? See: orca --help'],
  ["stats", 'unknown command "stats" of "orca"; did you mean "status"? See: orca --help'],
  ["verify", 'unknown command "verify" of "orca"; did you mean "cache verify"? See: orca --help'],
  ["prnt", 'unknown command "prnt" of "orca"; did you mean "config print"? See: orca --help'],
  ["demo", 'unknown command "demo" of "orca". See: orca --help'],
  ["cache claer", 'unknown command "claer" of "orca cache"; did you mean "clear"? See: orca cache --help'],
  ["config zzz", 'unknown command "zzz" of "orca config". See: orca config --help'],
  ["zzz --help", 'unknown command "zzz" of "orca". See: orca --help'],
  ["help cach", 'unknown command "cach" of "orca"; did you mean "cache"? See: orca --help'],
  [
    "help cache veryfi",
    'unknown command "veryfi" of "orca cache"; did you mean "verify"? See: orca cache --help',
  ],
  ["help serve now", 'unknown command "now" of "orca serve". See: orca serve --help'],
  ["--json status", 'unknown option "--json" of "orca". See: orca --help'],
  [
    "serve --confg a",
    'unknown option "--confg" of "orca serve"; did you mean "--config"? See: orca serve --help',
  ],
  [
    "serve -config a",
    'unknown option "-config" of "orca serve"; did you mean "--config"? See: orca serve --help',
  ],
  [
    "serve --ops_listen a",
    'unknown option "--ops_listen" of "orca serve"; did you mean "--ops-listen"? See: orca serve --help',
  ],
  ["status --json=1", 'unknown option "--json=1" of "orca status". See: orca status --help'],
  [
    "serve orca.yaml",
    'unexpected argument "orca.yaml" of "orca serve"; did you mean "--config orca.yaml"? See: orca serve --help',
  ],
  [
    "serve s3://models",
    'unexpected argument "s3://models" of "orca serve"; did you mean "--origin s3://models"? See: orca serve --help',
  ],
  ["status all", 'unexpected argument "all" of "orca status". See: orca status --help'],
  ["config check a b", 'unexpected argument "b" of "orca config check". See: orca config check --help'],
  [
    "serve",
    'Cannot serve: give either --config FILE or --origin URL, because there is no "/none/config.yaml". See: orca serve --help',
  ],
  [
    "serve --config a --origin s3://b",
    "Cannot serve: give either --config FILE or --origin URL. See: orca serve --help",
  ],
  ["serve --config", 'missing value of option "--config FILE" of "orca serve". See: orca serve --help'],
  [
    "log-level debug --for 2h",
    'invalid value "2h" for "--for DURATION" of "orca log-level": expected 1s to 1h, such as 10m. See: orca log-level --help',
  ],
  ["inspect", 'missing argument "URL" of "orca inspect". See: orca inspect --help'],
  ["inspect models/k", 'Cannot inspect "models/k": expected s3://BUCKET/KEY. See: orca inspect --help'],
  ["explain models/k", 'Cannot explain "models/k": expected s3://BUCKET/KEY. See: orca explain --help'],
  ["certs --ot d", 'unknown option "--ot" of "orca certs"; did you mean "--out"? See: orca certs --help'],
  ["certs --server-name a", 'missing option "--out DIR" of "orca certs". See: orca certs --help'],
  [
    "certs --out d --server-name a",
    'missing option "--replica ID..." of "orca certs". See: orca certs --help',
  ],
  [
    "certs --out d --server-name a --replica ..",
    'Cannot make certificates: --replica ".." is not 1 to 64 of the characters A-Z a-z 0-9 . _ -. See: orca certs --help',
  ],
  [
    "status --ops ftp://a",
    "Cannot use the value of --ops: expected the address of an ops listener such as http://127.0.0.1:8442, without a user. See: orca status --help",
  ],
  [
    "cache verify --rate lots",
    'invalid value "lots" for "--rate SIZE" of "orca cache verify": expected a size such as 64MiB. See: orca cache verify --help',
  ],
  ["completion", 'missing argument "SHELL" of "orca completion". See: orca completion --help'],
  [
    "completion fish",
    'invalid value "fish" for "SHELL" of "orca completion": expected one of bash, zsh. See: orca completion --help',
  ],
];

for (const [line, message] of usageErrors) {
  test(`orca ${line}: is exit code 2 and one line`, async () => {
    assert.deepEqual(await runOrca(line.split(" ")), {
      exitCode: 2,
      stdout: "",
      stderr: `orca: ${message}\n`,
    });
  });
}

test("orca: a mistyped argument cannot steer the terminal", async () => {
  const { stderr } = await runOrca(["serve", "--\u001b[2J'x"]);
  assert.equal(stderr, 'orca: unknown option "--?[2J\'x" of "orca serve". See: orca serve --help\n');
});

test("orca config, orca cache: a group alone is exit code 2, and its help is on stderr", async () => {
  for (const group of ["config", "cache"]) {
    const { stdout: help } = await runOrca(["help", group]);
    assert.deepEqual(await runOrca([group]), { exitCode: 2, stdout: "", stderr: help });
  }
});

test("orca: a configuration that cannot be used is exit code 1", async () => {
  const absent = join(import.meta.dirname, "absent.yaml");
  for (const args of [
    ["serve", "--config", absent],
    ["config", "check", absent],
    ["config", "print", absent],
    ["serve", "--origin", "ftp://a"],
  ]) {
    const { exitCode, stdout, stderr } = await runOrca(args);
    assert.deepEqual([exitCode, stdout], [1, ""]);
    assert.match(stderr, /Cannot use (?:configuration ".*absent\.yaml"|"ftp:\/\/a" as an origin): /);
  }
});

test("orca: a bug is exit code 70, with its stack", async () => {
  for (const bug of [new TypeError("a bug"), new AssertionFailure("a bug")]) {
    const stdout = {
      write: () => {
        throw bug;
      },
    };
    const { exitCode, stderr } = await runOrca(["completion", "bash"], { stdout });
    assert.equal(exitCode, 70);
    assert.match(stderr, /^orca: met a bug\. Please report these lines:\n\w+: a bug\n +at /);
  }
});

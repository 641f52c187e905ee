/**
 * A command as it declares itself: name, summary, options, examples, and an action that ends with an exit code. It adds
 * to commander's Command what all commands share, so that the file of a command holds only what is special about it.
 *
 * A value named FILE or DIR takes a path. The completion scripts know values by these names.
 */
import { Command, type CommanderError, type Help, Option } from "commander";
import { OrcaError } from "../base/orca-error.ts";
import { CommandHelp } from "./command-help.ts";
import { UsageError, unknownCommand, usageErrorOf } from "./usage-error.ts";

/** The version in package.json. A constant, since a replica must also start where that file is not installed. */
export const version = "0.1.0";

/** What commander throws to end a command whose help it has printed. */
const helpCodes = new Set(["commander.helpDisplayed", "commander.help", "commander.version"]);

export class OrcaCommand extends Command {
  /** Command lines to paste, shown after the options. */
  readonly examples: string[] = [];
  /** What the action returned. */
  exitCode = 0;
  #suggestForOperand: (operand: string) => string | undefined = () => undefined;

  /** `summary` begins with a verb and is one line in the list of commands. */
  constructor(name: string, summary: string) {
    super(name);
    this.summary(summary)
      .description(`${summary}.`)
      .helpOption("-h, --help", "Show this help")
      // `orca help cache verify` is a command of ours: commander's own looks one word deep.
      .helpCommand(false)
      // usage-error.ts suggests.
      .showSuggestionAfterError(false)
      .exitOverride((error) => this.#end(error))
      .addHelpText("after", () => this.#examplesText());
    // commander shows the help of `orca` for `orca WORD --help`, whatever the word.
    this.on("beforeHelp", () => this.#checkOperand());
  }

  override createHelp(): Help {
    return new CommandHelp();
  }

  /** Adds to the description, after the summary. */
  details(text: string): this {
    return this.description(`${this.description()}\n\n${text}`);
  }

  /** An option whose default is not the command's: that of a setting, or of the replica that is asked. */
  optionWithDefault(
    flags: string,
    description: string,
    defaultText: string,
    parse: (value: string) => unknown = String,
  ): this {
    return this.addOption(new Option(flags, description).default(undefined, defaultText).argParser(parse));
  }

  withExamples(...lines: readonly string[]): this {
    this.examples.push(...lines);
    return this;
  }

  /** What to suggest for an argument that the command does not take. */
  suggestForOperand(suggest: (operand: string) => string): this {
    this.#suggestForOperand = suggest;
    return this;
  }

  /**
   * The action, with the declared options and arguments. An argument that it rejects (`invalid_argument`) becomes an error
   * that names the command's help. The types of the parameters are the action's own: commander knows none.
   */
  runs(work: (flags: never, ...operands: never[]) => number | Promise<number>): this {
    return this.action(async () => {
      try {
        this.exitCode = await work(this.opts<never>(), ...(this.processedArgs as never[]));
      } catch (thrown) {
        if (thrown instanceof OrcaError && thrown.code === "invalid_argument")
          throw new UsageError(this, thrown.message.replace(/\.$/, ""));
        throw thrown;
      }
    });
  }

  /** `-config` is a slip of `--config`. commander would take it for `-c` with the value `onfig`. */
  override parseOptions(args: string[]): ReturnType<Command["parseOptions"]> {
    const slip = args.find((word) => this.options.some(({ long }) => `-${word}` === long));
    if (slip !== undefined)
      this.error(`error: unknown option '${slip}'`, { code: "commander.unknownOption" });
    return super.parseOptions(args);
  }

  #end(error: CommanderError): never {
    if (helpCodes.has(error.code)) throw error;
    throw usageErrorOf(error, this, this.#suggestForOperand);
  }

  #checkOperand(): void {
    const [word = "-"] = this.args;
    const known = this.commands.length === 0 || this.commands.some((command) => command.name() === word);
    if (!known && !word.startsWith("-")) throw unknownCommand(word, this);
  }

  /** commander adds the last line end. */
  #examplesText(): string {
    return this.examples.length === 0 ? "" : ["\nExamples:", ...this.examples].join("\n  ");
  }
}

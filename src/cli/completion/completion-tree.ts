/**
 * The declared commands as the completion scripts need them: which words follow which, and what kind of value an option
 * or an argument takes. The kind is in the name of the value: FILE and DIR are paths, COMMAND is the words of a command.
 */
import type { Argument, Command, Option } from "commander";
import { wordsOf } from "../command-help.ts";

export interface CompletedCommand {
  /** `["orca", "cache", "verify"]` */
  readonly words: readonly string[];
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** The arguments that are not options; the last one may take several words. */
  readonly operands: readonly CompletedValue[];
  readonly commands: readonly CompletedCommand[];
}

export interface CompletedOption {
  /** `["-h", "--help"]` */
  readonly flags: readonly string[];
  readonly description: string;
  /** Undefined for an option that takes no value. */
  readonly value: CompletedValue | undefined;
  readonly repeatable: boolean;
}

export interface CompletedValue {
  /** `FILE`, `HOST:PORT` */
  readonly name: string;
  readonly kind: "file" | "directory" | "command" | "choice" | "text";
  /** The values of a choice. */
  readonly choices: readonly string[];
}

export function completionTree(command: Command): CompletedCommand {
  return {
    words: wordsOf(command),
    summary: command.summary(),
    options: command.createHelp().visibleOptions(command).map(completedOption),
    operands: command.registeredArguments.map((argument) => completedValue(argument.name(), argument)),
    commands: command.commands.map(completionTree),
  };
}

/** `tree` and every command below it. */
export function commandsIn(tree: CompletedCommand): CompletedCommand[] {
  return [tree, ...tree.commands.flatMap(commandsIn)];
}

function completedOption(option: Option): CompletedOption {
  const name = /<([^<>.]+)(?:\.\.\.)?>/.exec(option.flags)?.[1];
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    description: option.description,
    value: name === undefined ? undefined : completedValue(name, option),
    repeatable: option.variadic,
  };
}

function completedValue(
  name: string,
  { argChoices = [] }: Pick<Argument | Option, "argChoices">,
): CompletedValue {
  return { name, kind: argChoices.length > 0 ? "choice" : kindOf(name), choices: argChoices };
}

function kindOf(name: string): CompletedValue["kind"] {
  switch (name) {
    case "FILE":
      return "file";
    case "DIR":
      return "directory";
    case "COMMAND":
      return "command";
    default:
      return "text";
  }
}

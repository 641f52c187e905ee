/**
 * What is wrong with a command line, in one line: what is wrong, of which command, what was perhaps meant, and where its
 * help is. commander finds the fault and says it in words and codes of its own; this file says it in ours. Suggestions
 * come from the function that also serves the configuration, and they know commands of other groups: `orca verify`
 * gets `cache verify`.
 */
import type { Command, CommanderError } from "commander";
import { nearest } from "../config/did-you-mean.ts";
import { leavesOf, withoutBrackets, wordsOf } from "./command-help.ts";
import { printable } from "./table.ts";

export class UsageError extends Error {
  /** `fault` without its full stop; `suggestion` in the form that can be typed. */
  constructor(command: Command, fault: string, suggestion?: string) {
    const end = suggestion === undefined ? "." : `; did you mean "${suggestion}"?`;
    super(printable(`${fault}${end} See: ${wordsOf(command).join(" ")} --help`));
  }
}

/** `suggestForOperand` says what was meant by an argument that `command` does not take. */
export function usageErrorOf(
  { code, message }: CommanderError,
  command: Command,
  suggestForOperand: (operand: string) => string | undefined,
): UsageError {
  const of = `of "${wordsOf(command).join(" ")}"`;
  // An option has its long name in errors, also where it has a short one.
  const quoted = (/'(.*)'/s.exec(message)?.[1] ?? "").replace(/^-\w, /, "");
  const named = `"${withoutBrackets(quoted)}"`;
  switch (code) {
    case "commander.unknownOption":
      return unknownOption(quoted, command);
    case "commander.unknownCommand":
      return unknownCommand(quoted, command);
    case "commander.excessArguments": {
      const operand = command.args[command.registeredArguments.length] ?? "";
      return new UsageError(command, `unexpected argument "${operand}" ${of}`, suggestForOperand(operand));
    }
    case "commander.missingArgument":
      return new UsageError(command, `missing argument ${named} ${of}`);
    case "commander.optionMissingArgument":
      return new UsageError(command, `missing value of option ${named} ${of}`);
    case "commander.missingMandatoryOptionValue": {
      // commander looks for missing options before unknown ones. A mistyped option is both.
      const flag = command.args.find((argument) => /^-./.test(argument));
      return flag === undefined
        ? new UsageError(command, `missing option ${named} ${of}`)
        : unknownOption(flag, command);
    }
    case "commander.invalidArgument":
      return new UsageError(command, invalidValue(message, of));
    default:
      return new UsageError(command, message.replace(/^error: /, ""));
  }
}

/** Also for `orca help WORD` and `orca WORD --help`, which commander does not check. */
export function unknownCommand(word: string, group: Command): UsageError {
  const fault = `unknown command "${word}" of "${wordsOf(group).join(" ")}"`;
  return new UsageError(group, fault, similarCommand(word, group));
}

function unknownOption(flag: string, command: Command): UsageError {
  const known = command.createHelp().visibleOptions(command);
  const similar = nearest(
    flag,
    known.flatMap(({ long }) => long ?? []),
  );
  return new UsageError(command, `unknown option "${flag}" of "${wordsOf(command).join(" ")}"`, similar);
}

/** A command of `group`, else one of the groups in it, as the words to type after `group`. */
function similarCommand(word: string, group: Command): string | undefined {
  const child = nearest(
    word,
    group.commands.map((command) => command.name()),
  );
  if (child !== undefined) return child;
  const leaves = leavesOf(group);
  const name = nearest(
    word,
    leaves.map((command) => command.name()),
  );
  const leaf = leaves.find((command) => command.name() === name);
  return leaf && wordsOf(leaf).slice(wordsOf(group).length).join(" ");
}

/** commander's message holds the value, the place and the reason, in an order that differs for options and arguments. */
function invalidValue(message: string, of: string): string {
  const option = /^error: option '(.*?)' argument '(.*)' is invalid\. (.*?)\.?$/s.exec(message);
  const operand = /^error: command-argument value '(.*)' is invalid for argument '(.*?)'\. (.*?)\.?$/s.exec(
    message,
  );
  const [place = "", value = ""] = option?.slice(1) ?? [operand?.[2], operand?.[1]];
  const reason = (option?.[3] ?? operand?.[3] ?? message).replace(
    /^Allowed choices are /,
    "expected one of ",
  );
  return `invalid value "${value}" for "${withoutBrackets(place)}" ${of}: ${reason}`;
}

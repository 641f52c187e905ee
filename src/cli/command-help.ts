/**
 * How help looks. It differs from commander's in three points: values are `FILE` rather than `<FILE>`, as in messages
 * and pages; a default is in square brackets, also where the default belongs to a setting and not to the option; and a
 * group lists the commands in it by the words to type, so that `orca help` names every command.
 */
import { type Argument, type Command, Help, type Option } from "commander";

export class CommandHelp extends Help {
  /** Descriptions are wrapped also when a narrow terminal leaves them few columns. */
  override minWidthToWrap = 20;

  override visibleCommands(command: Command): Command[] {
    return leavesOf(command);
  }

  override subcommandTerm(command: Command): string {
    return wordsOf(command).slice(1).join(" ");
  }

  override optionTerm(option: Option): string {
    return withoutBrackets(option.flags);
  }

  override optionDescription({ description, defaultValue, defaultValueDescription }: Option): string {
    const value = defaultValueDescription ?? (typeof defaultValue === "string" ? defaultValue : undefined);
    return value === undefined ? description : `${description} [default: ${value}]`;
  }

  /** Without the choices, which the description names. */
  override argumentDescription(argument: Argument): string {
    return argument.description;
  }

  override commandUsage(command: Command): string {
    return withoutBrackets(super.commandUsage(command));
  }
}

/** `orca cache verify`, word by word. */
export function wordsOf(command: Command): string[] {
  return command.parent ? [...wordsOf(command.parent), command.name()] : [command.name()];
}

/** The commands below `command` that run, as against groups of commands. */
export function leavesOf(command: Command): Command[] {
  return command.commands.flatMap((child) => (child.commands.length === 0 ? [child] : leavesOf(child)));
}

/** `--config FILE` of commander's `--config <FILE>`. */
export function withoutBrackets(flags: string): string {
  return flags.replaceAll(/[<>]/g, "");
}

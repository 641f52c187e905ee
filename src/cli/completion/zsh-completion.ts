/**
 * The completion script for zsh: one function for each command, on top of `_arguments`, which knows how options and
 * values are typed. A function of a group hands the words after its command to the function of that command.
 */
import {
  type CompletedCommand,
  type CompletedOption,
  type CompletedValue,
  commandsIn,
} from "./completion-tree.ts";

export function zshCompletion(tree: CompletedCommand): string {
  return `#compdef orca
# Completion of orca for zsh. Load it with: source <(orca completion zsh)
# or write it to a file named _orca in a folder of $fpath.

${commandsIn(tree).map(functionOf).join("\n\n")}

if [[ $funcstack[1] == _orca ]]; then _orca "$@"
else compdef _orca orca
fi
`;
}

function functionOf(command: CompletedCommand): string {
  return command.commands.length > 0 ? groupFunction(command) : leafFunction(command);
}

function leafFunction(command: CompletedCommand): string {
  if (command.operands[0]?.kind === "command") {
    // The words after help are those of the group that help is in.
    return `${nameOf(command)}() {
  ${nameOf({ words: command.words.slice(0, -1) })}
}`;
  }
  const operands = command.operands.map((operand, index) => quoted(`${index + 1}${valueSpec(operand)}`));
  return `${nameOf(command)}() {
  _arguments \\
    ${[...command.options.map(optionSpec), ...operands].join(" \\\n    ")}
}`;
}

function groupFunction(command: CompletedCommand): string {
  const names = command.commands.map(({ words }) => words.at(-1) ?? "");
  const described = command.commands.map(({ summary }, index) => quoted(`${names[index]}:${summary}`));
  const cases = command.commands.map((child, index) => `      ${names[index]}) ${nameOf(child)} ;;`);
  return `${nameOf(command)}() {
  local curcontext=$curcontext context state state_descr line
  local -a commands
  typeset -A opt_args
  _arguments -C \\
    ${command.options.map(optionSpec).join(" \\\n    ")} \\
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command)
      commands=(
        ${described.join("\n        ")}
      )
      _describe command commands ;;
    argument)
      case $line[1] in
  ${cases.join("\n  ")}
      esac ;;
  esac
}`;
}

/** `'--config=[Take the settings from FILE]:FILE:_files'` */
function optionSpec({ flags, description, value, repeatable }: CompletedOption): string {
  const explanation = `[${description.replaceAll(/[[\]]/g, String.raw`\$&`)}]`;
  const end = explanation + (value ? valueSpec(value) : "");
  // A value may follow `-c` with or without a blank, and `--config` with a blank or a `=`.
  const taking = value ? flags.map((flag) => flag + (flag.startsWith("--") ? "=" : "+")) : flags;
  if (flags.length > 1) return `${quoted(`(${flags.join(" ")})`)}{${taking.join(",")}}${quoted(end)}`;
  return quoted(`${repeatable ? "*" : ""}${taking[0]}${end}`);
}

/** `:FILE:_files`. The action of a value that cannot be completed is a space, which shows its name. */
function valueSpec({ name, kind, choices }: CompletedValue): string {
  const actions = {
    file: "_files",
    directory: "_files -/",
    choice: `(${choices.join(" ")})`,
    command: " ",
    text: " ",
  };
  return `:${name.replaceAll(":", String.raw`\:`)}:${actions[kind]}`;
}

function nameOf({ words }: Pick<CompletedCommand, "words">): string {
  return `_${words.join("_")}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

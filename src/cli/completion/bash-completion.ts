/**
 * The completion script for bash, in what bash 3.2 (macOS) understands. The function follows the words before the cursor
 * down the tree of commands, then answers with the values of an option, with options, or with what may come next.
 */
import { type CompletedCommand, type CompletedValue, commandsIn } from "./completion-tree.ts";

export function bashCompletion(tree: CompletedCommand): string {
  // The words after help are followed as if help were not there.
  const commands = commandsIn(tree).filter(({ operands }) => operands[0]?.kind !== "command");
  const paths = commands.slice(1).map((command) => quoted(command.words.join(" ")));
  return `# Completion of orca for bash. Load it with: source <(orca completion bash)

_orca_reply() {
  local line
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$@" -- "$cur")
}

_orca_paths() {
  compopt -o filenames 2>/dev/null
  _orca_reply "$1"
}

_orca() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local path=orca help= options= words= paths= word
  COMPREPLY=()
  # bash makes a word of its own of the = in --option=value.
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
    if [[ "$path $word" == 'orca help' ]]; then help=yes; continue; fi
    case "$path $word" in
      ${paths.join(" | ")}) path="$path $word" ;;
    esac
  done
  case "$path $prev" in
${valueCases(commands)}
  esac
  case "$path" in
${commands.map(commandCase).join("\n")}
  esac
  if [[ -n $help ]]; then _orca_reply -W "$words"
  elif [[ $cur == -* ]]; then _orca_reply -W "$options"
  elif [[ -n $paths ]]; then _orca_paths "$paths"
  else _orca_reply -W "\${words:-$options}"
  fi
}

complete -F _orca orca
`;
}

/** What to answer after an option that takes a value. */
function valueCases(commands: readonly CompletedCommand[]): string {
  const patterns = new Map<string, string[]>();
  for (const { words, options } of commands) {
    for (const { flags, value } of options) {
      if (!value) continue;
      const places = flags.map((flag) => quoted([...words, flag].join(" ")));
      const reply = replyWith(value);
      patterns.set(reply, [...(patterns.get(reply) ?? []), ...places]);
    }
  }
  return [...patterns].map(([reply, places]) => `    ${places.join(" | ")}) ${reply}return ;;`).join("\n");
}

function replyWith(value: CompletedValue): string {
  const flag = pathFlag(value);
  if (flag !== "") return `_orca_paths ${flag}; `;
  return value.kind === "choice" ? `_orca_reply -W ${quoted(value.choices.join(" "))}; ` : "";
}

/** The options of a command, and what may come next if that is no option. */
function commandCase({ words, options, operands, commands }: CompletedCommand): string {
  const flags = options.flatMap((option) => option.flags.filter((flag) => flag.startsWith("--")));
  const next = [
    ...commands.map((command) => command.words.at(-1) ?? ""),
    ...operands.flatMap((operand) => operand.choices),
  ];
  const paths = operands.map(pathFlag).find((flag) => flag !== "");
  const sets = [
    `options=${quoted(flags.join(" "))}`,
    ...(next.length > 0 ? [`words=${quoted(next.join(" "))}`] : []),
    ...(paths === undefined ? [] : [`paths=${paths}`]),
  ];
  return `    ${quoted(words.join(" "))}) ${sets.join(" ")} ;;`;
}

/** The option of compgen that lists paths. */
function pathFlag({ kind }: CompletedValue): string {
  return kind === "file" ? "-f" : kind === "directory" ? "-d" : "";
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

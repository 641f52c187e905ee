/** `orca completion SHELL`: a completion script, made from the declared commands, so that it knows all of them. */
import { Argument, type Command } from "commander";
import type { CommandContext } from "./command-context.ts";
import { OrcaCommand } from "./orca-command.ts";

const shells = ["bash", "zsh"] as const;

const details = [
  "The script completes commands, options, and the paths of files and directories.",
  "It knows the commands of this version of Orca: print it again after an update.",
].join(" ");

export function completionCommand({ stdout }: CommandContext): OrcaCommand {
  const completion = new OrcaCommand("completion", "Print a completion script for bash or zsh")
    .details(details)
    .addArgument(new Argument("<SHELL>", "The shell: bash or zsh").choices(shells))
    .withExamples(
      "source <(orca completion bash)",
      "orca completion bash > /etc/bash_completion.d/orca",
      "orca completion zsh > ~/.zsh/completion/_orca",
    );
  return completion.runs(async (_, shell: (typeof shells)[number]) => {
    const { completionTree } = await import("./completion/completion-tree.ts");
    const tree = completionTree(rootOf(completion));
    if (shell === "bash")
      stdout.write((await import("./completion/bash-completion.ts")).bashCompletion(tree));
    else stdout.write((await import("./completion/zsh-completion.ts")).zshCompletion(tree));
    return 0;
  });
}

function rootOf(command: Command): Command {
  return command.parent ? rootOf(command.parent) : command;
}

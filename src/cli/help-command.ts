/** `orca help [COMMAND...]`: the help of a command by its words, as its `--help` prints it. */
import { OrcaCommand } from "./orca-command.ts";
import { unknownCommand } from "./usage-error.ts";

export function helpCommand(): OrcaCommand {
  const help = new OrcaCommand("help", "Show the commands, or the help of one")
    .argument("[COMMAND...]", "The words of a command")
    .withExamples("orca help", "orca help serve", "orca help cache verify");
  return help.runs((_, words: readonly string[]) => {
    let command = help.parent ?? help;
    for (const word of words) {
      const child = command.commands.find((each) => each.name() === word);
      if (!child) throw unknownCommand(word, command);
      command = child;
    }
    command.outputHelp();
    return 0;
  });
}

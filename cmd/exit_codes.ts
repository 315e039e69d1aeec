/** As a shell reports a program that Ctrl-C ended. */
export const interruptedExitCode = 130;

/** Imported by built_program.ts when it is asked to. */
export const text = "late";

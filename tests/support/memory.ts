/** `VmHWM` of proc(5), the largest resident set of a process so far, in 1024² bytes. */
export function peakMb(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s*(\d+)/m.exec(text)![1]) / 1024;
}

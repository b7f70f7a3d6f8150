/** Commands that go on until Ctrl-C: on the command line they end then, in the interactive shell its prompt comes back. */

/** Runs `task`, whose signal is aborted by the first Ctrl-C; its rejection after that is the end that was asked for. */
export async function untilInterrupted(task: (interrupted: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort();
  process.once('SIGINT', interrupt);
  try {
    await task(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

/** The steps of a request, as a recorded logger has them. */
import type { RecordedLogger } from "./recorded-logger.ts";

export type TracedStep = Readonly<Record<string, unknown>> & {
  readonly step: string;
  readonly requestId: string;
};

/** All steps, or those of one request, in their order. */
export function stepsOf(logger: RecordedLogger, requestId?: string): TracedStep[] {
  const steps = logger.events.flatMap(({ fields }) => ("step" in fields ? [fields as TracedStep] : []));
  return requestId === undefined ? steps : steps.filter((each) => each.requestId === requestId);
}

export function namesOf(steps: readonly TracedStep[]): string[] {
  return steps.map(({ step }) => step);
}

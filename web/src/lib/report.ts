// The JSON document of `compozy test --format json`, which may come from another version.

export interface TestResult {
  file: string;
  name: string;
  workflow: string;
  status: string;
  seconds: number;
  problems: string[];
}

export interface Case {
  input: unknown;
  output: unknown;
  score: number;
  reason: string;
  problem: string;
  cost: number | null;
}

export interface Evaluation {
  file: string;
  name: string;
  workflow: string;
  status: string;
  score: number;
  threshold: number;
  cases: Case[];
}

export interface Report {
  tests: TestResult[];
  evaluations: Evaluation[];
}

type Values = Record<string, unknown>;

export const isFailed = (result: { status: string }) => result.status !== "passed";

const text = (value: unknown) => (typeof value === "string" ? value : "");
const real = (value: unknown) => (typeof value === "number" ? value : 0);
const list = (value: unknown): Values[] => (Array.isArray(value) ? value.filter((each): each is Values => typeof each === "object" && each !== null) : []);
const about = (each: Values) => ({ file: text(each.file), name: text(each.name), workflow: text(each.workflow), status: text(each.status) });

/** Read a report; null if the text is not one. */
export function readReport(source: string): Report | null {
  let found: Values | null;
  try {
    found = JSON.parse(source) as Values | null;
  } catch {
    return null;
  }
  if (!Array.isArray(found?.tests) && !Array.isArray(found?.evaluations)) return null;
  return {
    tests: list(found.tests).map((each) => ({ ...about(each), seconds: real(each.seconds), problems: Array.isArray(each.problems) ? each.problems.map(String) : [] })),
    evaluations: list(found.evaluations).map((each) => ({
      ...about(each),
      score: real(each.score),
      threshold: real(each.threshold),
      cases: list(each.cases).map((one) => ({
        input: one.input,
        output: one.output,
        score: real(one.score),
        reason: text(one.reason),
        problem: text(one.problem),
        cost: typeof one.cost === "number" ? one.cost : null,
      })),
    })),
  };
}

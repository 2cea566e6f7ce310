// Results of `compozy test --format json`, from a file of the user. The file is not sent to the server.
import { useState, type ChangeEvent, type DragEvent } from "react";
import { isFailed, readReport, type Evaluation, type Report, type TestResult } from "../lib/report";
import { money, plural } from "../lib/format";
import { textOf } from "../lib/text";
import { Fact, PageHead, Part } from "../ui/layout";
import { Teach } from "../ui/list-page";
import { Table, Tag } from "../ui/table";
import { Value } from "../ui/value";

const EXAMPLE = "compozy test --mode record --format json > report.json";

export default function TestsPage() {
  const [report, setReport] = useState<{ name: string; found: Report } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const open = async (file: File | undefined) => {
    if (!file) return;
    const found = readReport(await file.text().catch(() => ""));
    setReport(found && { name: file.name, found });
    setError(found ? null : `${file.name} is not a report of compozy test.`);
  };
  const stop = (event: DragEvent) => event.preventDefault();
  return (
    <div
      className="min-h-full"
      onDragOver={stop}
      onDrop={(event) => {
        stop(event);
        void open(event.dataTransfer.files[0]);
      }}
    >
      <PageHead title="Tests" tab="Tests" about={report ? report.name : "Results of tests and scores of evaluations, from a file."}>
        <input
          type="file"
          accept=".json,application/json"
          aria-label="Report of compozy test"
          className="max-w-full text-sm text-soft file:mr-3 file:rounded-[7px] file:border file:border-strong file:bg-panel file:px-3 file:py-1 file:font-medium file:text-ink"
          onChange={(event: ChangeEvent<HTMLInputElement>) => void open(event.target.files?.[0])}
        />
      </PageHead>
      {error && (
        <p role="alert" data-tone="bad" className="note m-4 sm:mx-6">
          {error}
        </p>
      )}
      {report ? (
        <Results report={report.found} />
      ) : (
        <Teach title="Open a report" example={EXAMPLE}>
          Tests and evaluations run on the command line and are not stored in the database. Write their results to a file, and choose it above or drop it here. It stays in this browser.
        </Teach>
      )}
    </div>
  );
}

function Results({ report }: { report: Report }) {
  const tests = [...report.tests].sort((one, other) => Number(isFailed(other)) - Number(isFailed(one)));
  return (
    <div className="space-y-5 px-4 pb-10 sm:px-6">
      <dl className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
        <Fact name="Tests">
          {plural(report.tests.length, "test")}, {report.tests.filter(isFailed).length} failed
        </Fact>
        <Fact name="Evaluations">
          {plural(report.evaluations.length, "evaluation")}, {report.evaluations.filter(isFailed).length} below the threshold
        </Fact>
      </dl>
      {report.evaluations.map((each, index) => (
        <OneEvaluation key={index} evaluation={each} />
      ))}
      {tests.length > 0 && (
        <Table label="Tests" heads={["Result", "Test", "Workflow", "Time"]}>
          {tests.map((each, index) => (
            <Test key={index} test={each} />
          ))}
        </Table>
      )}
    </div>
  );
}

function Result({ of }: { of: { status: string } }) {
  return <Tag tone={isFailed(of) ? "bad" : "good"}>{of.status}</Tag>;
}

function Test({ test }: { test: TestResult }) {
  return (
    <tr>
      <td>
        <Result of={test} />
      </td>
      <td className="long">
        <p className="font-medium">{test.name}</p>
        <p className="font-mono text-xs text-faint">{test.file}</p>
        {test.problems.map((problem, index) => (
          <pre key={index} className="mt-2 font-mono text-xs whitespace-pre-wrap text-bad">
            {problem}
          </pre>
        ))}
      </td>
      <td>{test.workflow}</td>
      <td className="whitespace-nowrap tabular-nums">{test.seconds.toFixed(1)} s</td>
    </tr>
  );
}

function OneEvaluation({ evaluation }: { evaluation: Evaluation }) {
  const costs = evaluation.cases.flatMap((each) => (each.cost === null ? [] : [each.cost]));
  return (
    <section className="card space-y-3 p-4 sm:p-5" aria-label={evaluation.name}>
      <h2 className="flex flex-wrap items-center gap-2.5 text-base">
        {evaluation.name} <Result of={evaluation} />
      </h2>
      <dl className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
        <Fact name="Score">
          <span className="flex items-center gap-2 tabular-nums">
            <meter className="w-28" min={0} max={1} value={evaluation.score} aria-label="Score" /> {evaluation.score.toFixed(2)}
          </span>
        </Fact>
        <Fact name="Threshold">{evaluation.threshold}</Fact>
        <Fact name="Workflow">{evaluation.workflow}</Fact>
        {costs.length > 0 && <Fact name="Cost">{money(costs.reduce((sum, each) => sum + each, 0))}</Fact>}
        <Fact name="File">
          <span className="font-mono text-xs">{evaluation.file}</span>
        </Fact>
      </dl>
      <ol className="divide-y divide-line rounded-lg border border-line">
        {evaluation.cases.map((each, index) => (
          <li key={index}>
            <details className="px-3 py-2 text-sm">
              <summary>
                <span className={`mr-3 font-medium tabular-nums ${each.score < evaluation.threshold ? "text-bad" : "text-good"}`}>{each.score.toFixed(2)}</span>
                <span className="text-soft">{textOf(each.input).replace(/\s+/g, " ").slice(0, 160)}</span>
                {(each.problem || each.reason) && <span className={`block pl-4 ${each.problem ? "text-bad" : ""}`}>{each.problem || each.reason}</span>}
              </summary>
              <div className="grid gap-4 py-3 lg:grid-cols-2">
                <Part title="Input">
                  <Value value={each.input} />
                </Part>
                <Part title="Output">
                  <Value value={each.output} />
                </Part>
              </div>
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

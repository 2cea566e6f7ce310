import Link from 'next/link';
import type { ReactNode } from 'react';
import { Code } from '@/components/code';
import { RunPicture } from '@/components/run-picture';
import { readFences } from '@/lib/readme';

const FACTS = [
  ['For', 'developers who keep AI workflows as files in a repository and run them on their own machines'],
  ['Not', 'a visual editor, a library of connectors, a data pipeline scheduler or a hosted service'],
  ['Status', 'alpha; releases before 1.0 may change YAML keys'],
];

// Read in the documentation of each tool on 2026-11-28; the page names the sources.
const TOOLS = [
  ['Compozy', 'YAML files', 'SQLite or PostgreSQL', 'Apache-2.0'],
  ['n8n', 'visual editor', 'SQLite or PostgreSQL', 'Sustainable Use License'],
  ['Dify', 'visual editor', 'PostgreSQL, Redis, vector database', 'Apache-2.0 with conditions'],
  ['LangGraph Platform', 'Python, TypeScript', 'PostgreSQL and Redis', 'commercial'],
  ['Temporal', 'code in seven languages', 'PostgreSQL, MySQL or Cassandra', 'MIT'],
  ['Dagu', 'YAML files that run commands', 'local files', 'GPL-3.0'],
  ['Kestra', 'YAML, visual editor', 'PostgreSQL, MySQL or H2', 'Apache-2.0'],
  ['Prefect', 'Python', 'SQLite or PostgreSQL', 'Apache-2.0'],
];

const PARTS = [
  {
    title: 'Durable',
    href: '/docs/concepts/durability',
    text: 'Every step is one commit. After a crash a run continues from its last recorded step, and recorded answers are never paid for again.',
  },
  {
    title: 'One database',
    href: '/docs/database/overview',
    text: 'A SQLite file for one machine, PostgreSQL for several. You can move runs from one to the other.',
  },
  {
    title: 'Control flow',
    href: '/docs/workflows/overview',
    text: 'Tasks in sequence or in parallel, loops over lists, routers, conditions in CEL, nested freely.',
  },
  {
    title: 'Approvals and signals',
    href: '/docs/workflows/wait-and-signal',
    text: 'A run waits for human approval or a signal for as long as it takes, without using resources.',
  },
  {
    title: 'Your documents',
    href: '/docs/knowledge-bases/overview',
    text: 'Knowledge bases in a folder, pgvector, Qdrant or Redis. Ingestion is a durable run too.',
  },
  {
    title: 'Any model',
    href: '/docs/agents/providers',
    text: 'OpenAI, Anthropic, Google, Groq, Ollama, any OpenAI-compatible server, or a model in the same process.',
  },
];

export default function Page() {
  const [install = '', enter = '', run = ''] = readFences('console');
  const [workflow = ''] = readFences('yaml workflow');
  return (
    <main className="mx-auto w-full max-w-6xl flex-1 px-6 pb-24">
      <section className="grid items-center gap-10 pt-16 pb-20 lg:grid-cols-[1fr_1.15fr] lg:pt-24">
        <div className="min-w-0">
          <h1 className="text-4xl font-semibold tracking-tight text-balance sm:text-5xl">AI workflows in YAML. Every step durable.</h1>
          <p className="mt-5 max-w-xl text-lg text-fd-muted-foreground">
            Compozy runs AI workflows that you write in YAML. Tasks call models, branch, loop, wait for approval and search your
            documents. Every step is stored in one database before the next one starts, so a run survives crashes.
          </p>
          <div className="mt-8 flex flex-wrap gap-3">
            <Button href="/docs/getting-started/quickstart" primary>
              Quickstart
            </Button>
            <Button href="/docs">Documentation</Button>
          </div>
        </div>
        <div className="grid min-w-0 gap-4">
          <Code lang="console" title="In a checkout: no API key, no server, no container" text={install} />
          <Code lang="console" title="Your own input" text={`${enter}\n${run}`} />
        </div>
      </section>
      <section className="grid gap-10 border-t py-16 lg:grid-cols-[1fr_1.15fr]">
        <div className="min-w-0 lg:order-2">
          <Code lang="yaml" title="workflows/story.yaml" text={workflow} />
        </div>
        <div className="min-w-0">
          <h2 className="text-2xl font-semibold tracking-tight">A workflow is a file</h2>
          <dl className="mt-6 grid gap-5 text-fd-muted-foreground">
            <Key name="input">is a JSON Schema. Invalid input is refused before anything runs.</Key>
            <Key name="tasks">run in order, or as defined by transitions, conditions and containers.</Key>
            <Key name="{{ ... }}">is Go&apos;s template language. A missing key is an error, so a prompt is never sent with a gap in it.</Key>
            <Key name="output">is the output of the run.</Key>
          </dl>
          <p className="mt-6 text-fd-muted-foreground">
            Compozy reports all errors before anything runs, with file, line and column. See{' '}
            <TextLink href="/docs/workflows/overview">workflow files</TextLink> and{' '}
            <TextLink href="/docs/workflows/validation">validation</TextLink>.
          </p>
        </div>
      </section>
      <section className="border-t py-16">
        <h2 className="text-2xl font-semibold tracking-tight">See it in the browser</h2>
        <p className="mt-6 max-w-3xl text-fd-muted-foreground">
          Each server has a <TextLink href="/docs/guides/web-page">web page</TextLink>: follow runs while models write, answer and approve,
          and run again from the task that failed. Recorded results are kept.
        </p>
        <RunPicture />
      </section>
      <section className="border-t py-16">
        <h2 className="text-2xl font-semibold tracking-tight">How it compares</h2>
        <dl className="mt-6 grid gap-5 text-fd-muted-foreground md:grid-cols-3">
          {FACTS.map(([name = '', text]) => (
            <Key key={name} name={name}>
              {text}
            </Key>
          ))}
        </dl>
        <div className="mt-8 overflow-x-auto" tabIndex={0} role="region" aria-label="Comparison with other tools">
          <table className="w-full min-w-[40rem] text-left text-sm">
            <thead>
              <tr className="border-b">
                {['Tool', 'Workflows', 'Storage when self-hosted', 'License'].map((head) => (
                  <th key={head} scope="col" className="py-2 pr-4 font-medium">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {TOOLS.map(([tool, ...cells]) => (
                <tr key={tool} className="border-b">
                  <th scope="row" className="py-2 pr-4 font-medium">
                    {tool}
                  </th>
                  {cells.map((cell) => (
                    <td key={cell} className="py-2 pr-4 text-fd-muted-foreground">
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p className="mt-4 text-sm text-fd-muted-foreground">
          Read on 2026-11-28. Sources, and which tool fits which need: <TextLink href="/docs/project/comparison">comparison</TextLink>.
        </p>
      </section>
      <section className="border-t pt-16">
        <h2 className="sr-only">Features</h2>
        <ul className="grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
          {PARTS.map(({ title, href, text }) => (
            <li key={title}>
              <Link href={href} className="block h-full rounded-xl border bg-fd-card p-5 transition-colors hover:border-fd-primary">
                <h3 className="font-semibold">{title}</h3>
                <p className="mt-2 text-sm text-fd-muted-foreground">{text}</p>
              </Link>
            </li>
          ))}
        </ul>
      </section>
    </main>
  );
}

function Button({ href, primary = false, children }: { href: string; primary?: boolean; children: ReactNode }) {
  const look = primary ? 'bg-fd-primary text-fd-primary-foreground hover:opacity-90' : 'border hover:bg-fd-muted';
  return (
    <Link href={href} className={`rounded-lg px-5 py-2.5 font-medium transition ${look}`}>
      {children}
    </Link>
  );
}

function TextLink({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Link href={href} className="font-medium text-fd-primary underline underline-offset-4">
      {children}
    </Link>
  );
}

function Key({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="font-mono text-sm font-medium text-fd-foreground">{name}</dt>
      <dd className="mt-1">{children}</dd>
    </div>
  );
}

import Link from 'next/link';
import type { ReactNode } from 'react';
import { Code } from '@/components/code';
import { readFences } from '@/lib/readme';

const PARTS = [
  {
    title: 'Durable',
    href: '/docs/concepts/durability',
    text: 'Every step is one commit. A killed process goes on where it was cut, and no recorded answer is paid for again.',
  },
  {
    title: 'One database',
    href: '/docs/database/overview',
    text: 'A SQLite file for one machine, PostgreSQL for several. Runs move from one to the other.',
  },
  {
    title: 'Control flow',
    href: '/docs/workflows/overview',
    text: 'Tasks in turn or at once, collections, routers, conditions in CEL, nested at will.',
  },
  {
    title: 'People and signals',
    href: '/docs/workflows/wait-and-signal',
    text: 'A run waits for an approval or a signal for as long as it takes, and costs nothing meanwhile.',
  },
  {
    title: 'Your documents',
    href: '/docs/knowledge-bases/overview',
    text: 'Knowledge bases in files, pgvector, Qdrant or Redis. Ingestion is a run, too.',
  },
  {
    title: 'Any model',
    href: '/docs/agents/providers',
    text: 'OpenAI, Anthropic, Google, Groq, Ollama, anything with their interface, or a model in the same process.',
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
            Tasks ask models, branch, repeat, wait for people and read your documents. Every step is stored in one database before the
            next one begins. When the process is killed, the run goes on where it was cut.
          </p>
          <div className="mt-8 flex flex-wrap gap-3">
            <Button href="/docs/getting-started/quickstart" primary>
              Quickstart
            </Button>
            <Button href="/docs">Documentation</Button>
          </div>
        </div>
        <div className="grid min-w-0 gap-4">
          <Code lang="console" title="In a checkout: no key, no server, no container" text={install} />
          <Code lang="console" title="An input of your own" text={`${enter}\n${run}`} />
        </div>
      </section>
      <section className="grid gap-10 border-t py-16 lg:grid-cols-[1fr_1.15fr]">
        <div className="min-w-0 lg:order-2">
          <Code lang="yaml" title="workflows/story.yaml" text={workflow} />
        </div>
        <div className="min-w-0">
          <h2 className="text-2xl font-semibold tracking-tight">A workflow is a file</h2>
          <dl className="mt-6 grid gap-5 text-fd-muted-foreground">
            <Key name="input">is a JSON Schema. What does not fit is refused before anything runs.</Key>
            <Key name="tasks">run in order, or as transitions, conditions and containers say.</Key>
            <Key name="{{ ... }}">is Go&apos;s template language. A key that is missing is an error, never a hole in a prompt.</Key>
            <Key name="output">is the result of the run.</Key>
          </dl>
          <p className="mt-6 text-fd-muted-foreground">
            Mistakes are told all at once, with file, line and column. See{' '}
            <TextLink href="/docs/workflows/overview">workflow files</TextLink> and{' '}
            <TextLink href="/docs/workflows/validation">validation</TextLink>.
          </p>
        </div>
      </section>
      <section className="border-t pt-16">
        <h2 className="sr-only">What it has</h2>
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

import { Questions } from './questions';

/** Which database: the questions of database/overview. */
export function DatabaseChoice() {
  return (
    <Questions
      title="Which database"
      questions={[
        { ask: 'Do several machines execute runs, or several processes at once?', yes: { title: 'PostgreSQL', text: 'they share the runs' } },
        { ask: 'Are more runs at work at one time than the measured limits of one file?', yes: { title: 'PostgreSQL', text: 'rows are locked, not the file' } },
        { ask: 'Shall vectors and runs be in one database?', yes: { title: 'PostgreSQL', text: 'with pgvector' } },
      ]}
      otherwise={{ title: 'SQLite', text: 'one file, no server; vectors in a store beside it' }}
    />
  );
}

/** Which vector store: the questions of knowledge-bases/vector-databases. */
export function VectorStoreChoice() {
  return (
    <Questions
      title="Which vector store"
      questions={[
        { ask: 'Is the database PostgreSQL with pgvector?', yes: { title: 'pgvector', text: 'no further service, one backup' } },
        { ask: 'One machine, and up to about 100,000 vectors?', yes: { title: 'filesystem', text: 'a folder; exact, needs nothing' } },
        { ask: 'Is there a Redis 8 or Redis Stack already?', yes: { title: 'redis', text: 'vectors in memory' } },
      ]}
      otherwise={{ title: 'qdrant', text: 'a server of its own' }}
    />
  );
}

export { Architecture } from './architecture';

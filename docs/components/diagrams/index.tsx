import { Questions } from './questions';

/** Which database: the questions of database/overview. */
export function DatabaseChoice() {
  return (
    <Questions
      title="Which database"
      questions={[
        { ask: 'Do several machines execute runs, or several processes?', yes: { title: 'PostgreSQL', text: 'they share the runs' } },
        { ask: 'Is the only disk a network file system?', yes: { title: 'PostgreSQL', text: 'SQLite is refused there' } },
        { ask: 'Should vectors be in the database itself?', yes: { title: 'PostgreSQL', text: 'with pgvector' } },
        { ask: 'Do more than about 100 tasks end in a second?', yes: { title: 'PostgreSQL', text: 'with workers on several machines' } },
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
        { ask: 'Is there a Redis 8 or Redis Stack already?', yes: { title: 'redis', text: 'where one is anyway' } },
      ]}
      otherwise={{ title: 'qdrant', text: 'a separate server, for large collections and several machines' }}
    />
  );
}

export { Architecture } from './architecture';

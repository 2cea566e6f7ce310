import { Arrow, type Box, BoxShape, Diagram, type Drawing } from './kit';

const WORDS = {
  commands: { title: 'compozy', text: 'commands on a terminal' },
  clients: { title: 'Other programs', text: 'over HTTP' },
  process: { title: 'A process', text: 'compozy start, compozy worker, or the command itself' },
  workflow: { title: 'Workflow', text: 'which task is next, templates, conditions' },
  agents: { title: 'Tasks and agents', text: 'each model request is a step' },
  knowledge: { title: 'Knowledge', text: 'ingestion is a run; passages for prompts' },
  database: { title: 'One database', text: 'SQLite file or PostgreSQL: runs, tasks and journal' },
  models: { title: 'Models', text: 'a provider, or one in the process' },
  stores: { title: 'Vector store', text: 'files, pgvector, Qdrant or Redis' },
} as const;

const DESCRIPTION =
  'Commands and other programs over HTTP start runs in a process: compozy start, compozy worker or the command itself. In it, the ' +
  'workflow decides which task is next; tasks and agents ask models; knowledge bases read documents into a vector store. Every step is ' +
  'stored in one database, a SQLite file or PostgreSQL, which holds runs, tasks and the journal.';

/** The parts of Compozy, and what they talk to. */
export function Architecture() {
  return <Diagram title="The parts of Compozy" description={DESCRIPTION} wide={WIDE} narrow={NARROW} />;
}

const WIDE: Drawing = {
  width: 720,
  height: 414,
  children: (
    <>
      <Boxes
        boxes={[
          { x: 90, y: 0, width: 240, ...WORDS.commands },
          { x: 390, y: 0, width: 240, ...WORDS.clients },
          { x: 0, y: 104, width: 720, height: 172, kind: 'group', ...WORDS.process },
          { x: 20, y: 172, width: 216, height: 84, ...WORDS.workflow },
          { x: 252, y: 172, width: 216, height: 84, ...WORDS.agents },
          { x: 484, y: 172, width: 216, height: 84, ...WORDS.knowledge },
          { x: 20, y: 330, width: 216, height: 84, kind: 'accent', ...WORDS.database },
          { x: 252, y: 330, width: 216, height: 84, ...WORDS.models },
          { x: 484, y: 330, width: 216, height: 84, ...WORDS.stores },
        ]}
      />
      <Arrow points={[[210, 60], [210, 101]]} />
      <Arrow points={[[510, 60], [510, 101]]} />
      <Arrow points={[[128, 276], [128, 327]]} label="every step" />
      <Arrow points={[[360, 256], [360, 327]]} />
      <Arrow points={[[592, 256], [592, 327]]} />
    </>
  ),
};

// The arrows of three columns have no room here: what is asked stands in one box.
const ASKED = { title: 'Models, vector store', text: 'providers or in the process; files, pgvector, Qdrant or Redis' };

const NARROW: Drawing = {
  width: 360,
  height: 594,
  children: (
    <>
      <Boxes
        boxes={[
          { x: 0, y: 0, width: 172, height: 82, ...WORDS.commands },
          { x: 188, y: 0, width: 172, height: 82, ...WORDS.clients },
          { x: 0, y: 118, width: 360, height: 312, kind: 'group', ...WORDS.process },
          { x: 14, y: 196, width: 332, height: 64, ...WORDS.workflow },
          { x: 14, y: 274, width: 332, height: 64, ...WORDS.agents },
          { x: 14, y: 352, width: 332, height: 64, ...WORDS.knowledge },
          { x: 0, y: 474, width: 172, height: 120, kind: 'accent', ...WORDS.database },
          { x: 188, y: 474, width: 172, height: 120, ...ASKED },
        ]}
      />
      <Arrow points={[[86, 82], [86, 115]]} />
      <Arrow points={[[274, 82], [274, 115]]} />
      <Arrow points={[[86, 430], [86, 471]]} label="every step" />
      <Arrow points={[[274, 430], [274, 471]]} label="asked" />
    </>
  ),
};

function Boxes({ boxes }: { boxes: Box[] }) {
  return boxes.map((box) => <BoxShape key={box.title} {...box} />);
}

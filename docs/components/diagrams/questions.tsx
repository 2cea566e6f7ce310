import { Arrow, BoxShape, Diagram, type Drawing, heightOf } from './kit';

export type Answer = { title: string; text?: string };
export type Question = { ask: string; yes: Answer };
type Columns = { width: number; question: number; answer: number };

const GAP = 34;

/** Questions from top to bottom: yes leads to the answer next to it, no to the next question, the last no to `otherwise`. */
export function Questions({ title, questions, otherwise }: { title: string; questions: Question[]; otherwise: Answer }) {
  const words = questions.map(({ ask, yes }) => `${ask} Yes: ${yes.title}${yes.text ? `, ${yes.text}` : ''}.`);
  const description = `${words.join(' No: ')} No: ${otherwise.title}${otherwise.text ? `, ${otherwise.text}` : ''}.`;
  return (
    <Diagram
      title={title}
      description={description}
      wide={draw(questions, otherwise, { width: 680, question: 350, answer: 260 })}
      narrow={draw(questions, otherwise, { width: 360, question: 180, answer: 136 })}
    />
  );
}

function draw(questions: Question[], otherwise: Answer, { width, question, answer }: Columns): Drawing {
  const middle = question / 2;
  const shapes = [];
  let y = 0;
  for (const { ask, yes } of questions) {
    const height = Math.max(heightOf({ title: ask, width: question }), heightOf({ ...yes, width: answer }));
    const center = y + height / 2;
    shapes.push(
      <g key={ask}>
        <BoxShape x={0} y={y} width={question} height={height} title={ask} />
        <Arrow points={[[question, center], [width - answer - 2, center]]} label="yes" />
        <BoxShape x={width - answer} y={y} width={answer} height={height} kind="accent" {...yes} />
        <Arrow points={[[middle, y + height], [middle, y + height + GAP - 2]]} label="no" />
      </g>,
    );
    y += height + GAP;
  }
  const last = heightOf({ ...otherwise, width: question });
  shapes.push(<BoxShape key="otherwise" x={0} y={y} width={question} height={last} kind="accent" {...otherwise} />);
  return { width, height: y + last, children: shapes };
}

import { type ReactNode, useId } from 'react';

type Point = readonly [x: number, y: number];
export type Kind = 'plain' | 'accent' | 'group';
/** A box of a diagram, in units of its view box. Text is cut into lines that fit its width. */
export type Box = { x: number; y: number; width: number; height?: number; title: string; text?: string; kind?: Kind };

const PADDING = 12;
const LINE = 18;
const FONT = 13.5;
// The mean width of a letter, in parts of the font's size, with some room left.
const LETTER = 0.53;
const BOLD_LETTER = 0.57;

/** One drawing for wide screens and one for phones, of which a reader gets the one that fits, with the same words for both. */
export function Diagram({ title, description, wide, narrow }: { title: string; description: string; wide: Drawing; narrow: Drawing }) {
  return (
    <figure className="not-prose my-8">
      <Svg className="hidden sm:block" title={title} description={description} drawing={wide} />
      <Svg className="sm:hidden" title={title} description={description} drawing={narrow} />
    </figure>
  );
}

export type Drawing = { width: number; height: number; children: ReactNode };

function Svg({ className, title, description, drawing }: { className: string; title: string; description: string; drawing: Drawing }) {
  const id = useId();
  return (
    <svg
      viewBox={`0 0 ${drawing.width} ${drawing.height}`}
      className={`${className} mx-auto h-auto w-full font-sans`}
      style={{ maxWidth: drawing.width * 1.1 }}
      role="img"
      aria-labelledby={`${id}title ${id}description`}
    >
      <title id={`${id}title`}>{title}</title>
      <desc id={`${id}description`}>{description}</desc>
      {drawing.children}
    </svg>
  );
}

/** Return how high a box has to be for its words. */
export function heightOf(box: Pick<Box, 'title' | 'text' | 'width'>): number {
  return 2 * PADDING + LINE * linesOf(box).length;
}

/** Draw a box: its title, and what there is to say of it. */
export function BoxShape(box: Box) {
  const { x, y, width, height = heightOf(box), kind = 'plain' } = box;
  // A group begins with its words, because other boxes lie in it.
  const top = kind === 'group' ? PADDING : (height - heightOf(box)) / 2 + PADDING;
  return (
    <g>
      <rect x={x + 1} y={y + 1} width={width - 2} height={height - 2} rx={10} strokeWidth={1.5} className={LOOKS[kind]} />
      {linesOf(box).map(({ text, isTitle }, index) => (
        <text
          key={text}
          x={x + PADDING}
          y={y + top + LINE * (index + 0.75)}
          fontSize={FONT}
          className={isTitle ? 'fill-fd-foreground font-semibold' : 'fill-fd-muted-foreground'}
        >
          {text}
        </text>
      ))}
    </g>
  );
}

function linesOf({ title, text, width }: Pick<Box, 'title' | 'text' | 'width'>) {
  return [
    ...wrapText(title, width, BOLD_LETTER).map((line) => ({ text: line, isTitle: true })),
    ...(text ? wrapText(text, width, LETTER).map((line) => ({ text: line, isTitle: false })) : []),
  ];
}

function wrapText(text: string, width: number, letter: number): string[] {
  const letters = Math.floor((width - 2 * PADDING) / (FONT * letter));
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= letters) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const LOOKS: Record<Kind, string> = {
  plain: 'fill-fd-card stroke-fd-border',
  accent: 'fill-(--compozy-tint) stroke-(--compozy-accent)',
  group: 'fill-transparent stroke-fd-border',
};

/** Draw an arrow through `points`, with a label next to its first part. */
export function Arrow({ points, label }: { points: readonly [Point, Point, ...Point[]]; label?: string }) {
  const [start, second] = points;
  const end = points.at(-1) ?? second;
  const before = points.at(-2) ?? start;
  const angle = (Math.atan2(end[1] - before[1], end[0] - before[0]) * 180) / Math.PI;
  const isDown = start[0] === second[0];
  return (
    <g className="stroke-fd-muted-foreground" fill="none" strokeWidth={1.5} strokeLinecap="round" strokeLinejoin="round">
      <polyline points={points.map(([x, y]) => `${x},${y}`).join(' ')} />
      <polyline points="-6,-4.5 0,0 -6,4.5" transform={`translate(${end[0]} ${end[1]}) rotate(${angle})`} />
      {label && (
        <text
          x={isDown ? start[0] + 8 : (start[0] + second[0]) / 2}
          y={isDown ? (start[1] + second[1]) / 2 + 4 : start[1] - 7}
          textAnchor={isDown ? 'start' : 'middle'}
          fontSize={12.5}
          stroke="none"
          className="fill-fd-muted-foreground"
        >
          {label}
        </text>
      )}
    </g>
  );
}

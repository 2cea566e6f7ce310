// Text that models are writing, as it arrives in pieces.
import type { Chunk } from "./live";

export interface LiveText {
  request: number;
  attempt: number;
  text: string;
  isFinal: boolean;
}

/** The answers of a run that are being written, by the path of their task. */
export type LiveTexts = ReadonlyMap<string, LiveText>;

/** Add a piece. A piece that starts at 0, or of another request or attempt, starts the text again. */
export function addChunk(texts: LiveTexts, chunk: Chunk): LiveTexts {
  const known = texts.get(chunk.path);
  const isSame = known?.request === chunk.request && known.attempt === chunk.attempt;
  if (known && isSame && chunk.offset > known.text.length && !chunk.final) {
    // Something is missing: wait for the text from its start, or the stored answer.
    return texts;
  }
  const before = isSame ? [...known.text].slice(0, chunk.offset).join("") : "";
  const next = { request: chunk.request, attempt: chunk.attempt, text: before + chunk.text, isFinal: chunk.final };
  return new Map(texts).set(chunk.path, next);
}

const SIZE = { width: 1280, height: 800, loading: 'lazy' } as const;
const LOOK = 'my-6 h-auto w-full rounded-xl border';

/** The web page of a run, in the theme of the reader. `make screenshots` takes the pictures. */
export function RunPicture() {
  const alt = 'The web page of a run: a question for a person, a graph of the tasks with their states, and the selected task';
  return (
    <>
      <img {...SIZE} src="/ui/run-light.png" alt={alt} className={`${LOOK} dark:hidden`} />
      <img {...SIZE} src="/ui/run-dark.png" alt={alt} className={`${LOOK} hidden dark:block`} />
    </>
  );
}

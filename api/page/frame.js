/**
 * Work on the document, once per animation frame however often it is asked for.
 *
 * Knows nothing of what the work is. In a page that nobody sees there are no frames, so nothing is done.
 */

const waiting = new Set();

/** Call a function in the next frame; asked again before that, it is still called once. */
export function inNextFrame(work) {
  if (waiting.size === 0) requestAnimationFrame(run);
  waiting.add(work);
}

function run() {
  const works = [...waiting];
  waiting.clear();
  for (const work of works) work();
}

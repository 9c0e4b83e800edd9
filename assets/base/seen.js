// What is out of sight is not drawn; it is drawn once, with all that changed, when it comes into sight.
// Its words are there before: for who hears the page, and so that nothing moves when it is reached.

/** `draw` as a view that draws only while `element` is on the screen. */
export function whileSeen(element, draw) {
  let missed = new Set();
  let isSeen = false;
  new IntersectionObserver(([entry]) => {
    isSeen = entry.isIntersecting;
    if (isSeen && missed.size > 0) catchUp();
  }, { rootMargin: "120px" }).observe(element);
  function catchUp() {
    const kinds = missed;
    missed = new Set();
    draw(kinds);
  }
  return (kinds) => {
    for (const kind of kinds) missed.add(kind);
    if (isSeen || kinds.has("look")) catchUp();
  };
}

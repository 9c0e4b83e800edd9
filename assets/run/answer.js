// Gradio ends the stream of answers once none seems due; what is asked in that moment is answered to
// nobody. Anything else that is asked opens the stream anew, which then brings all that waits.

const EVERY_MS = 2000;
const MOST_TIMES = 10;

let timer = null;

/** Something was asked: the server says at once that it heard, and is asked again until it does. */
export function expectAnswer() {
  heard();
  let times = 0;
  timer = setInterval(() => {
    times += 1;
    document.querySelector("#ask-again")?.click();
    if (times >= MOST_TIMES) heard();
  }, EVERY_MS);
}

/** An answer came. */
export function heard() {
  clearInterval(timer);
  timer = null;
}

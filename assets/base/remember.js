// What the visitor chose, kept by the browser where it allows that; a page in a frame may not.

/** What `use` gives; null where the browser does not allow it. */
function allowed(use) {
  try {
    return use();
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

const named = (key) => `decodingLive.${key}`;

export const recall = (key) => allowed(() => localStorage.getItem(named(key)));

export const remember = (key, value) => allowed(() => localStorage.setItem(named(key), value));

/** Keeps a text as long as this tab is open. */
export const keepForTab = (key, value) => allowed(() => sessionStorage.setItem(named(key), value));

/** What was kept for this tab, once. */
export function takeForTab(key) {
  return allowed(() => {
    const value = sessionStorage.getItem(named(key));
    sessionStorage.removeItem(named(key));
    return value;
  });
}

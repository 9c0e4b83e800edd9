// What the visitor chose, kept by the browser where it allows that; a page in a frame may not.

export function recall(key) {
  try {
    return localStorage.getItem(`decodingLive.${key}`);
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`decodingLive.${key}`, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

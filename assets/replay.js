// The bar that replays a run which was kept in a file.

export function replayBar(root) {
  root.hidden = true;
  return () => {};
}

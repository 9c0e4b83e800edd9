// What a file of its own carries beside the page: packed, so that it stays small and holds no markup.

/** The text that was packed into the element of this id; a promise of a Blob. */
export async function unpack(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}

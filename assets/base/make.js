// Elements from code: text goes in as text nodes, never as markup.

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Writes only what differs, so that unchanged text costs no layout. */
export function write(element, text) {
  if (element.firstChild?.nodeValue !== text) element.textContent = text;
}

// The page as a file of its own: a recorded run in the same views, with no server behind them.

import { unpack } from "./base/packed.js";
import "./page.js";

for (const element of document.querySelectorAll("[data-view]")) {
  window.decodingLive.mount(element.dataset.view, element);
}
const frames = await unpack("recorded-frames");
for (const frame of (await frames.text()).split("\n")) window.decodingLive.receive(frame);

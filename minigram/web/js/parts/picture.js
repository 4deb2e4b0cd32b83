// The picture of a photo: WebP or JPEG in the size that fits, and the original until the sizes are made.

import { h } from "../dom.js";
import { nameOf } from "../format.js";

/** Pixels of the longest side. */
const SMALL = 480;
const LARGE = 1080;

export const describe = (photo) => photo.caption || `Photo by ${nameOf(photo.author)}, without a caption`;

/** `sizes` says how wide it is shown; `isSquare` takes the small square where that is enough. */
export function picture(photo, { sizes, isSquare = false, isFirst = false }) {
  const { urls } = photo;
  const isReady = photo.state === "ready";
  const set = ({ thumb, small, large }) => [isSquare && `${thumb} 150w`, `${small} ${SMALL}w`, `${large} ${LARGE}w`].filter(Boolean).join(", ");
  const image = h("img", {
    src: isReady ? urls.small : urls.original, srcset: isReady && set(urls), sizes: isReady && sizes, alt: describe(photo), decoding: "async",
    loading: isFirst ? "eager" : "lazy", fetchpriority: isFirst ? "high" : null,
  });
  image.addEventListener("error", () => element.classList.add("missing"), { once: true });
  const element = h("picture", { class: "picture" }, isReady && h("source", { type: "image/webp", srcset: set(urls.webp), sizes }), image,
    !isReady && h("span", { class: "preparing" }, h("span", { class: "spinner" }), "Being prepared"));
  return element;
}

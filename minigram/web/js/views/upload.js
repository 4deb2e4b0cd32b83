// Posting a photo: chosen or dropped, looked at, and sent with progress.

import { newKey, upload as send, user as me } from "../api.js";
import { field, h, icon } from "../dom.js";
import { go } from "../router.js";
import { signInPage } from "./sign.js";

const TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const BYTES_MAX = 10 * 1024 * 1024;
const CAPTION_MAX = 500;

export function upload({ signal }) {
  if (!me()) return signInPage();
  const form = new UploadForm(signal);
  return { title: "Post a photo", content: [h("section", { class: "narrow" }, h("h1", {}, "Post a photo"), form.element)] };
}

class UploadForm {
  #file = null;
  /** What was sent last, and its key: sent again unchanged, it is the same post. */
  #sent = null;
  #url = null;
  #signal;
  #input = h("input", { type: "file", id: "photo-file", name: "photo", accept: TYPES.join(","), class: "file-input" });
  #preview = h("img", { class: "preview", alt: "Preview of the photo that you chose", hidden: true });
  #invite = h("span", { class: "drop-invite" }, icon("camera"), h("strong", {}, "Choose a photo"), h("span", {}, "or drop it here"));
  #drop = h("label", { class: "drop", for: "photo-file" }, this.#preview, this.#invite);
  #caption = h("textarea", { name: "caption", rows: 3, maxlength: CAPTION_MAX });
  #fault = h("p", { class: "fault", role: "alert" });
  #progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  #button = h("button", { class: "button primary wide", disabled: true }, "Post");

  constructor(signal) {
    this.#signal = signal;
    this.#input.addEventListener("change", () => this.#choose(this.#input.files[0]));
    for (const event of ["dragenter", "dragover"]) this.#drop.addEventListener(event, (it) => this.#over(it, true));
    this.#drop.addEventListener("dragleave", (it) => this.#over(it, false));
    this.#drop.addEventListener("drop", (it) => {
      this.#over(it, false);
      this.#choose(it.dataTransfer.files[0]);
    });
    signal.addEventListener("abort", () => this.#forget(), { once: true });
    this.element = h("form", { class: "form", "aria-label": "Post a photo", on: { submit: (event) => this.#submit(event) } },
      this.#input, this.#drop, field("Caption (optional)", this.#caption, "It also describes the photo to people who cannot see it."),
      this.#progress, this.#fault, this.#button);
  }

  #over(event, isOver) {
    event.preventDefault();
    this.#drop.classList.toggle("over", isOver);
  }

  #forget() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }

  #choose(file) {
    if (!file) return;
    const fault = !TYPES.includes(file.type) ? "This is no JPEG, PNG, WebP or GIF." : file.size > BYTES_MAX ? "This file has more than 10 MiB." : "";
    this.#fault.textContent = fault;
    this.#file = fault ? null : file;
    this.#button.disabled = Boolean(fault);
    this.#forget();
    this.#preview.hidden = Boolean(fault);
    this.#invite.hidden = !fault;
    if (fault) return;
    this.#url = URL.createObjectURL(file);
    this.#preview.src = this.#url;
  }

  async #submit(event) {
    event.preventDefault();
    if (!this.#file) return;
    this.#button.disabled = true;
    this.#button.textContent = "Sending";
    this.#fault.textContent = "";
    this.#progress.hidden = false;
    const progress = (share) => { this.#progress.value = share; };
    const [file, caption] = [this.#file, this.#caption.value];
    if (this.#sent?.file !== file || this.#sent.caption !== caption) this.#sent = { file, caption, key: newKey() };
    try {
      const photo = await send(file, caption, this.#sent.key, progress, this.#signal);
      go(`/p/${photo.id}`, { replace: true });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#fault.textContent = error.message;
      this.#progress.hidden = true;
      this.#button.disabled = false;
      this.#button.textContent = "Post";
    }
  }
}

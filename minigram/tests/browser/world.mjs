// Users and photos to look at, and browsers that are signed in.

import assert from "node:assert/strict";

import { axe, launch, open } from "../../../tests/browser/support/browser.mjs";

export const PASSWORD = "right password";

/** Six users who have posted, and follow each other. */
export function populate(mock) {
  const people = [["ada", "Ada Lovelace", "Mountains, mostly. Some light."], ["grace", "Grace Hopper", "At sea."], ["linus", "Linus P.", ""], ["margaret", "Margaret H.", "Looking up."], ["alan", "Alan T.", ""], ["barbara", "", "Abstractions."]];
  const users = people.map(([name, display, bio]) => mock.addUser(name, display, bio));
  const captions = ["First light over the ridge", "The bay, from the old lighthouse", "", "Three hills and a sun.\nWorth the climb.", "Evening, and nobody there", "A quiet valley", "Dusk", "The long way home"];
  for (let number = 0; number < 24; number += 1) {
    const photo = mock.addPhoto(users[number % users.length], captions[number % captions.length], { age: (24 - number) * 5400, paint: number });
    photo.extra = (number * 37) % 240;
    mock.addComment(photo, users[(number + 1) % users.length], "What a sky.");
    if (number % 2) mock.addComment(photo, users[(number + 2) % users.length], "Where is this? I would like to go there in autumn.");
  }
  for (const user of users) for (const other of users) if (user !== other) user.follows.add(other.name);
  return users;
}

/** A browser of its own, signed in as `name` if there is one. */
export async function session(url, name, options = {}) {
  const chrome = await launch();
  const { page, faults, check } = await open(chrome.context, url, options);
  if (name) await signIn(page, url, name);
  return { page, faults, check, close: chrome.close };
}

export async function signIn(page, url, name) {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "Profile" }).waitFor();
}

export async function isAccessible(page) {
  assert.deepEqual(await axe(page), []);
}

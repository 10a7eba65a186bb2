// The control that people would call by this name: by its label for readers, else by its words. Only what can be
// reached; in a dialog, if one is open.
const [name, kinds] = arguments;
const plain = (text) => text.replace(/\s+/g, ' ').trim();
const scope = [...document.querySelectorAll('[role="dialog"]')].at(-1) ?? document;
const usable = (element) =>
  element.checkVisibility({ visibilityProperty: true }) && !element.closest('[inert]') && !element.disabled;
const words = (element) => {
  const label = element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? '';
  return [plain(label), plain(element.textContent)];
};
const all = [...scope.querySelectorAll(kinds)].filter(usable);
return all.find((element) => words(element).includes(name))
  ?? all.find((element) => words(element).some((text) => text.startsWith(name)))
  ?? null;

// Keys of a reader, made in the page: each code when the one before has been answered. Answers with their tones.
const [codes, done] = arguments;
const shifted = { $: 'Digit4', '%': 'Digit5', '*': 'Digit8', '+': 'Equal', ':': 'Semicolon' };
const plain = { ' ': 'Space', '-': 'Minus', '.': 'Period', '/': 'Slash' };
const key = (character) => {
  if (/[A-Z]/.test(character)) return { code: `Key${character}`, shiftKey: true };
  if (/[0-9]/.test(character)) return { code: `Digit${character}`, shiftKey: false };
  if (character in shifted) return { code: shifted[character], shiftKey: true };
  return { code: plain[character], shiftKey: false };
};
const press = (init) => {
  for (const kind of ['keydown', 'keyup']) {
    document.body.dispatchEvent(new KeyboardEvent(kind, { ...init, bubbles: true, cancelable: true }));
  }
};
const tones = [];
const answered = () => new Promise((go) => {
  const look = () => (window.__seen.length > 0 ? go() : requestAnimationFrame(look));
  look();
});
(async () => {
  window.__seen.length = 0;
  for (const code of codes) {
    for (const character of code) press({ ...key(character), key: character });
    press({ code: 'Enter', key: 'Enter' });
    await answered();
    tones.push(window.__seen[0].tone);
    // Nothing of ours may grow.
    window.__seen.length = 0;
  }
  done(tones);
})();

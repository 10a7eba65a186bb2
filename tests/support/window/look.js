// Notes every answer that the window shows, and how long after the reader's Enter it was painted.
if (!window.__seen) {
  window.__seen = [];
  window.__readAt = -Infinity;
  window.__clicks = 0;
  window.addEventListener('click', () => { window.__clicks += 1; }, true);
  let enterAt = null;
  // The time of the event itself: its way to the page counts.
  window.addEventListener('keydown', (event) => { if (event.code === 'Enter') enterAt = window.__readAt = event.timeStamp; }, true);
  const note = (element) => {
    const words = (selector) => element.querySelector(selector)?.textContent.replace(/\s+/g, ' ').trim() ?? '';
    const after = enterAt;
    enterAt = null;
    const seen = {
      tone: element.dataset.tone,
      word: words('.word'),
      text: element.innerText,
      place: /\d+:\d+/.exec(words('.record'))?.[0] ?? null,
      made_ms: after === null ? null : performance.now() - after,
      painted_ms: null,
    };
    window.__seen.push(seen);
    // A frame that was drawn with it is on its way when the next one begins.
    requestAnimationFrame(() => requestAnimationFrame((now) => {
      seen.painted_ms = after === null ? -1 : now - after;
    }));
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        if (!(node instanceof Element)) continue;
        const found = node.matches('[data-testid="verdict"]') ? node : node.querySelector('[data-testid="verdict"]');
        if (found) note(found);
      }
    }
  }).observe(document, { childList: true, subtree: true });
}

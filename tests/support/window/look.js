// Notes every answer that the window shows, and when it was painted: milliseconds since 1970, which the sender of the keys
// can compare with its own (how a key's time relates to the page's clock differs by some milliseconds from start to start).
if (!window.__seen) {
  window.__seen = [];
  window.__readAt = -Infinity;
  window.__clicks = 0;
  window.addEventListener('click', () => { window.__clicks += 1; }, true);
  window.addEventListener('keydown', (event) => { if (event.code === 'Enter') window.__readAt = event.timeStamp; }, true);
  const note = (element) => {
    const words = (selector) => element.querySelector(selector)?.textContent.replace(/\s+/g, ' ').trim() ?? '';
    const seen = {
      tone: element.dataset.tone,
      word: words('.word'),
      text: element.innerText,
      place: /\d+:\d+/.exec(words('.record'))?.[0] ?? null,
      made_at: performance.timeOrigin + performance.now(),
      painted_at: null,
    };
    window.__seen.push(seen);
    // A frame that was drawn with it is on its way when the next one begins.
    requestAnimationFrame(() => requestAnimationFrame((now) => {
      seen.painted_at = performance.timeOrigin + now;
    }));
  };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      // The next answer stands in the element of the one before.
      if (type === 'attributes' && target.isConnected) note(target);
      for (const node of addedNodes) {
        if (!(node instanceof Element)) continue;
        const found = node.matches('[data-testid="verdict"]') ? node : node.querySelector('[data-testid="verdict"]');
        if (found) note(found);
      }
    }
  }).observe(document, { childList: true, subtree: true, attributeFilter: ['data-id'] });
}

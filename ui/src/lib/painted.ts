/**
 * Says that something is on screen: as an attribute, for whoever drives the window, and as a mark on the page's own
 * timeline, for whoever measures it. The mark is set after the frame that shows it.
 */
export function painted(what: 'first-run' | 'circle'): void {
  requestAnimationFrame(() => {
    if (document.documentElement.dataset.painted === what) return;
    document.documentElement.dataset.painted = what;
    requestAnimationFrame(() => performance.mark(`painted-${what}`));
  });
}

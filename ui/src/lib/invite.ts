/** The invite link of a page opened at `/join#CODE`. */
export function linkInAddress(): string {
  return location.pathname === '/join' && location.hash.length > 1 ? location.href : '';
}

/** A link or a bare code, as pasted. */
export function codeOf(link: string): string | null {
  const text = link.trim();
  const code = text.match(/#([\w.~-]+)$/)?.[1] ?? text.match(/[?&](?:code|token)=([\w.~-]+)/)?.[1];
  if (code) return code;
  return /^[\w.~-]{8,200}$/.test(text) && !text.includes('://') ? text : null;
}

/** The same invite for the app. */
export function appLink(link: string): string | null {
  const code = codeOf(link);
  return code ? `circles://join?relay=${encodeURIComponent(location.origin)}&code=${encodeURIComponent(code)}` : null;
}

/** Takes the used code out of the address bar and the history. */
export function forgetAddress(): void {
  if (location.pathname === '/join') history.replaceState(null, '', '/');
}

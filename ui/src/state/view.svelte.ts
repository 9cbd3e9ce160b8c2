/** What of the window is open: panels, dialogs, and in a narrow window which of the two views. */
export type Dialog =
  | 'settings'
  | 'invite'
  | 'create'
  | 'browse'
  | 'edit-circle'
  | 'search'
  | 'day'
  | 'add-campus'
  | 'kept'
  | 'not-sent'
  | 'hosting'
  | 'doctor'
  | null;
export type Theme = 'system' | 'light' | 'dark';

const THEME = 'circles.theme';

class View {
  dialog = $state<Dialog>(null);
  /** The invite link that Circles was opened with, until it is used or put aside. */
  invite = $state<string | null>(null);
  people = $state(false);
  /** In a narrow window: whether the timeline is in front of the list. */
  inCircle = $state(true);
  theme = $state<Theme>('system');
  /** Something to say in passing. */
  toast = $state<string | null>(null);

  private toastTimer: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    this.toast = text;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => (this.toast = null), 6_000);
  }

  loadTheme(): void {
    const kept = localStorage.getItem(THEME);
    this.setTheme(kept === 'light' || kept === 'dark' ? kept : 'system');
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(THEME, theme);
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}

export const view = new View();
